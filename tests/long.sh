#!/usr/bin/env bash
# What takes too long for every commit: `tests/long.sh FOLDER`, with a release build in FOLDER. Each
# function and its inverse in one process, a call for each byte: 256 MiB of noise and of text.
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

noise() { openssl enc -aes-128-ctr -pass pass:noise -nosalt -md sha256 </dev/zero 2>/dev/null; }
text() { noise | base64; }

for bytes in noise text; do
    for pair in "${pairs[@]}"; do
        read -r near far words <<<"$pair"
        echo "--- $bytes, byte by byte: $near and $far $words"
        # The reader has had enough before the writer.
        # shellcheck disable=SC2086 # words, several of them
        { "$bytes" || true; } | head -c $((256 << 20)) | "$program" module run --chunk 1 \
            --function "$near" --pair "$far" $words "$1/lib$near.so"
    done
done
