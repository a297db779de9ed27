package pod

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOf: whoever starts a container can write all of these annotations. They count only in a bundle of an engine of
// Kubernetes.
func TestOf(t *testing.T) {
	annotations := map[string]string{
		"io.kubernetes.cri.sandbox-namespace": "ns", "io.kubernetes.cri.sandbox-name": "containerd", "io.kubernetes.cri.container-name": "c",
		"io.kubernetes.pod.namespace": "ns", "io.kubernetes.pod.name": "crio", "io.kubernetes.container.name": "c",
		"io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.cri-o.RuntimeHandler": "gpu",
	}
	const id = "0123456789abcdef"
	dir := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("podman/overlay-containers/containers.json", `[{"id":"`+id+`","metadata":"{}"}]`)
	write("transient/overlay-containers/volatile-containers.json", `[{"id":"`+id+`"}]`)
	write("others/overlay-containers/volatile-containers.json", `[{"id":"other"}]`)
	write("unreadable/overlay-containers/containers.json/file", "")
	for bundle, want := range map[string]string{
		"/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + id:                    "ns/containerd/c",
		"/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/" + id:                "ns/containerd/c",
		"/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + id + "/":              "ns/containerd/c",
		"/run/containerd/io.containerd.runtime.v2.task/k8s.io/other":                    "",
		"/run/containerd/io.containerd.runtime.v2.task/k8s.io/x" + id:                   "",
		"/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + id + "/rootfs":        "",
		"/run/containerd/io.containerd.runtime.v2.task/moby/" + id:                      "",
		"/run/containerd/io.containerd.runtime.v2.task/default/" + id:                   "",
		"/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/k8s.io/" + id: "",
		"/run/containers/storage/overlay-containers/" + id + "/userdata":                "ns/crio/c",
		dir + "/others/overlay-containers/" + id + "/userdata":                          "ns/crio/c",
		dir + "/podman/overlay-containers/" + id + "/userdata":                          "",
		dir + "/transient/overlay-containers/" + id + "/userdata":                       "",
		dir + "/unreadable/overlay-containers/" + id + "/userdata":                      "",
		"/run/containers/storage/overlay-containers/other/userdata":                     "",
		"/run/containers/storage/overlay-containers/" + id:                              "",
		"/home/me/bundle": "",
		"":                "",
	} {
		if got := Of(id, bundle, annotations).String(); got != want {
			t.Errorf("%s: %q, want %q", bundle, got, want)
		}
	}
	const noID = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/"
	if got := Of("", noID, annotations).String(); got != "" {
		t.Errorf("without an id: %q", got)
	}
}

// TestSandbox: in a sandbox, the container is named POD by CRI-O, and has no name in containerd.
func TestSandbox(t *testing.T) {
	got := CRIO(map[string]string{"io.kubernetes.pod.namespace": "ns", "io.kubernetes.pod.name": "p", "io.kubernetes.container.name": "POD"}).String()
	if got != "ns/p" {
		t.Errorf("CRI-O: %q", got)
	}
	if got := Containerd(map[string]string{"io.kubernetes.cri.sandbox-namespace": "ns", "io.kubernetes.cri.sandbox-name": "p"}).String(); got != "ns/p" {
		t.Errorf("containerd: %q", got)
	}
}
