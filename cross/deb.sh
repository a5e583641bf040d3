#!/usr/bin/env bash
# Makes the Debian package of this machine's architecture: `cross/deb.sh [-o FOLDER] [BUILT]`.
# BUILT is a folder with a release build; without it one is made, free of this machine's paths.
# The package goes into FOLDER (target/deb), and its path is the last line of standard output.
#
# dpkg-deb and the lists below say all there is to say, so neither debhelper nor cargo-deb: both
# would want a second description of the same files, and cargo-deb is one more program to build.
# Two runs give the same bytes: every time in the package is SOURCE_DATE_EPOCH, or the last
# commit's.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"

# The part of the version behind the hyphen: raise it for a new package of the same source.
revision=${REVISION:-1}
# Who publishes it says who they are, by the variables that Debian's own tools read.
maintainer=${DEBFULLNAME:-The srv6pipes developers}" <${DEBEMAIL:-srv6pipes@srv6pipes.invalid}>"

usage() {
    echo "usage: cross/deb.sh [-o FOLDER] [FOLDER-OF-RELEASE-BUILD]" >&2
    exit 64
}

out=${CARGO_TARGET_DIR:-target}/deb
while getopts o: letter; do
    case $letter in
        o) out=$OPTARG ;;
        *) usage ;;
    esac
