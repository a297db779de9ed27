package proc_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc/proctest"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// TestMain makes a copy of this program that is called dockerd run until its standard input ends.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "dockerd" {
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	os.Exit(m.Run())
}

// program copies this program into dir, executable for everyone. A separate process makes the copy: a file that this
// process has open for writing might still be open in a child of another test, and then could not be executed.
func program(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "dockerd")
	if out, err := exec.Command("install", "-m", "755", "/proc/"+strconv.Itoa(os.Getpid())+"/exe", path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// start starts a program with a daemon's name and options, and returns the process once it runs.
func start(t *testing.T, path string, how *syscall.SysProcAttr, args ...string) proc.Process {
	t.Helper()
	cmd := exec.Command(path)
	cmd.Args = append([]string{"/usr/bin/dockerd"}, args...)
	cmd.SysProcAttr = how
	return startCommand(t, cmd)
}

// startCommand starts a command that becomes such a program.
func startCommand(t *testing.T, cmd *exec.Cmd) proc.Process {
	t.Helper()
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
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	list, err := proc.List(system.Host())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(p proc.Process) bool { return p.PID == cmd.Process.Pid })
	if i < 0 {
		t.Fatalf("process %d is not listed", cmd.Process.Pid)
	}
	return list[i]
}

// open makes a directory that everyone may enter, with its parents.
func open(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// TestTrusted tests rule 31 on running processes, each of which calls itself dockerd.
func TestTrusted(t *testing.T) {
	needRoot(t)
	const nobody = 65534
	mapped := func(host int) *syscall.SysProcAttr {
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: host, Size: 1}}
		return &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids, Credential: &syscall.Credential{}}
	}
	for _, test := range []struct {
		name, want string // the error; empty if the process is believed
		how        *syscall.SysProcAttr
		prepare    func(path string) error
	}{
		{"root's", "", nil, nil},
		{"root's, upgraded since", "", nil, func(path string) error { return nil }},
		{"root's, with mounts of its own", "", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}, nil},
		{"nobody's", "it is a process of the user with the ID 65534", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}, nil},
		{"root's of a user namespace of nobody's", "it is a process of the user with the ID 65534", mapped(nobody), nil},
		{"root's in another user namespace", "it is in another user namespace", mapped(0), nil},
		{"in another PID namespace", "it is in another PID namespace, as processes in containers are", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}, nil},
		{"nobody's by a set-user-ID program", "it is a process of the user with the ID 65534", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}},
			func(path string) error { return os.Chmod(path, 0o755|os.ModeSetuid) }},
		{"a set-user-ID program", "is set-user-ID or set-group-ID", nil, func(path string) error { return os.Chmod(path, 0o755|os.ModeSetuid) }},
		{"a program that a group can write", "users other than root can write its program", nil, func(path string) error { return os.Chmod(path, 0o775) }},
		{"a program that anyone can write", "users other than root can write its program", nil, func(path string) error { return os.Chmod(path, 0o757) }},
		{"a program of nobody's", "users other than root can write its program", nil, func(path string) error { return os.Chown(path, nobody, 0) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := program(t, open(t))
			if test.prepare != nil {
				if err := test.prepare(path); err != nil {
					t.Fatal(err)
				}
			}
			p := start(t, path, test.how)
			if strings.HasSuffix(test.name, "upgraded since") {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			err := p.Trusted()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v; want %q", err, test.want)
			}
			if errors.Is(err, fs.ErrPermission) {
				t.Errorf("%v is fs.ErrPermission", err)
			}
		})
	}
}

// TestContainerWithHostPIDs tests that root in a container with the host's PIDs is not believed.
func TestContainerWithHostPIDs(t *testing.T) {
	needRoot(t)
	root := open(t)
	script := fmt.Sprintf("mount -t tmpfs none %[1]s && cp %[2]s %[1]s && exec chroot %[1]s /dockerd", root, program(t, open(t)))
	p := startCommand(t, exec.Command("unshare", "--mount", "/bin/sh", "-c", script))
	if err := p.Trusted(); err == nil || !strings.HasSuffix(err.Error(), "/dockerd is not a file of this system") {
		t.Error(err)
	}
}

