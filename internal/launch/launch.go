// Package launch finds the low-level runtime and execs it.
//
// It knows how to look up a runtime's name, that this program must never start itself, and which attributes of the
// process must survive exec. It knows nothing about hooks.
package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/report"
)

// SystemPath is a list of directories, separated by colons. It is searched before PATH, because an engine sets PATH in
// some calls and not in others (Podman sets it for create, not for kill), and a container must have the same runtime
// from create to delete (rule 8).
const SystemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Find returns the path of the low-level runtime name. It does not resolve links, because a runtime may behave
// according to the name under which it is called. It looks a name without a slash up in SystemPath and then in PATH's
// absolute directories. It skips this program itself, which may be there under a runtime's name.
func Find(name string) (string, error) {
	self, err := inode("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("cannot distinguish this program from a runtime: /proc/self/exe: %w; mount /proc", report.Plain(err))
	}
	return find(name, self, "another by --runtime-path or in the hook file")
}

// FindFor returns what Find returns in the program at path. Its errors do not mention that program's options.
func FindFor(path, name string) (string, error) {
	self, err := inode(path)
	if err != nil {
		return "", fmt.Errorf("cannot distinguish this program from a runtime: %s: %w; %s", path, report.Plain(err), report.Remedy(err))
	}
	return find(name, self, "another")
}

func find(name string, self id, other string) (string, error) {
	if strings.Contains(name, "/") {
		if err := runnable(name, self); err != nil {
			return "", fmt.Errorf("%w; name %s", err, other)
		}
		return name, nil
	}
	directories := filepath.SplitList(SystemPath + ":" + os.Getenv("PATH"))
	passedOver := "" // why the first file with the name is not a runtime
	for _, directory := range directories {
		if !filepath.IsAbs(directory) {
			continue // it depends on the working directory, which is the bundle in some calls
		}
		path := directory + "/" + name // not filepath.Join, which would drop link/..
		err := runnable(path, self)
		if err == nil {
			return path, nil
		}
		if passedOver == "" && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
			passedOver = ", and " + err.Error()
		}
	}
	return "", fmt.Errorf("runtime %q is in none of the directories %s nor in PATH%s; install it, or name %s",
		name, SystemPath, passedOver, other)
}

// ErrSelf is the error for a runtime's path that leads to this program itself.
var ErrSelf = errors.New("it is oci-add-hooks itself")

// runnable returns an error if path is not an executable regular file, or is this program.
func runnable(path string, self id) error {
	var why error
	var st unix.Stat_t
	switch err := unix.Stat(path, &st); {
	case err != nil:
		why = report.Plain(err)
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		why = errors.New("it is not a regular file")
	case idOf(st) == self:
		why = ErrSelf
	default:
		if err := unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS); err != nil {
			why = fmt.Errorf("it may not be executed: %w", report.Plain(err))
		}
	}
	if why == nil {
		return nil
	}
	return fmt.Errorf("the runtime %s cannot be used: %w", path, why)
}

// id identifies a file, independent of its name.
type id struct{ dev, ino uint64 }

func idOf(st unix.Stat_t) id { return id{uint64(st.Dev), st.Ino} }

func inode(path string) (id, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return idOf(st), err
}

// Exec execs the runtime at path. Its argv is path and then args. Exec returns only if that fails.
//
// It calls syscall.Exec, not unix.Exec, because that restores RLIMIT_NOFILE, which Go raises at start-up. The caller
// must run on the process's first thread, because the parent-death signal that an engine set belongs to that thread
// (rule 20).
func Exec(path string, args []string) error {
	err := syscall.Exec(path, append([]string{path}, args...), os.Environ())
	if report.IsOfInterpreter(path, err) {
		return fmt.Errorf("the runtime %s cannot be started: the interpreter or loader that it names is not installed: %w; install that, or correct a script's first line",
			path, report.Plain(err))
	}
	return fmt.Errorf("the runtime %s cannot be started: %w; %s", path, report.Plain(err), report.Remedy(err))
}
