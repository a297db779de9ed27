package container

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// engines makes a system in which each engine calls several programs.
func engines(t *testing.T) system.System {
	sys := system.System{Root: t.TempDir()}
	conmon := func(pid int, id, runtime string, more ...string) {
		args := append([]string{"/usr/bin/conmon", "--api-version", "1", "-c", id, "-u", id, "-r", runtime, "-b", "/storage/x-containers/" + id + "/userdata"}, more...)
		add(t, sys, pid, append(args, "--exit-command-arg", "--runtime", "--exit-command-arg", "/bin/exit")...)
	}
	for path, text := range map[string]string{

		// As containerd 1.6 and dockerd 20.10 write them.
		task + "moby/docker-link/runtime":           "/bin/gpu",
		task + "moby/docker-link/options.json":      `{"binary_name":"/bin/gpu","root":"/run/docker/runtime-runc"}`,
		task + "moby/docker-script/runtime":         "/data/runtimes/args",
		task + "moby/docker-script/options.json":    `{"binary_name":"/data/runtimes/args"}`,
		"data/runtimes/args":                        "#!/bin/sh\n/bin/tool --hook-config-path /etc/gpu.json $@\n",
		task + "moby/docker-wrapper/runtime":        "/data/runtimes/wrapped",
		"data/runtimes/wrapped":                     "#!/bin/sh\n/opt/wrapper --x $@\n",
		"opt/wrapper":                               "#!/bin/sh\nTOOL=\"/bin/wrapped\"\nexec $TOOL \"$@\"\n",
		task + "default/ctr-link/runtime":           "/bin/gpu",
		task + "default/ctr-name/runtime":           "gpu",
		task + "default/ctr-runc/runtime":           "",
		task + "default/ctr-runc/options.json":      "{}",
		task + "default/other-shim/config.json":     "{}",
		task + "k8s.io/old-shim/runtime":            "/bin/old",
		task + "k8s.io/new-shim/options.json":       `{"binary_name":"/bin/new"}`,
		"elsewhere/v2.task/default/sandbox/runtime": "/bin/gpu",
		"elsewhere/v2.task/default/in-pod/runtime":  "/bin/gpu",

		// Docker: one that is not registered any more, one that runs, and those of a dockerd that runs.
		"etc/docker/daemon.json": `{"runtimes": {"g": {"path": "/bin/gpu"}, "args": {"path": "/bin/tool", "runtimeArgs": ["--hook-config-path=/etc/gpu.json"]},
			"shim": {"runtimeType": "io.containerd.runc.v2", "options": {"BinaryName": "/bin/gpu"}}, "renamed": {"path": "/bin/other"}}}`,
		"var/lib/docker/containers/stopped/hostconfig.json":      `{"Runtime": "g", "CpuRealtimeRuntime": 0}`,
		"var/lib/docker/containers/stopped-args/hostconfig.json": `{"Runtime": "args"}`,
		"var/lib/docker/containers/stopped-shim/hostconfig.json": `{"Runtime": "shim"}`,
		"var/lib/docker/containers/forgotten/hostconfig.json":    `{"Runtime": "gpu"}`,
		"var/lib/docker/containers/renamed/hostconfig.json":      `{"Runtime": "renamed"}`,
		"var/lib/docker/containers/stock/hostconfig.json":        `{"Runtime": "runc"}`,
		"var/lib/docker/containers/docker-link/hostconfig.json":  `{"Runtime": "g"}`,
		"var/lib/docker/containers/half-made/config.v2.json":     `{}`,
		"opt/daemon.json":                                `{"data-root": "/data", "runtimes": {"g": {"path": "/bin/other"}}}`,
		"data/containers/theirs/hostconfig.json":         `{"Runtime": "g"}`,
		"data/containers/by-flag/hostconfig.json":        `{"Runtime": "flag"}`,
		"graph/containers/usual-config/hostconfig.json":  `{"Runtime": "g"}`,
		"graph/containers/usual-config2/hostconfig.json": `{"Runtime": "args"}`,

		"var/lib/containers/storage/overlay-containers/crio-ended/userdata/config.json":  `{"annotations": {"io.kubernetes.cri-o.RuntimeHandler": "gpu"}}`,
		"var/lib/containers/storage/overlay-containers/crio-usual/userdata/config.json":  `{"annotations": {"io.kubernetes.cri-o.RuntimeHandler": ""}}`,
		"var/lib/containers/storage/overlay-containers/podman-link/userdata/config.json": `{}`,
		"var/lib/containers/storage/overlay-containers/users/userdata/config.json":       `{"annotations": {"io.kubernetes.cri-o.RuntimeHandler": "gpu", "io.kubernetes.cri-o.ContainerType": "container"}}`,
		"var/lib/containers/storage/overlay-containers/containers.json": `[{"id": "users", "names": ["mine"], "metadata": "{\"image-name\": \"a\"}"},
			{"id": "crio-ended", "names": ["k8s_x"], "metadata": "{\"pod-name\": \"x\", \"pod-id\": \"y\"}"}]`,
		"var/lib/containers/storage/overlay-containers/joined/userdata/config.json": `{"annotations": {"io.kubernetes.cri-o.RuntimeHandler": "gpu"}}`,
	} {
		write(t, sys.Path(path), text)
	}
	add(t, sys, 1, "/sbin/init")
	link(t, sys.Path("elsewhere/v2.task/default/sandbox"), add(t, sys, 20, "/usr/bin/containerd-shim-runc-v2", "-namespace", "default", "-id", "sandbox")+"/cwd")
	link(t, sys.Path(task+"default/ctr-link"), add(t, sys, 21, "containerd-shim-runc-v2")+"/cwd") // a container in a usual directory
	add(t, sys, 22, "containerd-shim-runc-v2")                                                    // a process that ends while it is examined
	add(t, sys, 30, "/usr/sbin/dockerd", "--config-file", "/opt/daemon.json", "--add-runtime=flag=/bin/gpu")
	add(t, sys, 31, "dockerd", "--data-root", "/graph")
	conmon(40, "podman-link", "/bin/gpu")
	conmon(41, "podman-args", "/bin/tool", "--runtime-arg", "--hook-config-path", "--runtime-arg=/etc/gpu.json", "--runtime-arg", "--hooks-dir=/etc/docker")
	add(t, sys, 42, "conmon", "--cid=joined", "--bundle=/b", "--runtime=/bin/gpu")
	add(t, sys, 43, "/usr/libexec/conmonrs", "--runtime", "/bin/gpu", "--runtime-dir", "/run")
	conmon(44, "podman-link", "/bin/gpu", "-e") // of podman exec
	add(t, sys, 45, "/usr/bin/conmon", "--version")
	return sys
}

