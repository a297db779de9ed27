package engines

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// testCreateToDelete: the poststop hook runs when the container is deleted, and nothing of the container is left in the
// low-level runtime's list.
func testCreateToDelete(t *testing.T, e engine, c container) {
	path := c.dir + "/caller"
	script := "#!/bin/sh\n" + `cat >` + c.dir + `/"$1".state; tr '\0' '\n' </proc/$PPID/cmdline >` + c.dir + `/"$1".args` + "\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	c.profile.writeJSON(t, map[string]any{"runtime": c.profile.runtime, "hooks": map[string]any{
		"createRuntime": []any{hook(path, "created")}, "poststop": []any{hook(path, "deleted")}}})
	ok(t, e.run(c.command(sleeping(c.dir)), true))
	wantSleeping(t, c.dir)

	var state struct{ ID string }
	text, err := os.ReadFile(c.dir + "/created.state")
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	if err != nil || state.ID == "" {
		t.Fatalf("the hook was given the state %q, %v", text, err)
	}
	args, err := os.ReadFile(c.dir + "/created.args")
	if err != nil {
		t.Fatal(err)
	}
	root := runtimeRoot(strings.Split(string(args), "\n"))
	if !slices.Contains(listed(t, c.profile.runtime, root), state.ID) {
		t.Fatalf("%s lists no %s in %q while it runs; it was called as %q", c.profile.runtime, state.ID, root, args)
	}
	said := e.end(t, c)
	wantGone(t, e, c)
	if _, err := os.Stat(c.dir + "/deleted.state"); err != nil {
		t.Errorf("the poststop hook did not run: %v; %s", err, said)
	}
	if slices.Contains(listed(t, c.profile.runtime, root), state.ID) {
		t.Errorf("%s still lists %s; %s", c.profile.runtime, state.ID, said)
	}
}

// runtimeRoot returns the value of --root among a runtime's arguments; "" if there is none.
func runtimeRoot(args []string) string {
	for i, arg := range args {
		if root, joined := strings.CutPrefix(arg, "--root="); joined {
			return root
		}
		if arg == "--root" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// listed returns the ids of the containers that a low-level runtime has.
func listed(t *testing.T, runtime, root string) []string {
	t.Helper()
	var args []string
	if root != "" {
		args = append(args, "--root", filepath.Clean(root))
	}
	return strings.Fields(ok(t, exec.Command(runtime, append(args, "list", "--quiet")...)).stdout)
}
