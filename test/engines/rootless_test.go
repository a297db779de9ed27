package engines

import (
	"fmt"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestPodmanRootless has a user other than root run containers in a user namespace, by a profile of root's and by one
// of the user's own.
func TestPodmanRootless(t *testing.T) {
	need(t, "podman", "newuidmap")
	// Every Debian system has this user, and no program runs as it.
	const name = "games"
	u, err := osuser.Lookup(name)
	if err != nil {
		skip(t, "no user %s", name)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	credential := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	probe := exec.Command("unshare", "--user", "true")
	probe.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	if o := do(t, probe); o.code != 0 {
		skip(t, "this machine keeps users from making user namespaces: %s", strings.TrimSpace(o.said()))
	}
	giveSubordinateIDs(t, name)

	t.Cleanup(func() { // the process that holds the user namespace
		kill(processes(t, func(p process) bool { return filepath.Base(p.exe) == "podman" }))
	})
	p := newPodmanOf(t, credential)
	writable := func(test func(t *testing.T, e engine, c container)) func(t *testing.T, e engine, c container) {
		return func(t *testing.T, e engine, c container) {
			if err := os.Chown(c.dir, uid, gid); err != nil {
				t.Fatal(err)
			}
			test(t, e, c)
		}
	}
	runCases(t, p, "rootless", []suiteCase{
		{"stages", writable(testStages)},
		{"create-to-delete", writable(testCreateToDelete)},
		{"own-profile", writable(testOwnProfile)},
		{"refused", writable(testRefused)},
		{"exit-status", writable(testExitStatus)},
		{"supervised", writable(testSupervisedRootless)},
		{"stdin", writable(testStdin)},
		{breaks[0].name, writable(func(t *testing.T, e engine, c container) { testControl(t, e, c, breaks[0]) })},
	})
}

// giveSubordinateIDs assigns a user subordinate uids and gids, in the sandbox's own files.
func giveSubordinateIDs(t *testing.T, name string) {
	t.Helper()
	own := scratch(t) + "/subordinate"
	if err := os.WriteFile(own, []byte(name+":100000:65536\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/etc/subuid", "/etc/subgid"} {
		if _, err := os.Stat(path); err != nil {
			skip(t, "%v", err)
		}
		if err := mountAll(mount{own, path, "", syscall.MS_BIND, ""}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
}

// testOwnProfile: a user who cannot write to /etc/oci-add-hooks writes a script that names the hook file. Podman's own
// option for that, --runtime-flag, is no longer in effect when the container is deleted.
func testOwnProfile(t *testing.T, e engine, c container) {
	text, err := os.ReadFile(c.profile.file)
	if err != nil {
		t.Fatal(err)
	}
	c.profile.remove(t)
	own := profile{name: "own", link: c.dir + "/own", file: c.dir + "/hooks.json", runtime: c.profile.runtime}
	script := fmt.Sprintf("#!/bin/sh\nexec %s --hook-config-path %s \"$@\"\n", program, own.file)
	for path, text := range map[string]string{own.file: string(text), own.link: script} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c.profile = own
	testStages(t, e, c)

	forget(t, c.dir)
	testCreateToDelete(t, e, c)
}
