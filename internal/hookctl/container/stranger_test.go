package container

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// run starts a shell that calls itself name, with options of its own, and waits for its end.
func run(t *testing.T, how *syscall.SysProcAttr, name string, options ...string) (pid int) {
	t.Helper()
	cmd := exec.Command("/bin/sh")
	cmd.Args = append([]string{name, "-c", "echo ready; read line", name}, options...)
	cmd.SysProcAttr = how
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait() // the shell ends at the end of its input
	})
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// TestStrangers tests that a process that is not believed (rule 31) neither hides a container nor adds one, and that no
// file is opened for it, whatever its name. The processes are real, each in the namespaces of a kind of container.
func TestStrangers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const nobody = 65534
	ids := func(host int) []syscall.SysProcIDMap { return []syscall.SysProcIDMap{{HostID: host, Size: 1}} }
	for name, how := range map[string]*syscall.SysProcAttr{
		"another user":                    {Credential: &syscall.Credential{Uid: nobody, Gid: nobody}},
		"root of a user namespace":        {Cloneflags: unix.CLONE_NEWUSER, UidMappings: ids(nobody), GidMappings: ids(nobody), Credential: &syscall.Credential{}},
		"root, mapped to itself":          {Cloneflags: unix.CLONE_NEWUSER, UidMappings: ids(0), GidMappings: ids(0)},
		"root of a PID namespace":         {Cloneflags: unix.CLONE_NEWPID},
		"root of PID and mount namespace": {Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			link := filepath.Join(dir, "gpu") // the program that is looked for
			matches := func(word string) bool { return word == link }
			write(t, dir+"/daemon.json", `{"runtimes": {"gpu": {"path": "`+link+`"}}}`)
			write(t, dir+"/containers/stopped/hostconfig.json", `{"Runtime": "gpu"}`)
			if err := errors.Join(unix.Mkfifo(dir+"/fifo", 0o644), os.WriteFile(dir+"/large", nil, 0o644), os.Truncate(dir+"/large", 45<<20)); err != nil {
				t.Fatal(err)
			}
			run(t, nil, "dockerd", "--data-root="+dir, "--config-file="+dir+"/daemon.json")

			hides := run(t, how, "dockerd", "--data-root="+dir, "--config-file="+dir+"/none", "--add-runtime=gpu=/bin/true")
			run(t, how, "dockerd", "--config-file="+dir+"/large")
			run(t, how, "dockerd", "--config-file="+dir+"/fifo")
			blocks := run(t, how, "/usr/bin/conmon", "-c", "x", "-b", dir, "-r", link)
			claims := run(t, how, "dockerd", "--data-root="+dir+"/other", "--add-runtime=gpu="+link)
			run(t, how, "conmon", "-c", "x") // without a runtime: an error if it were believed

			scan := Look(system.Host())
			list, err := scan.Using(matches)
			if len(list) != 1 || list[0].ID != "stopped" {
				t.Errorf("%v", list)
			}
			if err != nil && (strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "conmon whose")) { // apart from other engines
				t.Error(err)
			}
			var pids []int
			for _, claim := range scan.Claims(matches) {
				pids = append(pids, claim.PID)
				if !strings.Contains(claim.Why, fmt.Sprintf("process %d (%s) is not believed: it is ", claim.PID, claim.Name)) {
					t.Errorf("%+v", claim)
				}
			}
			slices.Sort(pids)
			if want := []int{blocks, claims}; !slices.Equal(pids, want) {
				t.Errorf("claims of %v, want %v (and not %d)", pids, want, hides)
			}
			if _, err := Find(system.Host(), "x", nil); err == nil {
				t.Error("a stranger's conmon leads to a bundle")
			}
		})
	}
}

// TestTwoClaims tests that if two dockerds say different things about one container, both count.
func TestTwoClaims(t *testing.T) {
	sys := engines(t)
	add(t, sys, 5, "dockerd", "--data-root=/data", "--add-runtime=flag=/bin/early")
	add(t, sys, 99, "dockerd", "--data-root=/data", "--add-runtime=flag=/bin/late")
	for _, path := range []string{"/bin/early", "/bin/late", "/bin/gpu"} {
		got, err := using(sys, func(word string) bool { return word == path })
		if err != nil || !slices.Contains(got, "by-flag (docker, stopped, by "+path+")") {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
}

// TestForgotten tests a container whose shim still runs, though Docker no longer lists it (issue 11, S22).
func TestForgotten(t *testing.T) {
	sys := engines(t)
	link(t, sys.Path(task+"moby/docker-script"), add(t, sys, 50, "containerd-shim-runc-v2", "-namespace", "moby", "-id", "docker-script")+"/cwd")
	got, err := using(sys, func(word string) bool { return word == "/bin/tool" })
	want := "docker-script (docker, running, no longer listed by Docker though its shim is process 50, by /data/runtimes/args, which calls /bin/tool)"
	if err != nil || !slices.Contains(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
