package lock

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// held takes the lock of a machine of its own.
func held(t *testing.T) (sys system.System, release func()) {
	t.Helper()
	sys = system.System{State: filepath.Join(t.TempDir(), "state")}
	release, err := Take(t.Context(), sys, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sys, release
}

// TestOneAtATime: only one call holds the lock at a time, and nothing of it remains at the end.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	sys := system.System{State: filepath.Join(t.TempDir(), "state")}
	var inside, rounds int
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 25 {
				release, err := Take(t.Context(), sys, func(string) {})
				if err != nil {
					t.Error(err)
					return
				}
				if inside++; inside != 1 {
					t.Error("two hold it")
				}
				rounds++
				inside--
				release()
			}
		})
	}
	all.Wait()
	if rounds != 100 {
		t.Errorf("%d rounds", rounds)
	}
	if _, err := os.Stat(sys.State); err == nil {
		t.Error("the lock is left")
	}
}

// TestWaiting: a call that waits learns who holds the lock, and so does one that gives up.
func TestWaiting(t *testing.T) {
	t.Parallel()
	sys, release := held(t)
	want := "process " // of this test
	var told []string
	_, err := take(t.Context(), sys, func(text string) { told = append(told, text) }, patience{0, 100 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), sys.State+"/lock for 100ms: "+want) || !strings.Contains(err.Error(), os.Args[0]) {
		t.Errorf("%v", err)
	}
	if len(told) != 1 || !strings.HasPrefix(told[0], "waiting for another call of hookctl: "+want) {
		t.Errorf("told: %q", told)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(context.Canceled)
	if _, err := Take(ctx, sys, nil); err == nil || !strings.Contains(err.Error(), "interrupted while ") {
		t.Errorf("%v", err)
	}
	release()
	release, err = take(t.Context(), sys, nil, patience{time.Hour, time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	release()
}

// TestStateStays: releasing the lock does not remove hookctl's other state.
func TestStateStays(t *testing.T) {
	t.Parallel()
	sys, release := held(t)
	if err := os.WriteFile(filepath.Join(sys.State, "record"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	release()
	if _, err := os.Stat(filepath.Join(sys.State, "record")); err != nil {
		t.Error(err)
	}
}

// TestStrangers: only root can block the lock. Another user cannot open it, and a file that another user put in its
// place is refused.
func TestStrangers(t *testing.T) {
	t.Parallel()
	for what, make := range map[string]func(path string) error{
		"a file that others can open": func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"a FIFO":                      func(path string) error { return exec.Command("mkfifo", "-m", "600", path).Run() },
		"a link":                      func(path string) error { return os.Symlink("elsewhere", path) },
		"a directory":                 func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		sys := system.System{State: t.TempDir()}
		if err := make(filepath.Join(sys.State, "lock")); err != nil {
			t.Fatal(err)
		}
		if _, err := Take(t.Context(), sys, nil); err == nil || !strings.Contains(err.Error(), filepath.Join(sys.State, "lock")) {
			t.Errorf("%s: %v", what, err)
		}
	}
	sys, release := held(t)
	defer release()
	st, err := os.Stat(filepath.Join(sys.State, "lock"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st, err)
	}
}
