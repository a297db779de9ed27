package engines

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// dockerWays are the ways to register the program in daemon.json, each with the entry that it makes for a profile.
var dockerWays = []struct {
	name  string
	since int // the first major version of Docker
	entry func(p profile) map[string]any
}{
	{"README", 0, func(p profile) map[string]any {
		return map[string]any{
			"path":        "oci-add-hooks",
			"runtimeArgs": []string{"--hook-config-path", p.file, "--runtime-path", p.runtime},
		}
	}},
	{"path", 0, func(p profile) map[string]any { return map[string]any{"path": p.link} }},
	{"BinaryName", 24, func(p profile) map[string]any {
		return map[string]any{
			"runtimeType": "io.containerd.runc.v2",
			"options":     map[string]any{"BinaryName": p.link},
		}
	}},
}

func TestDocker(t *testing.T) {
	need(t, "dockerd", "docker", "containerd")
	d := startDocker(t, map[string]any{"default-runtime": dockerDefault, "runtimes": dockerRuntimes(t)})
	leaf(t, "default-runtime", func(t *testing.T) { testDockerDefault(t, d) })
	for _, way := range dockerWays {
		t.Run(way.name, func(t *testing.T) {
			if d.version < way.since {
				skip(t, "needs Docker %d, this is %d", way.since, d.version)
			}
			suite(t, d, way.name, dockerCases...)
		})
	}
}

// testDockerDefault runs a container that asks for no runtime, and has dockerd read the --version of the default
// runtime. Docker 20.10 leaves out the arguments and reads that of oci-add-hooks; later versions read runc's.
func testDockerDefault(t *testing.T, d docker) {
	c := newContainer(t, d, dockerDefault, "runc")
	ok(t, d.command("run", "--detach", "--name", c.name, "--network", "none", "--volume", c.dir+":"+c.dir, image, "sh", "-c", sleeping(c.dir)))
	wantSleeping(t, c.dir)
	wantAlive(t, c.dir, 1)
	d.end(t, c)
	wantAllStages(t, c.dir)
	commit := strings.TrimSpace(ok(t, d.command("info", "--format", "{{.RuncCommit.ID}}")).stdout)
	if commit == "" || commit == "N/A" {
		t.Errorf("docker info shows %q for the commit of the default runtime", commit)
	}
}

// dockerDefault is the profile of the default runtime.
const dockerDefault = "default"

type docker struct {
	config  string // the path of daemon.json
	cli     string
	env     []string
	data    string // the daemon's data-root
	version int    // the daemon's major version
}

// dockerRuntimes returns the profiles of all cases, as entries of daemon.json.
func dockerRuntimes(t testing.TB) map[string]any {
	t.Helper()
	registered := map[string]any{dockerDefault: dockerWays[0].entry(newProfile(t, dockerDefault, "runc"))}
	for _, way := range dockerWays {
		for _, rt := range runtimes {
			for _, c := range append(cases(), dockerCases...) {
				name := profileName(way.name, rt, c.name)
				registered[name] = way.entry(newProfile(t, name, rt))
			}
		}
	}
	return registered
}

// startDocker starts a dockerd with both programs on its PATH. The caller adds members to its daemon.json and variables
// to its environment.
func startDocker(t testing.TB, more map[string]any, env ...string) docker {
	t.Helper()
	dir := scratch(t)
	host := "unix://" + dir + "/docker.sock"
	settings := map[string]any{
		"hosts":         []string{host},
		"data-root":     dir + "/data",
		"exec-root":     dir + "/exec",
		"pidfile":       dir + "/pid",
		"bridge":        "none",
		"iptables":      false,
		"ip6tables":     false,
		"exec-opts":     []string{"native.cgroupdriver=cgroupfs"},
		"cgroup-parent": cgroup,
	}
	maps.Copy(settings, more)
	config, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := dir + "/daemon.json"
	if err := os.WriteFile(path, config, 0o644); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("dockerd", "--config-file", path)
	daemon.Env = append(append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH")), env...)

	d := docker{config: path, data: dir + "/data", env: append(os.Environ(), "DOCKER_HOST="+host, "DOCKER_CONFIG="+dir+"/cli")}
	startDaemon(t, daemon, func() string { return d.connect(t) })
	ok(t, d.command("load", "--input", imageArchive(t)))
	return d
}

// connect finds a client that the daemon understands: PATH may have several of different versions.
func (d *docker) connect(t testing.TB) string {
	t.Helper()
	var said []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		cli, err := exec.LookPath(filepath.Join(dir, "docker"))
		if err != nil {
			continue
		}
		d.cli = cli
		o := do(t, d.command("version", "--format", "{{.Server.Version}}"))
		major, _, _ := strings.Cut(o.stdout, ".")
		if d.version, err = strconv.Atoi(major); err == nil && o.code == 0 {
			return ""
		}
		said = append(said, o.said())
	}
	return strings.Join(said, "\n")
}

func (d docker) command(args ...string) *exec.Cmd {
	cmd := exec.Command(d.cli, args...)
	cmd.Env = d.env
	return cmd
}

func (d docker) run(c container, detached bool) *exec.Cmd {
	args := []string{"run", "--runtime", c.profile.name, "--network", "none"}
	args = append(args, c.runOptions(detached)...)
	cmd := d.command(append(append(args, image), c.args...)...)
	cmd.Stdin = strings.NewReader(c.stdin)
	return cmd
}

// logged runs a container to its end and returns its output from its log. docker run itself may lose it (wantOutput).
func (d docker) logged(t *testing.T, image string, args ...string) string {
	t.Helper()
	const name = "logged"
	ok(t, d.command(append([]string{"run", "--name", name, "--network", "none", image}, args...)...))
	said := ok(t, d.command("logs", name)).stdout
	ok(t, d.command("rm", name))
	return said
}

func (d docker) end(t *testing.T, c container) string {
	t.Helper()
	return do(t, d.command("stop", "-t", "1", c.name)).said() + do(t, d.command("rm", c.name)).said()
}

func (d docker) knows(t *testing.T, name string) bool {
	t.Helper()
	names := strings.Fields(ok(t, d.command("ps", "--all", "--format", "{{.Names}}")).stdout)
	return slices.Contains(names, name)
}

func (d docker) daemons() []string { return []string{"dockerd", "containerd"} }

// Seen with Docker 20.10, and not caused by the program: the container is gone, but its shim waits for a second delete.
func (docker) leavesShim() bool { return true }

func (d docker) cannotAnnotate() string {
	const since = 24
	if d.version >= since {
		return ""
	}
	return fmt.Sprintf("docker run --annotation needs Docker %d, this is %d", since, d.version)
}
