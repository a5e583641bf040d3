#!/usr/bin/env bash
# A system for the virtual machine: `tests/arm/system.sh FOLDER` puts Debian's kernel for ARMv7 there as
# `vmlinuz`, and as `base.cpio` a file system with its modules, busybox, musl's loader, ip, nft and
# ethtool. Nothing is installed on this machine; packages are fetched once and kept in FOLDER.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

[[ $# == 1 ]] || { echo "usage: tests/arm/system.sh FOLDER" >&2; exit 64; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
# Somebody else may be at the same.
exec 9>"$folder/lock"
flock 9

fail() {
    echo "tests/arm/system.sh: $*" >&2
    exit 1
}

# linux-image-armmp is a package without files that depends on the newest kernel's.
kernel=$(apt-cache depends linux-image-armmp:armhf 2>/dev/null |
    sed -n 's/^ *Depends: \(linux-image-[^:]*\).*/\1/p')
[[ $kernel ]] || fail "apt knows no linux-image-armmp:armhf; type: tests/deps.sh arm"
release=${kernel#linux-image-}
programs=(iproute2:armhf nftables:armhf ethtool:armhf)
# Their libraries; not debconf and others that only an installation needs.
mapfile -t libraries < <(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
    --no-breaks --no-replaces --no-enhances "${programs[@]}" | grep -xE '(lib[^ ]+|zlib1g):armhf' | sort)
((${#libraries[@]})) || fail "apt does not know the libraries of ${programs[*]}"
wanted=("$kernel:armhf" busybox-static:armhf musl:armhf "${programs[@]}" "${libraries[@]}")

# --- fetched

# Lines of: URI FILE SIZE HASH
uris=$(apt-get download --print-uris "${wanted[@]}") || fail "apt knows no address of ${wanted[*]}"
mkdir -p "$folder/debs"
debs=() missing=()
while read -r _ file size _; do
    debs+=("$file")
    [[ $(stat -c %s "$folder/debs/$file" 2>/dev/null) == "$size" ]] && continue
    missing+=("${file%%_*}:armhf")
done <<<"$uris"
if ((${#missing[@]})); then
    echo "--- fetching ${#missing[@]} of ${#wanted[@]} Debian packages for armhf"
    # As root apt drops to a user who may not write here, and says so.
    words=(-qq)
    ((EUID)) || words+=(-o APT::Sandbox::User=root)
    if ! (cd "$folder/debs" && apt-get "${words[@]}" download "${missing[@]}"); then
        # An old list names packages that are gone.
        [[ $EUID == 0 && ! ${UPDATED-} ]] ||
            fail "apt cannot fetch ${missing[*]}; is its list old? type: apt-get update"
        apt-get update || true
        UPDATED=yes exec "$0" "$folder"
    fi
fi

# --- put together

made=$(printf '%s\n' "${debs[@]}" | cat - "${BASH_SOURCE[0]}" | sha256sum | cut -c1-16)
if [[ $(cat "$folder/made" 2>/dev/null) == "$made" ]]; then
    exit 0
fi
echo "--- putting the system of $kernel together"
work=$(mktemp -d "$folder/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/kernel" "$work/all" "$work/root"
for deb in "${debs[@]}"; do
    case $deb in
        linux-image-*) dpkg-deb --extract "$folder/debs/$deb" "$work/kernel" ;;
        *) dpkg-deb --extract "$folder/debs/$deb" "$work/all" ;;
    esac
done

cd "$work/root"
mkdir -p bin sbin usr/bin usr/sbin usr/lib etc dev proc sys run tmp root lib/modules
cp "$work/all/bin/busybox" bin/
# Debian's loader and programs are below /lib and /usr/lib; musl's libc is its loader, too.
cp -L "$work/all/lib/ld-linux-armhf.so.3" "$work/all/lib/ld-musl-armhf.so.1" lib/
cp "$work/all/bin/ip" "$work/all/usr/sbin/nft" "$work/all/sbin/ethtool" usr/sbin/
# What they need, and what that needs.
queue=(usr/sbin/ip usr/sbin/nft usr/sbin/ethtool)
while ((${#queue[@]})); do
    file=${queue[0]}
    queue=("${queue[@]:1}")
    for need in $(readelf --dynamic "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'); do
        [[ -e usr/lib/$need || -e lib/$need ]] && continue
        from=$(find "$work/all/lib" "$work/all/usr/lib" -name "$need" -print -quit)
        [[ $from ]] || fail "$file needs $need, which is in none of ${libraries[*]}"
        cp -L "$from" usr/lib/
        queue+=("usr/lib/$need")
    done
done

# All of networking, and the few devices; the kernel's own list says what else these need.
modules=lib/modules/$release
mkdir -p "$modules"
depmod --basedir "$work/kernel" "$release"
for part in kernel/net kernel/lib kernel/crypto \
    kernel/drivers/net/{veth,dummy,ifb,tun}.ko; do
    [[ -e $work/kernel/$modules/$part ]] || fail "$kernel has no $part"
    mkdir -p "$modules/${part%/*}"
    cp -r "$work/kernel/$modules/$part" "$modules/${part%/*}/"
done
# Wireless, Bluetooth and the like are half of it, and nobody's here.
rm -rf "$modules"/kernel/net/{wireless,mac80211,bluetooth,ceph,sunrpc,tipc,batman-adv,smc,rds,sctp,9p,nfc,can}
cp "$work/kernel/$modules"/modules.{builtin,builtin.modinfo,order} "$modules/"
depmod --basedir "$PWD" "$release"
rm -f "$modules"/modules.*.bin

find . -mindepth 1 | LC_ALL=C sort |
    cpio --quiet --create --format=newc --owner=0:0 >"$folder/base.cpio.new"
mv "$folder/base.cpio.new" "$folder/base.cpio"
cp "$work/kernel/boot/vmlinuz-$release" "$folder/vmlinuz.new"
mv "$folder/vmlinuz.new" "$folder/vmlinuz"
echo "$made" >"$folder/made"
