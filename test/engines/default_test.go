package engines

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstallDefaultDocker tests hookctl install --default: a profile becomes the default runtime once it has started a
// container, and then starts the containers that ask for none. If it starts none, the engine is unchanged.
func TestInstallDefaultDocker(t *testing.T) {
	need(t, "dockerd", "docker", "containerd", "runc")
	// Docker 20.10 keeps the runtimes that it knows if the file no longer has the member.
	d := startDocker(t, map[string]any{"default-runtime": "runc", "runtimes": map[string]any{"other": map[string]any{"path": "runc"}}})
	t.Setenv("PATH", filepath.Dir(d.cli)+":"+os.Getenv("PATH"))
	before, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	defaultRuntime := func() string {
		return strings.TrimSpace(ok(t, d.command("info", "--format", "{{.DefaultRuntime}}")).stdout)
	}
	const name = "install-default"
	c := container{name: name, dir: scratch(t)}
	i := addProfile(t, "docker", d.config, name, c.dir, stages...)
	c.profile = i.profile

	leaf(t, "refused", func(t *testing.T) {
		i := i
		i.t = t
		c.profile.writeJSON(t, map[string]any{"runtime": "runc", "hooks": map[string]any{
			"createRuntime": []any{map[string]any{"path": "/bin/false", "env": []string{}, "timeout": 5}}}})
		o := i.do(i.call("install", "--default", "--reload")...)
		if o.code != 1 || !strings.Contains(o.stderr, "does not become the default: the container did not start: ") ||
			!strings.Contains(o.stderr, "everything was restored") {
			t.Errorf("want an error: %v", o)
		}
		wantBytes(t, d.config, before)
		eventually(t, "dockerd to forget the runtime", func() string {
			if d.lacks(t, name) == "" {
				return "it still knows it"
			}
			return ""
		})
		if got := defaultRuntime(); got != "runc" {
			t.Errorf("the default runtime is %s", got)
		}
	})
	leaf(t, "accepted", func(t *testing.T) {
		i := i
		i.t = t
		c.profile.writeJSON(t, map[string]any{"runtime": "runc", "hooks": map[string]any{
			"createRuntime": []any{hook(recorder(t, c.dir), "createRuntime")}}})
		if o := i.ok(i.call("install", "--default", "--reload")...); !strings.Contains(o.stdout, "canary a container ran; its engine calls "+c.profile.link) {
			t.Errorf("the output does not say that a container ran: %v", o)
		}
		eventually(t, "dockerd to have the runtime by default", func() string {
			if got := defaultRuntime(); got != name {
				return got
			}
			return ""
		})
		forget(t, c.dir)
		ok(t, d.command("run", "--rm", "--network", "none", image, "sh", "-c", ":"))
		if calls := recorded(t, c.dir); len(calls) != 1 {
			t.Errorf("these hooks ran for a container that asks for no runtime: %+v", calls)
		}
		i.uninstall("--reload")
		wantBytes(t, d.config, before)
		eventually(t, "dockerd to have the default runtime of before", func() string {
			if got := defaultRuntime(); got != "runc" {
				return got
			}
			return ""
		})
	})
	leaf(t, "nothing-left", func(t *testing.T) {
		if left := ok(t, d.command("ps", "--all", "--quiet")).stdout; left != "" {
			t.Errorf("left: %s", left)
		}
		wantNothingLeft(t, d.daemons()...)
	})
}