// TestContainerWithHostPrograms tests that root in a container with the host's PIDs and programs, but without the
// capability to start containers, is not believed.
func TestContainerWithHostPrograms(t *testing.T) {
	needRoot(t)
	p := startCommand(t, exec.Command("setpriv", "--bounding-set=-sys_admin", program(t, open(t))))
	if err := p.Trusted(); err == nil || !strings.HasSuffix(err.Error(), "it has no CAP_SYS_ADMIN, without which an engine starts no container") {
		t.Error(err)
	}
}

// TestSees: a process with mounts of its own may have another file at a path, or none.
func TestSees(t *testing.T) {
	needRoot(t)
	dir := open(t)
	for _, name := range []string{"same", "covered", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program := program(t, open(t))
	script := fmt.Sprintf("cd %s && mount --bind other covered && umask 0 && mkdir empty && mount -t tmpfs none empty && : >empty/own && exec %s", dir, program)
	cmd := exec.Command("unshare", "--mount", "/bin/sh", "-c", script)
	cmd.Env = append(os.Environ(), "CONTAINER_CONFIG=/etc/odd = one", "CONTAINER_CONFIG_DIR=")
	p := startCommand(t, cmd)
	if err := p.Trusted(); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]bool{"same": true, "covered": false, "empty/own": false, "nothing": true} {
		if sees, err := p.Sees(filepath.Join(dir, name)); sees != want || err != nil {
			t.Errorf("%s: %v, %v", name, sees, err)
		}
	}
	for name, want := range map[string]string{"CONTAINER_CONFIG": "/etc/odd = one", "CONTAINER_CONFIG_DIR": "", "CONTAINER": ""} {
		if value, err := p.Variable(name); value != want || err != nil {
			t.Errorf("%s: %q, %v", name, value, err)
		}
	}
}

// TestOpen tests that nothing outside a process's root is opened, and no file that is not regular or is too large.
func TestOpen(t *testing.T) {
	needRoot(t)
	root := open(t)
	program(t, root)
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	secret := filepath.Join(open(t), "secret")
	write(secret, "secret")
	write(root+"/etc/docker/daemon.json", "own")
	write(root+"/large", "")
	if err := errors.Join(os.Truncate(root+"/large", 45<<20), unix.Mkfifo(root+"/fifo", 0o644)); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"absolute": secret, "above": strings.Repeat("../", 40) + secret, "inside": "/etc/docker/daemon.json", "etc/up": "../../../../etc/docker/daemon.json",
		"loop": "loop", "magic": "/proc/self/root" + secret, "directory": filepath.Dir(secret),
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(root+"/proc", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("/proc", root+"/proc", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root+"/proc", unix.MNT_DETACH) })
	p := start(t, "/dockerd", &syscall.SysProcAttr{Chroot: root})
	for path, want := range map[string]string{ // the text, or the end of the error
		"/etc/docker/daemon.json":  "own",
		"etc/docker/daemon.json":   "own",
		"/../etc/x/../daemon.json": "cannot be opened: nothing exists at this path (ENOENT)",
		"/../etc/docker/../up":     "own",
		"/inside":                  "own",
		"/absolute":                "cannot be opened: nothing exists at this path (ENOENT)",
		"/above":                   "cannot be opened: nothing exists at this path (ENOENT)",
		"/directory/secret":        "cannot be opened: nothing exists at this path (ENOENT)",
		"/magic":                   "cannot be opened: too many symbolic links (ELOOP)",
		fmt.Sprintf("/proc/%d/root%s", os.Getpid(), secret): "cannot be opened: too many symbolic links (ELOOP)",
		"/loop":                     "cannot be opened: too many symbolic links (ELOOP)",
		"/fifo":                     "is not a regular file",
		"/etc":                      "is not a regular file",
		"/large":                    "is larger than 4 MiB",
		"/etc/docker/daemon.json/x": "cannot be opened: a part of the path is a file (ENOTDIR)",
	} {
		text, err := p.Files().Read(path)
		if got := string(text); err == nil && got != want || err != nil && !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
	for path, want := range map[string]string{"/etc": "[docker]", "/etc/docker": "[daemon.json]", "/directory": "[]", "/absolute": "[]", "/fifo": "[]"} {
		entries, err := p.Files().ReadDir(path)
		names := []string{}
		for _, e := range entries {
			if e.Name() != "up" {
				names = append(names, e.Name())
			}
		}
		if fmt.Sprint(names) != want || (err == nil) != (want != "[]") {
			t.Errorf("%s: %v, %v; want %s", path, names, err, want)
		}
	}
}

