#!/usr/bin/env bash
# What takes too long for every commit: `tests/long.sh FOLDER`, with a release build in FOLDER. Each
# function and its inverse in one process, a call for each byte of 256 MiB.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1/srv6pipes

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Only its reader sees it, as seal wants.
(umask 077 && echo "7 $(openssl rand -hex 32)" >"$work/keys")
keys=(--argument 7 --option "keys=$work/keys")

pairs=(
    "xor xor --argument 42"
    "compress decompress --option algorithm=lz4"
    "compress decompress --option algorithm=zstd --option level=1"
    "seal open ${keys[*]} --option cipher=chacha20-poly1305"
    "seal open ${keys[*]} --option cipher=aes-256-gcm"
)

for pair in "${pairs[@]}"; do
    read -r near far words <<<"$pair"
    echo "--- byte by byte: $near and $far $words"
    # shellcheck disable=SC2086 # words, several of them
    head -c $((256 << 20)) /dev/urandom | "$program" module run --chunk 1 \
        --function "$near" --pair "$far" $words "$1/lib$near.so"
done
