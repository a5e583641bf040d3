#!/bin/sh
# What opkg does with a package file, where there is no opkg: in a test's virtual machine, or in a folder
# that is to become a root file system. Needs busybox and nothing else.
#
#   cross/unpack.sh --check PACKAGE      say what is wrong with the file
#   cross/unpack.sh PACKAGE ROOT         install or upgrade; refuses what --check refuses
#   cross/unpack.sh --remove NAME ROOT   remove, but for conffiles that somebody changed
#
# The order of steps, what scripts are told and what becomes of conffiles are those of opkg-lede
# (libopkg/opkg_install.c, opkg_remove.c, pkg.c); files of its database are where its are,
# ROOT/usr/lib/opkg. With a ROOT other than / scripts run with IPKG_INSTROOT=ROOT, as the image
# builder runs them.
#
# PROVIDED: what other packages bring, patterns as for `case`. ARCH: the machine's architecture.
set -eu
umask 022
LC_ALL=C
export LC_ALL

provided=${PROVIDED-libc libgcc nftables kmod-* rpcd* ucode*}

fail() {
	echo "cross/unpack.sh: $*" >&2
	exit 1
}

usage() {
	echo "usage: cross/unpack.sh PACKAGE ROOT | --check PACKAGE | --remove NAME ROOT" >&2
	exit 64
}

work=$(mktemp -d)
staged=
trap 'rm -rf "$work" ${staged:+"$staged"}' EXIT
trap 'exit 1' HUP INT TERM

# The value of field $1 in the control file $2.
field() {
	sed -n "s/^$1: *//p" "$2"
}

# --- the file

