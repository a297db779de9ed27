package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc/proctest"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

const task = "run/containerd/io.containerd.runtime.v2.task/"

// machine makes a system with a container of each engine, whose ids begin with the engine's name.
func machine(t *testing.T) system.System {
	sys := system.System{Root: t.TempDir()}
	for path, text := range map[string]string{
		task + "moby/docker1/config.json":                                                      "{}",
		task + "k8s.io/cri1/config.json":                                                       cri("app", "", "web"),
		task + "k8s.io/sandbox1/config.json":                                                   cri("app", "", ""),
		task + "k8s.io/cri2/config.json":                                                       cri("app2", "img", "web"),
		task + "default/docker2/config.json":                                                   `{"annotations": {"nerdctl/name": "nice"}}`,
		"run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/own1/config.json":     "{}",
		"srv/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/elsewhere1/config.json": "{}",
		"srv/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/elsewhere2/config.json": "{}",
		task + "moby/gone1/log.json":                                                           "{}",
		"var/lib/docker/containers/docker1/hostconfig.json":                                    `{"Runtime": "runc"}`,
		"var/lib/docker/containers/docker1/config.v2.json":                                     `{"Name": "/angry_mole", "Config": {"Image": "busybox"}}`,
		"var/lib/containers/storage/overlay-containers/podman1/userdata/config.json":           "{}",
		"var/lib/containers/storage/overlay-containers/containers.json":                        `[{"id": "podman1", "names": ["kind_seal"], "metadata": "{\"image-name\": \"docker.io/a\"}"}]`,
		"var/lib/containers/storage/overlay-containers/crio1/userdata/config.json":             crio,
		"run/containers/storage/overlay-containers/crio1/userdata/config.json":                 crio,
		"srv/storage/overlay-containers/conmon1/userdata/config.json":                          "{}",
		"srv/storage/overlay-containers/ended1/userdata/config.json":                           "{}",
		"run/runc/runc1/state.json":                                                            `{"config":{"labels":["bundle=/b/runc1"]}}`,
		"run/runc/podman1/state.json":                                                          `{"config":{"labels":["bundle=/var/lib/containers/storage/overlay-containers/podman1/userdata"]}}`,
		"run/crun/crun1/status":                                                                `{"pid": 12, "bundle": "/b/crun1"}`,
		"srv/state/runc3/state.json":                                                           `{"config":{"labels":["bundle=/b/runc3"]}}`,
		"b/runc1/config.json":                                                                  "{}",
		"b/runc3/config.json":                                                                  "{}",
		"b/crun1/config.json":                                                                  "{}",
	} {
		write(t, sys.Path(path), text)
	}
	shim := add(t, sys, 7, "/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", "elsewhere1")
	link(t, sys.Path("srv/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/elsewhere1"), shim+"/cwd")
	add(t, sys, 8, "/usr/bin/conmon", "--api-version", "1", "-c", "conmon1", "-b", "/srv/storage/overlay-containers/conmon1/userdata", "-r", "/x", "-n", "brave_ant")
	add(t, sys, 3, "/usr/bin/conmon", "-c", "conmon1", "-b", "/srv/storage/overlay-containers/conmon1/userdata/session", "-r", "/x", "-e")
	add(t, sys, 10, "/usr/bin/conmon", "-c", "podman1", "-r", "/x", "-b", "/var/lib/containers/storage/overlay-containers/podman1/userdata")
	add(t, sys, 11, "/usr/bin/conmon", "-c", "crio1", "-r", "/x", "-b", "/run/containers/storage/overlay-containers/crio1/userdata", "-n", "k8s_a_b_c")
	add(t, sys, 12, "sleep") // of the container crun1
	return sys
}

// cri returns the config.json of a pod's container, as containerd writes it.
func cri(pod, image, name string) string {
	return fmt.Sprintf(`{"annotations": {"io.kubernetes.cri.sandbox-namespace": "shop", "io.kubernetes.cri.sandbox-name": %q,
		"io.kubernetes.cri.image-name": %q, "io.kubernetes.cri.container-name": %q}}`, pod, image, name)
}

