# What openwrt/Makefile needs of OpenWrt's include/package.mk and package-pack.mk. The target
# `stage` makes, for each package NAME, below $(STAGE):
#
#   NAME/data/...       its files
#   NAME/control/...    control, its scripts, and the conffiles as the Makefile names them
#
# Given on the command line: STAGE; PKG_BUILD_DIR, the source tree; PKG_INSTALL_DIR, where bin/ is;
# MODULE_DIR, where the shared objects are; PKGARCH; SOURCE_DATE_EPOCH.
# `print-NAME` prints a variable, `show-packages` the packages, `compile` runs the Makefile's own.

VERSION=$(PKG_VERSION)-r$(PKG_RELEASE)
PACKAGES:=
# What every package of OpenWrt depends on (PKG_DEFAULT_DEPENDS with musl).
DEFAULT_DEPENDS:=libc
FIELDS:=SECTION TITLE DEPENDS URL CONFLICTS PROVIDES USERID

comma:=,
empty:=
space:=$(empty) $(empty)

# Conditions stay in the buildroot, "+" only says what menuconfig selects. Conditional
# dependencies would need a configuration, which there is none of here.
plain=$(if $(findstring :,$(1)),$(error $(1): no conditional dependencies here),$(patsubst +%,%,$(1)))
depends=$(DEFAULT_DEPENDS) $(foreach word,$(filter-out @%,$(1)),$(call plain,$(word)))
commas=$(subst $(space),$(comma) ,$(strip $(1)))
field=$(if $(strip $(2)),$(1): $(strip $(2))$(newline))
define newline


endef

# The order of package-pack.mk. Installed-Size and Description are added by who packs.
# 1: package
define Control
Package: $(1)
Version: $(VERSION)
$(call field,Depends,$(call commas,$(call depends,$(DEPENDS.$(1)))))$(call field,Conflicts,$(call commas,$(CONFLICTS.$(1))))$(call field,Provides,$(call commas,$(PROVIDES.$(1))))Source: feeds/packages/net/$(PKG_NAME)
SourceName: $(PKG_NAME)
License: $(PKG_LICENSE)
LicenseFiles: $(PKG_LICENSE_FILES)
Section: $(SECTION.$(1))
$(call field,Require-User,$(USERID.$(1)))SourceDateEpoch: $(SOURCE_DATE_EPOCH)
$(call field,URL,$(URL.$(1)))Maintainer: $(PKG_MAINTAINER)
Architecture: $(PKGARCH)
endef

# What package-pack.mk writes around a package's own postinst and prerm, which become *-pkg.
define Postinst
#!/bin/sh
[ "$${IPKG_NO_SCRIPT}" = "1" ] && exit 0
[ -s $${IPKG_INSTROOT}/lib/functions.sh ] || exit 0
. $${IPKG_INSTROOT}/lib/functions.sh
default_postinst $$0 $$@
endef

define Prerm
#!/bin/sh
[ -s $${IPKG_INSTROOT}/lib/functions.sh ] || exit 0
. $${IPKG_INSTROOT}/lib/functions.sh
default_prerm $$0 $$@
endef

# 1: package; 2: what of it; 3: the file
write=$(if $(filter-out undefined,$(origin Package/$(1)/$(2))),$(file >$(STAGE)/$(1)/control/$(3),$(Package/$(1)/$(2))))

# A define of the Makefile sets plain variables, the same for each package: kept under the
# package's name before the next one sets them.
# 1: package
define BuildPackage
  $(foreach name,$(FIELDS),$(eval $(name):=))
  $(eval $(Package/$(1)))
  $(foreach name,$(FIELDS),$(eval $(name).$(1):=$($(name))))
  PACKAGES+=$(1)

  .PHONY: stage-$(1) data-$(1)
  stage: stage-$(1)

  data-$(1):
	install -d -m0755 $(STAGE)/$(1)/data $(STAGE)/$(1)/control
$(call Package/$(1)/install,$(STAGE)/$(1)/data)

  stage-$(1): data-$(1)
	$$(file >$(STAGE)/$(1)/control/control,$$(call Control,$(1)))
	$$(file >$(STAGE)/$(1)/control/description,$$(Package/$(1)/description))
	$$(file >$(STAGE)/$(1)/control/postinst,$$(Postinst))
	$$(file >$(STAGE)/$(1)/control/prerm,$$(Prerm))
	$$(call write,$(1),conffiles,conffiles)
	$$(call write,$(1),preinst,preinst)
	$$(call write,$(1),postinst,postinst-pkg)
	$$(call write,$(1),prerm,prerm-pkg)
	$$(call write,$(1),postrm,postrm)
	@true
endef

.DEFAULT_GOAL:=stage
.PHONY: stage compile show-packages
stage:

compile:
	$(Build/Compile)

show-packages: print-PACKAGES

# Not by a shell: some have quotes and several lines.
print-%:
	$(info $($*))
	@true
