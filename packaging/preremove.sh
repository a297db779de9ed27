#!/bin/sh
# Runs before the package is removed or upgraded. An engine stops and deletes a container with the link that started it, so
# the package cannot be removed while there are such containers. It cannot be removed either while an engine's configuration
# refers to it, because only hookctl, in the same package, undoes that. An upgrade is harmless, because it renames the new
# programs into place.
#
# OCI_ADD_HOOKS_REMOVE=force in the environment overrides that. A second argument names a prefix other than /usr.
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
	echo 'To remove it nevertheless, set OCI_ADD_HOOKS_REMOVE=force in the environment of the command that removes it.' >&2
	exit 1
}

if [ "${OCI_ADD_HOOKS_REMOVE-}" != force ]; then
	status=0
	users=$("$prefix/bin/hookctl" profile users) || status=$?
	if [ "$status" -ne 0 ] && [ -n "$users" ]; then
		refuse "an engine needs it to stop and delete these containers:
$users
Stop and delete them first."
	elif [ "$status" -ne 0 ]; then
		refuse "hookctl cannot find out whether a container needs it (hookctl profile users: exit status $status)."
	fi

	installed=
	for record in /var/lib/oci-add-hooks/*/*.json; do
		[ -e "$record" ] || continue
		engine=${record%/*}
		profile=${record##*/}
		installed="$installed
  hookctl uninstall ${engine##*/} --profile ${profile%.json}"
	done
	[ -z "$installed" ] || refuse "engines are configured to call it. Run first:$installed"
fi

if [ -L /etc/systemd/system/timers.target.wants/hookctl-metrics.timer ]; then # the administrator enabled it
	systemctl --now disable hookctl-metrics.timer
fi

# The directories in which runtimes are looked up, and links are created.
links=
for dir in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
	[ ! -L "$dir" ] || continue # a link to another of these directories
	for link in "$dir"/*; do
		# shellcheck disable=SC3013 # dash, bash and busybox have -ef
		if [ -L "$link" ] && [ "$link" -ef "$prefix/bin/oci-add-hooks" ]; then
			links="$links $link"
		fi
	done
done
if [ -n "$links" ]; then
	echo "oci-add-hooks: these links lead nowhere now; remove them and what refers to them:$links" >&2
fi
