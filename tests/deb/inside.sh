#!/usr/bin/env bash
# `inside.sh with|without` systemd, in the view that boot.sh has made: installs, runs, upgrades and
# purges the package. Whatever it does here is forgotten.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

has_systemd=false
[[ $1 == without ]] || has_systemd=true
config=/etc/config/srv6pipes
now=

step() {
    now=$1
    echo "--- $now (${SECONDS} s)"
}
fail() {
    echo "FAILED: $now: $*" >&2
    if $has_systemd; then
        journalctl --no-pager --lines=40 >&2 || true
        echo "FAILED: see above the log" >&2
    fi
    exit 1
}
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR
set -E

# says TEXT COMMAND…: its output has TEXT.
says() {
    local text=$1 output
    shift
    output=$("$@" 2>&1) || true
    [[ $output == *"$text"* ]] || fail "$* does not say '$text' but: $output"
}
# Triggers (mandb's takes seconds) belong to other packages.
package() {
    dpkg --no-triggers --force-confdef "$@" >/tmp/dpkg.log 2>&1 || fail "dpkg $*: $(</tmp/dpkg.log)"
}
# What is here other than outside, but for dpkg's own notes and caches; and of what was here outside,
# too, no folders and nothing that is gone (overlayfs marks it by a character device).
tree() {
    (cd /written && find . \( -path ./var/lib/dpkg -o -path ./var/cache \) -prune -o \
        \( -name '*srv6pipes*' -o ! -type d \) ! -type c -print) | LC_ALL=C sort
}
# It fails, and is not tried again after ten seconds.
does_not_start() {
    ! systemctl start srv6pipes 2>/dev/null || fail "it starts $*"
    systemctl stop srv6pipes
}
# What the daemon sets up in the kernel.
kernel() {
    nft list tables
    ip -6 rule
    ip -6 route show table all
    ip -o link show | grep -o ' nfv0:' || true
    cat /proc/sys/net/ipv6/conf/all/seg6_enabled /proc/sys/net/ipv4/tcp_mtu_probing
}
journal() {
    journalctl --no-pager --output=cat --unit=srv6pipes --unit=p2
}
# wait_for COMMAND…: until it succeeds.
wait_for() {
    local deadline=$((SECONDS + 30))
    until "$@"; do
        ((SECONDS < deadline)) || fail "waited 30 s for: $*"
        sleep 0.05
    done
}

tree >/tmp/before
step "it installs, and shows what it is"
package --install /share/first.deb
says "srv6pipes 0" srv6pipes --version
says "/usr/share/man/man8/srv6pipes.8.gz" man --where srv6pipes
bash -c 'source /usr/share/bash-completion/completions/srv6pipes && complete -p srv6pipes' >/dev/null
srv6pipes check >/dev/null
says "xor" srv6pipes module check /usr/lib/srv6pipes/libxor.so
dpkg --verify srv6pipes | grep . && fail "dpkg --verify finds differences"

if $has_systemd; then
    step "it is enabled, and skips itself while option enabled is '0'"
    says enabled systemctl is-enabled srv6pipes
    systemctl start srv6pipes
    says inactive systemctl is-active srv6pipes
    says "option enabled is '0'" journal
    says "0 loaded units" systemctl list-units --failed

    step "systemd finds no mistake in the unit, and little exposure"
    says "" systemd-analyze verify srv6pipes.service
    [[ -z $(systemd-analyze verify srv6pipes.service 2>&1) ]] || fail "$(systemd-analyze verify srv6pipes.service 2>&1)"
    # In tenths. What remains: root's user id, the host's network, three capabilities, exec's
    # children (@resources, @privileged).
    systemd-analyze security --offline=true --threshold=25 srv6pipes.service | tail -n 1

    step "the chain of two proxies, in the unit's sandbox"
    # client ── c0 │ P1: here │ p0 ── p1 │ P2 │ s1 ── s0 │ server
    for name in client P2 server; do
        ip netns add $name
        ip -n $name link set lo up
        ip netns exec $name sysctl -qw net.ipv6.conf.default.accept_dad=0
    done
    sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.forwarding=1
    ip netns exec P2 sysctl -qw net.ipv6.conf.all.forwarding=1
    for name in client server; do
        for which in all default; do
            ip netns exec $name sysctl -qw net.ipv6.conf.$which.seg6_enabled=1
        done
    done
    ip link add c1 type veth peer name c0 netns client
    ip link add p0 type veth peer name p1 netns P2
    ip -n P2 link add s1 type veth peer name s0 netns server
    join() { # [-n NAMESPACE] DEVICE ADDRESS
        ip "${@:1:$#-2}" address add "${*: -1}" dev "${*: -2:1}" nodad
        ip "${@:1:$#-2}" link set "${*: -2:1}" up
    }
    join -n client c0 fd00:c::1/64
    join c1 fd00:c::2/64
    join p0 fd00:1::1/64
    join -n P2 p1 fd00:1::2/64
    join -n P2 s1 fd00:5::2/64
    join -n server s0 fd00:5::1/64
    ip netns exec server sysctl -qw net.ipv6.conf.s0.seg6_enabled=1
    ip netns exec client sysctl -qw net.ipv6.conf.c0.seg6_enabled=1
    ip -n client route add default via fd00:c::2
    ip -n server route add default via fd00:5::2
    ip route add fd00:5::/64 via fd00:1::2
    ip route add fd00:99:2::/80 via fd00:1::2
    ip -n P2 route add fd00:c::/64 via fd00:1::1
    steer() { # SEGMENTS
        ip -n client route replace fd00:5::1/128 encap seg6 mode inline segs "$1" \
            via fd00:c::2 dev c0
    }

    mkdir /tmp/www
    head -c 4000000 /dev/urandom >/tmp/www/noise
    cat >/tmp/nginx.conf <<END
