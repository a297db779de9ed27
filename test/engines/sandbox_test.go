package engines

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const (
	// work holds everything that the tests write. It is in the sandbox's own /run, so that nothing in it outlives the
	// sandbox. Its short name leaves room for socket paths.
	work = "/run/oci-add-hooks-test"

	program  = work + "/bin/oci-add-hooks" // the program under test
	bin      = work + "/bin"               // the program and its profile links
	profiles = work + "/profiles"          // in place of /etc/oci-add-hooks
	rootfs   = work + "/rootfs"            // the content of every container's image

	// cgroups begins the name of the cgroup in which a run keeps the cgroups of its containers. Only cgroups are shared
	// with the machine.
	cgroups = "/oci-add-hooks-test."

	roleEnv = "OCI_ADD_HOOKS_TEST_ROLE" // the role of this process
	runEnv  = "OCI_ADD_HOOKS_TEST_RUN"  // the number of the run
)

// rootEnv names the root directory of the sandbox; a caller sets it. Empty means the machine's own.
const rootEnv = "OCI_ADD_HOOKS_TEST_ROOT"

// cgroup is the parent of every container's cgroup.
var cgroup = cgroups + os.Getenv(runEnv)

// TestMain runs the tests in a sandbox, with two more processes of this test binary: the sandbox's first process
// ("init"), which reaps what engines leave behind, and the one that runs the tests ("tests").
func TestMain(m *testing.M) {
	var code int
	var err error
	switch os.Getenv(roleEnv) {
	case "":
		code, err = enterSandbox(m)
	case "init":
		code, err = initProcess()
	case "tests":
		flag.Set("test.parallel", "8") // the tests mostly wait; the command line takes precedence
		if err = prepare(); err == nil {
			code = m.Run()
			summarize()
			err = recordTried(code == 0)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/engines:", err)
		code = 1
	}
	os.Exit(code)
}

// enterSandbox builds the program and starts the sandbox. Where no sandbox is possible, it runs the tests anyway, so
// that each is skipped and counted.
func enterSandbox(m *testing.M) (int, error) {
	if os.Geteuid() != 0 {
		noSandbox = "engines need root (sudo go test)"
		defer summarize()
		return m.Run(), nil
	}
	built, err := build()
	if err != nil {
		return 0, err
	}
	for _, f := range built {
		defer f.Close()
	}
	if err := shareToolchain(); err != nil {
		return 0, err
	}
	removeCgroups()
	defer removeCgroups()
	os.Setenv(runEnv, strconv.Itoa(os.Getpid()))

	runtime.LockOSThread() // the parent-death signal comes when this thread ends
	cmd := self("init")
	cmd.ExtraFiles = built
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	if errors.Is(err, fs.ErrPermission) {
		noSandbox = "engines need the right to make namespaces (CAP_SYS_ADMIN)"
		defer summarize()
		return m.Run(), nil
	}
	return 0, err
}

// builtPrograms are the programs that containers need, in the order in which build returns them.
var builtPrograms = []string{"oci-add-hooks", "oci-run-hook"}

// build builds the programs as they are shipped, but with profiles in the sandbox, and returns them as open files
// without names.
func build() (built []*os.File, err error) {
	dir, err := os.MkdirTemp("", "oci-add-hooks-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("make", "--no-print-directory", "-C", "../..", "runtime", "BIN="+dir,
		"LDFLAGS=-s -w -X github.com/awslabs/oci-add-hooks/internal/profile.Dir="+profiles)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building oci-add-hooks: %w\n%s", err, out)
	}
	for _, name := range builtPrograms {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		built = append(built, f)
	}
	return built, nil
}

// self returns a command that runs this test binary in another role.
func self(role string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}

