package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// program is the path of the program under test, and profiles its directory of profiles. fakeRuntime is a runtime that
// creates a file "called" in its working directory.
var program, profiles, fakeRuntime string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "oci-add-hooks-faults-")
	if err != nil {
		panic(err)
	}
	program, profiles, fakeRuntime = filepath.Join(dir, "oci-add-hooks"), filepath.Join(dir, "profiles"), filepath.Join(dir, "runtime")
	build(dir)
	if err := os.Mkdir(profiles, 0o755); err != nil {
		panic(err)
	}
	if err := os.WriteFile(fakeRuntime, []byte("#!/bin/sh\n: >called\n"), 0o755); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build builds the program in dir, as it is shipped except for the directory of the profiles.
func build(dir string, env ...string) {
	cmd := exec.Command("make", "--no-print-directory", "-C", "../..", "runtime", "BIN="+dir,
		"LDFLAGS=-s -w -X github.com/awslabs/oci-add-hooks/internal/profile.Dir="+profiles)
	cmd.Env = append(append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -buildvcs=false"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(string(out))
	}
}

// The old config.json, the hook file, and the resulting config.json.
const (
	oldConfig = `{"ociVersion":"1.0.2", "process":{"args":["sh"]} }`
	hookFile  = `{"hooks":{"createRuntime":[{"path":"/bin/one"}],"poststop":[{"path":"/bin/two"}]}}`
	newConfig = `{"hooks":{"createRuntime":[{"path":"/bin/one"}],"poststop":[{"path":"/bin/two"}]},"ociVersion":"1.0.2", "process":{"args":["sh"]} }`
)

// bed is a directory for one call, with the hook file hooks.json and a subdirectory, the bundle, with config.json.
type bed struct {
	dir, bundle, config, hooks string
}

func newBed(t testing.TB) bed {
	t.Helper()
	dir := t.TempDir()
	b := bed{dir, filepath.Join(dir, "bundle"), filepath.Join(dir, "bundle", "config.json"), filepath.Join(dir, "hooks.json")}
	if err := os.Mkdir(b.bundle, 0o755); err != nil {
		t.Fatal(err)
	}
	b.write(t, b.config, oldConfig)
	b.write(t, b.hooks, hookFile)
	return b
}

func (b bed) write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

// create returns the call, a create of the bundle, and the buffer for its standard output and error.
func (b bed) create() (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(program, "--hook-config-path", b.hooks, "--runtime-path", fakeRuntime, "create", "--bundle", b.bundle, "c1")
	cmd.Dir = b.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	return cmd, &out
}

// text returns the content of config.json.
func (b bed) text(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(b.config)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// leftovers returns the names of the files in the bundle except config.json.
func (b bed) leftovers(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(b.bundle)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "config.json" {
			names = append(names, e.Name())
		}
	}
	return names
}

func (b bed) runtimeCalled() bool {
	_, err := os.Stat(filepath.Join(b.dir, "called"))
	return err == nil
}

// checkSucceeds runs the call. It fails the test unless config.json then has each hook once, and the runtime was
// called.
func (b bed) checkSucceeds(t testing.TB) {
	t.Helper()
	cmd, out := b.create()
	if err := cmd.Run(); err != nil || out.Len() > 0 || !b.runtimeCalled() || b.text(t) != newConfig {
		t.Errorf("%v, %s; runtime called: %v; config.json:\n%s", err, out, b.runtimeCalled(), b.text(t))
	}
}

// enginesRead matches the phrases that engines act on (rule 19).
var enginesRead = regexp.MustCompile(`(?i)no such file or directory|permission denied|operation not permitted|` +
	`executable file not found|not a directory|is a directory|open executable|does not exist|no such process|` +
	`process already finished|container not running`)

// problem returns what is wrong with the way in which the call failed, or "". A correct failure has exit status 1 and
// one line that names a file of the bed. It leaves no temporary file and does not call the runtime.
func (b bed) problem(t testing.TB, err error, out string) string {
	t.Helper()
	var status interface{ ExitCode() int }
	switch {
	case !errors.As(err, &status) || status.ExitCode() != 1:
		return fmt.Sprintf("it ended with %v", err)
	case !strings.HasPrefix(out, "oci-add-hooks: ") || strings.Count(out, "\n") != 1:
		return "it did not print exactly one line"
	case !strings.Contains(out, b.dir) && !strings.Contains(out, fakeRuntime) && !strings.Contains(out, "/proc/self/exe"):
		return "it named no file"
	case enginesRead.MatchString(out):
		return "it printed a phrase that engines act on"
	case b.runtimeCalled():
		return "the runtime was called"
	}
	if left := b.leftovers(t); len(left) > 0 {
		return fmt.Sprintf("it left %v", left)
	}
	return ""
}

// within runs the call and returns its error. If the call has not ended after limit, within kills it and fails the
// test.
func within(t testing.TB, cmd *exec.Cmd, limit time.Duration) error {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		cmd.Process.Kill()
		<-done
		t.Fatalf("it had not ended after %v", limit)
		return nil
	}
}
