#!/usr/bin/env bash
# The table of what the stock functions cost: `tests/bench-modules.sh FOLDER`, with FOLDER the one
# that has the built binary and modules. With WRITE=1 it goes into vnf-modules/README.md, between
# the two marks. Nothing else should run meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."

[[ -x ${1-}/srv6pipes ]] || { echo "usage: tests/bench-modules.sh FOLDER-OF-BINARY" >&2; exit 64; }
folder=$(realpath "$1")
readme=vnf-modules/README.md
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/recordings"
(umask 077; echo "7 $(head -c 64 /dev/urandom | sha256sum | cut -c 1-64)" >"$scratch/keys")

# Two of the lines that `module bench` prints make a row; what cannot be measured says why.
row() {
    awk -v name="$1" '
        $2 != "upstream" { next }
        $3 ~ /^[0-9]+$/ {
            cells = cells " | " $3 " " $4 " | " $6
            if ($7 == "waits:") cells = cells " (waits)"
            next
        }
        { note = $0; sub(/^ *[a-z]+ +upstream +/, "", note); sub(/ within .*/, "", note)
            cells = cells " | " note " |" }
        END { print "| `" name "`" cells " |" }'
}

table() {
    local model beside
    model=$(awk -F ': *' '/^(model name|Model|Hardware)/ { print $2; exit }' /proc/cpuinfo)
    echo "| function | text, MB/s | of \`copy\` | random, MB/s | of \`copy\` |"
    echo "|---|---|---|---|---|"
    local module function words
    while read -r module function words; do
        case $module in '' | '#'*) continue ;; esac
        words=${words//KEYS/$scratch/keys}
        words=${words//FOLDER/$scratch/recordings}
        # What it is called in the table: options tell apart what is measured twice.
        local name=$function option
        for option in algorithm cipher; do
            [[ $words =~ $option=([^ ]+) ]] && name+=" (${BASH_REMATCH[1]})"
        done
        echo "$name" >&2
        # Words are split at blanks; none has one inside.
        # shellcheck disable=SC2086
        "$folder/srv6pipes" module bench "$folder/lib$module.so" --function "$function" $words \
            >"$scratch/bench"
        row "$name" <"$scratch/bench"
        [[ -n ${beside-} ]] || beside=$(sed -n '/^a function that only copies/p' "$scratch/bench")
    done <tests/stock-functions.list
    echo
    echo "$(date -I), one core of $(nproc), ${model:-$(uname -m)}, Linux $(uname -r | cut -d- -f1); $beside, both in"
    echo "the cache. *passes*: within the first 64 KiB; from there on the kernel moves the bytes. *waits*: it works less than it"
    echo "waits, for the time to come or for its program. \`record\` passes on what its disk cannot take, without keeping it."
}

table | tee "$scratch/table"
if [[ -n ${WRITE-} ]]; then
    awk -v table="$scratch/table" '
        /^<!-- bench -->$/ { print; print ""; while ((getline line < table) > 0) print line
            print ""; skip = 1; seen = 1 }
        /^<!-- \/bench -->$/ { skip = 0 }
        !skip { if ($0 !~ /^<!-- bench -->$/) print }
        END { exit !seen }' "$readme" >"$scratch/readme"
    cat "$scratch/readme" >"$readme"
fi
