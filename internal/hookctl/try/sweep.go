package try

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// remainsFile is a file in a try's directory that says what a killed try leaves. With it, the next try removes that
// (issue 11).
//
// The directory is locked as long as its try lives, from before the file is written. So a directory that has the file,
// is only this user's and is not locked certainly belongs to a dead try.
const remainsFile = "try.json"

// remains is what a killed try leaves outside its directory.
type remains struct {
	Runtime     string   `json:"runtime"`     // its path; empty before it is called
	RuntimeArgs []string `json:"runtimeArgs"` // before its command
	Created     []string `json:"created"`     // what the runtime creates in the root file system, parents first
}

// write replaces the remains file in a directory.
func (r remains) write(dir string) error {
	path := filepath.Join(dir, remainsFile)
	if err := writeJSON(path+"~", r); err != nil {
		return err
	}
	return os.Rename(path+"~", path)
}

// LockDirectory locks a directory without waiting, until the file is closed. It is an error if another process holds the
// lock, or if the directory is not this user's alone.
func LockDirectory(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = cmp.Or(unix.Fstat(fd, &st), unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)); err == nil && (int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0) {
		err = unix.EACCES
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// sweep removes what killed tries of this user left, and returns notes about it.
func sweep() (notes []string) {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), tempPrefix+"*"))
	for _, dir := range dirs {
		dir, err := filepath.Abs(dir)
		if err != nil {
			continue
		}
		if parent, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
			dir = filepath.Join(parent, filepath.Base(dir)) // the form in mountinfo and in command lines
		}
		swept, err := sweepDirectory(dir)
		switch {
		case err != nil:
			notes = append(notes, fmt.Sprintf("a try that was killed has left %s, which cannot be removed: %v", dir, err))
		case swept:
			notes = append(notes, "a try that was killed had left "+dir+", which was removed, with its container, processes and mounts")
		}
	}
	return notes
}

// sweepDirectory removes a dead try's directory and everything that belongs to it. It reports whether dir was such a
// directory.
func sweepDirectory(dir string) (swept bool, err error) {
	lock, err := LockDirectory(dir)
	if err != nil {
		return false, nil // the try lives, or is another user's
	}
	defer lock.Close()
	var left remains
	text, err := os.ReadFile(filepath.Join(dir, remainsFile))
	if err != nil || json.Unmarshal(text, &left) != nil {
		return false, nil
	}
	if err := awaitEnd(dir); err != nil {
		return false, err
	}
	if left.Runtime != "" {
		// Its poststop hooks run, as after an interruption: they undo what others did.
		args := slices.Concat([]string{"--root", filepath.Join(dir, "state")}, left.RuntimeArgs, []string{"delete", "--force", filepath.Base(dir)})
		_, _ = command.OutputWithin(context.Background(), poststopGrace+grace, left.Runtime, args...) // there may be no container
	}
	if err := killLeft(dir); err != nil {
		return false, err
	}
	removeCgroups(filepath.Base(dir))
	removeCreated(left.Created)
	_, err = removeDirectory(dir)
	return err == nil, err
}

// awaitEnd waits until the runtime and the recorders of a killed try have ended by themselves. After a while it kills
// those that have not.
func awaitEnd(dir string) error {
	state, outside := filepath.Join(dir, "state"), filepath.Join(dir, "outside")+"/"
	for deadline := time.Now().Add(poststopGrace + grace); ; time.Sleep(10 * time.Millisecond) {
		all, err := proc.List(system.Host())
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(p proc.Process) bool {
			var st unix.Stat_t
			its := slices.ContainsFunc(p.Args, func(arg string) bool { return arg == state || strings.HasPrefix(arg, outside) })
			return !its || unix.Stat(p.Dir, &st) != nil || int(st.Uid) != os.Geteuid()
		})
		if len(all) == 0 {
			return nil
		}
		late := time.Since(deadline)
		if late > grace {
			return fmt.Errorf("process %d cannot be ended", all[0].PID)
		}
		for _, p := range all {
			if late > 0 {
				unix.Kill(p.PID, unix.SIGKILL)
			}
		}
	}
}

// A survivor is a process that a hook has left running.
type survivor struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // its start time, in the form of proc_pid_stat(5): another process with this pid has another one
	Boot  string `json:"boot"`  // the id of the boot
}

// survivors returns the children of this process, a recorder that has run a hook. In a container's PID namespace it
// returns none, because they end with the container.
func survivors() (list []survivor) {
	self, err := os.Readlink("/proc/self")
	if err != nil || self != strconv.Itoa(os.Getpid()) || os.Getpid() == 1 {
		return nil
	}
	children, _ := proc.Children(os.Getpid())
	for _, pid := range children {
		list = append(list, survivor{pid, proc.Started(pid), bootID()})
	}
	return list
}

func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}

// killLeft kills the processes that hooks of a killed try left running.
func killLeft(dir string) error {
	ends, err := filepath.Glob(filepath.Join(dir, "outside", "*", endFile))
	if err != nil {
		return err
	}
	boot := bootID()
	for _, path := range ends {
		var e end
		text, err := os.ReadFile(path)
		if err != nil || json.Unmarshal(text, &e) != nil {
			continue // the recorder was killed while it wrote the file
		}
		for _, s := range e.Left {
			if s.Boot != boot {
				continue
			}
			if err := s.kill(); err != nil {
				return fmt.Errorf("process %d cannot be ended: %w", s.PID, err)
			}
		}
	}
	return nil
}

// kill kills a survivor and its descendants, if it still lives.
func (s survivor) kill() error {
	fd, err := unix.PidfdOpen(s.PID, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if proc.Started(s.PID) != s.Start {
		return nil // another process has its pid
	}
	children, err := proc.Children(s.PID)
	if err != nil {
		return err
	}
	for _, pid := range children {
		if err := (survivor{PID: pid, Start: proc.Started(pid)}).kill(); err != nil {
			return err
		}
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != unix.ESRCH {
		return err
	}
	return nil
}
