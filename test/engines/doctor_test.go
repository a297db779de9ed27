package engines

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A canaryCase is a change to a profile, and what hookctl doctor --canary must print about it.
type canaryCase struct {
	name    string
	breakIt func(t *testing.T, p profile)
	status  string
	says    string
}

var canaryCases = []canaryCase{
	{"well", func(*testing.T, profile) {}, "ok", "config.json holds a hook of the profile"},
	{"hook-within", func(t *testing.T, p profile) { // the program does not exist in the canary's image
		p.writeJSON(t, map[string]any{"runtime": p.runtime, "skipSandboxes": true, "hooks": map[string]any{"createRuntime": []any{trueHook}, "startContainer": []any{
			map[string]any{"path": "/opt/some/where/within", "args": []string{"within", "--option"}, "timeout": 5}}}})
	}, "ok", "config.json holds 2 hooks of the profile"},
	{"no-hook-for-it", func(t *testing.T, p profile) {
		p.writeJSON(t, map[string]any{"runtime": p.runtime, "hooks": map[string]any{}})
	},
		"warning", "not proven by a hook"},
	{"plain-runtime", func(t *testing.T, p profile) { relink(t, p.link, runtimePath(t, p.runtime)) },
		"error", "does not lead to oci-add-hooks"},
	{"bypass", func(t *testing.T, p profile) {
		relink(t, p.link, "")
		script := "#!/bin/sh\nexec " + runtimePath(t, p.runtime) + " \"$@\"\n"
		if err := os.WriteFile(p.link, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}, "error", "does not lead to oci-add-hooks"},
	{"taken-out", func(t *testing.T, p profile) { // the program called after oci-add-hooks removes the hooks
		runtime := filepath.Join(scratch(t), p.runtime)
		script := `#!/bin/sh
for arg; do
	if [ "$before" = --bundle ]; then
		sed -i 's/"createRuntime"/"createdRuntime"/' "$arg/config.json"
	fi
	before=$arg
done
exec ` + runtimePath(t, p.runtime) + ` "$@"
`
		if err := install(strings.NewReader(script), runtime); err != nil {
			t.Fatal(err)
		}
		p.writeJSON(t, map[string]any{"runtime": runtime, "hooks": oneHook})
	}, "error", "the container ran without the createRuntime hook /bin/true of "},
	{"broken", func(t *testing.T, p profile) { p.write(t, broken) }, "error", "prestrat"},
	{"hook-fails", func(t *testing.T, p profile) {
		p.writeJSON(t, map[string]any{"runtime": p.runtime, "hooks": map[string]any{"createRuntime": []any{map[string]any{"path": "/bin/false"}}}})
	}, "error", "the container did not start: "},
}

// oneHook is the content of the profiles: a hook for every container.
var oneHook = map[string]any{"createRuntime": []any{trueHook}}

var trueHook = map[string]any{"path": "/bin/true", "env": []string{}, "timeout": 5}

func runtimePath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// relink makes a link lead to target, or removes it if target is empty.
func relink(t *testing.T, link, target string) {
	t.Helper()
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if target != "" {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
}

// canaryProfiles makes the profile of each case.
func canaryProfiles(t *testing.T, engine string) map[string]profile {
	t.Helper()
	all := map[string]profile{}
	for _, c := range canaryCases {
		p := newProfile(t, profileName("canary", engine, c.name), "runc")
		p.writeJSON(t, map[string]any{"runtime": p.runtime, "hooks": oneHook})
		all[c.name] = p
	}
	return all
}

// doctored holds the members of the output of hookctl doctor --json that are read here.
type doctored struct {
	Lines []struct{ Runtime, Status, About, Message string }
}

// canary has hookctl run a container by a profile, and returns the status and message of the row about it.
func canary(t *testing.T, cmd *exec.Cmd) (status, message string, o outcome) {
	t.Helper()
	o = do(t, cmd)
	var d doctored
	if err := json.Unmarshal([]byte(o.stdout), &d); err != nil {
		t.Fatalf("%v: %v", err, o)
	}
	for _, l := range d.Lines {
		if l.About == "canary" {
			return l.Status, l.Message, o
		}
	}
	t.Fatalf("the output has no row about a canary: %v", o)
	return "", "", o
}

// testCanary runs each case. doctor returns the command that examines the engine. left returns what remains of a canary
// in the engine.
func testCanary(t *testing.T, all map[string]profile, doctor func(args ...string) *exec.Cmd, left func(t *testing.T) string) {
	for _, c := range canaryCases {
		leaf(t, c.name, func(t *testing.T) {
			p := all[c.name]
			before, err := os.ReadFile(p.file)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.WriteFile(p.file, before, 0o644) }) // for the later cases, which also examine it
			c.breakIt(t, p)
			status, message, o := canary(t, doctor("doctor", "--json", "--canary", "--profile", p.name, "--bin-dir", bin))
			if status != c.status || !strings.Contains(message, c.says) {
				t.Errorf("want %s, %q; got %s, %q: %v", c.status, c.says, status, message, o)
			}
			if want := map[string]int{"error": 1}[c.status]; o.code != want {
				t.Errorf("want the exit status %d: %v", want, o)
			}
			if what := left(t); strings.Contains(what, "hookctl-canary") {
				t.Errorf("left: %s", what)
			}
			if files, _ := filepath.Glob(filepath.Join(os.TempDir(), "hookctl-canary-*")); len(files) > 0 {
				t.Errorf("left: %q", files)
			}
		})
	}
}

