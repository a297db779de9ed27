#!/usr/bin/env bash
# cluster.sh up 1|2 [NODES]   starts a Kubernetes cluster of one node, or more, with containerd 1 or 2: etcd, the API server,
#                             the controller manager, the scheduler and a registry in a network namespace of their own, and
#                             node.sh's nodes, node1 and so on.
# cluster.sh down             ends what it started, and removes what it wrote.
#
# It takes root, and what build.sh builds. Nothing of the machine is changed, and nothing leaves the namespaces.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

network() {
	mkdir -p "$run"
	touch "$run/net"
	mountpoint -q "$run/net" && return
	unshare --net="$run/net" true
	nsenter --net="$run/net" sh -c '
		ip link set lo up
		ip link add node0 type bridge
		ip addr add 10.97.0.1/24 dev node0
		ip link set node0 up
		ip route add default via 10.97.0.254 dev node0 # what Kubernetes takes for its address has a default route
		sysctl -qw net.ipv4.ip_forward=1'
	printf '127.0.0.1 localhost\n10.97.0.1 registry.example.com registry-1.docker.io registry.k8s.io docker.io\n' >"$CLUSTER/hosts"
}

# certificates makes a CA, the certificates of each part and node, and the files by which they reach the API server.
certificates() { # NODE...
	local user
	mkdir -p "$pki"
	cd "$pki"
	openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=cluster 2>/dev/null
	certificate() { # NAME SUBJECT ALTERNATIVE-NAMES USAGE
		openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
		{
			echo "extendedKeyUsage=$4"
			[ -z "$3" ] || echo "subjectAltName=$3"
		} >"$1.ext"
		openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" -extfile "$1.ext" 2>/dev/null
	}
	certificate apiserver /CN=kube-apiserver DNS:kubernetes,IP:127.0.0.1,IP:10.97.0.1,IP:10.96.0.1 serverAuth
	certificate apiserver-client /O=system:masters/CN=apiserver '' clientAuth
	certificate admin /O=system:masters/CN=admin '' clientAuth
	certificate controller-manager /CN=system:kube-controller-manager '' clientAuth
	certificate scheduler /CN=system:kube-scheduler '' clientAuth
	for user in "$@"; do
		certificate "$user" "/O=system:nodes/CN=system:node:$user" '' clientAuth
		certificate "$user-server" "/O=system:nodes/CN=system:node:$user" "DNS:$user,IP:$(address "$user")" serverAuth
	done
	certificate registry /CN=registry.example.com DNS:registry.example.com,DNS:registry-1.docker.io,DNS:docker.io,DNS:registry.k8s.io serverAuth
	openssl genrsa -out accounts.key 2048 2>/dev/null
	openssl rsa -in accounts.key -pubout -out accounts.pub 2>/dev/null
	for user in admin controller-manager scheduler "$@"; do
		cat >"$user.kubeconfig" <<-END
			apiVersion: v1
			kind: Config
			clusters: [{name: cluster, cluster: {server: "https://10.97.0.1:6443", certificate-authority-data: $(base64 -w0 ca.crt)}}]
			users: [{name: user, user: {client-certificate-data: $(base64 -w0 "$user".crt), client-key-data: $(base64 -w0 "$user".key)}}]
			contexts: [{name: context, context: {cluster: cluster, user: user}}]
			current-context: context
		END
	done
}