pid /tmp/nginx.pid;
error_log /tmp/nginx.error;
events { }
http {
    log_format who '\$remote_addr \$remote_port';
    access_log /tmp/nginx.access who;
    server { listen [fd00:5::1]:80; root /tmp/www; }
}
END
    # nginx opens its default log before it reads where that is.
    mkdir -p /var/log/nginx /var/lib/nginx
    chmod 755 /tmp/www
    ip netns exec server nginx -c /tmp/nginx.conf 2>/dev/null
    fetch() { # OPTIONS OF CURL…
        ip netns exec client curl --silent --show-error --max-time 20 "$@" \
            'http://[fd00:5::1]/noise' | cmp - /tmp/www/noise
    }
    wait_for fetch
    kernel >/tmp/kernel

    configure() { # PROXY DEVICE CONTROL_SOCKET
        printf "config srv6pipes 'main'\n\toption enabled '1'\n\toption control_socket '%s'\n" "$3"
        printf "config locator\n\toption prefix 'fd00:99:%s::/80'\n\tlist device '%s'\n" "$1" "$2"
        printf "config function\n\toption id '1'\n\toption module 'libxor.so'\n\toption name 'xor'\n"
    }
    configure 1 c1 /var/run/srv6pipes.sock >$config
    configure 2 p1 /run/p2.sock | sed "2a option capture 'nfqueue'" >/etc/config/p2
    sed -E -e 's#/usr/bin/srv6pipes (check|run|reload|clean)#& -c /etc/config/p2#' \
        -e 's#^\[Service\]#&\nNetworkNamespacePath=/run/netns/P2#' \
        /usr/lib/systemd/system/srv6pipes.service >/etc/systemd/system/p2.service
    systemctl daemon-reload
    systemctl start srv6pipes p2
    # Type=notify: it is ready now, not soon.
    steer fd00:99:1::1:0:2a,fd00:99:2::1:0:2a
    fetch
    fetch --local-port 700
    [[ $(tail -n 1 /tmp/nginx.access) == "fd00:c::1 700" ]] || fail "$(tail -n 1 /tmp/nginx.access)"
    for file in $config /etc/config/p2; do
        says '"accepted_flows":2' srv6pipes status --json -c "$file"
        says '"in_bytes":800' srv6pipes status --json -c "$file"
    done

    says '"capture":"nfqueue"' srv6pipes status --json -c /etc/config/p2

    step "the sandbox holds"
    pid=$(systemctl show --value --property=MainPID srv6pipes)
    # CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW: bits 10, 12, 13.
    says "CapBnd:	0000000000003400" cat "/proc/$pid/status"
    says "CapEff:	0000000000003400" cat "/proc/$pid/status"
    says "NoNewPrivs:	1" cat "/proc/$pid/status"
    says "Seccomp:	2" cat "/proc/$pid/status"
    # The unit's; or systemd's own, where systemd may not raise that (no CAP_SYS_RESOURCE).
    limit() { awk '/^Max open files/ { print $5 }' "/proc/$1/limits"; }
    [[ $(limit "$pid") == 1048576 || $(limit "$pid") == "$(limit 1)" ]] || fail "$(limit "$pid")"
    # Is FOLDER writable in the service's view of the file system?
    writable() {
        local options
        options=$(nsenter --target "$pid" --mount --root --wd findmnt --noheadings --output OPTIONS --target "$1")
        [[ ,$options, == *,rw,* ]]
    }
    for folder in / /etc/config /usr/lib/srv6pipes /var/lib /proc/sys /run/systemd; do
        ! writable $folder || fail "$folder is writable"
    done
    for folder in /run /proc/sys/net; do
        writable $folder || fail "$folder is not writable"
    done

    step "a reload, a broken file, and the daemon goes on"
    systemctl reload srv6pipes
    says "reloaded" journal
    sed -i "s/libxor/libnone/" $config
    ! systemctl reload srv6pipes 2>/dev/null || fail "a reload with a broken file succeeds"
    says "$config:7: " journal
    fetch
    says active systemctl is-active srv6pipes

    step "killed, it is cleaned up after; stopped, it leaves nothing"
    sed -i "s/libnone/libxor/" $config
    systemctl kill --signal=KILL --kill-whom=main srv6pipes
    clean() { kernel | cmp --silent - /tmp/kernel; }
    wait_for clean
    says "activating" systemctl is-active srv6pipes
    systemctl restart srv6pipes
    fetch
    systemctl stop srv6pipes
    clean || fail "left behind: $(kernel | diff - /tmp/kernel)"
    says inactive systemctl is-active srv6pipes

    step "a start that fails says why"
    sed -i "s/list device 'c1'/list device 'wan7'/" $config
    does_not_start "without its device"
    says "$config:4: there is no device wan7" journal
    sed -i "s/list device/list devise/" $config
    does_not_start "with a broken file"
    says "devise" journal
    configure 1 c1 /var/run/srv6pipes.sock >$config

    step "exec and record want more rights, and have them by the drop-ins of docs/debian.md"
    cat >>$config <<END
