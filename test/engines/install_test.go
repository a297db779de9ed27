package engines

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// These tests take a user's way from a hook file to a container and back: hookctl profile add, hookctl install, a
// container by the runtime's name, hookctl uninstall, hookctl profile remove. Nothing else is done to the engine.

// installed is a profile that only hookctl has written.
type installed struct {
	t       *testing.T
	hookctl string
	engine  string
	profile profile
	config  string // the path of the engine's configuration; empty for the default one
}

// addProfile has hookctl make a profile with runc as its runtime, whose hooks record the given stages in dir.
func addProfile(t *testing.T, engine, config, name, dir string, stages ...string) installed {
	t.Helper()
	i := installed{t, hookctl(t), engine, newProfile(t, name, "runc"), config}
	path, byStage := recorder(t, dir), map[string]any{}
	for _, stage := range stages {
		byStage[stage] = []any{hook(path, stage)}
	}
	i.profile.writeJSON(t, map[string]any{"hooks": byStage, "runtime": "runc"})
	hooks := dir + "/hooks.json"
	if err := os.Rename(i.profile.file, hooks); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(i.profile.link); err != nil {
		t.Fatal(err)
	}
	i.ok("profile", "add", name, "--hooks", hooks, "--bin-dir", bin)
	return i
}

func (i installed) do(args ...string) outcome {
	i.t.Helper()
	return do(i.t, exec.Command(i.hookctl, args...))
}

func (i installed) ok(args ...string) outcome {
	i.t.Helper()
	return ok(i.t, exec.Command(i.hookctl, args...))
}

// call returns the arguments of install or uninstall.
func (i installed) call(command string, more ...string) []string {
	args := append([]string{command, i.engine, "--profile", i.profile.name, "--bin-dir", bin}, more...)
	if i.config != "" {
		args = append(args, "--config", i.config)
	}
	return args
}

// wantInUse checks that uninstall refuses and names a container.
func (i installed) wantInUse(id string) {
	i.t.Helper()
	if o := i.do(i.call("uninstall")...); o.code != 1 || !strings.Contains(o.stderr, id) {
		i.t.Errorf("want an error that names the container %s: %v", id, o)
	}
}

// uninstall waits until hookctl sees no container that uses the profile, because a shim or a conmon may end a moment
// later than the container. Then it requires that uninstall succeeds.
func (i installed) uninstall(more ...string) {
	i.t.Helper()
	eventually(i.t, "nobody to use the profile", func() string {
		if o := i.do("profile", "users", i.profile.name, "--bin-dir", bin); o.code != 0 {
			return o.said()
		}
		return ""
	})
	i.ok(i.call("uninstall", more...)...)
}

// removeProfile removes the profile, the last step of the way back.
func (i installed) removeProfile() {
	i.t.Helper()
	i.ok("profile", "remove", i.profile.name, "--bin-dir", bin)
	for _, path := range []string{i.profile.link, i.profile.file} {
		if _, err := os.Lstat(path); err == nil {
			i.t.Errorf("%s is left", path)
		}
	}
}

