package faults

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestARM64 runs the program for arm64 in an emulator. A call that passes through does not start Go, and a create does.
func TestARM64(t *testing.T) {
	emulator, err := exec.LookPath("qemu-aarch64")
	if err != nil {
		t.Skip("needs qemu-aarch64 (Debian's package qemu-user)")
	}
	dir := t.TempDir()
	build(dir, "GOARCH=arm64")
	b := newBed(t)
	run := func(args ...string) (systemCalls []string) {
		t.Helper()
		cmd := exec.Command(emulator, slices.Concat([]string{"-strace", filepath.Join(dir, "oci-add-hooks")}, args)...)
		cmd.Dir = b.dir
		var out bytes.Buffer
		cmd.Stderr = &out
		if err := cmd.Run(); err != nil || !b.runtimeCalled() {
			t.Fatalf("%v: %v\n%s", args, err, &out)
		}
		if err := os.Remove(filepath.Join(b.dir, "called")); err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?m)^\d+ (\w+)\(`).FindAllStringSubmatch(out.String(), -1) {
			systemCalls = append(systemCalls, match[1])
		}
		return systemCalls
	}
	named := filepath.Join(b.dir, "named.json")
	b.write(t, named, `{"runtime": "`+fakeRuntime+`", "hooks": {}}`)
	find := []string{"newfstatat", "newfstatat", "faccessat", "execve"}
	if got := run("--runtime-path", fakeRuntime, "state", "c1"); !slices.Equal(got, find) {
		t.Errorf("by arguments it makes the system calls %q, not %q", got, find)
	}
	read := []string{"openat", "fstat", "read", "close"}
	if got, want := run("--hook-config-path", named, "state", "c1"), slices.Concat(read, find); !slices.Equal(got, want) {
		t.Errorf("by a hook file it makes the system calls %q, not %q", got, want)
	}
	got := run("--hook-config-path", b.hooks, "--runtime-path", fakeRuntime, "create", "--bundle", b.bundle, "c1")
	if !slices.Contains(got, "clone") || b.text(t) != newConfig {
		t.Errorf("create makes the system calls %q; config.json: %s", got, b.text(t))
	}
}
