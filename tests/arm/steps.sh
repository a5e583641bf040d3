# shellcheck shell=dash
# What happens in the virtual machine, one `step` (init) after the other.

# Installs every package by opkg's rules: first what all others depend on. The scripts that OpenWrt
# gives each are there; what they call is base-files', here only to be seen called.
install_packages() {
    cat >/lib/functions.sh <<'END'
default_postinst() { echo "postinst ${1##*/}" >>/tmp/scripts; }
default_prerm() { echo "prerm ${1##*/}" >>/tmp/scripts; }
END
    all=$(echo /packages/srv6pipes_*.ipk /packages/srv6pipes-*.ipk)
    for package in $all; do
        ARCH=arm_cortex-a9_vfpv3-d16 unpack.sh "$package" / || return 1
    done
    ls -l /usr/sbin/srv6pipes /usr/lib/srv6pipes /etc/config/srv6pipes
    # shellcheck disable=SC2086 # words they are
    called postinst $all
}

# The other way round.
remove_packages() {
    all=
    for control in /usr/lib/opkg/info/srv6pipes-*.control /usr/lib/opkg/info/srv6pipes.control; do
        name=$(basename "$control" .control)
        unpack.sh --remove "$name" / || return 1
        all="$all $name"
    done
    for left in /usr/sbin/srv6pipes /usr/lib/srv6pipes /etc/config/srv6pipes; do
        [ ! -e "$left" ] || return 1
    done
    # shellcheck disable=SC2086 # words they are
    called prerm $all
}

# $1: a script; the rest: the packages of which it was called
called() {
    script=$1
    shift
    [ "$(grep -c "^$script" /tmp/scripts)" = $# ] && return 0
    cat /tmp/scripts
    return 1
}

# A router as shipped: nothing is loaded yet, and what it would load has a part missing.
CONFIG=/tmp/lacks.conf
configure() {
    cat >$CONFIG <<END
config srv6pipes 'main'
	option enabled '1'

config locator 'home'
	option prefix 'fd00:99::/80'
	list device 'lan0'

config function
	option id '1'
	option module 'libxor.so'
	option name 'xor'
END
}

# All of the kernel that a set-up would change.
kernel_state() {
    nft list ruleset
    ip -6 rule
    ip -6 route show table all
    ip -o link
    # What is not the same twice: random numbers, and counts of them.
    find /proc/sys/net/ipv6 /proc/sys/net/core /proc/sys/net/mptcp /proc/sys/net/ipv4 \
        -type f -perm -200 2>/dev/null | sort | xargs grep -H . 2>/dev/null
}

without_tproxy() {
    cat >/tmp/modprobe <<'END'
#!/bin/sh
case "$*" in *tproxy*) exit 1 ;; esac
exec /sbin/modprobe "$@"
END
    chmod 755 /tmp/modprobe
    echo /tmp/modprobe >/proc/sys/kernel/modprobe
    configure
    ip link add lan0 type dummy && ip link set lan0 up || return 1
    # What only looking at it makes the kernel load.
    kernel_state >/dev/null
    kernel_state >/tmp/before
    refuses
    code=$?
    echo /sbin/modprobe >/proc/sys/kernel/modprobe
    return $code
}

# Both say what lacks, and nothing is left of trying.
refuses() {
    srv6pipes doctor >/tmp/doctor && return 1
    grep -E '^nft tproxy +NO .* kmod-nft-tproxy ' /tmp/doctor || {
        cat /tmp/doctor
        return 1
    }
    srv6pipes run -c $CONFIG >/tmp/run 2>&1 && return 1
    cat /tmp/run
    grep -q kmod-nft-tproxy /tmp/run || return 1
    kernel_state | diff /tmp/before - || return 1
    for left in /run/srv6pipes*; do
        [ ! -e "$left" ] || return 1
    done
}

# `tests PROGRAM NAME...`: the named tests of the program in /tests, all of which must be there.
tests() {
    program=$1
    shift
    # The figures come on standard error.
    if ! "/tests/$program" --exact "$@" >/tmp/log; then
        cat /tmp/log
        return 1
    fi
    grep '^test .* ok$' /tmp/log
    grep -q " $# passed; 0 failed; 0 ignored;" /tmp/log || {
        echo "not all of these $# tests are in $program: $*"
        return 1
    }
}

# What either flavour must be able to do. $1: its name; $2: MiB of large transfers each way; $3: how
# many flows stand still at once
pipes() {
    export SRV6PIPES_TEST_MIB="$2" SRV6PIPES_TEST_FLOWS=200
    step "$1: bytes" tests netns_bytes \
        two_xors_in_a_row_leave_what_goes_each_way_as_it_was \
        copy_leaves_what_goes_each_way_to_splice \
        the_srh_shortens_from_wire_to_wire
    step "$1: half-close" tests netns_close \
        a_client_that_has_said_all_still_hears_all \
        a_server_that_has_said_all_still_hears_all
    step "$1: 200 flows at once" tests netns_load \
        many_flows_at_once_leave_nothing_behind \
        many_held_syns_leave_nothing_behind
    step "$1: the end" tests netns_life \
        stop::sigterm_puts_the_kernel_back_and_resets_flows_at_both_ends \
        killed::clean_undoes_what_a_killed_run_left_and_then_finds_nothing
    export SRV6PIPES_TEST_FLOWS="$3"
    step "$1: memory" tests netns_memory an_idle_flow_needs_a_kilobyte
}

step "install the packages" install_packages
step "a kernel without TPROXY" without_tproxy
step "doctor" srv6pipes doctor
pipes packages 24 10000

step "remove the packages" remove_packages
# In the same place, with no module beside it.
cp /static/srv6pipes /usr/sbin/
mkdir /usr/lib/srv6pipes
pipes static 8 2000
