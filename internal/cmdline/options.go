package cmdline

// The program's own options.
const (
	optHookFile = "--hook-config-path" // as in awslabs/oci-add-hooks, but repeatable
	optHooksDir = "--hooks-dir"
	optRuntime  = "--runtime-path" // as in awslabs/oci-add-hooks
)

// ownValue says what kind of value an own option takes, as `--name value` or `--name=value`; "" if it is none of ours.
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

// addingCommands are the commands that read config.json to make a container of it. Runtimes keep their own copy for
// all that follows.
var addingCommands = []string{"create", "run", "restore"}

// commands are the commands of runc, crun, youki, gVisor's runsc and Kata's runtime after which words of the user's may
// come (a container may be called "create"), or a command of their own (runsc trace create). The list is closed, so that
// the value of an option that we don't know is not taken for the command.
var commands = []string{
	// the runtime specification's, and the ones that all runtimes share
	"create", "run", "restore", "start", "state", "kill", "delete", "exec", "ps", "pause", "resume", "list", "spec",
	"events", "update", "checkpoint", "features", "help", "h",
	// runc and crun
	"init", "mounts",
	// runsc
	"boot", "debug", "do", "fscheckpoint", "gofer", "install", "uninstall", "port-forward", "read-control",
	"write-control", "statefile", "symbolize", "tar", "trace", "umount", "usage", "wait", "metric-server",
	// kata-runtime
	"factory", "iptables", "metrics", "volume", "direct-volume",
}

// globalValueOptions are the options before the command that take a value in every runtime that has them. --rootless is
// not among them: it takes none in runsc.
var globalValueOptions = []string{
	"root", "log", "log-format", "log-level", "criu", "cgroup-manager",
	// Of runsc's many, those whose value may be the name of a command.
	"host-uds", "debug-command",
}

// valueOptions are the options of create, run and restore that take a value, in runc, crun, youki and runsc: their
// values are not to be taken for options. A short one stands here only if it means the same in every runtime.
var valueOptions = []string{
	"bundle", "b", "config", "f", "console-socket", "pid-file", "pidfd-socket", "preserve-fds",
	// restore
	"image-path", "work-path", "parent-path", "lsm-profile", "lsm-mount-context", "manage-cgroups-mode", "empty-ns",
	// runsc
	"user-log", "pass-fd", "exec-fd", "fs-restore-image-path",
}

// probes are the options that make a runtime print something and do nothing else.
var probes = []string{"version", "help", "h"}
