#!/usr/bin/env bash
# admin.sh COMMAND...  runs a command as on the cluster's administrator's machine: in the cluster's network, with kubectl, and a
#                      dockerd of its own that trusts the cluster's registry.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"
docker=$CLUSTER/docker
if ! alive dockerd; then
	mkdir -p "$docker"/{data,exec,work,etc/docker/certs.d/registry.example.com}
	cp "$pki/ca.crt" "$docker/etc/docker/certs.d/registry.example.com/"
	cp "$CLUSTER/hosts" "$docker/etc/hosts"
	rm -f "$docker/docker.pid"
	# Its /etc lies over the machine's, which stays as it is. A second dockerd must not touch the bridge and the rules of another.
	start dockerd unshare --mount --propagation private sh -c "
		mount -t overlay overlay -o lowerdir=/etc,upperdir=$docker/etc,workdir=$docker/work /etc &&
		exec dockerd --data-root $docker/data --exec-root $docker/exec --pidfile $docker/docker.pid -H unix://$docker/docker.sock \
			--bridge=none --iptables=false --ip6tables=false"
	until_true 180 'dockerd answers' docker -H "unix://$docker/docker.sock" version
fi
# The classic builder needs no BuildKit, which not every package of Docker has.
export DOCKER_HOST=unix://$docker/docker.sock DOCKER_BUILDKIT=0 KUBECONFIG=$pki/admin.kubeconfig PATH=$PROGRAMS:$PATH
exec nsenter --net="$run/net" "$@"
