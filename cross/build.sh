#!/usr/bin/env bash
# The daemon and the stock modules for a router: `cross/build.sh TARGET [dynamic|static]`, or with
# --verify in front, to show that two builds in two folders are the same. What each measure for
# size gives, and what cannot be built: cross/README.md. `cross/build.sh TARGET tests NAME...` is
# for tests/arm.
#
# The result is target/cross/TARGET-FLAVOUR/ (below CARGO_TARGET_DIR, if that is set):
#   dynamic   srv6pipes and lib*.so; they need musl's libc.so and nothing else
#   static    srv6pipes alone, the stock modules inside
#   tests     what is named behind it of tests/*.rs, for a daemon that is installed as the packages
#             install it
#
# Debian 12 has everything but Rust's standard library for musl, which is built here from Debian's
# source of it, with the crates that its own Cargo.lock names. That needs options which Debian's
# compiler has and guards: RUSTC_BOOTSTRAP.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    echo "usage: cross/build.sh [--verify] armv7|aarch64|x86_64|mipsel [dynamic|static|tests NAME...]" >&2
    exit 64
}

# Nothing of the caller's own may reach a build that is to be the same everywhere.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CFLAGS LIBRARY_PATH
out=$(realpath -m "${CARGO_TARGET_DIR:-target}")/cross
verify=false
if [[ ${1-} == --verify ]]; then
    verify=true
    shift
fi
name=${1-}
flavour=${2:-dynamic}
tests=()
if [[ $flavour == tests && $# -gt 2 ]]; then
    tests=("${@:3}")
else
    [[ $# -le 2 && ($flavour == dynamic || $flavour == static) ]] || usage
fi

case $name in
    armv7)
        triple=armv7-unknown-linux-musleabihf
        arch=armhf gnu=arm-linux-gnueabihf musl=arm-linux-musleabihf
        loader=/lib/ld-musl-armhf.so.1
        ;;
    aarch64)
        triple=aarch64-unknown-linux-musl
        arch=arm64 gnu=aarch64-linux-gnu musl=aarch64-linux-musl
        loader=/lib/ld-musl-aarch64.so.1
        ;;
    x86_64)
        triple=x86_64-unknown-linux-musl
        arch=amd64 gnu=x86_64-linux-gnu musl=x86_64-linux-musl
        loader=/lib/ld-musl-x86_64.so.1
        ;;
    mipsel)
        # Two reasons, each enough; cross/README.md says more.
        echo "cross/build.sh: not for mipsel: it has no 64-bit atomics, which the counters need," \
            "and Debian's musl and libgcc for it are hard-float, OpenWrt's soft-float" >&2
        exit 1
        ;;
    *) usage ;;
esac

