#!/usr/bin/env bash
# node.sh create NODE 1|2    makes the files of a node (node1 to node9): this machine's /usr below an overlay, its /etc as a copy,
#                            containerd 1 or 2.
# node.sh start NODE         starts it: systemd as pid 1 of namespaces of its own, which starts containerd and the kubelet.
# node.sh stop NODE          ends it as a power failure does.
# node.sh enter NODE CMD...  runs a command on it.
# node.sh snapshot NODE      prints what there is on it, outside of what containerd, the kubelet and systemd keep for themselves.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"
name=${2:-} # the node's
node=$CLUSTER/$name
cgroup=oci-add-hooks-cluster-$name
controllers='cpu cpuacct cpuset memory devices freezer blkio pids'

create() {
	mkdir -p "$node"/{root,usr-upper,usr-work,opt,home,containerd,kubelet,var/{lib/{systemd,dbus},log,cache,tmp,spool,opt,local}}
	chmod 1777 "$node/var/tmp"
	ln -s /run "$node/var/run"
	ln -s /run/lock "$node/var/lock"
	cp -a /etc "$node/etc"
	rm -rf "$node"/etc/{containerd,oci-add-hooks,cni,docker} "$node"/etc/systemd/system/*.wants
	: >"$node/etc/fstab"
	: >"$node/etc/resolv.conf"
	echo "$name" >"$node/etc/hostname"
	cp "$CLUSTER/hosts" "$node/etc/hosts"
	echo "$(address "$name") $name" >>"$node/etc/hosts"
	head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$node/etc/machine-id"
	echo >>"$node/etc/machine-id"
	units=$node/etc/systemd/system
	ln -sf /lib/systemd/system/multi-user.target "$units/default.target"
	# What needs the machine itself, or would run a second time on it.
	for unit in systemd-{logind,networkd,resolved,timesyncd,udevd,udev-trigger,hwdb-update,remount-fs,firstboot,modules-load,update-utmp,network-generator}.service \
		getty@tty1.service console-getty.service {docker,podman}.{service,socket} systemd-tmpfiles-clean.timer apt-daily.timer; do
		ln -sf /dev/null "$units/$unit"
	done
	mkdir -p "$units/multi-user.target.wants" "$node"/etc/{containerd,cni/net.d,kubernetes/pki} "$node/usr-upper/local/bin"
	ln -s /lib/systemd/system/dbus.service "$units/multi-user.target.wants/"
	containerd"$1"
	kubelet
	cat >"$node/etc/cni/net.d/10-bridge.conflist" <<-END
		{"cniVersion": "1.0.0", "name": "pods", "plugins": [
		  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.98.${name#node}.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
		  {"type": "portmap", "capabilities": {"portMappings": true}}]}
	END
}

# unit NAME AFTER COMMAND [LINE]...: a service that is started with the node.
unit() {
	local name=$1 after=$2 command=$3
	shift 3
	{
		printf '[Unit]\nAfter=%s\n[Service]\nExecStart=%s\nRestart=always\nRestartSec=3\n' "$after" "$command"
		printf '%s\n' "$@"
	} >"$units/$name.service"
	ln -s "/etc/systemd/system/$name.service" "$units/multi-user.target.wants/"
}

# containerd1 is the machine's own, whose configuration has version 2.
containerd1() {
	cat >"$node/etc/containerd/config.toml" <<-'END'
		# The node's containerd, as its administrator wrote it.
		version = 2

		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "registry.k8s.io/pause:3.10.2"
		  restrict_oom_score_adj = true # the machine may lack CAP_SYS_RESOURCE
		  [plugins."io.containerd.grpc.v1.cri".registry]
		    config_path = "/etc/containerd/certs.d"
		  [plugins."io.containerd.grpc.v1.cri".cni]
		    bin_dir = "/usr/lib/cni"
		    conf_dir = "/etc/cni/net.d"
		  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		    runtime_type = "io.containerd.runc.v2"
		    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
		      SystemdCgroup = true
	END
	containerd_service /usr/bin/containerd
}

# containerd2 is the one that test/newer pins, in the place of the machine's, with the runc that it pins, by which pods can have
# user namespaces.
containerd2() {
	local program
	mkdir -p "$node/usr-upper/local/sbin"
	cp "$PROGRAMS/runc" "$node/usr-upper/local/sbin/"
	cp "$checkout"/bin/newer/{containerd,containerd-shim-runc-v2,ctr} "$node/usr-upper/local/bin/"
	mkdir -p "$node/usr-upper/bin"
	for program in containerd containerd-shim containerd-shim-runc-v1 containerd-shim-runc-v2 ctr; do
		mknod "$node/usr-upper/bin/$program" c 0 0 # removes it from the overlay
	done
	cat >"$node/etc/containerd/config.toml" <<-'END'
		# The node's containerd, as its administrator wrote it.
		version = 3

		[plugins.'io.containerd.cri.v1.images'.registry]
		  config_path = '/etc/containerd/certs.d'

		[plugins.'io.containerd.cri.v1.images'.pinned_images]
		  sandbox = 'registry.k8s.io/pause:3.10.2'

		[plugins.'io.containerd.cri.v1.runtime']
		  restrict_oom_score_adj = true # the machine may lack CAP_SYS_RESOURCE

		[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
		  runtime_type = 'io.containerd.runc.v2'
		  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
		    SystemdCgroup = true

		[plugins.'io.containerd.cri.v1.runtime'.cni]
		  bin_dirs = ['/usr/lib/cni']
	END
	containerd_service /usr/local/bin/containerd
}

containerd_service() {
	local host
	for host in docker.io registry.example.com registry.k8s.io; do
		mkdir -p "$node/etc/containerd/certs.d/$host"
		printf 'server = "https://%s"\n[host."https://registry.example.com"]\n  capabilities = ["pull", "resolve"]\n  ca = "/etc/kubernetes/pki/ca.crt"\n' \
			$host >"$node/etc/containerd/certs.d/$host/hosts.toml"
	done
	# As the unit of the project's own packages, less what takes CAP_SYS_RESOURCE.
	unit containerd dbus.service "$1" Type=notify Delegate=yes KillMode=process TasksMax=infinity
}

kubelet() {
	cp "$PROGRAMS/kubelet" "$node/usr-upper/local/bin/"
	cp "$pki"/{ca.crt,"$name"-server.crt,"$name"-server.key} "$node/etc/kubernetes/pki/"
	cp "$pki/$name.kubeconfig" "$node/etc/kubernetes/kubelet.kubeconfig"
	cat >"$node/etc/kubernetes/kubelet.yaml" <<-END
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		authentication:
		  anonymous: {enabled: false}
		  webhook: {enabled: true}
		  x509: {clientCAFile: /etc/kubernetes/pki/ca.crt}
		authorization: {mode: Webhook}
		tlsCertFile: /etc/kubernetes/pki/$name-server.crt
		tlsPrivateKeyFile: /etc/kubernetes/pki/$name-server.key
		cgroupDriver: systemd
		failCgroupV1: false
		failSwapOn: false
		oomScoreAdj: 0
		containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
		resolvConf: ""
		clusterDomain: cluster.local
		evictionHard: {nodefs.available: "1%", imagefs.available: "1%", memory.available: 100Mi}
		imageGCHighThresholdPercent: 100
		syncFrequency: 10s
		nodeStatusUpdateFrequency: 4s
	END
	unit kubelet containerd.service "/usr/local/bin/kubelet --config=/etc/kubernetes/kubelet.yaml --kubeconfig=/etc/kubernetes/kubelet.kubeconfig --node-ip=$(address "$name") --hostname-override=$name"
}

# hierarchies prints the cgroup hierarchies that the machine has, by the names of their directories; one for cgroup 2 alone.
hierarchies() {
	local name
	if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
		echo .
		return
	fi
	for name in $controllers systemd unified; do
		[ -d /sys/fs/cgroup/"$name" ] && echo "$name"
	done
}

start_node() {
	local h outer
	alive "$name" && return
	network
	for h in $(hierarchies); do
		mkdir -p "/sys/fs/cgroup/$h/$cgroup"
	done
	if [ -d /sys/fs/cgroup/cpuset ]; then # a child of version 1 begins with no processor, and no memory
		for h in cpuset.cpus cpuset.mems; do
			cat "/sys/fs/cgroup/cpuset/$h" >"/sys/fs/cgroup/cpuset/$cgroup/$h"
		done
		echo 1 >"/sys/fs/cgroup/cpuset/$cgroup/cgroup.clone_children"
		echo 1 >"/sys/fs/cgroup/memory/$cgroup/memory.use_hierarchy" 2>/dev/null || :
	fi
	setsid "$here/node.sh" unshare "$name" >>"$logs/$name.log" 2>&1 </dev/null &
	outer=$!
	until_true 60 "$name has a first process" pgrep -P $outer
	pgrep -P $outer >"$run/$name.pid"
	until_true 180 "systemd has started $name" is_up
}

# network joins the node to the cluster's network.
network() {
	mountpoint -q "$run/net-$name" 2>/dev/null && return
	touch "$run/net-$name"
	unshare --net="$run/net-$name" true
	nsenter --net="$run/net" sh -c "
		ip link add $name type veth peer name eth0 netns '$run/net-$name'
		ip link set $name master node0 up"
	nsenter --net="$run/net-$name" sh -c "
		ip link set lo up
		ip addr add $(address "$name")/24 dev eth0
		ip link set eth0 up
		ip route add default via 10.97.0.1
		sysctl -qw net.ipv4.ip_forward=1"
}

# unshared moves itself into the node's cgroups, and starts the node's first process in namespaces of its own.
unshared() {
	local h
	for h in $(hierarchies); do
		echo $$ >"/sys/fs/cgroup/$h/$cgroup/cgroup.procs"
	done
	exec nsenter --net="$run/net-$name" unshare --mount --pid --uts --ipc --cgroup --fork --kill-child --propagation private "$here/node.sh" init "$name"
}

is_up() {
	case $("$here/node.sh" enter "$name" systemctl is-system-running) in
	running | degraded) ;;
	*) return 1 ;;
	esac
}

# init makes the node's root, as the first process of its namespaces, and becomes systemd.
init() {
	local d
	hostname "$name"
	mount --bind "$node/root" "$node/root"
	cd "$node/root"
	mkdir -p usr etc var opt home root run tmp proc sys dev srv mnt media boot old
	for d in bin sbin lib lib32 lib64 libx32; do
		[ -L /$d ] && ln -sf usr/$d $d
	done
	mount -t overlay overlay -o "lowerdir=/usr,upperdir=$node/usr-upper,workdir=$node/usr-work" usr
	for d in etc var opt; do
		mount --bind "$node/$d" $d
	done
	mkdir -p var/lib/containerd var/lib/kubelet
	mount -t tmpfs -o mode=755 tmpfs run
	mount -t tmpfs -o mode=1777 tmpfs tmp
	mount -t proc proc proc
	mount -t sysfs sysfs sys
	mount -t tmpfs -o mode=755 tmpfs dev
	mkdir dev/pts dev/shm dev/mqueue
	mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
	mount -t tmpfs tmpfs dev/shm
	ln -s pts/ptmx dev/ptmx
	ln -s /proc/self/fd dev/fd
	for d in null zero full random urandom tty kmsg; do
		[ -e /dev/$d ] || continue
		: >dev/$d
		mount --bind /dev/$d dev/$d
	done
	if [ "$(hierarchies)" = . ]; then
		mount -t cgroup2 cgroup2 sys/fs/cgroup
	else
		mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
		for d in $controllers; do
			[ -d /sys/fs/cgroup/"$d" ] || continue
			mkdir sys/fs/cgroup/"$d"
			mount -t cgroup -o "$d" cgroup sys/fs/cgroup/"$d"
		done
		mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
		mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
		mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
	fi
	pivot_root . old
	umount -l /old
	rmdir /old
	mount --make-rshared /
	exec env -i container=node PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
}

stop() {
	local h
	end "$name" KILL # with it goes all that runs in its pid namespace
	for h in $(hierarchies); do
		find "/sys/fs/cgroup/$h/$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || :
	done
	umount "$run/net-$name" 2>/dev/null || :
}

snapshot() {
	# shellcheck disable=SC2016 # it is the node's shell that expands this
	"$here/node.sh" enter "$name" bash -c '
		cd /
		own=$(printf -- "-path %s -o " var/lib/{containerd,kubelet,kube,cni,systemd,dpkg} run/{containerd,systemd,netns,log,dbus,user,credentials} \
			var/log/{pods,containers,journal} etc/ssl)
		find . -xdev -mindepth 1 -maxdepth 1 -printf "%M %u:%g %y %p %l\n" | sort -k4
		find etc opt var/lib var/log run usr/local/bin root -xdev \( $own -false \) -prune -o -printf "%M %u:%g %y %p %l\n" | sort -k4
		find etc opt -xdev -type f -print0 | sort -z | xargs -0 sha256sum'
}

[[ $name == node[1-9] ]] || set --
case ${1:-} in
create) create "$3" ;;
start) start_node ;;
unshare) unshared ;;
init) init ;;
stop) stop ;;
enter)
	shift 2
	exec nsenter -t "$(cat "$run/$name.pid")" -m -p -u -i -C -n -r -w "$@"
	;;
snapshot) snapshot ;;
*)
	sed -n '2,7s/^# \?//p' "$0" >&2
	exit 2
	;;
esac
