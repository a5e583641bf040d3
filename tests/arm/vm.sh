#!/usr/bin/env bash
# Boots the virtual machine and shows its console: `tests/arm/vm.sh KERNEL INITRD`. Ends with 0 when the
# machine says that nothing failed. Two Cortex-A15, which understand what the Turris Omnia's
# Cortex-A9 does; 1 GB; no network to anywhere.
#
# BOOT_SECONDS and RUN_SECONDS: how long the machine may take to come up, and altogether.
set -euo pipefail

[[ $# == 2 ]] || { echo "usage: tests/arm/vm.sh KERNEL INITRD" >&2; exit 64; }
boot=${BOOT_SECONDS:-120}
whole=${RUN_SECONDS:-420}
log=$(mktemp)
qemu=
# shellcheck disable=SC2317 # called by the trap
cleanup() {
    [[ -z $qemu ]] || kill -KILL "$qemu" 2>/dev/null || true
    rm -f "$log"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# A panic ends the machine, too: panic=-1 reboots at once, and -no-reboot makes that the end.
words=(-M virt -cpu cortex-a15 -smp 2 -m 1024 -accel 'tcg,thread=multi'
    -kernel "$1" -initrd "$2" -append 'console=ttyAMA0 loglevel=3 panic=-1 rdinit=/init'
    -nodefaults -display none -monitor none -serial stdio -no-reboot)
exec {console}< <(exec qemu-system-arm "${words[@]}" </dev/null 2>&1)
qemu=$!

fail() {
    echo "tests/arm/vm.sh: $*; the last lines of its console:" >&2
    tail -n 30 "$log" | sed 's/^/    /' >&2
    exit 1
}

began=$SECONDS
end=
limit=$boot what=up
while true; do
    left=$((limit - (SECONDS - began)))
    ((left > 0)) || fail "the machine was not $what after $limit s"
    code=0
    IFS= read -r -t "$left" -u "$console" line || code=$?
    # Above 128 it is the time that ran out.
    ((code <= 128)) || continue
    ((code == 0)) || break
    line=${line%$'\r'}
    echo "$line" >>"$log"
    printf '[%3d] %s\n' $((SECONDS - began)) "$line"
    case $line in
        '=== up'*) limit=$whole what='at its end' ;;
        '=== end '*) end=${line#=== end } ;;
    esac
done
[[ $end ]] || fail "the machine ended before its time"
if [[ $end != 0 ]]; then
    echo "tests/arm/vm.sh: $end of the steps failed, see above" >&2
    exit 1
fi
