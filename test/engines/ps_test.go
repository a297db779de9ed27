package engines

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// row holds the members of hookctl ps --json about a container that are read here.
type row struct {
	ID, Name, Engine, Bundle, Profile, State, Reason string
	Hooks                                            map[string][]struct{ Path string }
	Problems                                         []string
}

// ps returns the row of the container with that id. It ignores the exit status, which is about all containers here,
// including those of other tests.
func ps(t *testing.T, id string, options ...string) row {
	t.Helper()
	o := do(t, exec.Command(hookctl(t), append([]string{"ps", "--json", "--bin-dir", bin}, options...)...))
	var list struct{ Containers []row }
	if err := json.Unmarshal([]byte(o.stdout), &list); err != nil {
		t.Fatalf("%v: %v", err, o)
	}
	i := slices.IndexFunc(list.Containers, func(r row) bool { return r.ID == id })
	if i < 0 {
		t.Fatalf("hookctl ps lists no container %s: %v", id, o)
	}
	return list.Containers[i]
}

// wantAllHooks checks that a row has one hook at each stage, apart from the engine's own.
func (r row) wantAllHooks(t *testing.T, dir string) {
	t.Helper()
	for _, stage := range stages {
		if !slices.ContainsFunc(r.Hooks[stage], func(h struct{ Path string }) bool { return h.Path == dir+"/hook" }) {
			t.Errorf("no %s hook of %s: %+v", stage, dir, r)
		}
	}
}

// testPs: hookctl ps lists the hooks of a running container, the profile that added them, and whether the profile has
// changed since. hookctl preview finds the container by its name.
func testPs(t *testing.T, e engine, c container) {
	hookctl := hookctl(t)
	id := strings.TrimSpace(ok(t, e.run(c.command(sleeping(c.dir)), true)).stdout)
	wantSleeping(t, c.dir)
	engine := ""
	switch e := e.(type) {
	case docker:
		engine = "docker"
	case containerd:
		id, engine = c.name, "containerd, namespace "+e.namespace
	case podman:
		engine = "podman"
	}
	want := func(state, problem string, options ...string) {
		t.Helper()
		r := ps(t, id, options...)
		r.wantAllHooks(t, c.dir)
		if r.Engine != engine || r.Profile != c.profile.name || r.State != state || strings.Join(r.Problems, "\n") != problem ||
			r.Name != c.name && r.ID != c.name || r.Bundle == "" {
			t.Errorf("want %s %q: %+v", state, problem, r)
		}
	}
	want("complete", "")
	want("complete", "", "--profile", c.profile.name)
	expected := newProfile(t, c.profile.name+"-expected", c.profile.runtime)
	expected.write(t, `{"hooks": {"poststart": [{"path": "/bin/true"}]}}`)
	want("complete", "it should have gone through "+expected.name+", whose hooks it lacks", "--expect", expected.name)
	if o := do(t, exec.Command(hookctl, "preview", "--id", c.name)); o.code != 0 || !strings.Contains(o.stdout, "state complete\n") ||
		strings.Count(o.stdout, c.profile.file+"\n") != len(stages) {
		t.Errorf("hookctl preview --id %s: %v", c.name, o)
	}

	c.profile.write(t, `{"runtime": "`+c.profile.runtime+`", "hooks": {"poststop": [{"path": "/bin/true"}]}}`)
	r := ps(t, id)
	if r.State != "changed" || len(r.Problems) != 1+len(stages) || r.Problems[0] != "poststop lacks /bin/true, which "+c.profile.file+" adds today" {
		t.Errorf("want the state changed: %+v", r)
	}
	c.profile.write(t, `{"runtime": "`+c.profile.runtime+`", "hooks": [`)
	if r := ps(t, id); r.State != "unknown" || len(r.Problems) != 1 || !strings.HasPrefix(r.Problems[0], c.profile.file+":1:") {
		t.Errorf("want the state unknown: %+v", r)
	}
	c.profile.record(t, c.dir)
	e.end(t, c)
	wantGone(t, e, c)
}

// testPsAlone shows a container that a person started: no witness names its profile, so hookctl compares it on demand.
func testPsAlone(t *testing.T, b bundle) {
	b.command(t, sleeping(b.dir))
	ok(t, b.create())
	ok(t, b.call("start", b.id))
	wantSleeping(t, b.dir)
	root := []string{"--root", b.dir + "/state"}
	r := ps(t, b.id, root...)
	r.wantAllHooks(t, b.dir)
	if r.Engine != b.profile.runtime || r.Bundle != b.dir || r.Profile != "" || r.State != "unknown" || len(r.Problems) > 0 {
		t.Errorf("%+v", r)
	}
	if r := ps(t, b.id, append(root, "--profile", b.profile.name)...); r.State != "complete" || r.Profile != b.profile.name {
		t.Errorf("%+v", r)
	}
	ok(t, b.call("kill", b.id, "TERM"))
	b.wantEnded(t)
	ok(t, b.call("delete", b.id))
}