// using returns the uses that are found, each as text.
func using(sys system.System, matches func(string) bool) (shown []string, err error) {
	list, err := Look(sys).Using(matches)
	for _, use := range list {
		shown = append(shown, use.String())
	}
	slices.Sort(shown)
	return shown, err
}

func TestUsing(t *testing.T) {
	sys := engines(t)
	for name, want := range map[string][]string{
		"/bin/gpu": {
			"a pod's (cri-o, process 43, running, by /bin/gpu)",
			"by-flag (docker, stopped, by /bin/gpu)",
			"ctr-link (containerd, namespace default, running, by /bin/gpu)",
			"docker-link (docker, running, by /bin/gpu)",
			"in-pod (containerd, namespace default, running, by /bin/gpu)",
			"joined (cri-o, running, by /bin/gpu)",
			"podman-link (podman, running, by /bin/gpu)",
			"sandbox (containerd, namespace default, running, by /bin/gpu)",
			"stopped (docker, stopped, by /bin/gpu)",
			"stopped-shim (docker, stopped, by /bin/gpu)",
			"usual-config (docker, stopped, by /bin/gpu)",
		},
		"gpu": {
			"ctr-name (containerd, namespace default, running, by gpu)",
			"forgotten (docker, stopped, by gpu)",
			"joined (cri-o, running, by gpu)",
			"k8s_x, crio-ended (cri-o, running, by gpu)",
		},
		"/bin/tool": {
			"docker-script (docker, running, no longer listed by Docker, by /data/runtimes/args, which calls /bin/tool)",
			"podman-args (podman or cri-o, running, by /bin/tool)",
			"stopped-args (docker, stopped, by /bin/tool)",
			"usual-config2 (docker, stopped, by /bin/tool)",
		},
		"/etc/gpu.json": {
			"docker-script (docker, running, no longer listed by Docker, by /data/runtimes/args, which calls /etc/gpu.json)",
			"podman-args (podman or cri-o, running, by /bin/tool, which calls /etc/gpu.json)",
			"stopped-args (docker, stopped, by /bin/tool, which calls /etc/gpu.json)",
			"usual-config2 (docker, stopped, by /bin/tool, which calls /etc/gpu.json)",
		},
		"/bin/wrapped": {"docker-wrapper (docker, running, no longer listed by Docker, by /data/runtimes/wrapped, which calls /bin/wrapped)"},
		"/bin/old":     {"old-shim (containerd, namespace k8s.io, running, by /bin/old)"},
		"/bin/new":     {"new-shim (containerd, namespace k8s.io, running, by /bin/new)"},
		"/bin/other":   {"renamed (docker, stopped, by /bin/other)", "theirs (docker, stopped, by /bin/other)"},
		"runc":         {"ctr-runc (containerd, namespace default, running, by runc)", "stock (docker, stopped, by runc)"},
		"/bin/exit":    nil,
		"/bin/nobody":  nil,
	} {
		got, err := using(sys, func(word string) bool { return word == name })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestUsingRunningDocker: for Docker's containers, the runtimes of the running dockerd count, not those of a
// daemon.json that it does not read.
func TestUsingRunningDocker(t *testing.T) {
	sys := engines(t)
	add(t, sys, 32, "dockerd", "--config-file=/opt/own.json")
	write(t, sys.Path("opt/own.json"), `{"runtimes": {"g": {"path": "/bin/own"}}}`)
	for name, want := range map[string]bool{"/bin/own": true, "/bin/gpu": false} {
		got, err := using(sys, func(word string) bool { return word == name })
		if stopped := slices.Contains(got, "stopped (docker, stopped, by "+name+")"); err != nil || stopped != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestUsingBundle(t *testing.T) {
	sys := engines(t)
	list, err := Look(sys).Using(func(word string) bool { return word == "/bin/gpu" })
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"ctr-link":    sys.Path(task + "default/ctr-link"),
		"in-pod":      sys.Path("elsewhere/v2.task/default/in-pod"),
		"podman-link": sys.Path("storage/x-containers/podman-link/userdata"),
		"stopped":     "",
	}
	for _, use := range list {
		if bundle, ok := want[use.ID]; ok && bundle != use.Bundle {
			t.Errorf("%s: %q, want %q", use.ID, use.Bundle, bundle)
		}
	}
}

// TestUsingUnknown: what cannot be read is reported, and never counts as unused.
func TestUsingUnknown(t *testing.T) {
	fifo := func(t *testing.T, path string) {
		t.Helper()
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mkfifo(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		spoil func(t *testing.T, root string)
		want  string
	}{
		"no processes":    {func(t *testing.T, root string) { os.RemoveAll(root + "/proc/1") }, "the processes of others cannot be examined: "},
		"runtime":         {func(t *testing.T, root string) { fifo(t, root+"/"+task+"moby/docker-link/runtime") }, "moby/docker-link/runtime is not a regular file"},
		"options.json":    {func(t *testing.T, root string) { write(t, root+"/"+task+"moby/docker-link/options.json", "") }, "moby/docker-link/options.json: it is not valid JSON"},
		"daemon.json":     {func(t *testing.T, root string) { write(t, root+"/etc/docker/daemon.json", "{") }, "/etc/docker/daemon.json: "},
		"its daemon.json": {func(t *testing.T, root string) { write(t, root+"/opt/daemon.json", "[]") }, "/opt/daemon.json: its value has the type array, which no engine writes there"},
		"hostconfig.json": {func(t *testing.T, root string) { write(t, root+"/data/containers/theirs/hostconfig.json", "x") }, "theirs/hostconfig.json: "},
		"a number": {func(t *testing.T, root string) {
			write(t, root+"/data/containers/theirs/hostconfig.json", `{"Runtime": 5}`)
		}, "hostconfig.json: Runtime has the type number, which no engine writes there"},
		"task directory":  {func(t *testing.T, root string) { loop(t, root+"/run/containerd/io.containerd.runtime.v2.task") }, "io.containerd.runtime.v2.task cannot be opened: too many symbolic links (ELOOP)"},
		"script":          {func(t *testing.T, root string) { loop(t, root+"/data/runtimes/args") }, "/data/runtimes/args cannot be opened: too many symbolic links (ELOOP)"},
		"script too long": {func(t *testing.T, root string) { write(t, root+"/opt/wrapper", "#!"+strings.Repeat(" ", 64<<10)) }, "/opt/wrapper is longer than the scripts that are followed (64 KiB)"},
		"cri-o config.json": {func(t *testing.T, root string) {
			write(t, root+"/var/lib/containers/storage/x-containers/y/userdata/config.json", "")
		}, "y/userdata/config.json: "},
		"conmon":  {func(t *testing.T, root string) { write(t, root+"/proc/40/cmdline", "conmon\x00-c\x00a\x00") }, "proc/40 cannot be examined: a conmon whose command line does not name its runtime"},
		"cmdline": {func(t *testing.T, root string) { fifo(t, root+"/proc/40/cmdline") }, "proc/40 cannot be examined: cmdline is not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			sys := engines(t)
			c.spoil(t, sys.Root)
			if got, err := using(sys, func(string) bool { return false }); got != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v; want %s", got, err, c.want)
			}
		})
	}
}

// loop makes a file or directory a link to itself.
func loop(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, path); err != nil {
		t.Fatal(err)
	}
}
