#!/usr/bin/env bash
# Runs the commands that the documentation shows: `tests/docs.sh FOLDER`, with FOLDER the one that
# has the built binary. A block takes part when its fence says so:
#
#     ```sh test
#     srv6pipes check -c files/etc/config/srv6pipes
#     ```
#
# All blocks of a file run in order in one shell at the top of the source tree, which ends at the
# first command that fails.
set -euo pipefail
cd "$(dirname "$0")/.."

[[ -x ${1-}/srv6pipes ]] || { echo "usage: tests/docs.sh FOLDER-OF-BINARY" >&2; exit 64; }
PATH=$(realpath "$1"):$PATH:/usr/sbin:/sbin
script=$(mktemp)
trap 'rm -f "$script"' EXIT

blocks=0
for file in README.md ARCHITECTURE.md docs/*.md vnf-modules/*.md vnf-modules/*/README.md; do
    [[ -f $file ]] || continue
    awk -v file="$file" '
        /^```sh test *$/ { inside = 1; printf "where=%s:%d\n", file, NR + 1; next }
        /^```/ { inside = 0 }
        inside' "$file" >"$script"
    found=$(grep -c '^where=' "$script") || continue
    blocks=$((blocks + found))
    echo "--- $file: $found"
    bash -euo pipefail -c '
        trap "echo \"failed in the block at \$where\" >&2" ERR
        set -E
        . "$1"' docs "$script" </dev/null
done
if ((blocks == 0)); then
    echo "no block is marked with \`\`\`sh test" >&2
    exit 1
fi
echo "--- $blocks blocks of commands work"
