package engines

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTry has hookctl try run hooks in a throwaway container.
func TestTry(t *testing.T) {
	need(t)
	hookctl := hookctl(t)
	for _, rt := range runtimes {
		t.Run(rt, func(t *testing.T) {
			need(t, rt)
			leaf(t, "stages", func(t *testing.T) { testTry(t, hookctl, rt) })
		})
	}
	leaf(t, "nothing-left", func(t *testing.T) { wantNothingLeft(t) })
}

// tried holds the members of hookctl try --json that are read here.
type tried struct {
	Hooks []struct {
		Stage, Result, Stdout string
		ExitStatus            *int
	}
	Process struct {
		Stdout     string
		ExitStatus *int
	}
	Problems, Notes []string
}

// testTry: each stage's hook runs once, in order, and succeeds, and nothing of the container remains.
func testTry(t *testing.T, hookctl, runtime string) {
	dir, temp := scratch(t), scratch(t)
	hooks := map[string]any{}
	for _, stage := range stages {
		hooks[stage] = []any{map[string]any{"path": "/bin/sh", "args": []string{"sh", "-c", "cat"}}}
	}
	text, err := json.Marshal(map[string]any{"hooks": hooks})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/hooks.json", text, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(hookctl, "try", "--json", "--runtime", runtime, "--rootfs", rootfs, dir+"/hooks.json", "--", "/bin/sh", "-c", "echo hello")
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	o := ok(t, cmd)
	var r tried
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil || o.stderr != "" {
		t.Fatalf("%v: %v", err, o)
	}

	var got []string
	var state struct{ ID string }
	for _, h := range r.Hooks {
		got = append(got, h.Stage)
		if h.Result != "ok" || h.ExitStatus == nil || *h.ExitStatus != 0 {
			t.Errorf("the %s hook: %+v", h.Stage, h)
		}
		if err := json.Unmarshal([]byte(h.Stdout), &state); err != nil || state.ID == "" {
			t.Errorf("the %s hook printed %q, not its state: %v", h.Stage, h.Stdout, err)
		}
	}
	// runc calls poststart hooks before it starts the container's process.
	if i := slices.Index(got, "poststart"); i >= 0 && i+1 < len(got) && got[i+1] == "startContainer" {
		got[i], got[i+1] = got[i+1], got[i]
	}
	if diff := cmp.Diff(stages, got); diff != "" {
		t.Errorf("the hooks that ran, in order (-want +got):\n%s", diff)
	}
	if p := r.Process; p.Stdout != "hello\n" || p.ExitStatus == nil || *p.ExitStatus != 0 || len(r.Problems)+len(r.Notes) > 0 {
		t.Errorf("%+v", r)
	}
	wantNothingOf(t, state.ID, temp)
}

// wantNothingOf checks that no file, mount, cgroup or process of the container's remains.
func wantNothingOf(t *testing.T, id, temp string) {
	t.Helper()
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary directory: %v, %v", left, err)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), temp) {
		t.Errorf("left mounted: %s, %v", mounts, err)
	}
	for _, p := range processes(t, func(p process) bool { return strings.Contains(p.cmdline, temp) }) {
		t.Errorf("left running: %v", p)
	}
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if id != "" && strings.Contains(path, id) {
			t.Errorf("left: %s", path)
		}
		return nil
	})
}
