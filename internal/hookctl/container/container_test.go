package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// system makes a file system with a container of each engine, whose ids begin with the name of the engine.
func system(t *testing.T) string {
	root := t.TempDir()
	t.Setenv("HOME", filepath.Join(root, "home"))
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(root, "run/user/1000"))
	for path, text := range map[string]string{
		"run/containerd/io.containerd.runtime.v2.task/moby/docker1/config.json":                "{}",
		"run/containerd/io.containerd.runtime.v2.task/k8s.io/cri1/config.json":                 "{}",
		"run/containerd/io.containerd.runtime.v2.task/default/docker2/config.json":             "{}",
		"run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/own1/config.json":     "{}",
		"srv/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/elsewhere1/config.json": "{}",
		"srv/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/elsewhere2/config.json": "{}",
		"run/containerd/io.containerd.runtime.v2.task/moby/gone1/log.json":                     "{}",
		"var/lib/containers/storage/overlay-containers/podman1/userdata/config.json":           "{}",
		"home/.local/share/containers/storage/vfs-containers/rootless1/userdata/config.json":   "{}",
		"srv/storage/overlay-containers/conmon1/userdata/config.json":                          "{}",
		"run/runc/runc1/state.json":           `{"config":{"labels":["bundle=` + root + `/b/runc1"]}}`,
		"run/user/1000/runc/runc2/state.json": `{"config":{"labels":["bundle=` + root + `/b/runc2"]}}`,
		"run/crun/crun1/status":               `{"bundle":"` + root + `/b/crun1"}`,
		"srv/state/runc3/state.json":          `{"config":{"labels":["bundle=` + root + `/b/runc3"]}}`,
		"b/runc1/config.json":                 "{}",
		"b/runc2/config.json":                 "{}",
		"b/runc3/config.json":                 "{}",
		"b/crun1/config.json":                 "{}",
		"proc/7/cmdline":                      "/usr/bin/containerd-shim-runc-v2\x00-namespace\x00moby\x00-id\x00elsewhere1\x00",
		"proc/8/cmdline":                      "/usr/bin/conmon\x00--api-version\x001\x00-c\x00conmon1\x00-b\x00" + root + "/srv/storage/overlay-containers/conmon1/userdata\x00",
		"proc/7/status":                       "Name:\tcontainerd-shim\nUid:\t0\t0\t0\t0\n",
		"proc/8/status":                       fmt.Sprintf("Uid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\nGid:\t1\t1\t1\t1\n", os.Geteuid()),
		"proc/10/status":                      "Uid:\t0\t0\t0\t0\n",
		"proc/9/cmdline":                      "",
		"proc/10/cmdline":                     "/usr/bin/conmon\x00-c\x00podman1\x00-b\x00" + root + "/var/lib/containers/storage/overlay-containers/podman1/userdata\x00",
	} {
		write(t, filepath.Join(root, path), text)
	}
	if err := os.Symlink(filepath.Join(root, "srv/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/elsewhere1"), filepath.Join(root, "proc/7/cwd")); err != nil {
		t.Fatal(err)
	}
	return root
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

func TestFind(t *testing.T) {
	root := system(t)
	for id, want := range map[string]Container{
		"docker1":    {"docker1", "docker", "run/containerd/io.containerd.runtime.v2.task/moby/docker1"},
		"docker2":    {"docker2", "containerd, namespace default", "run/containerd/io.containerd.runtime.v2.task/default/docker2"},
		"cri":        {"cri1", "containerd, namespace k8s.io", "run/containerd/io.containerd.runtime.v2.task/k8s.io/cri1"},
		"own":        {"own1", "docker", "run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/own1"},
		"elsewhere2": {"elsewhere2", "docker", "srv/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/elsewhere2"},
		"podman":     {"podman1", "podman", "var/lib/containers/storage/overlay-containers/podman1/userdata"},
		"rootless":   {"rootless1", "podman", "home/.local/share/containers/storage/vfs-containers/rootless1/userdata"},
		"conmon":     {"conmon1", "podman or cri-o", "srv/storage/overlay-containers/conmon1/userdata"},
		"runc1":      {"runc1", "runc", "b/runc1"},
		"runc2":      {"runc2", "runc", "b/runc2"},
		"runc3":      {"runc3", "runc", "b/runc3"},
		"crun":       {"crun1", "crun", "b/crun1"},
	} {
		want.Bundle = filepath.Join(root, want.Bundle)
		s := &search{id: id, system: root}
		if got, err := s.find([]string{filepath.Join(root, "srv/state")}); err != nil || got != want {
			t.Errorf("%s: %v, %v", id, got, err)
		}
	}
}

func TestNotFound(t *testing.T) {
	root := system(t)
	for id, want := range map[string]string{
		"docker":  `"docker" is the beginning of several ids`,
		"nothing": `no container has an id that begins with "nothing"`,
		"gone1":   `no container has an id that begins with "gone1"`, // its bundle has no config.json
	} {
		s := &search{id: id, system: root}
		if got, err := s.find(nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, %v", id, got, err)
		}
	}
	s := &search{id: "docker", system: root}
	_, err := s.find(nil)
	for _, line := range []string{"\n  docker1 (docker, " + root, "\n  docker2 (containerd, namespace default, " + root} {
		if err == nil || !strings.Contains(err.Error(), line) {
			t.Errorf("%v does not list %q", err, line)
		}
	}
}

// An id that is the beginning of another is that of its own container.
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
	s := &search{id: "web", system: root}
	if got, err := s.find(nil); err != nil || got.ID != "web" {
		t.Errorf("%v, %v", got, err)
	}
}

// Containers of the same id: no more of it could be given.
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
	s := &search{id: "web", system: root}
	want := `several containers have the id "web"; give the bundle by --bundle:` + strings.Join(bundles, "")
	if got, err := s.find(nil); err == nil || err.Error() != want {
		t.Errorf("%v, %v; want %s", got, err, want)
	}
}

// What another user calls conmon or a shim leads nowhere.
func TestProcessesOfOthers(t *testing.T) {
	root := system(t)
	for pid, uids := range map[string]string{"7": "1\t1\t1\t1", "8": "1\t0\t0\t0"} { // the second is set-user-ID
		if err := os.WriteFile(filepath.Join(root, "proc", pid, "status"), []byte("Uid:\t"+uids+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"elsewhere2", "conmon1"} {
		s := &search{id: id, system: root}
		if got, err := s.find(nil); err == nil {
			t.Errorf("%s: %v", id, got)
		}
	}
}

// A FIFO in the place of a state file does not hold up the search.
func TestStateIsNoFIFO(t *testing.T) {
	root := system(t)
	for _, file := range []string{"state.json", "status"} {
		dir := filepath.Join(root, "run/runc", "fifo-"+file)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mkfifo(filepath.Join(dir, file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := &search{id: "runc1", system: root}
	if got, err := s.find(nil); err != nil || got.ID != "runc1" {
		t.Errorf("%v, %v", got, err)
	}
}