# What opkg's reader of tar understands (libbb/unarchive.c), and what a package may hold.
# $1: the tar file; $2: its name in messages
check_tar() {
	# The magic of POSIX and GNU; of the extended format the first header has type x or g.
	case $(dd if="$1" bs=1 skip=257 count=5 2> /dev/null) in
	ustar) ;;
	*) fail "$package: $2 is no tar archive of the ustar kind" ;;
	esac
	case $(dd if="$1" bs=1 skip=156 count=1 2> /dev/null) in
	x | g) fail "$package: $2 is of tar's extended format, which opkg does not read" ;;
	esac
	tar -tvf "$1" > "$work/list" 2> "$work/why" ||
		fail "$package: $2 cannot be read: $(head -n 1 "$work/why")"
	awk -v package="$package" -v archive="$2" '
		function bad(why) {
			print "cross/unpack.sh: " package ": " archive ": " name ": " why > "/dev/stderr"
			wrong = 1
		}
		{
			name = $0
			sub(/^[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +/, "", name)
			sub(/ -> .*/, "", name)
			# busybox shows a hard link as a file with an arrow.
			if ($1 !~ /^[-dl]/ || $1 ~ /^-/ && / -> /) bad("is neither file, folder nor symbolic link")
			if ($2 != "0/0") bad("belongs to " $2 ", not to 0/0")
			if (name !~ /^\.\//) bad("does not begin with ./")
			if (("/" name "/") ~ /\/\.\.\//) bad("leads out of the archive")
			if (length(name) >= 100) bad("is longer than the header has room for")
			if (name in seen) bad("is there twice")
			if ($1 !~ /^l/ && (substr($1, 6, 1) == "w" || substr($1, 9, 1) == "w"))
				bad("others may write it: " $1)
			if ($1 ~ /[sStT]/) bad("has a special mode: " $1)
			seen[name] = 1
			parent = name
			sub(/\/$/, "", parent)
			sub(/[^\/]*$/, "", parent)
			if (archive == "data.tar.gz" && name != "./" && !(parent in seen))
				bad("comes without its folder " parent)
		}
		END {
			if (!NR) { name = "."; bad("is empty") }
			exit wrong
		}' "$work/list" || exit 1
}

# Leaves control/, data.tar and list.data below $work, and sets $name.
check() {
	package=$1
	[ -f "$package" ] || fail "there is no file $package"
	# gzip's magic number. An ar archive, as Debian's own, is not what OpenWrt builds.
	[ "$(od -An -tx1 -N2 "$package" | tr -d ' ')" = 1f8b ] || fail "$package is not compressed by gzip"
	gzip -dc "$package" > "$work/outer.tar" 2> /dev/null || fail "$package is damaged: gzip cannot read it"
	check_tar "$work/outer.tar" "the package"
	members=$(tar -tf "$work/outer.tar" | tr '\n' ' ')
	[ "$members" = "./debian-binary ./data.tar.gz ./control.tar.gz " ] ||
		fail "$package has '${members% }', not './debian-binary ./data.tar.gz ./control.tar.gz'"
	mkdir "$work/outer" "$work/control"
	tar -xf "$work/outer.tar" -C "$work/outer"
	[ "$(cat "$work/outer/debian-binary")" = 2.0 ] || fail "$package: debian-binary does not say 2.0"
	for part in control data; do
		gzip -dc "$work/outer/$part.tar.gz" > "$work/$part.tar" 2> /dev/null ||
			fail "$package: gzip cannot read $part.tar.gz"
		check_tar "$work/$part.tar" "$part.tar.gz"
	done
	tar -xf "$work/control.tar" -C "$work/control"
	check_control "$work/control/control"
	check_scripts
	check_conffiles
}

check_control() {
	[ -f "$1" ] || fail "$package has no control file"
	for key in Package Version Architecture Installed-Size Section Description Maintainer License Source; do
		[ "$(grep -c "^$key:" "$1")" = 1 ] || fail "$package: the control file needs one field $key"
		[ -n "$(field "$key" "$1")" ] || fail "$package: the field $key is empty"
	done
	if odd=$(grep -nvE '^([A-Z][A-Za-z0-9-]*: | )' "$1"); then
		fail "$package: the control file's line ${odd%%:*} is neither a field nor a continuation"
	fi
	name=$(field Package "$1")
	version=$(field Version "$1")
	arch=$(field Architecture "$1")
	# apk-tools allows less than opkg: what it allows is right for both.
	echo "$name" | grep -qE '^[a-z0-9][a-z0-9+._-]+$' || fail "$package: the name '$name' is not allowed"
	echo "$version" | grep -qE '^[0-9]+(\.[0-9]+)*(_(alpha|beta|pre|rc|p)[0-9]*)*-r[0-9]+$' ||
		fail "$package: the version '$version' is not allowed"
	[ "${package##*/}" = "${name}_${version}_$arch.ipk" ] ||
		fail "$package: its control file calls for the name ${name}_${version}_$arch.ipk"
	case ${ARCH:-$arch} in
	"$arch") ;;
	*) [ "$arch" = all ] || fail "$package is for $arch, and this machine is $ARCH" ;;
	esac
	size=$(wc -c < "$work/data.tar")
	[ "$(field Installed-Size "$1")" = "$((size))" ] ||
		fail "$package: Installed-Size is $(field Installed-Size "$1"), the files are $((size)) bytes"
}

check_scripts() {
	for script in preinst postinst prerm postrm postinst-pkg prerm-pkg; do
		[ -e "$work/control/$script" ] || continue
		[ -x "$work/control/$script" ] || fail "$package: its script $script is not executable"
		[ "$(head -n 1 "$work/control/$script")" = '#!/bin/sh' ] ||
			fail "$package: its script $script does not begin with #!/bin/sh"
		why=$(cd "$work/control" && sh -n "$script" 2>&1) || fail "$package: its script has mistakes: $why"
	done
	for script in postinst prerm; do
		grep -q "^default_$script" "$work/control/$script" 2> /dev/null ||
			fail "$package: its $script does not call default_$script"
	done
	for part in "$work"/control/*; do
		case ${part##*/} in
		control | conffiles | preinst | postinst | prerm | postrm | postinst-pkg | prerm-pkg) ;;
		*) fail "$package: control.tar.gz has '${part##*/}', which OpenWrt does not know" ;;
		esac
	done
}

