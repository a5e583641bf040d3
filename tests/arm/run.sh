#!/usr/bin/env bash
# The packages, on an ARMv7 machine that qemu plays: `tests/arm/run.sh`. Builds what is not built yet
# (cross/), puts Debian's kernel and the tests' programs beside it (system.sh), boots (vm.sh) and runs
# steps.sh there. Of the tests in namespaces those run that can tell ARMv7 and musl from the
# machine they were written on; how much data they move is less, for an emulated machine is slow.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
cross=$target/cross
# Those of steps.sh.
tests=(netns_bytes netns_close netns_load netns_life netns_memory)

tests/arm/system.sh "$target/arm"
cross/build.sh armv7 static
cross/build.sh armv7 dynamic
cross/ipk.sh armv7
cross/build.sh armv7 tests "${tests[@]}"

work=$(mktemp -d "$target/arm/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$work/tree/"{packages,static,tests,bin}
cp tests/arm/init "$work/tree/"
cp tests/arm/steps.sh "$work/tree/steps"
cp cross/unpack.sh "$work/tree/bin/"
cp "$cross"/armv7-ipk/*.ipk "$work/tree/packages/"
cp "$cross/armv7-static/srv6pipes" "$work/tree/static/"
cp "$cross/armv7-tests/"* "$work/tree/tests/"

# The kernel unpacks archives one after the other, each padded by cpio to full blocks.
(cd "$work/tree" && find . -mindepth 1 | LC_ALL=C sort |
    cpio --quiet --create --format=newc --owner=0:0) |
    cat "$target/arm/base.cpio" - >"$work/initrd"
rm -r "$work/tree"
tests/arm/vm.sh "$target/arm/vmlinuz" "$work/initrd"