packages() {
    # package:what is there when it is installed
    local wanted=(cargo-web:/usr/bin/cargo rustc-web:/usr/bin/rustc
        rust-web-src:/usr/lib/rustlib/src/rust
        "gcc-${gnu//_/-}:/usr/bin/$gnu-gcc" "musl-dev:$arch:/usr/lib/$musl/libc.a")
    # Where the compiler is not for another machine, its wrapper for musl is in a package of its own.
    [[ $(dpkg --print-architecture) != "$arch" ]] || wanted+=("musl-tools:/usr/bin/$musl-gcc")
    local pair missing=()
    for pair in "${wanted[@]}"; do
        [[ -e ${pair##*:} ]] || missing+=("${pair%:*}")
    done
    ((${#missing[@]})) || return 0

    local add=(dpkg --add-architecture "$arch") update=(apt-get update)
    local install=(apt-get install --yes --no-install-recommends "${missing[@]}")
    if ! command -v apt-get >/dev/null; then
        echo "missing, by their Debian names: ${missing[*]}" >&2
        exit 1
    fi
    if ((EUID)); then
        echo "missing; type: sudo sh -c '${add[*]} && ${update[*]} && ${install[*]}'" >&2
        exit 1
    fi
    "${add[@]}"
    # Fails for one index that is out of step with its list, while all that is wanted is there.
    "${update[@]}" || true
    DEBIAN_FRONTEND=noninteractive "${install[@]}" </dev/null
}

# What stands where OpenWrt's toolchain would: a linker that finds the unwinder in gcc's own static
# library under the names that std asks for.
toolchain() {
    local dir=$out/$name-cc
    mkdir -p "$dir"
    echo 'INPUT(-lgcc_eh -lgcc)' >"$dir/libgcc_s.so"
    ln -sf "$("$gnu-gcc" -print-file-name=libgcc_eh.a)" "$dir/libunwind.a"
    printf '#!/bin/sh\nexec %s-gcc -L%q "$@"\n' "$musl" "$dir" >"$dir/cc"
    chmod +x "$dir/cc"
    linker=$dir/cc
}

build() {
    local home=${CARGO_HOME:-$HOME/.cargo}
    local flags=("--remap-path-prefix=$PWD=/srv6pipes" "--remap-path-prefix=$out=/build"
        "--remap-path-prefix=$home=/cargo"
        --remap-path-prefix=/usr/lib/rustlib/src/rust=/rust)
    # Without the places of panics, and without what {:?} says of our own types but their names.
    [[ $flavour == tests ]] || flags+=(-Zlocation-detail=none -Zfmt-debug=shallow)
    # 32-bit ARM has two instruction sets; Rust takes the larger one unless told.
    [[ $name != armv7 ]] || flags+=(-Ctarget-feature=+thumb-mode)
    # As cargo and the crate cc spell the target in names of variables.
    local lower=${triple//-/_}
    local upper=${lower^^}
    if [[ $flavour == static ]]; then
        flags+=(-Ctarget-feature=+crt-static -Clink-self-contained=no)
    else
        flags+=(-Ctarget-feature=-crt-static)
    fi
    local joined
    joined=$(IFS=$'\x1f' && echo "${flags[*]}")
    local cargo=(env RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc SOURCE_DATE_EPOCH=0
        "CARGO_ENCODED_RUSTFLAGS=$joined" "CARGO_TARGET_${upper}_LINKER=$linker"
        "CC_$lower=$musl-gcc" "AR_$lower=$gnu-ar" /usr/bin/cargo)
    local words=(--locked --target "$triple" --target-dir "$out/build")
    # Tests shall be built soon rather than be small, and yet not too slow for an emulated machine.
    if [[ $flavour == tests ]]; then
        words+=("-Zbuild-std=std,panic_unwind" --profile dev --config profile.dev.opt-level=1
            --config profile.dev.debug=false --config 'profile.dev.strip="symbols"')
    else
        words+=("-Zbuild-std=std,panic_unwind"
            "-Zbuild-std-features=panic-unwind,optimize_for_size" --profile router)
    fi
    local from=$out/build/$triple/router to=$out/$name-$flavour
    rm -rf "$to"
    mkdir -p "$to"
    if [[ $flavour == dynamic ]]; then
        "${cargo[@]}" build "${words[@]}" --package srv6pipes --no-default-features --features dlopen
        local module
        # One by one: rustc optimises across crates only for a library of this one type.
        for module in $(modules); do
            "${cargo[@]}" rustc "${words[@]}" --package "srv6pipes-$module" --lib --crate-type cdylib
            keep "$from/lib$module.so"
        done
    elif [[ $flavour == static ]]; then
        "${cargo[@]}" build "${words[@]}" --package srv6pipes --no-default-features \
            --features builtin-modules
    else
        build_tests
        return
    fi
    keep "$from/srv6pipes"
}

# Without what only debuggers read; rustc leaves a program its symbols here.
keep() {
    "$gnu-strip" --strip-all --remove-section=.comment -o "$to/${1##*/}" "$1"
}

# They do not find the daemon and its modules in their own target folder.
build_tests() {
    local messages
    messages=$(SRV6PIPES_TEST_PROGRAM=/usr/sbin/srv6pipes SRV6PIPES_TEST_MODULES=/usr/lib/srv6pipes \
        "${cargo[@]}" test --no-run "${words[@]}" --package srv6pipes \
        --message-format json-render-diagnostics "${tests[@]/#/--test=}")
    local test file
    for test in "${tests[@]}"; do
        file=$(sed -n "s/.*\"executable\":\"\([^\"]*\/$test-[0-9a-f]*\)\".*/\1/p" <<<"$messages")
        cp "$file" "$to/$test"
    done
}

# The stock modules, by the list that a test holds against the tree.
modules() {
    sed '/^#/d; s/ .*//' tests/stock-functions.list | sort -u
}

# What must hold of each file, whatever its size.
examine() {
    local file=$1 base needed soname wrong=() place
    base=$(basename "$file")
    needed=$("$gnu-readelf" -d "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | tr '\n' ' ')
    if [[ $flavour == dynamic ]]; then
        [[ $needed == "libc.so " ]] || wrong+=("needs '$needed', not libc.so alone")
    else
        [[ -z $needed ]] || wrong+=("needs '$needed', though it is static")
    fi
    if [[ $base == *.so ]]; then
        soname=$("$gnu-readelf" -d "$file" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
        [[ $soname == "$base" ]] || wrong+=("calls itself '$soname'")
    elif [[ $flavour == dynamic ]]; then
        "$gnu-readelf" -l "$file" | grep -qF "interpreter: $loader]" ||
            wrong+=("does not ask for $loader")
    fi
    for place in "$PWD" "$out" "$HOME/" "${CARGO_HOME:-$HOME/.cargo}" /usr/src/ /usr/lib/rustlib; do
        ! grep -qaF "$place" "$file" || wrong+=("names $place")
    done
    ((${#wrong[@]})) || return 0
    printf "cross/build.sh: $base %s\n" "${wrong[@]}" >&2
    return 1
}

# The budgets are for ARMv7, dynamic; elsewhere sizes are only told.
report() {
    local file size budget bad=false
    printf '%-18s %9s %9s\n' "$name, $flavour" bytes budget
    for file in "$out/$name-$flavour"/*; do
        size=$(stat -c %s "$file")
        budget=-
        if [[ $name-$flavour == armv7-dynamic ]]; then
            budget=$((300 * 1024))
            [[ $file != */srv6pipes ]] || budget=$((700 * 1024))
        fi
        printf '%-18s %9d %9s' "$(basename "$file")" "$size" "$budget"
        [[ $budget == - ]] || ((size <= budget)) || printf '  over'
        echo
        examine "$file" || bad=true
    done
    ! $bad
}

sums() {
    (cd "$1/$name-$flavour" && sha256sum ./*)
}

# Builds a copy of the tree in a folder of another length, from nothing, and compares.
verify() {
    copy=$(mktemp -d)
    trap 'rm -rf "$copy"' EXIT
    mkdir -p "$copy/tree/in/another/place"
    git ls-files -z --cached --others --exclude-standard |
        tar --create --null --files-from=- | tar --extract --directory "$copy/tree/in/another/place"
    CARGO_TARGET_DIR=$copy/built "$copy/tree/in/another/place/cross/build.sh" "$name" "$flavour"
    if ! diff <(sums "$out") <(sums "$copy/built/cross"); then
        echo "cross/build.sh: two builds of $name, $flavour, differ" >&2
        exit 1
    fi
    echo "two builds in two folders are the same"
}

packages
toolchain
build
[[ $flavour != tests ]] || exit 0
report
! $verify || verify
