package engines

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestPodman(t *testing.T) {
	need(t, "podman")
	suite(t, newPodman(t), "podman",
		suiteCase{"refused-by-log", testPodmanLog},
		suiteCase{"without-PATH", testPodmanPath},
		suiteCase{"hooks-directories-of-Podman", testPodmanDirectories},
		suiteCase{"hooks-dir-by-runtime-flag", testPodmanRuntimeFlag},
	)
}

type podman struct {
	dir    string
	global []string // more global options
}

func newPodman(t *testing.T) podman {
	t.Helper()
	p := podman{dir: scratch(t)}
	// Files of its own keep the machine's configuration out.
	storage := "[storage]\ndriver = \"vfs\"\nrunroot = \"" + p.dir + "/run\"\ngraphroot = \"" + p.dir + "/root\"\n"
	for name, text := range map[string]string{"containers.conf": "", "storage.conf": storage} {
		if err := os.WriteFile(p.dir+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ok(t, p.command("load", "--input", imageArchive(t)))
	t.Cleanup(func() { ok(t, p.command("image", "rm", "--all")) })
	return p
}

func (p podman) command(args ...string) *exec.Cmd {
	global := append([]string{
		"--root", p.dir + "/root", "--runroot", p.dir + "/run", "--tmpdir", p.dir + "/tmp",
		"--cgroup-manager", "cgroupfs", "--events-backend", "file",
	}, p.global...)
	cmd := exec.Command("podman", append(global, args...)...)
	cmd.Env = append(os.Environ(), "CONTAINERS_CONF="+p.dir+"/containers.conf",
		"CONTAINERS_STORAGE_CONF="+p.dir+"/storage.conf")
	return cmd
}

func (p podman) run(c container, detached bool) *exec.Cmd {
	// Podman raises limits to its own defaults, which not every machine allows.
	args := []string{"--runtime", c.profile.link, "run", "--network", "none",
		"--cgroup-parent", cgroup, "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"}
	args = append(args, c.runOptions(detached)...)
	cmd := p.command(append(append(args, image), c.args...)...)
	cmd.Stdin = strings.NewReader(c.stdin)
	return cmd
}

// end does not remove what would not stop: Podman would drop the container from its list, and let it run on.
func (p podman) end(t *testing.T, c container) string {
	t.Helper()
	o := do(t, p.command("--runtime", c.profile.link, "stop", "-t", "1", c.name))
	if o.code != 0 {
		// Podman 5 drops what the runtime says to stop, and passes on what it says to kill.
		return o.said() + do(t, p.command("--runtime", c.profile.link, "kill", "--signal", "TERM", c.name)).said()
	}
	return o.said() + do(t, p.command("--runtime", c.profile.link, "rm", c.name)).said()
}

// knows asks for one container: podman ps would wait for every other one that is being stopped.
func (p podman) knows(t *testing.T, name string) bool {
	t.Helper()
	o := do(t, p.command("container", "exists", name))
	if o.code != 0 && o.code != 1 {
		t.Fatalf("podman container exists: %v", o)
	}
	return o.code == 0
}

func (p podman) daemons() []string { return nil }

func (podman) leavesShim() bool { return false }

func (podman) cannotAnnotate() string { return "" }

// Where the link has the name of a runtime that Podman knows to write its log as JSON, Podman shows what the log says.
func testPodmanLog(t *testing.T, e engine, c container) {
	dir := scratch(t)
	if err := os.Symlink(program, dir+"/crun"); err != nil {
		t.Fatal(err)
	}
	c.profile = profile{"crun", dir + "/crun", profiles + "/crun.json", c.profile.runtime}
	testRefused(t, e, c)
}

// Podman gives create the user's PATH, and kill and delete none: all must find the same runtime.
func testPodmanPath(t *testing.T, e engine, c container) {
	run := e.run(c.command(sleeping(c.dir)), true)
	run.Env = append(run.Env, "PATH="+decoy(t, c.profile.runtime)+":"+os.Getenv("PATH"))
	ok(t, run)
	wantSleeping(t, c.dir)
	e.end(t, c)
	wantGone(t, e, c)
	wantAllStages(t, c.dir)
}
