package engines

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestPodman(t *testing.T) {
	need(t, "podman")
	suite(t, newPodman(t), "podman",
		suiteCase{"refused-by-log", testPodmanLog},
		suiteCase{"without-PATH", testPodmanPath},
		suiteCase{"hooks-directories-of-Podman", testPodmanDirectories},
		suiteCase{"by-name", testPodmanName},
		suiteCase{"quadlet", testPodmanQuadlet},
		suiteCase{"supervised-by-hand", testPodmanByHand},
		suiteCase{"supervised-by-hand-create-to-delete", testPodmanByHandWhole},
	)
}

type podman struct {
	dir    string
	global []string            // further global options
	user   *syscall.Credential // root if nil
	conf   string              // the path of containers.conf; the engine's own if empty
}

func newPodman(t *testing.T) podman {
	t.Helper()
	return newPodmanOf(t, nil)
}

// newPodmanOf returns the Podman of a user.
func newPodmanOf(t *testing.T, user *syscall.Credential) podman {
	t.Helper()
	p := podman{dir: scratch(t), user: user}
	if user != nil {
		if err := os.Chown(p.dir, int(user.Uid), int(user.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	// These files replace the machine's configuration.
	storage := "[storage]\ndriver = \"vfs\"\nrunroot = \"" + p.dir + "/run\"\ngraphroot = \"" + p.dir + "/root\"\n"
	for name, text := range map[string]string{"containers.conf": "", "storage.conf": storage} {
		if err := os.WriteFile(p.dir+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	load := p.command("load")
	archive, err := os.Open(imageArchive(t))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	load.Stdin = archive
	ok(t, load)
	t.Cleanup(func() { ok(t, p.command("image", "rm", "--all")) })
	return p
}

func (p podman) command(args ...string) *exec.Cmd {
	global := append([]string{
		"--root", p.dir + "/root", "--runroot", p.dir + "/run", "--tmpdir", p.dir + "/tmp",
		"--cgroup-manager", "cgroupfs", "--events-backend", "file",
	}, p.global...)
	cmd := exec.Command("podman", append(global, args...)...)
	cmd.Env = append(os.Environ(), "CONTAINERS_CONF="+cmp.Or(p.conf, p.dir+"/containers.conf"),
		"CONTAINERS_STORAGE_CONF="+p.dir+"/storage.conf")
	if p.user != nil {
		cmd.Dir = p.dir
		cmd.Env = append(cmd.Env, "HOME="+p.dir, "XDG_RUNTIME_DIR="+p.dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.user}
	}
	return cmd
}

// testPodmanName registers the profile in containers.conf, and runs a container from create to delete.
func testPodmanName(t *testing.T, e engine, c container) {
	conf := e.(podman).dir + "/" + c.name + ".conf"
	text := fmt.Sprintf("[engine]\nruntime_supports_json = [%q, \"runc\", \"crun\"]\n\n[engine.runtimes]\n%s = [%q]\n", c.profile.name, c.profile.name, c.profile.link)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p := e.(podman)
	p.conf = conf
	c.profile.link = c.profile.name
	testCreateToDelete(t, p, c)
}

func (p podman) run(c container, detached bool) *exec.Cmd {
	// Podman raises limits to its defaults, which some machines do not allow.
	args := []string{"--runtime", c.profile.link, "run", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"}
	if p.user == nil {
		args = append(args, "--cgroup-parent", cgroup)
	}
	args = append(args, c.runOptions(detached)...)
	cmd := p.command(append(append(args, image), c.args...)...)
	cmd.Stdin = strings.NewReader(c.stdin)
	return cmd
}

// end does not remove a container that did not stop: Podman would drop it from its list and let it run on.
func (p podman) end(t *testing.T, c container) string {
	t.Helper()
	o := do(t, p.command("--runtime", c.profile.link, "stop", "-t", "1", c.name))
	if o.code != 0 {
		// Podman 5 drops what the runtime prints on stop, and passes on what it prints on kill.
		return o.said() + do(t, p.command("--runtime", c.profile.link, "kill", "--signal", "TERM", c.name)).said()
	}
	return o.said() + do(t, p.command("--runtime", c.profile.link, "rm", c.name)).said()
}

// knows asks about one container: podman ps would wait for every other container that is being stopped.
func (p podman) knows(t *testing.T, name string) bool {
	t.Helper()
	o := do(t, p.command("container", "exists", name))
	if o.code != 0 && o.code != 1 {
		t.Fatalf("podman container exists: %v", o)
	}
	return o.code == 0
}

// daemons: a user's Podman keeps a process that holds the user namespace.
func (p podman) daemons() []string {
	if p.user == nil {
		return nil
	}
	return []string{"podman"}
}

func (podman) leavesShim() bool { return false }

func (podman) cannotAnnotate() string { return "" }

// testPodmanLog: if the link has the name of a runtime that Podman knows to log in JSON, Podman shows what the log
// says.
func testPodmanLog(t *testing.T, e engine, c container) {
	dir := scratch(t)
	if err := os.Symlink(program, dir+"/crun"); err != nil {
		t.Fatal(err)
	}
	c.profile = profile{"crun", dir + "/crun", profiles + "/crun.json", c.profile.runtime}
	testRefused(t, e, c)
}

// testPodmanPath: Podman passes the user's PATH to create, and no PATH to kill and delete. All must find the same
// runtime.
func testPodmanPath(t *testing.T, e engine, c container) {
	run := e.run(c.command(sleeping(c.dir)), true)
	run.Env = append(run.Env, "PATH="+decoy(t, c.profile.runtime)+":"+os.Getenv("PATH"))
	ok(t, run)
	wantSleeping(t, c.dir)
	e.end(t, c)
	wantGone(t, e, c)
	wantAllStages(t, c.dir)
}

// testPodmanQuadlet: a quadlet names the runtime among Podman's global options. The test starts and stops what systemd
// would.
func testPodmanQuadlet(t *testing.T, e engine, c container) {
	generator := ""
	for _, path := range []string{"/usr/libexec/podman/quadlet", "/usr/lib/podman/quadlet"} {
		if _, err := os.Stat(path); err == nil {
			generator = path
		}
	}
	if generator == "" {
		skip(t, "quadlets need Podman 4.4 or later")
	}
	p := e.(podman)
	p.global = append(p.global[:len(p.global):len(p.global)], "--runtime", c.profile.link)
	c = c.command(sleeping(c.dir))
	if err := os.WriteFile(c.dir+"/script", []byte(c.args[2]), 0o644); err != nil {
		t.Fatal(err)
	}
	podmanOptions := p.command().Args[1:]
	dir := scratch(t)
	quadlet := fmt.Sprintf(`[Container]
ContainerName=%s
Image=%s
GlobalArgs=%s
PodmanArgs=--cgroups=enabled --cgroup-parent %s
Ulimit=nofile=1024:1024
Ulimit=nproc=1024:1024
Network=none
Volume=%[5]s:%[5]s
Environment=%s=%[1]s
Exec=sh %[5]s/script
`, c.name, image, strings.Join(podmanOptions, " "), cgroup, c.dir, markEnv)
	if err := os.WriteFile(dir+"/one.container", []byte(quadlet), 0o644); err != nil {
		t.Fatal(err)
	}
	generate := exec.Command(generator, "-dryrun")
	generate.Env = append(os.Environ(), "QUADLET_UNIT_DIRS="+dir)
	unit := ok(t, generate).stdout
	systemd := func(key string) {
		t.Helper()
		for line := range strings.Lines(unit) {
			if command, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
				cmd := p.command()
				cmd.Args = strings.Fields(strings.NewReplacer("%N", "one", "%t", dir).Replace(command))
				if o := do(t, cmd); o.code != 0 {
					t.Fatalf("%s of\n%s\n%v", key, unit, o)
				}
				return
			}
		}
		t.Fatalf("the unit has no %s:\n%s", key, unit)
	}
	systemd("ExecStart")
	wantSleeping(t, c.dir)
	wantAlive(t, c.dir, 1)
	systemd("ExecStop")
	wantGone(t, p, c)
	wantAllStages(t, c.dir)
}
