# shellcheck shell=bash disable=SC2034 # the scripts that source this file use the variables
# Paths of the cluster's parts. CLUSTER holds the files of one cluster, PROGRAMS what is built once.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../.." && pwd)
export CLUSTER=${CLUSTER:-/tmp/oci-add-hooks-cluster}
export PROGRAMS=${PROGRAMS:-/var/cache/oci-add-hooks-test/cluster}
pki=$CLUSTER/pki run=$CLUSTER/run logs=$CLUSTER/logs

# address NODE: prints the node's address in the cluster's network. What does not run on a node has 10.97.0.1.
address() { echo "10.97.0.$((10 + ${1#node}))"; }

# alive NAME: reports whether the process started as NAME runs.
alive() { [ -f "$run/$1.pid" ] && kill -0 "$(cat "$run/$1.pid")" 2>/dev/null; }

# start NAME COMMAND...: starts a command in the cluster's network and a session of its own, with its output in
# logs/NAME.log.
start() {
	local name=$1
	shift
	alive "$name" && return
	setsid nsenter --net="$run/net" "$@" >>"$logs/$name.log" 2>&1 </dev/null &
	echo $! >"$run/$name.pid"
}

# end NAME [SIGNAL]: ends the process started as NAME, and waits 10 seconds for its end before it sends SIGKILL.
end() {
	local name=$1 pid
	[ -f "$run/$name.pid" ] || return 0
	pid=$(cat "$run/$name.pid")
	kill "-${2:-TERM}" "$pid" 2>/dev/null || :
	for _ in $(seq 50); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.2
	done
	kill -KILL "$pid" 2>/dev/null || :
	rm -f "$run/$name.pid"
}

# until_true SECONDS WHAT COMMAND...: waits until the command succeeds.
until_true() {
	local seconds=$1 what=$2
	shift 2
	for _ in $(seq $((seconds * 5))); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.2
	done
	echo "$what: not within $seconds s; see $logs" >&2
	return 1
}