// TestInstallDocker: dockerd reads the changed daemon.json on SIGHUP, while its containers run.
func TestInstallDocker(t *testing.T) {
	need(t, "dockerd", "docker", "containerd", "runc")
	const name = "install-docker"
	d := startDocker(t, map[string]any{"runtimes": map[string]any{"other": map[string]any{"path": "runc"}}})
	config := strings.TrimSuffix(d.data, "data") + "daemon.json"
	before := oddlySetOut(t, config)
	c := container{name: name, dir: scratch(t)}
	i := addProfile(t, "docker", config, name, c.dir, stages...)
	c.profile = i.profile

	other := container{name: "other", profile: profile{name: "other"}, dir: scratch(t)}
	ok(t, d.run(other.command(sleeping(other.dir)), true))
	wantSleeping(t, other.dir)

	if o := do(t, d.run(c.command("true"), false)); o.code == 0 {
		t.Fatalf("Docker knows the runtime before it is installed: %v", o)
	}
	i.ok(i.call("install", "--dry-run")...)
	wantBytes(t, config, before)
	i.ok(i.call("install", "--reload")...)
	eventually(t, "dockerd to know the runtime", func() string {
		return d.lacks(t, name)
	})
	wantOutput(t, d, c, "echo hello", "hello\n")
	wantAllStages(t, c.dir)
	forget(t, c.dir)

	id := strings.TrimSpace(ok(t, d.run(c.command(sleeping(c.dir)), true)).stdout)
	wantSleeping(t, c.dir)
	wantAlive(t, c.dir, 1)
	i.wantInUse(id)
	d.end(t, c)
	wantGone(t, d, c)
	wantAllStages(t, c.dir)
	i.uninstall("--reload")
	wantBytes(t, config, before)
	eventually(t, "dockerd to forget the runtime", func() string {
		if d.lacks(t, name) == "" {
			return "it knows it"
		}
		return ""
	})
	i.removeProfile()
	if !d.knows(t, "other") || len(inContainer(t, other)) == 0 {
		t.Error("the other container has ended")
	}
	d.end(t, other)
	wantNothingLeft(t, d.daemons()...)
}

// lacks returns "" if Docker has no such runtime, else the runtimes that it has.
func (d docker) lacks(t *testing.T, runtime string) string {
	t.Helper()
	var known map[string]any
	o := ok(t, d.command("info", "--format", "{{json .Runtimes}}"))
	if err := json.Unmarshal([]byte(o.stdout), &known); err != nil {
		t.Fatal(err)
	}
	if known[runtime] == nil {
		return o.stdout
	}
	return ""
}

// oddlySetOut rewrites a JSON file in an unusual layout, and returns its text.
func oddlySetOut(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var odd bytes.Buffer
	if err := json.Compact(&odd, text); err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(odd.Bytes(), []byte(`:{`), []byte(" :\n\t {"))
	text = append([]byte("\n "), text...)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return text
}

func wantBytes(t *testing.T, path string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s (%v) has the text\n%s\nnot\n%s", path, err, got, want)
	}
}

// TestInstallContainerd: containerd reads the changed configuration when it restarts, and Kubernetes selects the
// handler by its name.
func TestInstallContainerd(t *testing.T) {
	withEach(t, func(t *testing.T) { testInstallContainerd(t, "") }, "containerd", "containerd-shim-runc-v2", "ctr")
}

// TestInstallContainerdDropIn: containerd 2 merges imported files table by table, so that the handler can have a file
// of its own.
func TestInstallContainerdDropIn(t *testing.T) {
	withEach(t, func(t *testing.T) {
		if major := containerdMajor(t); major < 2 {
			skip(t, "an imported file replaces the whole CRI section in containerd %d", major)
		}
		testInstallContainerd(t, scratch(t))
	}, "containerd", "containerd-shim-runc-v2", "ctr")
}

// testInstallContainerd runs a containerd that imports the files in a directory; "" means none.
func testInstallContainerd(t *testing.T, imported string) {
	const name = "install-containerd"
	archive := imageArchive(t, "/bin/sleep", "1000")
	imports := ""
	if imported != "" {
		imports = fmt.Sprintf("imports = [%q]\n", imported+"/*.toml")
	}
	d := configureContainerd(t, "k8s.io", "# A node's own.\n"+imports+criConfig[containerdMajor(t)].config)
	before, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	c := container{name: name, dir: scratch(t)}
	i := addProfile(t, "containerd", d.config, name, c.dir, "createRuntime", "poststop") // a sandbox has nothing mounted
	c.profile = i.profile
	plain := container{name: "plain", dir: scratch(t)}

	i.ok(i.call("install", "--dry-run")...)
	wantBytes(t, d.config, before)
	i.ok(i.call("install")...)
	t.Run("installed", func(t *testing.T) {
		d.start(t, archive)
		k := connect(t, d)
		sandbox, container := k.runPod(t, c)
		wantCalls(t, c, map[string]string{sandbox: "sandbox", container: "container"}, []string{
			"createRuntime of the sandbox", "createRuntime of the container", "poststop of the container", "poststop of the sandbox",
		})
		wantDeleted(t, c.dir)
		sandbox, err := k.runSandbox(t, c)
		if err != nil {
			t.Fatal(err)
		}
		i.wantInUse(sandbox)
		k.removePod(t, sandbox)

		// The default, once a pod by it has shown that it works.
		if o := i.ok(i.call("install", "--default")...); !strings.Contains(o.stdout, "canary ") {
			t.Errorf("no canary ran: %v", o)
		}
		if text, err := os.ReadFile(d.config); imported == "" && (err != nil || bytes.Equal(text, before)) {
			t.Errorf("%s has not changed (%v)", d.config, err)
		}
	})
	i.uninstall()
	wantBytes(t, d.config, before)
	if imported != "" {
		if left, err := os.ReadDir(imported); err != nil || len(left) > 0 {
			t.Errorf("left in the imported directory: %v, %v", left, err)
		}
	}
	i.removeProfile()
	t.Run("uninstalled", func(t *testing.T) {
		d.start(t, archive)
		k := connect(t, d)
		k.runPod(t, plain)
		if _, err := k.runSandbox(t, c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("containerd still knows the handler: %v", err)
		}
	})
	leaf(t, "nothing-left", func(t *testing.T) { wantNothingLeft(t) })
}

