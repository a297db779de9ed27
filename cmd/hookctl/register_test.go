package main

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	rounds = flag.Int("rounds", 2, "how often each engine gets four installations at once")
	kills  = flag.Int("kills", 6, "how often an installation, and its end, are killed for each engine")
)

// registered are the engines, with the configuration that each has before.
var registered = []struct{ engine, config, text string }{
	{"docker", "daemon.json", "{\n  \"debug\": true\n}\n"},
	{"crio", "crio.conf", "[crio]\n"},
	{"podman", "containers.conf", "[engine]\n"},
	{"containerd", "config.toml", "# ours\nversion = 2\n"},
}

// machine is a directory with an engine's configuration and four profiles.
type machine struct {
	*testing.T
	dir, engine, config string
}

var four = []string{"a", "b", "c", "d"}

func newMachine(t *testing.T, engine, config, text string) machine {
	t.Helper()
	if engine == "containerd" {
		if _, err := exec.LookPath(engine); err != nil {
			t.Skip("skipped: containerd is not installed (apt-get install containerd)")
		}
	}
	m := machine{t, t.TempDir(), engine, ""}
	m.config = filepath.Join(m.dir, "etc", config)
	write(t, m.config, text, 0o644)
	write(t, filepath.Join(m.dir, "bin/oci-add-hooks"), "", 0o755)
	write(t, filepath.Join(m.dir, "hooks.json"), `{"runtime": "/bin/true", "hooks": {}}`, 0o644)
	if err := os.MkdirAll(filepath.Join(m.dir, "proc/1"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, profile := range four {
		cmd := m.hookctl("profile", "add", profile, "--hooks", filepath.Join(m.dir, "hooks.json"), "--bin-dir", filepath.Join(m.dir, "bin"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("profile add %s: %v\n%s", profile, err, out)
		}
	}
	return m
}

func (m machine) hookctl(args ...string) *exec.Cmd {
	cmd := exec.Command("hookctl", args...)
	cmd.Env = append(os.Environ(), "SYSTEM="+m.dir, "STATE="+filepath.Join(m.dir, "state"), "PROFILES="+filepath.Join(m.dir, "profiles"))
	return cmd
}

// register is `hookctl install` or `hookctl uninstall`.
func (m machine) register(verb, profile string) *exec.Cmd {
	return m.hookctl(verb, m.engine, "--profile", profile, "--config", m.config, "--bin-dir", filepath.Join(m.dir, "bin"))
}

// files returns the text of each file, and each directory, of the machine.
func (m machine) files() map[string]string {
	m.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(m.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			all[path] = ""
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		m.Fatal(err)
	}
	return all
}

// knows reports whether a profile is in the engine's configuration.
func (m machine) knows(profile string) bool {
	for path, text := range m.files() {
		if strings.HasPrefix(path, filepath.Join(m.dir, "etc")) && strings.Contains(text, filepath.Join(m.dir, "bin", profile)+`"`) ||
			strings.Contains(text, filepath.Join(m.dir, "bin", profile)+`'`) {
			return true
		}
	}
	return false
}

// TestAtOnce: of installations at once, each that succeeds is in, and at the end everything is as it was.
func TestAtOnce(t *testing.T) {
	for _, e := range registered {
		t.Run(e.engine, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, e.engine, e.config, e.text)
			before := m.files()
			for range *rounds {
				for _, verb := range []string{"install", "uninstall"} {
					var all sync.WaitGroup
					for _, profile := range four {
						all.Go(func() {
							if out, err := m.register(verb, profile).CombinedOutput(); err != nil {
								t.Errorf("%s %s: %v\n%s", verb, profile, err, out)
							}
						})
					}
					all.Wait()
					for _, profile := range four {
						if m.knows(profile) != (verb == "install") {
							t.Errorf("%s %s: exit status 0, and it is not so", verb, profile)
						}
					}
				}
				if diff := cmp.Diff(before, m.files()); diff != "" {
					t.Fatalf("(-before +after):\n%s", diff)
				}
			}
		})
	}
}

// TestKilled: an installation, or its end, that is killed at any moment leaves nothing half, and nothing after the next call.
func TestKilled(t *testing.T) {
	for _, e := range registered {
		t.Run(e.engine, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, e.engine, e.config, e.text)
			must := func(verb, profile string) {
				t.Helper()
				if out, err := m.register(verb, profile).CombinedOutput(); err != nil {
					t.Fatalf("%s %s: %v\n%s", verb, profile, err, out)
				}
			}
			must("install", "b") // stays
			before := m.files()
			begun := time.Now()
			must("install", "a")
			took := time.Since(begun)
			installed := m.files()
			must("uninstall", "a")
			for i := range *kills {
				for _, verb := range []string{"install", "uninstall"} {
					if verb == "uninstall" {
						must("install", "a")
					}
					cmd := m.register(verb, "a")
					var out bytes.Buffer
					cmd.Stdout, cmd.Stderr = &out, &out
					if err := cmd.Start(); err != nil {
						t.Fatal(err)
					}
					time.Sleep(took * time.Duration(i) / time.Duration(*kills))
					_ = cmd.Process.Kill() // it may have ended
					_ = cmd.Wait()
					// The next call, whatever it is about, puts in order what was half done.
					must("install", "c")
					must("uninstall", "c")
					now := m.files()
					if !cmp.Equal(now, before) && !cmp.Equal(now, installed) {
						t.Fatalf("%s killed after %d/%d: neither as before nor as installed (-before +now):\n%s", verb, i, *kills, cmp.Diff(before, now))
					}
					if cmp.Equal(now, installed) {
						must("uninstall", "a")
					}
					if diff := cmp.Diff(before, m.files()); diff != "" {
						t.Fatalf("%s killed after %d/%d (-before +after):\n%s", verb, i, *kills, diff)
					}
				}
			}
		})
	}
}
