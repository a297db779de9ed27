package engines

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// testCreateToDelete: the poststop hook runs when the container is deleted, and the low-level runtime no longer
// knows the container.
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
	if !knows(c.profile.runtime, root, state.ID) {
		t.Fatalf("%s knows no %s in %q while it runs; it was called as %q", c.profile.runtime, state.ID, root, args)
	}
	said := e.end(t, c)
	wantGone(t, e, c)
	if _, err := os.Stat(c.dir + "/deleted.state"); err != nil {
		t.Errorf("the poststop hook did not run: %v; %s", err, said)
	}
	if knows(c.profile.runtime, root, state.ID) {
		t.Errorf("%s still knows %s; %s", c.profile.runtime, state.ID, said)
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

// knows reports whether a low-level runtime has a container. It is not asked for a list: runc makes none while another test's
// container is deleted.
func knows(runtime, root, id string) bool {
	var args []string
	if root != "" {
		args = append(args, "--root", filepath.Clean(root))
	}
	return exec.Command(runtime, append(args, "state", id)...).Run() == nil
}