done
shift $((OPTIND - 1))
(($# <= 1)) || usage

missing=()
for pair in dpkg-deb:dpkg dpkg-shlibdeps:dpkg-dev strip:binutils gzip:gzip cargo:cargo; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
if ((${#missing[@]})); then
    echo "cross/deb.sh: missing; type: apt-get install ${missing[*]}" >&2
    exit 1
fi

built=${1-}
if [[ -z $built ]]; then
    # Panics and assertions name the files of crates; where those lie here is nobody's business.
    # A target folder of its own, since other flags build everything anew.
    target=${CARGO_TARGET_DIR:-$PWD/target}/deb-build
    RUSTFLAGS="${RUSTFLAGS-} --remap-path-prefix=$PWD=srv6pipes"
    RUSTFLAGS+=" --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
    export RUSTFLAGS
    cargo build --release --locked --target-dir "$target" >&2
    built=$target/release
fi
if [[ ! -x $built/srv6pipes ]]; then
    echo "cross/deb.sh: there is no srv6pipes in $built; build it first: cargo build --release" >&2
    exit 1
fi

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)-$revision
architecture=$(dpkg --print-architecture)
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}"
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
doc=$root/usr/share/doc/srv6pipes
umask 022

# put MODE FILE PLACE
put() {
    install -D -m "$1" "$2" "$root/$3"
}

# Everybody may use it (`module check`, `demo`), so it is no program of the administrator's alone:
# /usr/bin by FHS 3.0, section 4.10.
put 755 "$built/srv6pipes" usr/bin/srv6pipes
# The stock modules are the crates beside the ABI's. Not executable, and root's alone to write:
# else the loader refuses them.
for crate in vnf-modules/*/Cargo.toml; do
    name=$(basename "$(dirname "$crate")")
    case $name in
        srv6pipes-vnf | template-*) continue ;;
    esac
    if [[ ! -f $built/lib$name.so ]]; then
        echo "cross/deb.sh: $built lacks the module lib$name.so" >&2
        exit 1
    fi
    put 644 "$built/lib$name.so" "usr/lib/srv6pipes/lib$name.so"
    put 644 "vnf-modules/$name/README.md" "usr/share/doc/srv6pipes/functions/$name.md"
done
strip --strip-unneeded --remove-section=.comment "$root/usr/bin/srv6pipes" "$root"/usr/lib/srv6pipes/*.so
put 644 files/etc/config/srv6pipes etc/config/srv6pipes
# Debian 12 and later have /lib in /usr, and Debian 13 wants units by that name.
put 644 files/systemd/srv6pipes.service usr/lib/systemd/system/srv6pipes.service
put 644 files/man/srv6pipes.8 usr/share/man/man8/srv6pipes.8
put 644 files/completions/srv6pipes.bash usr/share/bash-completion/completions/srv6pipes
put 644 files/completions/_srv6pipes usr/share/zsh/vendor-completions/_srv6pipes
put 644 files/completions/srv6pipes.fish usr/share/fish/vendor_completions.d/srv6pipes.fish
put 644 vnf-modules/srv6pipes-vnf/include/srv6pipes_vnf.h usr/include/srv6pipes_vnf.h
put 644 README.md usr/share/doc/srv6pipes/README.md
put 644 docs/debian.md usr/share/doc/srv6pipes/debian.md
put 644 docs/what-the-client-sees.md usr/share/doc/srv6pipes/what-the-client-sees.md
put 644 CHANGELOG.md usr/share/doc/srv6pipes/changelog
put 644 files/debian/lintian-overrides usr/share/lintian/overrides/srv6pipes

# Whose work is linked in, as the lock file has it.
{
    cat files/debian/copyright
    printf '\nFiles: usr/bin/srv6pipes usr/lib/srv6pipes/*.so\n'
    printf 'Copyright: 2026 the srv6pipes developers, and the authors of the crates below\n'
    printf 'License: Apache-2.0\nComment: These crates, by name, version and licence, are linked in:\n'
    cargo tree --locked --offline --workspace --edges normal --target all --prefix none \
        --format '{p} {l}' | sed -E 's/ \((proc-macro|\*)\)//g' | grep -v ' (/' | LC_ALL=C sort -u |
        sed 's/^/ /'
} >"$doc/copyright"

cat >"$doc/changelog.Debian" <<END
srv6pipes ($version) unstable; urgency=medium

  * Package this version; changelog.gz has what is new in it.

 -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END
gzip -9n "$doc/changelog" "$doc/changelog.Debian" "$doc/README.md" "$root/usr/share/man/man8/srv6pipes.8"
find "$doc" -name '*.md' -size +4k -exec gzip -9n {} +

mkdir "$root/DEBIAN"
echo /etc/config/srv6pipes >"$root/DEBIAN/conffiles"
install -m 755 -t "$root/DEBIAN" files/debian/postinst files/debian/prerm files/debian/postrm
(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\n' | LC_ALL=C sort |
    grep -v '^etc/config/srv6pipes$' | xargs -d '\n' md5sum) >"$root/DEBIAN/md5sums"

# dpkg-shlibdeps insists on a source package's control file.
mkdir "$work/debian"
printf 'Source: srv6pipes\n\nPackage: srv6pipes\nArchitecture: any\n' >"$work/debian/control"
libraries=$(cd "$work" && dpkg-shlibdeps -O root/usr/bin/srv6pipes root/usr/lib/srv6pipes/*.so |
    sed -n 's/^shlibs:Depends=//p')
[[ $libraries ]] || { echo "cross/deb.sh: dpkg-shlibdeps named no library" >&2; exit 1; }

# In KiB, each file rounded up and 1 for all else, as Debian's policy (5.6.20) has it.
size=$(find "$root" -path "$root/DEBIAN" -prune -o -printf '%y %s\n' |
    awk '{ kib += $1 == "f" ? int(($2 + 1023) / 1024) : 1 } END { print kib }')

cat >"$root/DEBIAN/control" <<END
Package: srv6pipes
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $size
Depends: $libraries, nftables, init-system-helpers (>= 1.54~)
Suggests: curl, ethtool, iproute2, nginx-light
Section: net
Priority: optional
Description: middleboxes for TCP, made explicit by IPv6 Segment Routing
 A TCP flow carries an IPv6 Segment Routing Header whose segments name
 functions. Each srv6pipes on its way ends the flow, runs the function that the
 segment names over its bytes (compression, encryption, filtering, recording,
 choice of a server, any Unix filter), and carries it on to the next segment
 from the client's own address. Client, server and kernel are stock.
 .
 This package is for a server, the other end of home routers that run the same
 program on OpenWrt. The suggested packages are for "srv6pipes demo".
END

find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$out"
package=$out/srv6pipes_${version}_$architecture.deb
# Into place only when it is whole.
dpkg-deb --root-owner-group --threads-max=1 --build "$root" "$work/package.deb" >&2
mv "$work/package.deb" "$package"
echo "$package"
