//! OpenWrt's packages: what openwrt/Makefile says, the files that cross/ipk.sh makes of it by real
//! GNU make, and what cross/unpack.sh does with them by opkg's rules.

#[path = "../files/mod.rs"]
mod files;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../modules/mod.rs"]
mod modules;

mod broken;
mod install;
mod makefile;
mod packages;
mod recipe;
mod router;
mod shell;
