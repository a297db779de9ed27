package engines

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// hookctl builds hookctl with the sandbox's profiles, once, and returns its path.
func hookctl(t *testing.T) string {
	t.Helper()
	need(t, "go")
	path, err := builtHookctl()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var builtHookctl = sync.OnceValues(func() (string, error) {
	path := work + "/hookctl"
	cmd := exec.Command("go", "build", "-C", "../..", "-trimpath",
		"-ldflags", "-s -w -X github.com/awslabs/oci-add-hooks/internal/profile.Dir="+profiles+
			" -X github.com/awslabs/oci-add-hooks/internal/hookctl/system.state="+work+"/state", "-o", path, "./cmd/hookctl")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building hookctl: %w\n%s", err, out)
	}
	return path, nil
})

// user holds the members of hookctl profile users --json about a container that are read here.
type user struct {
	ID, Engine, By, Calls string
	Running               bool
}

// script returns the path of the script that dockerd writes for a runtime with arguments. Docker 24 and later append a
// digest to the runtime's name.
func (d docker) script(t *testing.T, runtime string) string {
	t.Helper()
	var scripts []string
	for _, pattern := range []string{"", ".*"} {
		found, err := filepath.Glob(d.data + "/runtimes/" + runtime + pattern)
		if err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, found...)
	}
	if len(scripts) != 1 {
		t.Fatalf("the scripts of %s: %q", runtime, scripts)
	}
	return scripts[0]
}

// testInUse: while an engine controls a container by a profile, hookctl reports that, and removes neither the profile
// nor its runtime. The same applies while a stopped container of Docker's can be started again.
func testInUse(t *testing.T, e engine, c container) {
	hookctl := hookctl(t)
	do := func(command string, more ...string) outcome {
		return do(t, exec.Command(hookctl, append([]string{"profile", command, c.profile.name, "--bin-dir", bin}, more...)...))
	}
	wantUsers := func(want ...user) {
		t.Helper()
		o := do("users", "--json")
		var got struct{ Containers []user }
		if err := json.Unmarshal([]byte(o.stdout), &got); err != nil || o.stderr != "" || (o.code == 0) != (len(want) == 0) {
			t.Fatalf("the users of %s: %v", c.profile.name, o)
		}
		if diff := cmp.Diff(want, got.Containers, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("the users of %s (-want +got):\n%s", c.profile.name, diff)
		}
	}
	wantRefused := func(o outcome, what string) {
		t.Helper()
		if o.code != 1 || !strings.Contains(o.stderr, what) {
			t.Errorf("want an error with %q: %v", what, o)
		}
		if _, err := os.Stat(c.profile.link); err != nil {
			t.Error(err)
		}
	}

	text, err := os.ReadFile(c.profile.file)
	if err != nil {
		t.Fatal(err)
	}
	c.profile.remove(t) // hookctl adds its own
	if err := os.WriteFile(c.dir+"/hooks.json", text, 0o644); err != nil {
		t.Fatal(err)
	}
	add := []string{"--hooks", c.dir + "/hooks.json", "--runtime"}
	if o := do("add", append(add, c.profile.runtime)...); o.code != 0 {
		t.Fatal(o)
	}
	wantUsers()

	id := strings.TrimSpace(ok(t, e.run(c.command(sleeping(c.dir)), true)).stdout)
	wantSleeping(t, c.dir)
	want := user{ID: id, By: c.profile.link, Running: true}
	switch e := e.(type) {
	case docker:
		want.Engine = "docker"
		if strings.HasPrefix(c.profile.name, "README-") { // without the link
			want.By, want.Calls = e.script(t, c.profile.name), c.profile.file
		}
	case containerd:
		want.ID, want.Engine = c.name, "containerd, namespace "+e.namespace
	case podman:
		want.Engine = "podman"
	}
	shown := want.ID
	if want.ID != c.name {
		shown = c.name + ", " + want.ID
	}
	wantUsers(want)
	wantRefused(do("remove"), "\n  "+shown+" ("+want.Engine+", running, by "+want.By)
	wantRefused(do("add", append(add, "/bin/true")...), "\n  "+shown+" ("+want.Engine+", running, by "+want.By)

	if d, isDocker := e.(docker); isDocker {
		ok(t, d.command("stop", "-t", "1", c.name))
		want.Running = false
		if want.Calls != "" {
			want.By = "oci-add-hooks"
		}
		wantUsers(want)
		wantRefused(do("remove"), "\n  "+shown+" (docker, stopped, by "+want.By)
	}
	e.end(t, c)
	wantGone(t, e, c)
	eventually(t, "nobody to use the profile", func() string { // a conmon ends a moment after its container is gone
		if o := do("users"); o.code != 0 {
			return o.said()
		}
		return ""
	})
	wantUsers()
	var force []string
	if _, isDocker := e.(docker); isDocker { // its daemon.json still has the runtime
		wantRefused(do("remove"), "docker has the runtime "+c.profile.name)
		force = []string{"--force"}
	}
	if o := do("remove", force...); o.code != 0 {
		t.Error(o)
	}
	if _, err := os.Lstat(c.profile.link); err == nil {
		t.Error("the link is still there")
	}
}