// TestList lists a /proc made of files.
func TestList(t *testing.T) {
	sys := system.System{Root: t.TempDir()}
	if _, err := proc.List(sys); err == nil || !strings.HasPrefix(err.Error(), "the processes of others cannot be examined: ") {
		t.Error(err)
	}
	for pid, args := range map[int][]string{
		30: {"/usr/bin/dockerd", "--data-root", "/a", "-H", "fd://", "--data-root=/b", "--add-runtime=x=/y", "--add-runtime", "z=/w", "-Hunix:///b", "-H=unix:///c", "--graph"},
		7:  {"containerd", "-address", "/a", "-Hx"},
		4:  {"", "second"},
		5:  {""},
		6:  {"dockerd", strings.Repeat("x", 200_000)},
	} {
		if _, err := proctest.Add(sys.Root, pid, args...); err != nil {
			t.Fatal(err)
		}
	}
	long, kernel := sys.Path("proc/6"), sys.Path("proc/5/cmdline")
	if err := os.WriteFile(kernel, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := proc.List(sys)
	if err == nil || err.Error() != long+" cannot be examined: its command line is longer than 128 KiB" {
		t.Error(err)
	}
	if len(list) != 3 || list[0].PID != 4 || list[1].PID != 7 || list[2].PID != 30 {
		t.Fatalf("%+v", list)
	}
	if p := list[1]; p.Option("--address", "-address", "-a") != "/a" || p.Option("-H") != "" {
		t.Errorf("%+v", p)
	}
	p := list[2]
	p.Letters = true
	if p.Name() != "dockerd" || p.Option("--data-root", "--graph") != "/b" || p.Option("--config-file") != "" || p.Option("--graph") != "" ||
		!slices.Equal(p.Options("--add-runtime"), []string{"x=/y", "z=/w"}) ||
		!slices.Equal(p.Options("-H", "--host"), []string{"fd://", "unix:///b", "unix:///c"}) {
		t.Errorf("%+v", p)
	}
	if shares, err := p.SharesRoot(); !shares || err != nil {
		t.Error(shares, err)
	}
	if err := p.Trusted(); err != nil {
		t.Error(err)
	}

	// Another process has the PID.
	stat := sys.Path("proc/30/stat")
	if err := os.WriteFile(stat, []byte("30 (a) S"+strings.Repeat(" 1", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Trusted(); !proc.Gone(err) {
		t.Error(err)
	}
	if _, err := p.Files().Read("/proc/30/stat"); !proc.Gone(err) {
		t.Error(err)
	}

	// A command line that is too long is an error, except that of a stranger.
	if err := os.WriteFile(sys.Path("proc/6/status"), []byte("Uid:\t7\t7\t7\t7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := proc.List(sys); err != nil {
		t.Error(err)
	}
	if err := errors.Join(os.Remove(kernel), unix.Mkfifo(kernel, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := proc.List(sys); err == nil || err.Error() != sys.Path("proc/5")+" cannot be examined: cmdline is not a regular file" {
		t.Error(err)
	}
}

// TestExecuted tests a process that has executed a program since it was listed: its arguments are not those that were
// listed.
func TestExecuted(t *testing.T) {
	sys := system.System{Root: t.TempDir()}
	dir, err := proctest.Add(sys.Root, 9, "dockerd")
	if err != nil {
		t.Fatal(err)
	}
	list, err := proc.List(sys)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/cmdline", []byte("su\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := list[0].Trusted(); err == nil || !strings.HasSuffix(err.Error(), "it has executed another program meanwhile") {
		t.Error(err)
	}
}

// TestWithout: options that are passed again are removed in any notation, because containerd and CRI-O refuse
// duplicates.
func TestWithout(t *testing.T) {
	p := proc.Process{Args: strings.Fields("containerd -c a.toml --log-level debug --config=b.toml -a x --config")}
	if got := strings.Join(p.Without("--config", "-c"), " "); got != "--log-level debug -a x" {
		t.Errorf("%q", got)
	}
}
