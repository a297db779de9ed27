// Package launch finds the low-level runtime and becomes it.
//
// It knows how a runtime's name turns into a path, that this program must never start itself, and what of the process
// has to survive the change. It knows nothing of hooks.
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

// SystemPath is searched before PATH: an engine gives PATH to some of its calls and not to others (Podman has one for
// create and none for kill), and a container must meet the same runtime from create to delete.
const SystemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Find returns the path of the low-level runtime that is called name, as it is found, with links not resolved: a runtime
// may go by the name under which it is called. A name without a slash is looked up in the system's directories and then in
// PATH's absolute ones, passing over this program itself, which may stand there under a runtime's name.
func Find(name string) (string, error) {
	self, err := inode("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("cannot tell this program from a runtime: /proc/self/exe: %w; mount /proc", report.Plain(err))
	}
	return find(name, self, "another by --runtime-path or in the hook file")
}

// FindFor returns what Find returns to the program at path. Its errors name no option of that program.
func FindFor(path, name string) (string, error) {
	self, err := inode(path)
	if err != nil {
		return "", fmt.Errorf("cannot tell this program from a runtime: %s: %w; %s", path, report.Plain(err), report.Remedy(err))
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
	passedOver := "" // the first that bears the name and is no runtime
	for _, directory := range directories {
		if !filepath.IsAbs(directory) {
			continue // what it is depends on the working directory, which is the bundle for some calls
		}
		path := directory + "/" + name // not filepath.Join: that would take link/.. for nothing
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

// ErrSelf says that a runtime's path leads to this very program.
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

// id tells one file from another, whatever it is called.
type id struct{ dev, ino uint64 }

func idOf(st unix.Stat_t) id { return id{uint64(st.Dev), st.Ino} }

func inode(path string) (id, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return idOf(st), err
}

// Exec becomes the runtime at path, with argv[0] path and then args. It returns only if that fails.
//
// It is syscall.Exec that has to be called: it puts RLIMIT_NOFILE back, which Go raises at start-up. The caller has to
// be on the process's first thread: the parent-death signal that an engine set belongs to that thread alone.
func Exec(path string, args []string) error {
	err := syscall.Exec(path, append([]string{path}, args...), os.Environ())
	if report.IsOfInterpreter(path, err) {
		return fmt.Errorf("the runtime %s cannot be started: the interpreter or loader that it names is not installed: %w; install that, or correct a script's first line",
			path, report.Plain(err))
	}
	return fmt.Errorf("the runtime %s cannot be started: %w; %s", path, report.Plain(err), report.Remedy(err))
}
