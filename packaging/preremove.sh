#!/bin/sh
# Runs before the package is removed, and before it is upgraded. An engine stops and deletes a container by the link with
# which it started it, so the program stays while there are such containers; and while an engine's configuration refers to
# it, which only hookctl, of the same package, takes back. An upgrade puts the new programs in the old ones' place by a
# rename, and does no harm.
#
# OCI_ADD_HOOKS_REMOVE=force in the environment overrides that. A second argument names another prefix than /usr.
set -eu
prefix=${2-/usr}
case $prefix in
/*) ;;
*) prefix=/usr ;; # dpkg's "in-favour", of deb-prerm(5)
esac

case ${1-} in
remove | 0) ;; # dpkg's word and rpm's
*) exit 0 ;;
esac

refuse() {
	printf 'oci-add-hooks is not removed: %s\n' "$1" >&2
	echo 'To remove it all the same, set OCI_ADD_HOOKS_REMOVE=force in the environment of the command that removes it.' >&2
	exit 1
}

if [ "${OCI_ADD_HOOKS_REMOVE-}" != force ]; then
	status=0
	users=$("$prefix/bin/hookctl" profile users) || status=$?
	if [ "$status" -ne 0 ] && [ -n "$users" ]; then
		refuse "these containers need it, for their engine to stop and delete them:
$users
Stop and delete them first."
	elif [ "$status" -ne 0 ]; then
		refuse "whether a container needs it cannot be told (hookctl profile users: exit status $status)."
	fi

	installed=
	for record in /var/lib/oci-add-hooks/*/*.json; do
		[ -e "$record" ] || continue
		engine=${record%/*}
		profile=${record##*/}
		installed="$installed
  hookctl uninstall ${engine##*/} --profile ${profile%.json}"
	done
	[ -z "$installed" ] || refuse "engines are configured to call it. First:$installed"
fi

if [ -L /etc/systemd/system/timers.target.wants/hookctl-metrics.timer ]; then # the administrator has enabled it
	systemctl --now disable hookctl-metrics.timer
fi

# Where runtimes are looked up, and links are made.
links=
for directory in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
	[ ! -L "$directory" ] || continue # it is another of them
	for link in "$directory"/*; do
		# shellcheck disable=SC3013 # dash, bash and busybox have -ef
		if [ -L "$link" ] && [ "$link" -ef "$prefix/bin/oci-add-hooks" ]; then
			links="$links $link"
		fi
	done
done
if [ -n "$links" ]; then
	echo "oci-add-hooks: these links lead nowhere now; remove them, and what refers to them:$links" >&2
fi