config function
	option id '2'
	option module 'libexec.so'
	option name 'exec'
	list downstream 'cat'
config function
	option id '3'
	option module 'librecord.so'
	option name 'record'
	option folder '/var/lib/srv6pipes'
	# All of the flow may wait: what the disk is too slow for would not be recorded.
	option queue_bytes '16777216'
END
    mkdir -m 700 /var/lib/srv6pipes
    does_not_start "without the rights of exec"
    says "CAP_SETUID" journal
    mkdir /etc/systemd/system/srv6pipes.service.d
    for line in 'CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL' 'ReadWritePaths=/var/lib/srv6pipes'; do
        grep -qF "\`$line\`" /share/debian.md || fail "docs/debian.md does not have $line"
        printf '[Service]\n%s\n' "$line" >"/etc/systemd/system/srv6pipes.service.d/${line%%=*}.conf"
    done
    systemctl daemon-reload
    systemctl start srv6pipes
    steer fd00:99:1::2:0:0,fd00:99:1::3:0:0
    fetch
    says '{"label":"","name":"started_children","value":1}' srv6pipes status --json
    recorded() { (($(cat /var/lib/srv6pipes/*.pcapng | wc -c) > 4000000)); }
    wait_for recorded
    rm -r /etc/systemd/system/srv6pipes.service.d /var/lib/srv6pipes
    systemctl daemon-reload
    systemctl stop srv6pipes
fi

step "an upgrade keeps the changed configuration, and restarts"
sed -i '/^config function/,$d' $config 2>/dev/null
echo "# mine" >>$config
cp $config /tmp/mine
if $has_systemd; then
    systemctl start srv6pipes
    pid=$(systemctl show --value --property=MainPID srv6pipes)
fi
package --install /share/newer.deb
cmp $config /tmp/mine
[[ -z $(find /etc/config -name 'srv6pipes.dpkg*') ]] || fail "dpkg left a second configuration"
if $has_systemd; then
    says active systemctl is-active srv6pipes
    [[ $(systemctl show --value --property=MainPID srv6pipes) != "$pid" ]] || fail "the old one runs"
    step "what the administrator has disabled stays so"
    systemctl --quiet disable --now srv6pipes
    package --install /share/first.deb
    says disabled systemctl is-enabled srv6pipes
    says inactive systemctl is-active srv6pipes
    systemctl --quiet enable --now srv6pipes
fi

step "removed, the configuration stays; purged, nothing"
if $has_systemd; then
    systemctl stop p2
    rm /etc/systemd/system/p2.service /etc/config/p2
fi
package --remove srv6pipes
cmp $config /tmp/mine
if $has_systemd; then
    clean || fail "left behind: $(kernel | diff - /tmp/kernel)"
    says "could not be found" systemctl status srv6pipes
fi
package --purge srv6pipes
tree >/tmp/after
left=$(comm -13 /tmp/before /tmp/after)
[[ -z $left ]] || fail "left behind: $left"
echo "--- the package works"
