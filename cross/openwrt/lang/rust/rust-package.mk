# What openwrt/Makefile needs of the packages feed's lang/rust/rust-package.mk. The architectures are
# those that the feed names; what is here only has to be a condition, which no package file carries.

RUST_ARCH_DEPENDS:=@(aarch64||arm||i386||loongarch64||mips||mips64||mips64el||mipsel||powerpc||powerpc64||riscv64||x86_64)

CARGO_PKG_VARS=
CARGO_PKG_ARGS=--locked

# 1: the folder of the package; 2: more words for cargo
define Build/Compile/Cargo
	+$(CARGO_PKG_VARS) \
	cargo install \
		--profile $(CARGO_PKG_PROFILE) \
		--features "$(RUST_PKG_FEATURES)" \
		--root $(PKG_INSTALL_DIR) \
		--path "$(PKG_BUILD_DIR)/$(if $(strip $(1)),$(strip $(1)),.)" \
		$(CARGO_PKG_ARGS) \
		$(2)
endef
