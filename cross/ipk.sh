#!/usr/bin/env bash
# OpenWrt's packages without OpenWrt's SDK: `cross/ipk.sh TARGET [FROM [TO]]`. TARGET is one of
# cross/build.sh's, FROM holds srv6pipes and lib*.so (target/cross/TARGET-dynamic), the packages
# and their index go to TO (target/cross/TARGET-ipk).
#
# What is in them is openwrt/Makefile's business: GNU make runs its recipes with the stand-ins of
# cross/openwrt. The format is what OpenWrt's scripts/ipkg-build makes: a gzip'd tar of
# debian-binary, data.tar.gz and control.tar.gz. The same input gives the same bytes: everything
# belongs to root, is sorted, and is as old as SOURCE_DATE_EPOCH, by default the last commit.
set -euo pipefail

fail() {
    echo "cross/ipk.sh: $*" >&2
    exit 1
}

[[ $# -ge 1 && $# -le 3 ]] || {
    echo "usage: cross/ipk.sh armv7|aarch64|x86_64|mipsel [FROM [TO]]" >&2
    exit 64
}
target=$1
# OpenWrt's name of the architecture, and readelf's of the machine.
case $target in
    # Turris Omnia and others of mvebu/cortexa9.
    armv7) arch=arm_cortex-a9_vfpv3-d16 machine=ARM ;;
    aarch64) arch=aarch64_cortex-a53 machine=AArch64 ;;
    x86_64) arch=x86_64 machine='Advanced Micro Devices X86-64' ;;
    mipsel) arch=mipsel_24kc machine='MIPS R3000' ;;
    *) fail "no target '$target': armv7, aarch64, x86_64 or mipsel" ;;
esac
source=$(cd "$(dirname "$0")/.." && pwd)
built=${CARGO_TARGET_DIR:-$source/target}/cross
from=${2:-$built/$target-dynamic}
to=${3:-$built/$target-ipk}
[[ -d $from ]] || fail "there is no folder $from; type: cross/build.sh $target"
from=$(cd "$from" && pwd)

if [[ -z ${SOURCE_DATE_EPOCH:-} ]]; then
    SOURCE_DATE_EPOCH=$(git -C "$source" log -1 --format=%ct 2>/dev/null) ||
        fail "SOURCE_DATE_EPOCH is not set, and git does not know the last commit"
fi
[[ $SOURCE_DATE_EPOCH =~ ^[0-9]+$ ]] ||
    fail "SOURCE_DATE_EPOCH is '$SOURCE_DATE_EPOCH', not seconds since 1970"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
export LC_ALL=C

# A file for another machine, or one that needs a library that no package here brings, would only
# be noticed on the router. The buildroot looks for the latter too (CheckDependencies).
check() {
    local file=$1 is needs
    is=$(readelf --file-header "$file" 2>/dev/null | sed -n 's/^ *Machine: *//p' || true)
    [[ $is == "$machine" ]] || fail "$file is for '${is:-no machine}', not for $machine ($target)"
    needs=$(readelf --dynamic "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' |
        grep -vxE 'libc\.so|libgcc_s\.so\.1' | tr '\n' ' ' || true)
    [[ -z $needs ]] || fail "$file needs ${needs% }, which the package's dependencies do not bring"
}
shopt -s nullglob
[[ -f $from/srv6pipes ]] || fail "there is no $from/srv6pipes; type: cross/build.sh $target"
for file in "$from"/srv6pipes "$from"/lib*.so; do check "$file"; done

mkdir -p "$work/install/bin" "$work/out"
cp "$from/srv6pipes" "$work/install/bin/"
recipes() {
    make --no-print-directory -f "$source/openwrt/Makefile" -I "$source/cross/openwrt/lang/rust" \
        TOPDIR="$source/cross/openwrt" INCLUDE_DIR="$source/cross/openwrt/include" \
        PKG_BUILD_DIR="$source" PKG_INSTALL_DIR="$work/install" MODULE_DIR="$from" \
        STAGE="$work/stage" PKGARCH="$arch" SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" "$@"
}
# Its own flags, when this is called by a make.
unset MAKEFLAGS MAKELEVEL MFLAGS
recipes --silent stage >&2 || fail "openwrt/Makefile cannot be followed; see above"

archive() {
    tar --create --format=gnu --numeric-owner --owner=0 --group=0 --sort=name \
        --mtime="@$SOURCE_DATE_EPOCH" "$@"
}

# A path that the Makefile names and the package does not have is kept by sysupgrade all the same,
# and is no conffile to the package manager (package-pack.mk, ipkg-build).
conffiles() {
    local data=$1 control=$2 name=$3 path
    [[ -f $control/conffiles ]] || return 0
    local kept=() shipped=()
    while read -r path; do
        [[ -n $path ]] || continue
        [[ -f $data$path ]] || kept+=("$path")
        [[ ! -e $data$path ]] ||
            mapfile -t -O "${#shipped[@]}" shipped < <(cd "$data" && find ".$path" -type f | sed 's/^\.//')
    done <"$control/conffiles"
    rm "$control/conffiles"
    if ((${#kept[@]})); then
        install -d -m0755 "$data/lib/upgrade/keep.d"
        printf '%s\n' "${kept[@]}" >"$data/lib/upgrade/keep.d/$name"
    fi
    ((${#shipped[@]} == 0)) || printf '%s\n' "${shipped[@]}" | sort -u >"$control/conffiles"
}

pack() {
    local name=$1 data=$work/stage/$1/data control=$work/stage/$1/control size script
    conffiles "$data" "$control" "$name"
    archive --directory "$data" . | gzip -9n >"$work/data.tar.gz"
    size=$(gzip -dc "$work/data.tar.gz" | wc -c)
    {
        cat "$control/control"
        echo "Installed-Size: $size"
        printf 'Description: '
        sed 's/^[[:space:]]*/ /' "$control/description"
    } >"$work/control"
    rm "$control/description"
    mv "$work/control" "$control/control"
    chmod 0644 "$control"/*
    for script in "$control"/{pre,post}{inst,rm}{,-pkg}; do
        [[ ! -e $script ]] || chmod 0755 "$script"
    done
    archive --directory "$control" . | gzip -9n >"$work/control.tar.gz"
    echo 2.0 >"$work/debian-binary"
    archive --directory "$work" ./debian-binary ./data.tar.gz ./control.tar.gz | gzip -9n \
        >"$work/out/${name}_${version}_$arch.ipk"
}

# What `src/gz` in opkg's configuration reads: the control files with where, how long and what sum.
index() {
    local file name size sum
    for file in "$work"/out/*.ipk; do
        name=${file##*/} size=$(stat -c %s "$file") sum=$(sha256sum <"$file")
        sed "s/^Description:/Filename: $name\nSize: $size\nSHA256sum: ${sum%% *}\n&/" \
            "$work/stage/${name%%_*}/control/control"
        echo
    done >"$work/out/Packages"
    gzip -9nk "$work/out/Packages"
}

version=$(recipes --silent print-VERSION)
names=$(recipes --silent show-packages)
for name in $names; do pack "$name"; done
index

# All or nothing: no old package is left between the new ones.
rm -rf "$to"
mkdir -p "$(dirname "$to")"
mv "$work/out" "$to"
for name in $names; do
    file=$to/${name}_${version}_$arch.ipk
    echo "$(stat -c %s "$file") $file"
done
