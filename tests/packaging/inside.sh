#!/bin/sh
# In the layer of machine.sh: installs each package into / and lets the feed's test look at it.
set -eu
version=$1
shift
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

# As much of OpenWrt as the packages' scripts touch.
cat > /lib/functions.sh << 'END'
default_postinst() {
	echo "postinst root=${IPKG_INSTROOT-unset} $PKG_ROOT"
	own=${1%.*}.postinst-pkg
	[ ! -e "$own" ] || "$own"
}
END
mkdir -p /etc/init.d
printf '#!/bin/sh\necho "rpcd $*"\n' > /etc/init.d/rpcd
chmod +x /etc/init.d/rpcd

for name; do
	echo "== $name"
	/in/unpack.sh /in/"${name}_"*.ipk /
	# A router's programs would not run here.
	case $name in
	srv6pipes) place=/usr/sbin/srv6pipes ;;
	*) place=/usr/lib/srv6pipes/lib${name#srv6pipes-mod-}.so ;;
	esac
	cat "/in/${place##*/}" > "$place"
	/in/test.sh "$name" "$version" > /tmp/said
	head -c 200 /tmp/said | tr -d '\0'
	echo
done
