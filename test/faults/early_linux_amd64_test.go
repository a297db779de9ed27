package faults

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// enginesCalls are the calls that engines make besides create.
var enginesCalls = []string{
	"--root /run/runc --log log.json --log-format json state c1",
	"--root /run/runc --log log.json --log-format json start c1",
	"--root /run/runc --log log.json --log-format json kill --all c1 9",
	"--root /run/runc --log log.json --log-format json delete --force c1",
	"--root /run/runc --log log.json --log-format json exec --process p.json --detach --pid-file pid c1",
	"--root /run/runc --log log.json --log-format json ps --format json c1",
	"--systemd-cgroup start c1",
	"features",
}

// earlyWays returns the ways to name the runtime, with all system calls that a call then makes to exec it before Go
// starts: one execve and no thread. It creates the link of a profile for one of the ways.
func earlyWays(t *testing.T, b bed) map[string]earlyWay {
	t.Helper()
	link := filepath.Join(b.dir, "early")
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	b.write(t, filepath.Join(profiles, "early.json"), "{\n\t\"runtime\": \""+fakeRuntime+"\",\n\t\"hooks\": {}\n}\n")
	find := []uint64{unix.SYS_NEWFSTATAT, unix.SYS_NEWFSTATAT, unix.SYS_FACCESSAT, unix.SYS_EXECVE}
	start := []uint64{unix.SYS_ARCH_PRCTL}
	read := []uint64{unix.SYS_OPENAT, unix.SYS_FSTAT, unix.SYS_READ, unix.SYS_CLOSE}
	return map[string]earlyWay{
		"by a link":       {[]string{link}, slices.Concat(start, read, find)},
		"by arguments":    {[]string{program, "--hook-config-path", "/no/file", "--runtime-path", fakeRuntime}, slices.Concat(start, find)},
		"by a hook file":  {[]string{program, "--hook-config-path=" + profiles + "/early.json"}, slices.Concat(start, read, find)},
		"by another name": {[]string{filepath.Join(b.dir, "unknown"), "--runtime-path=" + fakeRuntime}, slices.Concat(start, find)},
	}
}

type earlyWay struct {
	argv  []string
	calls []uint64
}

// command returns the call, in the bed's directory.
func (w earlyWay) command(b bed, args ...string) *exec.Cmd {
	return &exec.Cmd{Path: program, Args: slices.Concat(w.argv, args), Dir: b.dir}
}

// TestEarly: no call of the engines except create starts Go.
func TestEarly(t *testing.T) {
	b := newBed(t)
	for what, way := range earlyWays(t, b) {
		for _, line := range enginesCalls {
			var calls []uint64
			err := trace(t, way.command(b, strings.Fields(line)...), func(s stop) action {
				calls = append(calls, s.regs.Orig_rax)
				return action{}
			})
			if err != nil || !b.runtimeCalled() {
				t.Fatalf("%s: %s: %v", what, line, err)
			}
			if !slices.Equal(calls, way.calls) {
				t.Errorf("%s: %s: it makes the system calls %v, not %v", what, line, calls, way.calls)
			}
			if err := os.Remove(filepath.Join(b.dir, "called")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestEarlyCallFails: if a system call before Go's start fails, Go starts, and the ordinary code execs the runtime.
func TestEarlyCallFails(t *testing.T) {
	for _, name := range []string{"by a link", "by arguments"} {
		b := newBed(t)
		way := earlyWays(t, b)[name]
		for failing := 1; failing < len(way.calls); failing++ { // Go itself dies if arch_prctl fails
			b := newBed(t)
			count := 0
			err := trace(t, way.command(b, "state", "c1"), func(stop) action {
				count++
				if count-1 == failing {
					return action{fail: unix.EIO}
				}
				return action{}
			})
			if err != nil || !b.runtimeCalled() {
				t.Errorf("%s: with system call %d failing: %v, runtime called: %v", name, failing, err, b.runtimeCalled())
			}
			if count < len(way.calls)+20 {
				t.Errorf("%s: with system call %d failing, it made only %d: Go has not started", name, failing, count)
			}
		}
	}
}