// crio is the config.json of a pod's container, as CRI-O writes it.
const crio = `{"annotations": {"io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.name": "till",
	"io.kubernetes.container.name": "beep", "io.kubernetes.cri-o.ImageName": "quay.io/beep"}}`

// add adds a process, and returns its directory.
func add(t *testing.T, sys system.System, pid int, args ...string) string {
	t.Helper()
	dir, err := proctest.Add(sys.Root, pid, args...)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestFind finds containers by their full id, by its beginning, and by name.
func TestFind(t *testing.T) {
	sys := machine(t)
	for id, want := range map[string]Container{
		"docker1":       {ID: "docker1", Name: "angry_mole", Image: "busybox", Engine: "docker", Bundle: task + "moby/docker1"},
		"angry_mole":    {ID: "docker1", Name: "angry_mole", Image: "busybox", Engine: "docker", Bundle: task + "moby/docker1"},
		"docker2":       {ID: "docker2", Name: "nice", Engine: "containerd, namespace default", Bundle: task + "default/docker2"},
		"nice":          {ID: "docker2", Name: "nice", Engine: "containerd, namespace default", Bundle: task + "default/docker2"},
		"cri1":          {ID: "cri1", Name: "shop/app/web", Engine: "containerd, namespace k8s.io", Bundle: task + "k8s.io/cri1"},
		"app/web":       {ID: "cri1", Name: "shop/app/web", Engine: "containerd, namespace k8s.io", Bundle: task + "k8s.io/cri1"},
		"shop/app":      {ID: "sandbox1", Name: "shop/app", Engine: "containerd, namespace k8s.io", Bundle: task + "k8s.io/sandbox1"},
		"shop/app2/web": {ID: "cri2", Name: "shop/app2/web", Image: "img", Engine: "containerd, namespace k8s.io", Bundle: task + "k8s.io/cri2"},
		"own":           {ID: "own1", Engine: "docker", Bundle: "run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/own1"},
		"elsewhere1":    {ID: "elsewhere1", Engine: "docker", Shim: 7, Bundle: "srv/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/elsewhere1"},
		"elsewhere2":    {ID: "elsewhere2", Engine: "docker", Bundle: "srv/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/elsewhere2"},
		"podman":        {ID: "podman1", Name: "kind_seal", Image: "docker.io/a", Engine: "podman", Bundle: "var/lib/containers/storage/overlay-containers/podman1/userdata"},
		"kind_seal":     {ID: "podman1", Name: "kind_seal", Image: "docker.io/a", Engine: "podman", Bundle: "var/lib/containers/storage/overlay-containers/podman1/userdata"},
		"crio1":         {ID: "crio1", Name: "shop/till/beep", Image: "quay.io/beep", Engine: "cri-o", Bundle: "run/containers/storage/overlay-containers/crio1/userdata"},
		"till/beep":     {ID: "crio1", Name: "shop/till/beep", Image: "quay.io/beep", Engine: "cri-o", Bundle: "run/containers/storage/overlay-containers/crio1/userdata"},
		"conmon":        {ID: "conmon1", Name: "brave_ant", Engine: "podman", Bundle: "srv/storage/overlay-containers/conmon1/userdata"},
		"ended":         {ID: "ended1", Engine: "podman", Bundle: "srv/storage/overlay-containers/ended1/userdata"},
		"runc1":         {ID: "runc1", Engine: "runc", Bundle: "b/runc1"},
		"runc3":         {ID: "runc3", Engine: "runc", Bundle: "b/runc3"},
		"crun":          {ID: "crun1", Engine: "crun", Bundle: "b/crun1"},
	} {
		want.Bundle = sys.Path(want.Bundle)
		want.Running = want.Engine != "runc" && want.ID != "ended1"
		got, err := Find(sys, id, []string{sys.Path("srv/state")})
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Container{})); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", id, err, diff)
		}
	}
}