check_conffiles() {
	tar -tf "$work/data.tar" | sed 's/^\.//' > "$work/list.data"
	: > "$work/conffiles"
	[ -e "$work/control/conffiles" ] || return 0
	cp "$work/control/conffiles" "$work/conffiles"
	while read -r path; do
		grep -qxF "$path" "$work/list.data" || fail "$package: conffile '$path' is not in the package"
	done < "$work/conffiles"
}

# --- the machine

# $1: the stanza of which package; nothing if it is not installed
stanza() {
	[ -f "$info/$1.control" ] && [ -f "$status" ] || return 0
	awk -v RS= -v want="Package: $1" '{ split($0, line, "\n"); if (line[1] == want) print }' "$status"
}

# $1: a conffile of package $2, and it is not as that brought it
is_changed() {
	sum=$(stanza "$2" | awk -v path="$1" '$1 == path { print $2 }')
	[ "$sum" != "$(sha256sum < "$root$1" | cut -d ' ' -f 1)" ]
}

# Runs a script, if it is there, with its arguments.
script() {
	[ -e "$1" ] || return 0
	if [ -n "$root" ]; then
		PKG_ROOT=$root IPKG_INSTROOT=$root PKG_UPGRADE=$upgrade "$@"
	else
		PKG_ROOT=/ PKG_UPGRADE=$upgrade "$@"
	fi
}

# Who else has $1.
owner() {
	for list in "$info"/*.list; do
		[ "$list" = "$info/$name.list" ] || ! grep -qsxF "$1" "$list" || basename "$list" .list
	done
}

# Takes away the files of $1, but not conffiles that were changed. Folders stay, as with opkg, whose
# list of a package's files has none.
take_away() {
	stanza "$1" | sed -n 's/^ \([^ ]*\) .*/\1/p' > "$work/old-conffiles"
	while read -r path; do
		if grep -qxF "$path" "$work/old-conffiles" && [ -f "$root$path" ] && is_changed "$path" "$1"; then
			echo "$path was changed and stays" >&2
			continue
		fi
		rm -f "$root$path"
	done < "$info/$1.list"
}

# Forgets $1.
forget() {
	for part in control conffiles list preinst postinst prerm postrm postinst-pkg prerm-pkg; do
		rm -f "$info/$1.$part"
	done
	awk -v RS= -v ORS='\n\n' -v gone="Package: $1" \
		'{ split($0, line, "\n"); if (line[1] != gone) print }' "$status" > "$work/status"
	cat "$work/status" > "$status"
}

is_provided() (
	set -f
	for pattern in $provided; do
		# shellcheck disable=SC2254 # a pattern it is
		case $1 in $pattern) return 0 ;; esac
	done
	return 1
)

# What $name depends on and nobody brings.
check_depends() {
	for need in $(field Depends "$work/control/control" | tr -d ','); do
		[ ! -f "$info/$need.control" ] || continue
		is_provided "$need" || fail "$package depends on $need, which is not installed"
	done
}

# A file of nobody's is replaced.
check_clashes() {
	while read -r path; do
		other=$(owner "$path")
		[ -z "$other" ] || fail "$package brings $path, which $other has brought already"
		[ "${path%/}" = "$path" ] || [ ! -e "$root$path" ] || [ -d "$root$path" ] ||
			fail "$package brings the folder $path, which is a file here"
		[ "${path%/}" != "$path" ] || [ ! -d "$root$path" ] ||
			fail "$package brings the file $path, which is a folder here"
	done < "$work/list.data"
}

