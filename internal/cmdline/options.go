package cmdline

import "strings"

// The program's own options.
const (
	optHookFile = "--hook-config-path" // as in awslabs/oci-add-hooks, but repeatable
	optHooksDir = "--hooks-dir"
	optRuntime  = "--runtime-path" // as in awslabs/oci-add-hooks
)

// optLogPath is an option of awslabs/oci-add-hooks that this program does not have. No runtime has it either.
const optLogPath = "--log-path"

// looksOwn reports whether an option before the command is probably a misspelt own option, such as --hook-config or
// -hooks-dir. No known runtime has an option that begins like these.
func looksOwn(name string) bool {
	return strings.HasPrefix(name, "hook") || strings.HasPrefix(name, "runtime")
}

// ownValue returns the kind of value that an own option takes, as `--name value` or `--name=value`. It returns "" if
// name is not an own option.
func ownValue(name string) string {
	switch name {
	case optHookFile:
		return "FILE"
	case optHooksDir:
		return "DIR"
	case optRuntime:
		return "RUNTIME"
	}
	return ""
}

// addingCommands are the commands that read config.json to create a container from it. All later commands use the copy
// that the runtime keeps.
var addingCommands = []string{"create", "run", "restore"}

// commands are the commands of runc, crun, youki, gVisor's runsc and Kata's runtime. After one of them, "create" may be
// a word of the user's (a container's name) or a subcommand (runsc trace create). The list is closed, so that the value
// of an unknown option is not mistaken for the command.
var commands = []string{
	// those of the runtime specification, and those that all runtimes share
	"create", "run", "restore", "start", "state", "kill", "delete", "exec", "ps", "pause", "resume", "list", "spec",
	"events", "update", "checkpoint", "features", "help", "h",
	// runc and crun
	"init", "mounts",
	// youki
	"info", "completion", "checkpointt",
	// runsc
	"boot", "bwrap", "cpu-features", "debug", "do", "export-metrics", "fscheckpoint", "gofer", "install", "mitigate",
	"uninstall", "nvproxy", "platforms", "port-forward", "read-control", "write-control", "sandboxexec", "statefile",
	"symbolize", "syscalls", "tar", "trace", "umount", "usage", "wait", "metric-server", "metric-metadata", "flags", "commands",
	// kata-runtime
	"check", "env", "factory", "iptables", "metrics", "policy", "version", "volume", "direct-volume",
}

// The two lists hold the options before the command, from the runtimes' sources of August 2026 and of older releases.
// An option that takes a value in one runtime and none in another is in neither list. These are --rootless, and runsc's
// --gvisor-gro, whose type has changed.

// globalValues are the options before the command that take a value.
var globalValues = []string{
	// runc, crun, youki, runsc and kata-runtime
	"root", "log", "log-format",
	// runc, crun and youki
	"criu", "cgroup-manager", "log-level",
	// youki: --root and --log
	"r", "l",
	// kata-runtime
	"config", "kata-config",
	// runsc
	"EXPERIMENTAL-xdp", "EXPERIMENTAL-xdp-redirect-host", "TESTONLY-autosave-image-path", "TESTONLY-test-name-env",
	"character-device-policy", "control-rpc-stop-timeout", "controls", "coverage-fd", "coverage-report", "cpu-num-min",
	"dcache", "debug-command", "debug-log", "debug-log-dir", "debug-log-fd", "debug-log-format", "fdlimit", "file-access",
	"file-access-mounts", "final-metrics-log", "gofer-network-namespace", "host-fifo", "host-settings", "host-uds",
	"in-sandbox-cgroup", "log-fd", "metric-exporter-prefix", "metric-server", "network", "network-processors-per-channel",
	"network-proxy-path", "num-network-channels", "nvproxy-allowed-driver-capabilities", "nvproxy-driver-version",
	"overlay2", "override-procs", "panic-log", "panic-log-fd", "panic-signal", "pcap-log", "platform",
	"platform_device_path", "pod-init-config", "profile-block", "profile-cpu", "profile-gc-interval", "profile-heap",
	"profile-mutex", "profiling-metrics", "profiling-metrics-fd", "profiling-metrics-log", "profiling-metrics-rate-us",
	"qdisc", "qdisc-tbf-burst", "qdisc-tbf-rate", "ref-leak-mode", "refs-leak-mode", "restore-spec-validation",
	"shared-root", "sidecar-release-enforcement-policy", "sidecar-usage-policy", "signal-unkillable-policy",
	"strace-log-size", "strace-syscalls", "trace", "trace-signal", "traceback", "watchdog-action",
}