// initProcess is the sandbox's first process. It gives the sandbox its own /proc, /run and /dev/shm, installs the
// programs, and reaps every orphan until the tests end.
func initProcess() (int, error) {
	if err := mountAll(mount{"none", "/", "", syscall.MS_REC | syscall.MS_PRIVATE, ""}); err != nil {
		return 0, err
	}
	if root := os.Getenv(rootEnv); root != "" {
		if err := enterRoot(root); err != nil {
			return 0, err
		}
	}
	if err := mountAll(
		mount{"proc", "/proc", "proc", 0, ""},
		mount{"tmpfs", "/run", "tmpfs", 0, "mode=755"},
		mount{"tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777"}, // Podman keeps its locks there
	); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return 0, err
	}
	for i, name := range builtPrograms {
		if err := install(os.NewFile(uintptr(3+i), name), filepath.Join(bin, name)); err != nil {
			return 0, err
		}
	}

	tests := self("tests")
	if err := tests.Start(); err != nil {
		return 0, err
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err != nil && err != syscall.EINTR:
			return 0, fmt.Errorf("waiting for the tests: %w", err)
		case pid == tests.Process.Pid && status.Exited():
			return status.ExitStatus(), nil
		case pid == tests.Process.Pid && status.Signaled():
			return 0, fmt.Errorf("the tests were ended by signal %q", status.Signal())
		}
	}
}

// install writes an executable.
func install(from io.Reader, to string) error {
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return cmp.Or(err, f.Close())
}

// prepare makes what all tests share.
func prepare() error {
	// The parents of root's PATH, which su and sudo may have shortened.
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	if err := os.Mkdir(profiles, 0o755); err != nil {
		return err
	}
	if err := cmp.Or(makeRootfs(), ownPodmanConfig(), ownLogs()); err != nil {
		return err
	}
	return shimCrun()
}

// ownPodmanConfig mounts a copy of Podman's configuration in the sandbox, which hookctl may change.
func ownPodmanConfig() error {
	const etc, own = "/etc/containers", work + "/etc-containers"
	if _, err := os.Stat(etc); err != nil {
		return nil // Podman's tests report it
	}
	if err := os.CopyFS(own, os.DirFS(etc)); err != nil {
		return err
	}
	return syscall.Mount(own, etc, "", syscall.MS_BIND, "")
}

// ownLogs mounts a separate /var/log in the sandbox, where hooks are recorded.
func ownLogs() error {
	const own = work + "/var-log"
	return cmp.Or(os.Mkdir(own, 0o755), syscall.Mount(own, "/var/log", "", syscall.MS_BIND, ""))
}

// shimCrun makes crun run on a host with hybrid cgroups, which it refuses: with the shim it sees a cgroup2 of its own
// and leaves cgroups alone. The shim replaces crun at its path, so that it is found as crun is.
func shimCrun() error {
	const hybrid = "/sys/fs/cgroup/unified"
	path, err := exec.LookPath("crun")
	if err != nil {
		return nil // crun's tests report it
	}
	if _, err := os.Stat(hybrid); err != nil {
		return nil
	}
	crun, shim := work+"/crun", work+"/crun-shim"
	text := `#!/bin/sh
exec unshare --mount --cgroup sh -c '
	mount -t cgroup2 none /sys/fs/cgroup && exec ` + crun + ` --cgroup-manager=disabled "$@"
' crun "$@"
`
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := cmp.Or(install(f, crun), install(strings.NewReader(text), shim)); err != nil {
		return err
	}
	return syscall.Mount(shim, path, "", syscall.MS_BIND, "")
}

// removeCgroups removes the cgroups left by this run and by interrupted ones. A cgroup in use cannot be removed, and
// stays.
func removeCgroups() {
	var dirs []string
	for _, pattern := range []string{"/sys/fs/cgroup" + cgroups + "*", "/sys/fs/cgroup/*" + cgroups + "*"} {
		roots, _ := filepath.Glob(pattern)
		for _, root := range roots {
			filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
		}
	}
	for i := len(dirs) - 1; i >= 0; i-- { // children first
		syscall.Rmdir(dirs[i])
	}
}
