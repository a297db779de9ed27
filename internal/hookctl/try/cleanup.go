package try

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
)

// cleanUp ends and removes everything that remains of the container and of what its hooks left. It returns notes about
// what it removed, and an error about what still remains.
func (c *container) cleanUp() (notes []string, err error) {
	c.stop()
	notes, err = endChildren(c.others)
	if c.untidy {
		removeCgroups(c.id)
	}
	removeCreated(c.created)
	if c.dir == "" {
		return notes, err
	}
	removed, dirErr := removeDirectory(c.dir)
	c.lock.Close()
	return append(notes, removed...), errors.Join(err, dirErr)
}

// removeDirectory removes the temporary directory of a container, but never the content of what a hook has mounted
// there.
func removeDirectory(dir string) (notes []string, err error) {
	if notes, err = unmountBelow(dir); err != nil {
		return notes, err
	}
	return notes, os.RemoveAll(dir)
}

// removeCreated removes empty files and directories that a runtime has created in a root file system as mount points.
// paths has parents first.
func removeCreated(paths []string) {
	for _, path := range slices.Backward(paths) {
		if info, err := os.Lstat(path); err == nil && (info.IsDir() || info.Mode().IsRegular() && info.Size() == 0) {
			os.Remove(path)
		}
	}
}

// endChildren kills this process's children, except others, until there are none. This includes processes that become
// its children when their parents die. Each is noted once, even if it takes a while to die: its pid is not reused until
// it is waited for.
func endChildren(others []int) (notes []string, err error) {
	killed := map[int]bool{}
	for deadline := time.Now().Add(grace); ; time.Sleep(time.Millisecond) {
		children, err := proc.Children(os.Getpid())
		children = slices.DeleteFunc(children, func(pid int) bool { return slices.Contains(others, pid) })
		if err != nil || len(children) == 0 {
			return notes, err
		}
		for _, child := range children {
			if pid, _ := unix.Wait4(child, nil, unix.WNOHANG, nil); pid == child {
				delete(killed, child)
				continue // it had ended
			}
			if time.Now().After(deadline) {
				return notes, fmt.Errorf("process %d cannot be ended", child)
			}
			if killed[child] {
				continue
			}
			killed[child] = true
			name := commandLine(child) // empty if it is already ending
			if unix.Kill(child, unix.SIGKILL) == nil && name != "" {
				notes = append(notes, fmt.Sprintf("process %d was left running, and was killed: %s", child, name))
			}
		}
	}
}

func commandLine(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.Join(strings.Split(strings.TrimRight(string(text), "\x00"), "\x00"), " ")
}

// removeCgroups removes the cgroups named after the container, which a killed runtime leaves. A cgroup in use cannot be
// removed and stays.
func removeCgroups(id string) {
	named := regexp.MustCompile(`(^|[^0-9A-Za-z])` + regexp.QuoteMeta(id) + `([^0-9]|$)`)
	var dirs []string
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && named.MatchString(path) {
			dirs = append(dirs, path)
		}
		return nil
	})
	for _, dir := range slices.Backward(dirs) { // children first
		os.Remove(dir)
	}
}

// unmountBelow unmounts what hooks have mounted below the directory dir, whose path has no links in it.
func unmountBelow(dir string) (notes []string, err error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for _, at := range slices.Backward(mountsBelow(dir, string(text))) {
		if err := unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return notes, fmt.Errorf("a hook left something mounted at %s, which cannot be unmounted: %w", at, err)
		}
		notes = append(notes, "a hook left something mounted at "+at+", which was unmounted")
	}
	return notes, nil
}

// mountsBelow returns the mount points at and below dir in the text of a mountinfo file, in the order of mounting.
func mountsBelow(dir, mountinfo string) (points []string) {
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		at := octal.Replace(fields[4])
		if at == dir || strings.HasPrefix(at, dir+"/") {
			points = append(points, at)
		}
	}
	return points
}

// octal replaces the kernel's escapes in a path (proc_pid_mountinfo(5)).
var octal = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