control_plane() {
	mkdir -p "$CLUSTER/blobs"
	mkdir -m 700 "$CLUSTER/etcd"
	# Admission as a hardened cluster has it: what is privileged is refused, or warned of, but where a namespace allows it.
	cat >"$run/admission.yaml" <<-END
		apiVersion: apiserver.config.k8s.io/v1
		kind: AdmissionConfiguration
		plugins:
		  - name: PodSecurity
		    configuration:
		      apiVersion: pod-security.admission.config.k8s.io/v1
		      kind: PodSecurityConfiguration
		      defaults: {enforce: baseline, enforce-version: latest, warn: restricted, warn-version: latest}
		      exemptions: {namespaces: [kube-system]}
	END
	start registry "$PROGRAMS/registry" 10.97.0.1:443 "$pki/registry.crt" "$pki/registry.key" "$CLUSTER/blobs"
	start etcd "$PROGRAMS/etcd" --data-dir "$CLUSTER/etcd" --listen-client-urls http://127.0.0.1:2379 \
		--advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
	start apiserver "$PROGRAMS/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
		--advertise-address=10.97.0.1 --secure-port=6443 --service-cluster-ip-range=10.96.0.0/24 --allow-privileged=true \
		--tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
		--kubelet-client-certificate="$pki/apiserver-client.crt" --kubelet-client-key="$pki/apiserver-client.key" \
		--kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
		--service-account-key-file="$pki/accounts.pub" --service-account-signing-key-file="$pki/accounts.key" \
		--service-account-issuer=https://kubernetes.default.svc \
		--authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --admission-control-config-file="$run/admission.yaml"
	until_true 300 'the API server is ready' "$here/admin.sh" kubectl get --raw /readyz
	start controller-manager "$PROGRAMS/kube-controller-manager" --kubeconfig="$pki/controller-manager.kubeconfig" \
		--service-account-private-key-file="$pki/accounts.key" --root-ca-file="$pki/ca.crt" --use-service-account-credentials \
		--leader-elect=false --bind-address=127.0.0.1 --authentication-skip-lookup
	start scheduler "$PROGRAMS/kube-scheduler" --kubeconfig="$pki/scheduler.kubeconfig" --leader-elect=false \
		--bind-address=127.0.0.1 --authentication-skip-lookup
}

# images puts busybox, made of Debian's static one, and the pause program into the registry.
images() {
	local busybox=$CLUSTER/images/busybox pause=$CLUSTER/images/pause applet
	mkdir -p "$busybox/root/"{bin,etc,tmp} "$pause"
	cp "$(command -v busybox)" "$busybox/root/bin/busybox"
	for applet in $(busybox --list); do
		[ "$applet" = busybox ] || ln -sf busybox "$busybox/root/bin/$applet"
	done
	echo 'root:x:0:0:root:/:/bin/sh' >"$busybox/root/etc/passwd"
	printf 'FROM scratch\nCOPY root/ /\nCMD ["sh"]\n' >"$busybox/Dockerfile"
	cp "$PROGRAMS/pause" "$pause/"
	printf 'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n' >"$pause/Dockerfile"
	"$here/admin.sh" docker build -q -t registry.example.com/library/busybox:stable "$busybox"
	"$here/admin.sh" docker build -q -t registry.example.com/pause:3.10.2 "$pause"
	"$here/admin.sh" docker push -q registry.example.com/library/busybox:stable
	"$here/admin.sh" docker push -q registry.example.com/pause:3.10.2
}

are_ready() { [ "$("$here/admin.sh" kubectl get nodes | grep -cw Ready)" = $# ]; } # NODE...

case "$*" in
up\ [12] | up\ [12]\ [1-9])
	mapfile -t nodes < <(seq -f node%.0f "${3:-1}")
	"$here/build.sh"
	[ -e "$CLUSTER" ] && { echo "$CLUSTER exists; end it first: $0 down" >&2; exit 1; }
	mkdir -p "$logs"
	network
	certificates "${nodes[@]}"
	"$here/admin.sh" true # starts its dockerd
	control_plane
	images
	for name in "${nodes[@]}"; do
		"$here/node.sh" create "$name" "$2"
		"$here/node.sh" start "$name"
	done
	until_true 300 'the nodes are Ready' are_ready "${nodes[@]}"
	;;
down)
	for name in "$CLUSTER"/node[1-9]; do
		[ -d "$name" ] && "$here/node.sh" stop "$(basename "$name")"
	done
	for name in scheduler controller-manager apiserver etcd registry dockerd; do # the API server before etcd, for which it would wait
		end $name
	done
	umount "$run/net" 2>/dev/null || :
	rm -rf --one-file-system "$CLUSTER"
	;;
*)
	sed -n '2,8s/^# \?//p' "$0" >&2
	exit 2
	;;
esac
