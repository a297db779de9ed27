package engines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A runtimeState is the state directory of a low-level runtime.
type runtimeState struct {
	runtime string // the program
	root    string // the state directory; "" for the runtime's default
}

// A life is a container as its low-level runtime knows it.
type life struct {
	runtimeState
	id string
}

// lives returns the containers whose hooks are recorded in dir, in the order of the records.
func lives(t testing.TB, dir string) (all []life) {
	t.Helper()
	for _, c := range recorded(t, dir) {
		args := strings.Fields(c.Caller)
		if !slices.ContainsFunc(args, func(arg string) bool { return slices.Contains([]string{"create", "run", "delete"}, arg) }) {
			continue // neither the runtime nor its part in the container
		}
		l := life{runtimeState{args[0], runtimeRoot(args)}, c.State.ID}
		if l.root == "" && c.RuntimeDir != "" {
			l.root = c.RuntimeDir + "/" + filepath.Base(l.runtime)
		}
		if !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	return all
}

// runtimeRoot returns the value of --root among a runtime's arguments; "" if there is none.
func runtimeRoot(args []string) string {
	for i, arg := range args {
		if root, joined := strings.CutPrefix(arg, "--root="); joined {
			return filepath.Clean(root)
		}
		if arg == "--root" && i+1 < len(args) {
			return filepath.Clean(args[i+1])
		}
	}
	return ""
}

// call returns a call of the runtime.
func (s runtimeState) call(args ...string) *exec.Cmd {
	if s.root != "" {
		args = append([]string{"--root", s.root}, args...)
	}
	return exec.Command(s.runtime, args...)
}

// knows reports whether the runtime has a container. It does not ask for the list, because runc returns none while
// another test's container is deleted.
func (s runtimeState) knows(id string) bool { return s.call("state", id).Run() == nil }

// states holds the state directories of the containers that were checked.
var states struct {
	sync.Mutex
	all map[runtimeState]bool
}

// wantAlive checks that n containers have hooks recorded in dir, and that the runtime has them.
func wantAlive(t testing.TB, dir string, n int) {
	t.Helper()
	alive := lives(t, dir)
	if len(alive) != n {
		t.Errorf("want %d containers, got %+v", n, alive)
	}
	for _, l := range alive {
		if !l.knows(l.id) {
			t.Errorf("%s does not know %s in %q while it runs", l.runtime, l.id, l.root)
		}
	}
}

// wantDeleted waits until the runtimes have none of the containers whose hooks are recorded in dir.
func wantDeleted(t testing.TB, dir string) {
	t.Helper()
	for _, l := range lives(t, dir) {
		eventually(t, "the container to be deleted", func() string {
			if l.knows(l.id) {
				return fmt.Sprintf("%s still knows %s in %q", l.runtime, l.id, l.root)
			}
			return ""
		})
		states.Lock()
		if states.all == nil {
			states.all = map[runtimeState]bool{}
		}
		states.all[l.runtimeState] = true
		states.Unlock()
	}
}

// wantListsEmpty checks, after all tests, that no runtime of the checked containers has any container.
func wantListsEmpty(t testing.TB) {
	t.Helper()
	states.Lock()
	defer states.Unlock()
	for s := range states.all {
		if _, err := os.Stat(s.root); s.root != "" && err != nil {
			continue // it belonged to the test
		}
		if o := ok(t, s.call("list", "--quiet")); o.stdout != "" {
			t.Errorf("%s has these in %q: %s", s.runtime, s.root, o.stdout)
		}
	}
	clear(states.all)
}

// follow writes a hook file that records a container's create and its delete in its directory. Each way to configure
// hooks has one at poststop: the hook file, supervised and not, and a hooks directory that it names.
func follow(t testing.TB, c container) {
	t.Helper()
	path, dir := recorder(t, c.dir), c.dir+"/hooks.d"
	writeRule(t, dir, "10-deleted.json", fmt.Sprintf(`{"version": "1.0.0", "hook": {"path": %q, "args": ["hook", "directory"]},
		"when": {"always": true}, "stages": ["poststop"]}`, path))
	supervised := hook(path, "supervised")
	supervised["supervise"] = true
	c.profile.writeJSON(t, map[string]any{"runtime": c.profile.runtime, "hooksDirs": []string{dir}, "hooks": map[string]any{
		"createRuntime": []any{hook(path, "created")}, "poststop": []any{hook(path, "deleted"), supervised}}})
}

// testCreateToDelete: the poststop hooks run when the container is deleted, and the low-level runtime no longer has it
// then.
func testCreateToDelete(t *testing.T, e engine, c container) {
	follow(t, c)
	runWhole(t, e, c, "created", "deleted", "supervised", "directory")
}

// runWhole runs a container from create to delete, and checks that these hooks ran and that the low-level runtime has
// it only in between.
func runWhole(t *testing.T, e engine, c container, hooks ...string) {
	t.Helper()
	ok(t, e.run(c.command(sleeping(c.dir)), true))
	wantSleeping(t, c.dir)
	wantAlive(t, c.dir, 1)
	said := e.end(t, c)
	wantGone(t, e, c)
	wantRan(t, c.dir, hooks)
	wantDeleted(t, c.dir)
	if t.Failed() {
		t.Log("The engine last said: ", said)
	}
}
