#!/usr/bin/env bash
# This machine with a layer above its file system, for tests/packaging/router.rs, inside a mount
# namespace that goes with it: machine.sh FOLDER SOURCE PACKAGES BUILT VERSION PACKAGE...
set -euo pipefail
top=$1 source=$2 packages=$3 built=$4
shift 4
mount --make-rprivate /
mount -t tmpfs tmpfs "$top"
mkdir "$top/up" "$top/work" "$top/all" "$top/in"
cp "$source/cross/unpack.sh" "$source/openwrt/test.sh" "$source/tests/packaging/inside.sh" \
    "$packages"/*.ipk "$built"/srv6pipes "$built"/lib*.so "$top/in"
mount -t overlay -o "lowerdir=/,upperdir=$top/up,workdir=$top/work" overlay "$top/all"
mount -t proc proc "$top/all/proc"
mount --rbind /dev "$top/all/dev"
mkdir "$top/all/in"
mount --bind "$top/in" "$top/all/in"
mount -t tmpfs tmpfs "$top/all/tmp"
exec chroot "$top/all" /bin/sh /in/inside.sh "$@"