// globalSwitches are the options before the command that never take the next argument as their value.
var globalSwitches = []string{
	// runc, crun, youki and kata-runtime
	"debug", "systemd-cgroup", "s", "systemd-log", "log-stderr", "show-default-config-paths",
	"kata-show-default-config-paths",
	// runsc
	"EXPERIMENTAL-afxdp", "EXPERIMENTAL-reproduce-nat", "EXPERIMENTAL-xdp-need-wakeup", "TESTONLY-afs-syscall-panic",
	"TESTONLY-allow-packet-endpoint-write", "TESTONLY-autosave-resume", "TESTONLY-nftables",
	"TESTONLY-save-restore-netstack", "TESTONLY-unsafe-nonroot", "allow-connected-on-save", "allow-flag-override",
	"allow-live-tcp-migration", "allow-packet-socket-write", "allow-rootfs-tar-annotation", "allow-suid",
	"alsologtostderr", "app-huge-pages", "buffer-pooling", "cgroupfs", "cpu-num-from-quota", "debug-to-user-log",
	"directfs", "enable-core-tags", "fsgofer-host-uds", "fsgofer-host-uds-allowed", "fuse", "gso", "gvisor-marker-file",
	"ignore-cgroups", "iouring", "kvm-use-cpu-nums", "lisafs", "log-packets", "metric-server-allow-unknown-root",
	"mount-cgroup-v2", "multi-container", "net-disconnect-ok", "net-raw", "nvproxy", "nvproxy-allow-unsupported-driver",
	"nvproxy-docker", "oci-seccomp", "overlay", "overlayfs-stale-read", "pause-external-networking", "profile",
	"rdmaproxy", "reproduce-nat", "reproduce-nftables", "rx-checksum-offload", "save-restore-netstack", "software-gso",
	"strace", "strace-event", "systrap-disable-fast-path", "systrap-disable-syscall-patching", "tpuproxy",
	"tx-checksum-offload", "unsafe-skip-restore-spec-validation", "verity", "vfs2",
}

// commandValues are the options of create, run and restore that take a value in runc, crun, youki or runsc. Their
// values must not be mistaken for options. A short option is listed only if it means the same in every runtime. The
// last ones are global options, which runc since 1.5 accepts here too.
var commandValues = []string{
	"bundle", "b", "config", "f", "console-socket", "c", "console", "pid-file", "p", "pidfd-socket", "preserve-fds",
	// restore
	"image-path", "work-path", "parent-path", "lsm-profile", "lsm-mount-context", "manage-cgroups-mode", "empty-ns",
	"config-file", "runtime-file",
	// runsc
	"user-log", "pass-fd", "exec-fd", "fs-restore-image-path",
	"root", "log", "log-format",
}

// commandSwitches are options of create, run and restore that take no value. With one dash they look like a short
// option with a joined value: -background is not -b ackground.
var commandSwitches = []string{"background", "file-locks", "fs-restore-direct"}

// crunOptions are crun's long options of create, run and restore. crun accepts their beginnings.
var crunOptions = []string{
	"bundle", "config", "console-socket", "detach", "no-new-keyring", "no-pivot", "no-subreaper", "pid-file", "preserve-fds", "help", "usage",
	// restore
	"ext-unix-sk", "file-locks", "image-path", "lsm-profile", "lsm-mount-context", "manage-cgroups-mode", "shell-job", "tcp-established", "work-path",
}

// probes are the options that make a runtime print something and do nothing else.
var probes = []string{"version", "help", "h"}
