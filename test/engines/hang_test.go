package engines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These tests stop a real daemon (SIGSTOP) while hookctl changes its configuration, so that the daemon hangs: it accepts
// connections and answers none. hookctl ends, says so, and leaves the configuration as it was.

// A hang is a daemon that is stopped at a moment of hookctl install --reload.
type hang struct {
	name        string
	written     bool // whether the daemon is stopped once the configuration is written, not before hookctl starts
	interrupted bool // whether hookctl is interrupted while it waits
	says        string
}

var hangs = []hang{
	{"asked", false, true, "interrupted: terminated signal received"},
	{"written", true, false, ": no answer within "},
	{"written-interrupted", true, true, "interrupted: terminated signal received"},
}

// TestInstallDockerHangs: dockerd hangs before it reads the change.
func TestInstallDockerHangs(t *testing.T) {
	need(t, "dockerd", "docker", "containerd", "runc")
	d := startDocker(t, nil)
	pid := daemonPID(t, filepath.Dir(d.config)+"/pid")
	i := addProfile(t, "docker", d.config, "install-hangs", scratch(t), stages...)
	for _, h := range hangs {
		leaf(t, h.name, func(t *testing.T) {
			h.test(t, i, pid, nil)
			eventually(t, "dockerd to answer", func() string { return d.connect(t) })
			if d.lacks(t, i.profile.name) == "" {
				t.Error("dockerd knows the runtime")
			}
		})
	}
	i.ok(i.call("install", "--reload")...)
	i.uninstall("--reload")
	i.removeProfile()
	leaf(t, "nothing-left", func(t *testing.T) { wantNothingLeft(t, d.daemons()...) })
}

// TestInstallContainerdHangs: containerd hangs when it is asked about the change, after its restart. systemctl is a
// stand-in that stops containerd, because no systemd runs here.
func TestInstallContainerdHangs(t *testing.T) {
	withEach(t, testInstallContainerdHangs, "containerd", "containerd-shim-runc-v2", "ctr")
}

func testInstallContainerdHangs(t *testing.T) {
	d := configureContainerd(t, "k8s.io", criConfig[containerdMajor(t)].config)
	daemon := d.start(t, imageArchive(t, "/bin/sleep", "1000"))
	inUnit(t, daemon.Process.Pid, "hangs.service")
	connect(t, d)
	i := addProfile(t, "containerd", d.config, "install-hangs", scratch(t), "createRuntime", "poststop")
	systemctl := scratch(t)
	write(t, systemctl+"/systemctl", fmt.Sprintf("#!/bin/sh\n[ \"$*\" = 'restart hangs.service' ] && kill -STOP %d\n", daemon.Process.Pid))
	for _, h := range hangs {
		leaf(t, h.name, func(t *testing.T) {
			h.test(t, i, daemon.Process.Pid, []string{"PATH=" + systemctl + ":" + os.Getenv("PATH")})
			ok(t, d.command("version"))
		})
	}
	i.removeProfile()
	leaf(t, "nothing-left", func(t *testing.T) { wantNothingLeft(t, d.daemons()...) })
}

func daemonPID(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// test has hookctl install a profile while the daemon hangs, and then lets the daemon continue.
func (h hang) test(t *testing.T, i installed, daemon int, env []string) {
	before, err := os.ReadFile(i.config)
	if err != nil {
		t.Fatal(err)
	}
	stop := func() {
		if err := syscall.Kill(daemon, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { syscall.Kill(daemon, syscall.SIGCONT) })
	if !h.written {
		stop()
	}
	cmd := exec.Command(i.hookctl, i.call("install", "--reload")...)
	cmd.Env = append(os.Environ(), env...)
	c := start(t, cmd)
	if h.written {
		c.until(t, func() bool { // at once, before dockerd gets SIGHUP
			now, err := os.ReadFile(i.config)
			return err == nil && string(now) != string(before)
		})
		stop()
	}
	if h.interrupted {
		if !h.written {
			c.until(t, func() bool { return connected(cmd.Process.Pid) })
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	o := c.wait(t)
	if o.code != 1 || !strings.Contains(o.stderr, h.says) || h.written != strings.Contains(o.stderr, "everything was restored") {
		t.Errorf("want %q: %v", h.says, o)
	}
	wantBytes(t, i.config, before)
	if o := i.do("uninstall", i.engine, "--profile", i.profile.name); !strings.Contains(o.stderr, "hookctl has not installed "+i.profile.name) {
		t.Errorf("the installation is recorded: %v", o)
	}
	if err := syscall.Kill(daemon, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// until waits until what is true, and fails if the command ends before.
func (c started) until(t *testing.T, what func() bool) {
	t.Helper()
	for !what() {
		select {
		case <-c.ended:
			t.Fatalf("it has ended: %v", c.wait(t))
		case <-time.After(time.Millisecond):
		}
	}
}

// connected reports whether a process has a socket: hookctl has one only to ask a daemon.
func connected(pid int) bool {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	return slices.ContainsFunc(fds, func(fd string) bool {
		target, err := os.Readlink(fd)
		return err == nil && strings.HasPrefix(target, "socket:")
	})
}
