package engines

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stages are the six stages, in the order in which a container reaches them.
var stages = []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

// A profile is a link to the program, and the hook file that the program reads when called by it.
type profile struct {
	name    string // the link's base name
	link    string
	file    string
	runtime string // the name of the low-level runtime
}

// newProfile makes a profile that adds no hooks. Its link stays, because an engine needs it as long as a container
// exists.
func newProfile(t testing.TB, name, runtime string) profile {
	t.Helper()
	p := profile{name, filepath.Join(bin, name), filepath.Join(profiles, name+".json"), runtime}
	if err := os.Symlink("oci-add-hooks", p.link); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	p.write(t, fmt.Sprintf(`{"runtime": %q, "hooks": {}}`, runtime))
	return p
}

// write replaces the hook file, or any other file at its path.
func (p profile) write(t testing.TB, text string) {
	t.Helper()
	p.remove(t)
	if err := os.WriteFile(p.file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(p.file) })
}

func (p profile) remove(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(p.file); err != nil {
		t.Fatal(err)
	}
}

// record writes a hook file that records all six stages in dir. The container must mount dir at the same path, because
// startContainer's hook runs in the container.
func (p profile) record(t testing.TB, dir string) {
	t.Helper()
	path := recorder(t, dir)
	hooks := map[string]any{}
	for _, stage := range stages {
		hooks[stage] = []any{hook(path, stage)}
	}
	p.writeJSON(t, map[string]any{"hooks": hooks, "runtime": p.runtime})
}

// writeJSON replaces the hook file. The member runtime comes first, as in files that hookctl writes.
func (p profile) writeJSON(t testing.TB, file map[string]any) {
	t.Helper()
	rest := maps.Clone(file)
	delete(rest, "runtime")
	text, err := json.MarshalIndent(rest, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	p.write(t, fmt.Sprintf("{\n  \"runtime\": %q,%s", file["runtime"], text[1:]))
}

// recorder writes a program that records its calls in dir, and returns its path. In the container, which has no tr, the
// caller is empty.
func recorder(t testing.TB, dir string) string {
	t.Helper()
	path := dir + "/hook"
	script := "#!/bin/sh\n" +
		`caller=$({ tr '\0' ' ' </proc/$PPID/cmdline; } 2>/dev/null)` + "\n" +
		`printf '{"label": "%s", "caller": "%s", "runtimeDir": "%s", "state": %s}\n' "$1" "$caller" "$XDG_RUNTIME_DIR" "$(cat)" >>` + dir + "/record\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// hook is a hook that records its calls under a label.
func hook(path, label string) map[string]any {
	return map[string]any{"path": path, "args": []string{"hook", label}}
}

// A call is one run of a hook.
type call struct {
	Label      string   // in the hook file of record: the stage
	Caller     string   // the command line of its parent: of the runtime, if the hook is unsupervised and outside the container
	RuntimeDir string   // $XDG_RUNTIME_DIR
	State      struct { // what the hook read from its standard input
		OCIVersion string
		ID         string
		Status     string
		Pid        int
		Bundle     string
	}
}

// recorded reads what the hooks recorded in dir.
func recorded(t testing.TB, dir string) []call {
	t.Helper()
	f, err := os.Open(dir + "/record")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var calls []call
	for d := json.NewDecoder(f); ; {
		var c call
		err := d.Decode(&c)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // the latter while a hook writes
			return calls
		}
		if err != nil {
			t.Fatalf("%s/record: %v", dir, err)
		}
		calls = append(calls, c)
	}
}

// forget removes the records of hooks in dir.
func forget(t testing.TB, dir string) {
	t.Helper()
	if err := os.Remove(dir + "/record"); err != nil {
		t.Fatal(err)
	}
}

// wantAllStages checks that the six hooks ran once each, in order, each with the container's state, and that the
// low-level runtime no longer has the container. It waits for the last hook: engines report the end of a container
// before they delete it.
func wantAllStages(t testing.TB, dir string) {
	t.Helper()
	wantStages(t, dir, stages...)
}

// wantStages checks the same for a runtime that supports only these stages.
func wantStages(t testing.TB, dir string, stages ...string) {
	t.Helper()
	eventually(t, "all hooks to run", func() string {
		if calls := recorded(t, dir); len(calls) < len(stages) {
			return fmt.Sprintf("these ran: %+v", calls)
		}
		return ""
	})
	calls := recorded(t, dir)
	var got []string
	for _, c := range calls {
		got = append(got, c.Label)
	}
	// runc start does not wait for the container's startContainer hooks, so that they and poststart overlap.
	if i := slices.Index(got, "poststart"); i >= 0 && i+1 < len(got) && got[i+1] == "startContainer" {
		got[i], got[i+1] = got[i+1], got[i]
	}
	if diff := cmp.Diff(stages, got); diff != "" {
		t.Errorf("the hooks that ran, in order (-want +got):\n%s", diff)
	}
	for _, c := range calls {
		if s := c.State; s.OCIVersion == "" || s.ID == "" || s.ID != calls[0].State.ID || s.Bundle == "" ||
			!slices.Contains(statuses[c.Label], s.Status) || s.Pid == 0 && hasPid[c.Label] {
			t.Errorf("the %s hook got the state %+v", c.Label, s)
		}
	}
	wantDeleted(t, dir)
}

// statuses are the values of status that runc and crun pass to each stage's hooks. The specification has "creating" up
// to createContainer, then "created", "running" and "stopped".
var statuses = map[string][]string{
	"prestart":        {"creating", "created"},
	"createRuntime":   {"creating", "created"},
	"createContainer": {"creating", "created"},
	"startContainer":  {"created", "starting"},
	"poststart":       {"running", "created"}, // runc, as above
	"poststop":        {"stopped"},
}

// hasPid are the stages whose hooks must get the container's pid. crun passes it only to hooks that run in crun's own
// namespaces.
var hasPid = map[string]bool{"prestart": true, "createRuntime": true, "poststart": true}
