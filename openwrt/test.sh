#!/bin/sh
# The feed's CI calls this for each package that it has installed: test.sh PACKAGE VERSION
set -e

case "$1" in
srv6pipes)
	srv6pipes --version | grep -F "$2"
	# As shipped it is right.
	srv6pipes check -c /etc/config/srv6pipes
	exit
	;;
srv6pipes-mod-*) module=${1#srv6pipes-mod-} ;;
*) exit 0 ;;
esac

# A module must load here, and a few bytes must come through its function.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
(umask 077 && echo "1 $key" > "$folder/keys")

case "$module" in
balance) set -- --option server=2001:db8:5::11 ;;
compress) set -- --function compress --pair decompress ;;
exec) set -- --option upstream=cat ;;
record) set -- --option "folder=$folder" ;;
rewrite) set -- --option 'replace=bytes=>other bytes' ;;
seal) set -- --function seal --pair open --argument 1 --option "keys=$folder/keys" ;;
*) set -- ;;
esac
echo "some bytes" | srv6pipes module run "/usr/lib/srv6pipes/lib$module.so" "$@"
