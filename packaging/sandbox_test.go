// Package packaging builds and tests the packages. It is a separate module, so that the programs do not depend on nfpm.
//
// The tests use only the project's Makefile: they build archives and packages in copies of the checkout. This machine's
// dpkg and rpm install, upgrade and remove the packages, on this machine's system, but in a sandbox: PID and mount
// namespaces with an empty /run, in which all files written to /etc, /usr and /var are in memory. So the machine is
// unchanged, however a test ends. The tests need root, and Debian's rpm, man-db, containerd, runc, podman and
// busybox-static. They skip what is missing.
package packaging

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

const (
	// cgroupEnv is the environment variable with the cgroup for the sandbox's containers.
	cgroupEnv = "OCI_ADD_HOOKS_PACKAGING_CGROUP"

	// layers is the directory of the files that differ between the machine and the sandbox's /etc, /usr and /var.
	layers = "/run/layers"
)

// own are the directories that the sandbox may write to.
var own = []string{"/etc", "/usr", "/var"}

// noSandbox says why there is no sandbox; empty if there is one.
var noSandbox string

func TestMain(m *testing.M) {
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin")
	switch {
	case os.Geteuid() != 0:
		noSandbox = "only root can install packages (sudo make test)"
	case os.Getenv(cgroupEnv) == "":
		if code := enter(); code >= 0 {
			os.Exit(code)
		}
	default:
		if err := mount(); err != nil {
			noSandbox = "the sandbox cannot be created here: " + err.Error()
		}
	}
	os.Exit(m.Run())
}

// enter runs the tests as the first process of a sandbox, and returns their exit status.
func enter() int {
	cgroup := fmt.Sprintf("oci-add-hooks-packaging.%d", os.Getpid())
	defer removeCgroups(cgroup)
	runtime.LockOSThread() // the parent-death signal comes when this thread ends
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), cgroupEnv+"="+cgroup)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		noSandbox = "root cannot create namespaces here: " + err.Error()
		return -1
	}
	return 0
}

// mount mounts the sandbox's own /proc and /run, and a layer above each of its own directories.
func mount() error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	for target, fstype := range map[string]string{"/proc": "proc", "/run": "tmpfs"} {
		if err := syscall.Mount(fstype, target, fstype, 0, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", target, err)
		}
	}
	for _, dir := range own {
		upper, work := layers+dir, "/run/work"+dir
		if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755)); err != nil {
			return err
		}
		options := "lowerdir=" + dir + ",upperdir=" + upper + ",workdir=" + work
		if err := syscall.Mount("overlay", dir, "overlay", 0, options); err != nil {
			return fmt.Errorf("mounting an overlay at %s: %w", dir, err)
		}
	}
	return nil
}

// removeCgroups removes the cgroups of containers that were not deleted. The sandbox has no cgroup namespace.
func removeCgroups(name string) {
	for _, pattern := range []string{"/sys/fs/cgroup/%s/*", "/sys/fs/cgroup/%s", "/sys/fs/cgroup/*/%s/*", "/sys/fs/cgroup/*/%s"} {
		dirs, _ := filepath.Glob(fmt.Sprintf(pattern, name))
		for _, dir := range dirs {
			_ = syscall.Rmdir(dir) // this does not remove the files of a cgroup, which need not be removed
		}
	}
}
