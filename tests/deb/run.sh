#!/usr/bin/env bash
# The Debian package, as a server's administrator meets it: `tests/deb/run.sh FOLDER`, with FOLDER
# the one that has the release build. Made twice, looked at by lintian, and then really installed,
# run, upgraded and purged by dpkg and systemd: in a copy-on-write view of this machine with a
# systemd of its own, of which nothing stays.
set -euo pipefail
cd "$(dirname "$0")/../.."

[[ -x ${1-}/srv6pipes ]] || { echo "usage: tests/deb/run.sh FOLDER-OF-RELEASE-BUILD" >&2; exit 64; }
built=$1
if ((EUID)); then
    # As in tests/harness: what is not run in CI does not exist.
    [[ -z ${CI-} ]] || { echo "tests/deb/run.sh needs root, and CI is set" >&2; exit 1; }
    echo "SKIPPED tests/deb: needs root for dpkg and namespaces"
    exit 0
fi

work=$(mktemp -d)
group=
systemd=
tidy() {
    # The init of its PID namespace: all that runs there ends with it.
    [[ -z $systemd ]] || kill -KILL "$systemd" 2>/dev/null || true
    wait
    if [[ $group ]]; then
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
        umount "$work/cgroup" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap tidy EXIT

echo "--- two runs make the same package"
first=$(cross/deb.sh -o "$work/first" "$built" 2>"$work/log") || { cat "$work/log" >&2; exit 1; }
second=$(cross/deb.sh -o "$work/second" "$built" 2>"$work/log")
cmp "$first" "$second"
newer=$(REVISION=2 cross/deb.sh -o "$work/newer" "$built" 2>"$work/log")
if dpkg-deb --fsys-tarfile "$first" | tar -tv --numeric-owner | grep -v ' 0/0 '; then
    echo "these files do not belong to root" >&2
    exit 1
fi

echo "--- lintian"
lintian --allow-root --display-info --fail-on error,warning,info "$first"

# What the view of this machine begins with, and the programs that start in it.
mkdir "$work/share" "$work/view" "$work/cgroup"
cp tests/deb/boot.sh tests/deb/inside.sh docs/debian.md "$work/share"
cp "$first" "$work/share/first.deb"
cp "$newer" "$work/share/newer.deb"
enter=(unshare --mount --pid --fork --kill-child --net --uts --ipc)
if mount -t cgroup2 cgroup2 "$work/cgroup" 2>"$work/log"; then
    group=$work/cgroup/srv6p-test-deb-$$
    mkdir "$group"
else
    echo "SKIPPED the part of tests/deb that needs systemd: mount cgroup2: $(<"$work/log")"
    "${enter[@]}" tests/deb/boot.sh "$work" bash /share/inside.sh without
    [[ -z ${CI-} ]] || { echo "and CI is set" >&2; exit 1; }
    exit 0
fi

bash -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' enter "$group" \
    "${enter[@]}" --cgroup tests/deb/boot.sh "$work" \
    /lib/systemd/systemd --system --unit=share.target --show-status=0 >"$work/log" 2>&1 </dev/null &
unshare=$!
deadline=$((SECONDS + 60))
inside() {
    nsenter --target "$systemd" --mount --pid --net --uts --ipc --cgroup --root --wd -- "$@"
}
# systemd is the child of unshare. It says "starting" until share.target is there.
until systemd=$(pgrep -P "$unshare") && [[ $(readlink "/proc/$systemd/exe") == */systemd ]] &&
    inside systemctl is-system-running >/dev/null 2>&1; do
    if ((SECONDS > deadline)) || ! kill -0 "$unshare" 2>/dev/null; then
        echo "systemd does not start; it said:" >&2
        cat "$work/log" >&2
        exit 1
    fi
    sleep 0.1
done
inside bash /share/inside.sh with
