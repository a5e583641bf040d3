# What openwrt/Makefile needs of OpenWrt's rules.mk when there is no OpenWrt: the commands that put a
# file into a package, with the modes that they have there.
#
# cross/ipk.sh and tests/packaging run make with these stand-ins, so that there is one list of
# files, dependencies and scripts: openwrt/Makefile. They hold nothing that it does not use.

INSTALL_DIR:=install -d -m0755
INSTALL_BIN:=install -m0755
INSTALL_DATA:=install -m0644
INSTALL_CONF:=install -m0600