func TestNotFound(t *testing.T) {
	sys := machine(t)
	for id, want := range map[string]string{
		"docker":  `"docker" is the beginning of several ids; give more of it, or the bundle with --bundle:`,
		"nothing": `no container has the name "nothing", or an id that begins with it; is it running?`,
		"gone1":   `no container has the name "gone1"`, // its bundle has no config.json
		"web":     `several containers have the id or name "web"`,
	} {
		if got, err := Find(sys, id, nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, %v", id, got, err)
		}
	}
	_, err := Find(sys, "docker", nil)
	for _, line := range []string{"\n  angry_mole, docker1 (docker, " + sys.Root, "\n  nice, docker2 (containerd, namespace default, " + sys.Root} {
		if err == nil || !strings.Contains(err.Error(), line) {
			t.Errorf("%v does not list %q", err, line)
		}
	}
}

// TestWholeIDFirst: an id that is also the beginning of another id finds its own container.
func TestWholeIDFirst(t *testing.T) {
	root := t.TempDir()
	for _, id := range []string{"web", "web-2"} {
		dir := filepath.Join(root, "run/containerd/io.containerd.runtime.v2.task/default", id)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "config.json"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Find(system.System{Root: root}, "web", nil); err != nil || got.ID != "web" {
		t.Errorf("%v, %v", got, err)
	}
}

// TestSameID: containers with the same id cannot be distinguished by a longer part of it.
func TestSameID(t *testing.T) {
	root := t.TempDir()
	var bundles []string
	for _, namespace := range []string{"default", "k8s.io"} {
		dir := filepath.Join(root, "run/containerd/io.containerd.runtime.v2.task", namespace, "web")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "config.json"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		bundles = append(bundles, "\n  web (containerd, namespace "+namespace+", "+dir+")")
	}
	want := `several containers have the id or name "web"; give the bundle with --bundle:` + strings.Join(bundles, "")
	if got, err := Find(system.System{Root: root}, "web", nil); err == nil || err.Error() != want {
		t.Errorf("%v, %v; want %s", got, err, want)
	}
}

// TestStateIsNoFIFO: a FIFO in place of a state file does not block the search.
func TestStateIsNoFIFO(t *testing.T) {
	sys := machine(t)
	for _, file := range []string{"state.json", "status"} {
		dir := sys.Path("run/runc/fifo-" + file)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mkfifo(filepath.Join(dir, file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Find(sys, "runc1", nil); err != nil || got.ID != "runc1" {
		t.Errorf("%v, %v", got, err)
	}
}

// TestAlive tests which containers are known to run: those with a process that says so and has not ended. Their bundle
// may be gone.
func TestAlive(t *testing.T) {
	sys := system.System{Root: t.TempDir()}
	add(t, sys, 20, "sleep")
	zombie := add(t, sys, 21, "sleep")
	write(t, zombie+"/stat", "21 (sleep) Z"+strings.Repeat(" 0", 40))
	other := add(t, sys, 22, "sleep")
	write(t, other+"/stat", "22 (sleep) S"+strings.Repeat(" 0", 18)+" 77"+strings.Repeat(" 0", 20))
	add(t, sys, 23, "conmon", "-c", "podman1", "-r", "/x", "-b", "/gone/userdata")
	for path, text := range map[string]string{
		"run/runc/runs/state.json":     `{"init_process_pid":20,"config":{"labels":["bundle=/gone/runs"]}}`,
		"run/runc/ended/state.json":    `{"init_process_pid":19,"config":{"labels":["bundle=/gone/ended"]}}`,
		"run/runc/zombie/state.json":   `{"init_process_pid":21,"config":{"labels":["bundle=/gone/zombie"]}}`,
		"run/runc/same/state.json":     `{"init_process_pid":22,"init_process_start":77,"config":{"labels":["bundle=/gone/same"]}}`,
		"run/runc/another/state.json":  `{"init_process_pid":22,"init_process_start":78,"config":{"labels":["bundle=/gone/another"]}}`,
		"run/crun/crun1/status":        `{"pid":22,"process-start-time":77,"bundle":"/gone/crun1"}`,
		task + "default/ctr1/runtime":  "runc",
		task + "default/ctr1/init.pid": "20",
		task + "default/ctr2/runtime":  "runc",
		task + "default/ctr2/init.pid": "19",
		task + "default/ctr3/runtime":  "runc",
		task + "default/ctr4/runtime":  "runc",
		task + "default/ctr4/init.pid": "-1",
	} {
		write(t, sys.Path(path), text)
	}
	want := map[string]bool{
		"podman1": true, "runs": true, "ended": false, "zombie": false, "same": true, "another": false, "crun1": true,
		"ctr1": true, "ctr2": false, "ctr3": false, "ctr4": false,
	}
	got := map[string]bool{}
	for _, c := range Look(sys).Containers {
		got[c.ID] = c.Alive()
		if (c.Engine == "runc" || c.Engine == "crun") && c.Running != c.Alive() {
			t.Errorf("%s runs: %v", c.ID, c.Running)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, err := Find(sys, "runs", nil)
	if want := "runs (runc, " + sys.Path("/gone/runs") + ") has no config.json: its bundle is gone, or it is being created or deleted"; err == nil || err.Error() != want {
		t.Errorf("%v; want %s", err, want)
	}
}

// TestUnknown: processes and directories that a user may not examine take one line each.
func TestUnknown(t *testing.T) {
	s := Scan{}
	for _, pid := range []int{3, 4, 5} {
		s.note(denied{fmt.Errorf("process %d (conmon) is not believed", pid), fmt.Sprintf("process %d (conmon)", pid), "processes"})
	}
	s.note(errors.New("/etc/docker/daemon.json: bad"))
	s.note(denied{errors.New("/a cannot be opened"), "/a", "directories"})
	want := "process 3 (conmon), and 2 other processes, cannot be examined: access is refused (EACCES)\n/etc/docker/daemon.json: bad\n/a cannot be opened"
	if err := s.Unknown(); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

// TestPodmanMarkedCRIO tests that a container of Podman's remains one if its user gave it CRI-O's annotations.
func TestPodmanMarkedCRIO(t *testing.T) {
	const storage = "var/lib/containers/storage/overlay-containers/"
	sys := system.System{Root: t.TempDir()}
	add(t, sys, 20, "conmon", "-c", "podman1", "-r", "/usr/bin/runc", "-b", "/"+storage+"podman1/userdata")
	marks := strings.Replace(crio, `"annotations": {`, `"annotations": {"io.kubernetes.cri-o.RuntimeHandler": "gpu", `, 1)
	write(t, sys.Path(storage+"podman1/userdata/config.json"), marks)
	write(t, sys.Path(storage+"crio1/userdata/config.json"), marks)
	write(t, sys.Path(storage+"containers.json"), `[{"id": "podman1", "names": ["mine"], "metadata": "{\"image-name\": \"a\", \"name\": \"mine\"}"},
		{"id": "crio1", "names": ["k8s_beep"], "metadata": "{\"image-name\": \"b\", \"pod-id\": \"p\"}"}]`)
	got := map[string]string{}
	for _, c := range Look(sys).Containers {
		got[c.ID] = c.Engine + " " + c.Name
	}
	if diff := cmp.Diff(map[string]string{"podman1": "podman mine", "crio1": "cri-o shop/till/beep"}, got); diff != "" {
		t.Error(diff)
	}
	users, err := Look(sys).Using(func(word string) bool { return word == "gpu" })
	if err != nil || len(users) != 1 || users[0].ID != "crio1" {
		t.Errorf("%+v, %v", users, err)
	}
}

// TestPodClaimed tests that the annotations of a pod name only containers in containerd's namespace of pods. Elsewhere,
// users write them.
func TestPodClaimed(t *testing.T) {
	sys := system.System{Root: t.TempDir()}
	add(t, sys, 1, "/sbin/init")
	got, want := map[string]string{}, map[string]string{"a": "shop/app/web", "b": "", "c": "angry_mole"}
	write(t, sys.Path(task+"k8s.io/a/config.json"), cri("app", "img", "web"))
	write(t, sys.Path(task+"default/b/config.json"), cri("app", "img", "web"))
	write(t, sys.Path(task+"moby/c/config.json"), cri("app", "img", "web"))
	write(t, sys.Path("var/lib/docker/containers/c/hostconfig.json"), `{}`)
	write(t, sys.Path("var/lib/docker/containers/c/config.v2.json"), `{"Name": "/angry_mole"}`)
	for _, c := range Look(sys).Containers {
		got[c.ID] = c.Name
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
