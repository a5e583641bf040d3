#!/usr/bin/env bash
# Brings the programs that a job needs: `tests/deps.sh build|demo|test|arm|bench`. Root on Debian gets them
# installed; everybody else is told the command to type. Nothing happens when all are there.
set -euo pipefail

# program:package
build=(cc:gcc)
demo=(ip:iproute2 nft:nftables ethtool:ethtool nginx:nginx-light curl:curl sha256sum:coreutils)
test=("${build[@]}" "${demo[@]}"
    busybox:busybox dash:dash dpkg-shlibdeps:dpkg-dev fish:fish g++:g++ ip6tables:iptables
    lintian:lintian make:make man:man-db mandoc:mandoc openssl:openssl ps:procps readelf:binutils
    shellcheck:shellcheck shfmt:shfmt systemd-analyze:systemd tshark:tshark valgrind:valgrind
    zsh:zsh)

# cross/build.sh brings the compiler for ARMv7 itself.
arm=("${build[@]}" qemu-system-arm:qemu-system-arm cpio:cpio depmod:kmod dpkg-deb:dpkg flock:util-linux
    make:make readelf:binutils)

# The stream module comes with a folder of its own; its package has no program.
bench=("${demo[@]}" cc:gcc wrk:wrk haproxy:haproxy)

case ${1-} in
    build) wanted=("${build[@]}") ;;
    demo) wanted=("${build[@]}" "${demo[@]}") ;;
    test) wanted=("${test[@]}") ;;
    arm) wanted=("${arm[@]}") ;;
    bench) wanted=("${bench[@]}") ;;
    *) echo "usage: tests/deps.sh build|demo|test|arm|bench" >&2; exit 64 ;;
esac

# Where root's programs are, also for those who are not.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin

if ! command -v cargo >/dev/null; then
    echo "missing: cargo; see https://rustup.rs, or: apt-get install cargo (1.94 or newer)" >&2
    exit 1
fi
if [[ $1 == test ]]; then
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 && continue
        if ! command -v rustup >/dev/null; then
            echo "missing: cargo $component" >&2
            exit 1
        fi
        rustup component add "${component/fmt/rustfmt}"
    done
fi

# The virtual machine's kernel and programs are Debian's for another architecture.
if [[ $1 == arm ]]; then
    if ! command -v apt-get >/dev/null; then
        echo "missing: apt-get, which fetches Debian's packages for the virtual machine" >&2
        exit 1
    fi
    if ! apt-cache show linux-image-armmp:armhf >/dev/null 2>&1; then
        if ((EUID)); then
            echo "missing; type: sudo sh -c 'dpkg --add-architecture armhf && apt-get update'" >&2
            exit 1
        fi
        dpkg --add-architecture armhf
        # Fails for one index that is out of step with its list, while all that is wanted is there.
        apt-get update || true
    fi
fi

missing=()
for pair in "${wanted[@]}"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
if [[ $1 == bench && ! -e /usr/lib/nginx/modules/ngx_stream_module.so ]]; then
    missing+=(libnginx-mod-stream)
fi
((${#missing[@]})) || exit 0

install=(apt-get install --yes --no-install-recommends "${missing[@]}")
if ! command -v apt-get >/dev/null; then
    echo "missing, by their Debian names: ${missing[*]}" >&2
    exit 1
fi
if ((EUID)); then
    echo "missing; type: sudo ${install[*]}" >&2
    exit 1
fi

# Debian starts a service as soon as it is installed; we only want nginx's binary. A masked unit is
# not started, and one that is disabled afterwards does not come with the next boot either. (An own
# policy-rc.d would do both, but it is the administrator's file, and forbids everything else that
# is installed meanwhile.) Without systemd nginx is stopped again right after.
systemd=false
nginx=false
[[ -d /run/systemd/system ]] && systemd=true
[[ " ${missing[*]} " == *" nginx-light "* ]] && nginx=true
unmask() {
    systemctl --quiet unmask nginx.service
    # Not known to systemd when the installation failed before it.
    systemctl --quiet disable nginx.service 2>/dev/null || true
}
if $nginx && $systemd; then
    systemctl --quiet mask nginx.service
    trap unmask EXIT
fi
export DEBIAN_FRONTEND=noninteractive
# A machine that has never updated knows no packages, an old list names files that are gone.
"${install[@]}" </dev/null || {
    apt-get update
    "${install[@]}" </dev/null
}
if $nginx && ! $systemd && [[ -x /etc/init.d/nginx ]]; then
    /etc/init.d/nginx stop >/dev/null
fi
