package engines

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// image is the name by which every engine knows the root file system.
const image = "localhost/oci-add-hooks-test:latest"

// noRootfs is the reason why there is no root file system, "" if there is one.
var noRootfs string

// makeRootfs makes the root file system: busybox and its links.
func makeRootfs() error {
	path, err := exec.LookPath("busybox")
	if err != nil {
		noRootfs = "busybox is not installed (apt-get install busybox-static)"
		return nil
	}
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		noRootfs = "busybox is not static (apt-get install busybox-static)"
		return nil
	}

	for _, dir := range []string{"bin", "dev", "etc", "proc", "run", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(rootfs, dir), 0o755); err != nil {
			return err
		}
	}
	busybox, err := os.Open(path)
	if err != nil {
		return err
	}
	defer busybox.Close()
	if err := install(busybox, rootfs+"/bin/busybox"); err != nil {
		return err
	}
	for _, name := range []string{"cat", "echo", "sh", "sleep"} {
		if err := os.Symlink("busybox", filepath.Join(rootfs, "bin", name)); err != nil {
			return err
		}
	}
	return nil
}

// imageArchive writes the root file system in the format of docker save, which all three engines read, and returns its
// path. The image runs the given command, or a shell if there is none.
func imageArchive(t testing.TB, command ...string) string {
	t.Helper()
	path := filepath.Join(scratch(t), "image.tar")
	if err := writeImageArchive(path, command); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeImageArchive(path string, command []string) error {
	if len(command) == 0 {
		command = []string{"/bin/sh"}
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := cmp.Or(w.AddFS(os.DirFS(rootfs)), w.Close()); err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Cmd": command},
		"rootfs": map[string]any{
			"type":     "layers",
			"diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer.Bytes()))},
		},
	})
	if err != nil {
		return err
	}
	configName := fmt.Sprintf("%x.json", sha256.Sum256(config))
	manifest, err := json.Marshal([]map[string]any{
		{"Config": configName, "RepoTags": []string{image}, "Layers": []string{"layer.tar"}},
	})
	if err != nil {
		return err
	}

	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w = tar.NewWriter(f)
	for _, file := range []struct {
		name string
		data []byte
	}{
		{"layer.tar", layer.Bytes()}, {configName, config}, {"manifest.json", manifest},
	} {
		header := &tar.Header{Name: file.name, Mode: 0o644, Size: int64(len(file.data))}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if _, err := w.Write(file.data); err != nil {
			return err
		}
	}
	return cmp.Or(w.Close(), f.Close())
}
