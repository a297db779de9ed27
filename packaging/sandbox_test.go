// Package packaging makes and tries the packages. It is a module of its own, for nfpm needs much that must not come near
// the programs.
//
// The tests know the project by its Makefile alone: they make archives and packages in copies of the checkout. The
// packages are installed, used, upgraded and removed by this machine's dpkg and rpm, on this machine's system, but in a
// sandbox: PID and mount namespaces with an empty /run, in which whatever is written to /etc, /usr and /var is written to
// memory. So the machine stays as it is however a test ends. That takes root, and Debian's rpm, man-db, containerd, runc,
// podman and busybox-static; what is missing is skipped and counted.
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
	// cgroupEnv tells the sandbox's first process the cgroup in which its containers are to be.
	cgroupEnv = "OCI_ADD_HOOKS_PACKAGING_CGROUP"

	// layers holds what the sandbox's /etc, /usr and /var have beyond the machine's.
	layers = "/run/layers"
)

// own are the directories that the sandbox may write to.
var own = []string{"/etc", "/usr", "/var"}

// noSandbox says why there is no sandbox, if so.
var noSandbox string

func TestMain(m *testing.M) {
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin")
	switch {
	case os.Geteuid() != 0:
		noSandbox = "packages are installed by root (sudo make test)"
	case os.Getenv(cgroupEnv) == "":
		if code := enter(); code >= 0 {
			os.Exit(code)
		}
	default:
		if err := mount(); err != nil {
			noSandbox = "there can be no sandbox here: " + err.Error()
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
		noSandbox = "root may make no namespaces here: " + err.Error()
		return -1
	}
	return 0
}

// mount mounts a /proc and a /run of the sandbox's own, and layers above its own directories.
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

// removeCgroups removes what containers that were not deleted leave behind. Cgroups alone are not the sandbox's own.
func removeCgroups(name string) {
	for _, pattern := range []string{"/sys/fs/cgroup/%s/*", "/sys/fs/cgroup/%s", "/sys/fs/cgroup/*/%s/*", "/sys/fs/cgroup/*/%s"} {
		dirs, _ := filepath.Glob(fmt.Sprintf(pattern, name))
		for _, dir := range dirs {
			_ = syscall.Rmdir(dir) // the files in it are not to be removed, and are not
		}
	}
}
