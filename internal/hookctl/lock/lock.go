// Package lock lets only one call of hookctl at a time change the system.
//
// It knows the lock, which is below hookctl's state directory and which only root can open, so that nobody else can
// block hookctl. It knows who holds it, and has the next holder restore what a killed holder left half done. It does
// not know what is changed.
package lock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// patience holds the time after which a waiting call reports that it waits, and the time after which it gives up.
type patience struct{ notice, limit time.Duration }

// Take takes the lock and returns the function that releases it. It passes messages for the user to note: after a
// second of waiting, that another call holds the lock, with its process and command; and that it undid the change of a
// killed holder. It waits for at most a minute, or until ctx ends. An error names the holder.
//
// Only the outermost caller, a command, takes the lock: a function that takes it again waits for itself.
func Take(ctx context.Context, sys system.System, note func(text string)) (release func(), err error) {
	return take(ctx, sys, note, patience{time.Second, time.Minute})
}

func take(ctx context.Context, sys system.System, note func(text string), p patience) (release func(), err error) {
	path := filepath.Join(sys.State, "lock")
	begun, told := time.Now(), false
	for {
		file, err := try(path)
		if err != nil {
			return nil, err
		}
		if file != nil {
			undone, err := change.Recover(sys)
			if err != nil {
				letGo(file)
				return nil, err
			}
			if undone != "" {
				note(undone)
			}
			return func() { letGo(file) }, nil
		}
		if waited := time.Since(begun); waited > p.limit {
			return nil, fmt.Errorf("another call of hookctl has held the lock %s for %v: %s; wait for it, or end it", path, p.limit, holder(path))
		} else if waited > p.notice && !told {
			told = true
			note("waiting for another call of hookctl: " + holder(path))
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("interrupted while another call of hookctl holds the lock %s (%s): %w", path, holder(path), context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// try returns the lock's file, or nil if another process holds it.
func try(path string) (*os.File, error) {
	dir := filepath.Dir(path)
	err := change.MakeDirectories(dir)
	var file *os.File
	if err == nil {
		file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	}
	if errors.Is(err, unix.ENOENT) { // its last holder has just removed the directory
		return nil, nil
	}
	if errors.Is(err, unix.EEXIST) { // as before, after Lstat has seen it; otherwise something else has its name
		if st, statErr := os.Lstat(dir); errors.Is(statErr, unix.ENOENT) || statErr == nil && st.IsDir() {
			return nil, nil
		}
	}
	if err != nil {
		return nil, unusable(path, err)
	}
	held, err := hold(file, path)
	if err != nil || !held {
		file.Close()
		return nil, err
	}
	return file, nil
}

// hold locks the file, unless another process has, and writes the holder into it.
func hold(file *os.File, path string) (held bool, err error) {
	st, err := file.Stat()
	if err != nil {
		return false, unusable(path, err)
	}
	if owner := st.Sys().(*syscall.Stat_t).Uid; !st.Mode().IsRegular() || int(owner) != os.Geteuid() || st.Mode().Perm()&0o077 != 0 {
		return false, fmt.Errorf("%s cannot be the lock: it must be a regular file that belongs to the user who runs hookctl, and that nobody else can open; "+
			"find out who made it, then remove it", path)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if err == unix.EWOULDBLOCK || err == unix.EINTR {
			return false, nil
		}
		return false, unusable(path, err)
	}
	// The last holder may have removed the file; the next call then creates another.
	if there, err := os.Lstat(path); err != nil || !os.SameFile(st, there) {
		return false, nil
	}
	if err := file.Truncate(0); err != nil {
		return false, unusable(path, err)
	}
	_, err = fmt.Fprintf(file, "process %d: %s", os.Getpid(), strings.Join(os.Args, " "))
	if err != nil {
		return false, unusable(path, err)
	}
	return true, nil
}

// letGo releases the lock and removes its file, and the directory if it is then empty.
func letGo(file *os.File) {
	path := file.Name()
	_ = os.Remove(path) // a file that remains does no harm
	_ = os.Remove(filepath.Dir(path))
	file.Close()
}

// holder returns the process that holds the lock, as text.
func holder(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return "it has just been released"
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, 1000))
	if err != nil || len(text) == 0 {
		return "a process that is not known"
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

func unusable(path string, err error) error {
	if (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)) && os.Geteuid() != 0 {
		return fmt.Errorf("the lock %s cannot be taken: %w; run it as root", path, report.Plain(err))
	}
	return fmt.Errorf("the lock %s cannot be taken: %w", path, report.Plain(err))
}