func TestDoctorDocker(t *testing.T) {
	need(t, "dockerd", "docker", "containerd", "runc")
	hookctl := hookctl(t)
	all := canaryProfiles(t, "docker")
	registered := map[string]any{}
	for _, p := range all {
		registered[p.name] = map[string]any{"path": p.link}
	}
	d := startDocker(t, map[string]any{"runtimes": registered})
	doctor := func(args ...string) *exec.Cmd {
		cmd := exec.Command(hookctl, append(args, "docker", "--config", d.config)...)
		cmd.Env = append(d.env, "PATH="+filepath.Dir(d.cli)+":"+os.Getenv("PATH"))
		return cmd
	}
	left := func(t *testing.T) string {
		return ok(t, d.command("ps", "--all", "--format", "{{.Names}}")).stdout + ok(t, d.command("images")).stdout
	}
	testCanary(t, all, doctor, left)
	leaf(t, "interrupted", func(t *testing.T) { testInterrupted(t, all["well"], doctor, left) })
	leaf(t, "nothing-left", func(t *testing.T) { wantNothingLeft(t, d.daemons()...) })
}

// testInterrupted has a hook interrupt hookctl, as Ctrl-C would, while the container is created.
func testInterrupted(t *testing.T, p profile, doctor func(args ...string) *exec.Cmd, left func(t *testing.T) string) {
	dir := scratch(t)
	p.writeJSON(t, map[string]any{"runtime": p.runtime, "hooks": map[string]any{"createRuntime": []any{map[string]any{
		"path": "/bin/sh", "args": []string{"sh", "-c", "kill -INT $(cat " + dir + "/pid)"}, "env": []string{"PATH=/usr/bin:/bin"}}}}})
	cmd := doctor("doctor", "--canary", "--profile", p.name, "--bin-dir", bin)
	shell := exec.Command("/bin/sh", append([]string{"-c", "echo $$ >" + dir + `/pid; exec "$0" "$@"`}, cmd.Args...)...)
	shell.Env = cmd.Env
	if o := do(t, shell); o.code != 1 || !strings.Contains(o.stderr, "hookctl: interrupted") {
		t.Errorf("want an interrupted command: %v", o)
	}
	if what := left(t); strings.Contains(what, "hookctl-canary") {
		t.Errorf("left: %s", what)
	}
}

func TestDoctorContainerd(t *testing.T) {
	need(t, "containerd", "ctr", "runc")
	hookctl := hookctl(t)
	all := canaryProfiles(t, "containerd")
	k := startKubelet(t, slices.Collect(maps.Values(all)))
	testCanary(t, all, func(args ...string) *exec.Cmd {
		return exec.Command(hookctl, append(args, "containerd", "--config", k.containerd.config)...)
	}, func(t *testing.T) string {
		return ok(t, k.containerd.command("images", "ls")).stdout + ok(t, k.containerd.command("containers", "ls")).stdout
	})
	leaf(t, "nothing-left", func(t *testing.T) { wantNothingLeft(t, "containerd") })
}

func TestDoctorPodman(t *testing.T) {
	need(t, "podman", "runc")
	hookctl := hookctl(t)
	all := canaryProfiles(t, "podman")
	var names, entries []string
	for _, p := range all {
		names = append(names, fmt.Sprintf("%q", p.name))
		entries = append(entries, fmt.Sprintf("%q = [%q]", p.name, p.link))
	}
	usualPodman(t, "runtime_supports_json = ["+strings.Join(names, ", ")+"]\n[engine.runtimes]\n"+strings.Join(entries, "\n"))
	testCanary(t, all, func(args ...string) *exec.Cmd {
		return exec.Command(hookctl, append(args, "podman")...)
	}, func(t *testing.T) string {
		return ok(t, exec.Command("podman", "ps", "--all", "--format", "{{.Names}}")).stdout + ok(t, exec.Command("podman", "images")).stdout
	})
	leaf(t, "nothing-left", func(t *testing.T) { wantNothingLeft(t) })
}

// usualPodman writes Podman's usual files, so that it runs here when called without options. engine is added to the
// table engine of the configuration.
func usualPodman(t *testing.T, engine string) {
	t.Helper()
	const etc = "/etc/containers" // the sandbox's own
	if err := syscall.Mount("tmpfs", etc, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(etc, 0); err != nil {
			t.Error(err)
		}
	})
	dir := scratch(t)
	// Podman raises limits to its defaults, which some machines do not allow.
	for name, text := range map[string]string{
		"policy.json":  `{"default": [{"type": "insecureAcceptAnything"}]}`,
		"storage.conf": "[storage]\ndriver = \"vfs\"\nrunroot = \"" + dir + "/run\"\ngraphroot = \"" + dir + "/root\"\n",
		"containers.conf": "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n" +
			"[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\ntmp_dir = \"" + dir + "/tmp\"\n" + engine,
	} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