// TestInstallPodman: Podman, whose configuration is the sandbox's own, knows the runtime by its name from the next call
// on.
func TestInstallPodman(t *testing.T) {
	need(t, "podman", "runc")
	for _, isDefault := range []bool{false, true} {
		name := "install-podman"
		if isDefault {
			name = "install-podman-default"
		}
		leaf(t, name, func(t *testing.T) {
			p := newPodman(t)
			c := container{name: name, dir: scratch(t)}
			i := addProfile(t, "podman", "", name, c.dir, stages...)
			c.profile = i.profile
			run := func(detached bool) *exec.Cmd {
				cmd := p.run(c, detached)
				for n, arg := range cmd.Args { // by name, or without the option
					if arg == c.profile.link && isDefault {
						cmd.Args = append(cmd.Args[:n-1:n-1], cmd.Args[n+1:]...)
						break
					} else if arg == c.profile.link {
						cmd.Args[n] = name
					}
				}
				return withoutEnv(cmd, "CONTAINERS_CONF=")
			}
			if isDefault {
				usualPodman(t, "")
				i.ok(i.call("install", "--default")...)
				forget(t, c.dir) // the canary's
			} else {
				i.ok(i.call("install")...)
			}
			c = c.command("echo hello")
			if o := ok(t, run(false)); o.stdout != "hello\n" {
				t.Error(o)
			}
			wantAllStages(t, c.dir)
			forget(t, c.dir)
			c = c.command(sleeping(c.dir))
			id := strings.TrimSpace(ok(t, run(true)).stdout)
			wantSleeping(t, c.dir)
			wantAlive(t, c.dir, 1)
			i.wantInUse(id)
			for _, args := range [][]string{{"stop", "-t", "1", name}, {"rm", name}} {
				ok(t, withoutEnv(p.command(args...), "CONTAINERS_CONF="))
			}
			wantGone(t, p, c)
			wantAllStages(t, c.dir)
			i.uninstall("--reload")
			if _, err := os.Stat("/etc/containers/containers.conf.d"); err == nil {
				t.Error("/etc/containers/containers.conf.d is left")
			}
			c = c.command("true")
			if o := do(t, run(false)); (o.code == 0) != isDefault {
				t.Errorf("without the runtime: %v", o)
			}
			if calls := recorded(t, c.dir); len(calls) > len(stages) {
				t.Errorf("hooks ran after all was uninstalled: %+v", calls[len(stages):])
			}
			i.removeProfile()
		})
	}
	leaf(t, "nothing-left", func(t *testing.T) { wantNothingLeft(t) })
}

// withoutEnv removes a variable from a command's environment.
func withoutEnv(cmd *exec.Cmd, prefix string) *exec.Cmd {
	var env []string
	for _, v := range cmd.Env {
		if !strings.HasPrefix(v, prefix) {
			env = append(env, v)
		}
	}
	cmd.Env = env
	return cmd
}
