#!/usr/bin/env bash
# Every job by its name: `tests/ci.sh fmt clippy`. The Makefile and continuous integration only
# call this, so what they do can be typed.
set -euo pipefail
cd "$(dirname "$0")/.."

# Root's shell often lacks what rustup set up for login shells.
command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
target=${CARGO_TARGET_DIR:-target}
tools=$target/tools

# Tests in namespaces wait more than they compute; two at a time suit a machine with two cores.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-2}

job_fmt() {
    cargo fmt --all --check
    # No part of the workspace, so that it can be copied out of it.
    rustfmt --check --edition 2024 vnf-modules/template-rust/src/lib.rs
}

job_clippy() {
    cargo clippy --locked --workspace --all-targets -- -D warnings
    cargo clippy --offline --manifest-path vnf-modules/template-rust/Cargo.toml \
        --target-dir "$target/template" --all-targets -- -D warnings
}

job_doc() {
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
}

# Licences, sources and duplicates by deny.toml. Advisories are a job of their own: their list
# changes without us, and a commit should not turn red because of the day it is built on.
job_deny() {
    cargo_deny --offline check licenses bans sources
}

job_advisories() {
    cargo_deny check advisories
}

# Built here once (two minutes on two cores) and kept beside the build; pinned, so that a new
# release's opinions come by a commit.
cargo_deny() {
    local version=0.20.2
    if [[ "$("$tools/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $version" ]]; then
        cargo install cargo-deny --version "$version" --locked --quiet \
            --root "$tools" --target-dir "$tools/build"
        rm -rf "$tools/build"
    fi
    # Only so that --offline finds every manifest.
    cargo fetch --locked --quiet
    "$tools/bin/cargo-deny" --all-features "$@"
}

job_build() {
    tests/deps.sh build
    cargo build --release --locked
}

job_demo() {
    tests/deps.sh demo
    job_build
    "$target/release/srv6pipes" demo
}

# Not part of `all`: figures need a machine that does nothing else.
job_bench() {
    tests/deps.sh bench
    # The modules are part of the workspace's build, not of the bench's.
    job_build
    # cargo runs it in the workspace, wherever the target folder is.
    local words=(--out "$(realpath -m "$target/bench")")
    [[ ${QUICK:-} ]] && words+=(--quick)
    [[ ${ONLY:-} ]] && words+=(--only "$ONLY")
    [[ ${FORCE:-} ]] && words+=(--force)
    cargo bench --locked --bench peers -- "${words[@]}"
}

# The fuzz targets compile; running them is for whoever has the time.
job_fuzz() {
    cargo build --manifest-path tests/fuzz/Cargo.toml --locked --target-dir "$target/fuzz"
}

# As people will type them: with the release build that the README starts from.
job_docs() {
    tests/deps.sh test
    job_build
    tests/docs.sh "$target/release"
}

# The Debian package: made, installed, run by systemd, upgraded and purged.
job_deb() {
    tests/deps.sh test
    job_build
    tests/deb/run.sh "$target/release"
}

# What each stock function costs; WRITE=1 puts the table into vnf-modules/README.md.
job_bench_modules() {
    job_build
    tests/bench-modules.sh "$target/release"
}

# Unit, golden and namespace tests of the whole workspace.
job_test() {
    local log=$target/test.log
    cargo test --locked --workspace --no-fail-fast 2>&1 | tee "$log" || {
        echo "--- what failed:"
        grep -E '^(test .* FAILED|error: .*target)' "$log" || true
        return 1
    }
    awk '/^test result:/ { passed += $4; ignored += $8 } /SKIPPED/ { skipped++ }
        END { printf "--- tests: %d passed, 0 failed, %d ignored, %d skipped\n",
            passed, ignored, skipped }' "$log"
}

# Not part of `all`: 256 MiB byte by byte through each function that another one undoes, over the network
# and in one process. Half an hour.
job_long() {
    tests/deps.sh test
    job_build
    # The unoptimised test would need four times as long to write its bytes.
    cargo test --release --locked --workspace --test netns_functions -- --ignored many_single_bytes
    tests/long.sh "$target/release"
}

# The build with the stock modules inside: all of them by the checks for modules, and the chain of
# two proxies. In a folder of its own, where nobody takes the modules' files for those with symbols.
job_builtin() {
    tests/deps.sh test
    local words=(--locked --no-default-features --features builtin-modules
        --target-dir "$target/builtin")
    cargo clippy "${words[@]}" --all-targets -- -D warnings
    cargo test "${words[@]}" --lib vnf::
    cargo test "${words[@]}" --test module_cli stock::
    cargo test "${words[@]}" --test netns_chain
}

# The module ABI from both sides: the SDK's glue and the template in C, run by a checker of memory.
job_valgrind() {
    tests/deps.sh test
    local check=(valgrind --quiet --error-exitcode=1 --leak-check=full)
    # The handle of the main thread, which std holds by a pointer into its middle, is "possibly
    # lost"; what is really lost is not.
    local lost=definite,indirect
    local runner=("${check[@]}" --errors-for-leak-kinds=$lost --show-leak-kinds=$lost)
    cargo test --locked -p srv6pipes-vnf --lib --tests \
        --config "target.'cfg(unix)'.runner = '${runner[*]}'"

    local cc=("${CC:-cc}" -std=c99 -Wall -Wextra -Wpedantic -Werror -O1 -g
        -I vnf-modules/srv6pipes-vnf/include)
    mkdir -p "$target/drive"
    "${cc[@]}" -fPIC -shared -o "$target/drive/libupper.so" vnf-modules/template-c/upper.c
    "${cc[@]}" -o "$target/drive/drive" tests/fixtures/modules/drive.c -ldl
    "${check[@]}" "$target/drive/drive" "$target/drive/libupper.so"

    # Sees what valgrind does not: the stack and the statics. RUSTC_BOOTSTRAP, since stable Rust
    # has the sanitizer but not the option for it.
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test --locked -p srv6pipes-vnf \
        --lib --tests --target "$(rustc -vV | sed -n 's/^host: //p')" --target-dir "$target/asan"
}

# Undefined behaviour that no machine shows: the SDK's glue, and the host's counters behind it. Not
# part of `all`, because a nightly Rust with Miri cannot be had everywhere, nor on every day.
job_miri() {
    if ! cargo +nightly miri --version >/dev/null 2>&1; then
        echo "missing: Miri; type: rustup toolchain install nightly --component miri,rust-src" >&2
        return 1
    fi
    # Without the examples: Miri makes no cdylib.
    cargo +nightly miri test --locked -p srv6pipes-vnf --lib --tests --target-dir "$target/miri"
    cargo +nightly miri test --locked -p srv6pipes --lib --target-dir "$target/miri" vnf::c
}

# The packages for OpenWrt, run on an emulated ARMv7.
job_arm() {
    tests/deps.sh arm
    tests/arm/run.sh
}

job_all() {
    tests/deps.sh test
    run fmt clippy doc deny fuzz docs deb builtin valgrind test
}

run() {
    local job
    for job in "$@"; do
        if ! declare -F "job_$job" >/dev/null; then
            echo "tests/ci.sh: no job '$job'; there are:" \
                "$(declare -F | sed -n 's/^declare -f job_//p' | tr '\n' ' ')" >&2
            exit 64
        fi
        echo "=== $job"
        "job_$job"
    done
}

run "$@"
