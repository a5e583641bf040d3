#!/usr/bin/env bash
# In namespaces of its own: `boot.sh WORK PROGRAM…` makes WORK/view a copy-on-write view of this
# machine, with WORK/share in it as /share and what is written there also below /written, and
# becomes PROGRAM there.
set -euo pipefail

work=$1
shift
view=$work/view
mount --make-rprivate /
mkdir "$work/memory"
mount -t tmpfs -o mode=755 memory "$work/memory"
mkdir "$work/memory/upper" "$work/memory/work"
mount -t overlay -o "lowerdir=/,upperdir=$work/memory/upper,workdir=$work/memory/work" view "$view"
mkdir "$view/share" "$view/written"
mount --bind "$work/share" "$view/share"
mount --bind "$work/memory/upper" "$view/written"
mount -t proc proc "$view/proc"
mount -t sysfs sysfs "$view/sys"
# It is not there where cgroups are of the first version, and then nobody asks for it.
mount -t cgroup2 cgroup2 "$view/sys/fs/cgroup" 2>/dev/null || true

mount -t tmpfs -o mode=755 dev "$view/dev"
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    IFS=: read -r name major minor <<<"$device"
    mknod -m 666 "$view/dev/$name" c "$major" "$minor"
done
mkdir "$view/dev/pts" "$view/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$view/dev/pts"
ln -s pts/ptmx "$view/dev/ptmx"
ln -s /proc/self/fd "$view/dev/fd"
for folder in run tmp var/log; do
    mount -t tmpfs "$folder" "$view/$folder"
done
mkdir -m 1777 "$view/run/lock"

# A server with nothing but a journal: neither this machine's services, nor what else a start of
# systemd does to a kernel (modules, sysctls, file systems).
rm -rf "$view/etc/systemd/system" "$view/etc/fstab" "$view/usr/sbin/policy-rc.d" \
    "$view"/usr/lib/systemd/system/*.target.wants
mkdir "$view/etc/systemd/system"
cat >"$view/etc/systemd/system/share.target" <<END
[Unit]
Requires=systemd-journald.service
After=systemd-journald.service
AllowIsolate=yes
END
# What this machine may have of ours from elsewhere.
rm -rf "$view/etc/config/srv6pipes" "$view/usr/lib/srv6pipes"
: >"$view/etc/machine-id"
hostname srv6p-test-deb
ip link set lo up

exec env -i container=other LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$view" "$@"