install() {
	check "$1"
	upgrade=0
	old=
	if [ -f "$info/$name.control" ]; then
		upgrade=1
		old=$(field Version "$info/$name.control")
	fi
	check_depends
	check_clashes

	# All files first to where none is in the way: a full disk leaves nothing half done.
	staged=$root/.unpack.$$
	mkdir "$staged"
	tar -xf "$work/data.tar" -C "$staged" || fail "cannot unpack $package into ${root:-/}: nothing was changed"
	mkdir -p "$info"
	[ -e "$status" ] || : > "$status"

	[ -z "$old" ] || script "$info/$name.prerm" upgrade "$version" ||
		fail "prerm of the installed $name failed: nothing was changed"
	if [ -n "$old" ]; then set -- upgrade "$old"; else set -- install "$version"; fi
	script "$work/control/preinst" "$@" || fail "preinst of $package failed: nothing was changed"
	# Whoever's conffile differs from what an older package brought keeps it.
	: > "$work/mine"
	while read -r path; do
		[ -f "$root$path" ] || continue
		[ -n "$old" ] && grep -qsxF "$path" "$info/$name.conffiles" && ! is_changed "$path" "$name" && continue
		echo "$path" >> "$work/mine"
	done < "$work/conffiles"
	if [ -n "$old" ]; then
		script "$info/$name.postrm" upgrade "$version" || echo "cross/unpack.sh: postrm of the old $name failed" >&2
		take_away "$name"
		forget "$name"
	fi

	for part in "$work"/control/*; do
		cp -p "$part" "$info/$name.${part##*/}"
	done
	{
		echo "Package: $name"
		sed -nE '/^(Version|Depends|Provides|Architecture):/p' "$work/control/control"
		echo "Status: install user installed"
	} > "$work/stanza"
	[ ! -s "$work/conffiles" ] || echo "Conffiles:" >> "$work/stanza"
	while read -r path; do
		from=$staged$path
		if [ -d "$from" ] && [ ! -L "$from" ]; then
			[ -d "$root$path" ] || mkdir "$root$path"
			continue
		fi
		if grep -qxF "$path" "$work/conffiles"; then
			sum=$(sha256sum < "$from" | cut -d ' ' -f 1)
			echo " $path $sum" >> "$work/stanza"
			if grep -qxF "$path" "$work/mine" && [ "$sum" != "$(sha256sum < "$root$path" | cut -d ' ' -f 1)" ]; then
				mv "$from" "$root$path-opkg"
				echo "$path was changed and is kept; the package's is $path-opkg" >&2
				continue
			fi
		fi
		mv "$from" "$root$path"
	done < "$work/list.data"
	sed '/\/$/d' "$work/list.data" > "$info/$name.list"
	{
		cat "$work/stanza"
		echo
	} >> "$status"
	script "$info/$name.postinst" configure || fail "postinst of $name failed; its files are in place"
}

remove() {
	name=$1
	upgrade=0
	[ -f "$info/$name.control" ] || fail "there is no package $name in ${root:-/}"
	other=$(grep -lsE "^Depends:.* $name(,|\$)" "$info"/*.control | head -n 1)
	[ -z "$other" ] || fail "$(basename "$other" .control) depends on $name: remove it first"
	script "$info/$name.prerm" remove || fail "prerm of $name failed: nothing was removed"
	take_away "$name"
	rm -f "$info/$name.list"
	failed=0
	script "$info/$name.postrm" remove || failed=$?
	forget "$name"
	[ "$failed" = 0 ] || fail "postrm of $name failed ($failed); it is removed"
}

# An empty $root is /.
enter() {
	[ -d "$1" ] || fail "there is no folder $1"
	root=$(cd "$1" && pwd)
	[ "$root" != / ] || root=
	info=$root/usr/lib/opkg/info
	status=$root/usr/lib/opkg/status
}

case $#:${1-} in
2:--check) check "$2" ;;
3:--remove)
	enter "$3"
	remove "$2"
	;;
2:-*) usage ;;
2:*)
	enter "$2"
	install "$1"
	;;
*) usage ;;
esac
