package engines

import (
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestContainerd(t *testing.T) {
	withEach(t, func(t *testing.T) {
		c := startContainerd(t, strings.Trim(cgroup, "/"), imageArchive(t), `disabled_plugins = ["io.containerd.grpc.v1.cri"]`)
		suite(t, c, "containerd-"+path.Base(t.Name())) // the records of hooks name the profile
	}, "containerd", "containerd-shim-runc-v2", "ctr")
}

type containerd struct{ config, socket, namespace string }

// containerdMajor returns containerd's major version: the configuration format depends on it.
func containerdMajor(t *testing.T) int {
	t.Helper()
	said := ok(t, exec.Command("containerd", "--version")).stdout
	version := regexp.MustCompile(` v?([0-9]+)\.[0-9]`).FindStringSubmatch(said)
	if version == nil {
		t.Fatalf("no version in the output of containerd: %s", said)
	}
	major, err := strconv.Atoi(version[1])
	if err != nil {
		t.Fatal(err)
	}
	return major
}

// startContainerd starts a containerd with an image in a namespace. The namespace is also the name of the parent of the
// containers' cgroups, unless they ask for another. The caller provides the plugins' part of the configuration.
func startContainerd(t *testing.T, namespace, archive, plugins string) containerd {
	t.Helper()
	c := configureContainerd(t, namespace, plugins)
	c.start(t, archive)
	return c
}

// configureContainerd writes the configuration of a containerd.
func configureContainerd(t *testing.T, namespace, plugins string) containerd {
	t.Helper()
	dir := scratch(t)
	c := containerd{dir + "/config.toml", dir + "/containerd.sock", namespace}
	major := containerdMajor(t)
	config := `version = ` + strconv.Itoa(major+1) + `
root = "` + dir + `/root"
state = "` + dir + `/state"
` + plugins + `
[grpc]
  address = "` + c.socket + `"
[plugins."io.containerd.internal.v1.opt"]
  path = "` + dir + `/opt"
`
	if err := os.WriteFile(c.config, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	return c
}

// start starts the containerd, which runs until the test ends.
func (c containerd) start(t *testing.T, archive string) *exec.Cmd {
	t.Helper()
	daemon := exec.Command("containerd", "--config", c.config)
	startDaemon(t, daemon, func() string {
		if o := do(t, c.command("version")); o.code != 0 {
			return o.said()
		}
		return ""
	})
	c.load(t, archive)
	return daemon
}

// load imports an image.
func (c containerd) load(t *testing.T, archive string) {
	t.Helper()
	args := []string{"images", "import", "--snapshotter", "native"}
	if containerdMajor(t) > 1 {
		args = append(args, "--local") // the daemon's own import knows only the snapshotter that it chooses itself
	}
	ok(t, c.command(append(args, archive)...))
}

// command returns a ctr command.
func (c containerd) command(args ...string) *exec.Cmd {
	return exec.Command("ctr", append([]string{"--address", c.socket, "--namespace", c.namespace}, args...)...)
}

func (c containerd) run(ctr container, detached bool) *exec.Cmd {
	args := []string{"run", "--runc-binary", ctr.profile.link, "--snapshotter", "native",
		"--env", markEnv + "=" + ctr.name}
	args = append(args, ctr.annotationOptions()...)
	if !ctr.unmounted {
		args = append(args, "--mount", "type=bind,src="+ctr.dir+",dst="+ctr.dir+",options=rbind:rw")
	}
	if detached {
		args = append(args, "--detach", "--null-io")
	} else {
		args = append(args, "--rm")
	}
	cmd := c.command(append(append(args, image, ctr.name), ctr.args...)...)
	cmd.Stdin = strings.NewReader(ctr.stdin)
	return cmd
}

func (c containerd) end(t *testing.T, ctr container) string {
	t.Helper()
	said := do(t, c.command("task", "kill", "--signal", "TERM", ctr.name))
	text := said.said()
	if said.code == 0 {
		eventually(t, "the task to end", func() string { return c.running(t, ctr.name) })
	}
	return text + do(t, c.command("task", "delete", ctr.name)).said() + do(t, c.command("container", "delete", ctr.name)).said()
}

// running returns the task's line in ctr's list, "" if it does not run.
func (c containerd) running(t *testing.T, name string) string {
	t.Helper()
	for line := range strings.Lines(ok(t, c.command("task", "list")).stdout) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name && f[2] == "RUNNING" {
			return line
		}
	}
	return ""
}

func (c containerd) knows(t *testing.T, name string) bool {
	t.Helper()
	names := strings.Fields(ok(t, c.command("container", "list", "--quiet")).stdout)
	return slices.Contains(names, name)
}

func (c containerd) daemons() []string { return []string{"containerd"} }

func (containerd) leavesShim() bool { return false }

func (containerd) cannotAnnotate() string { return "" }
