//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A call that adds nothing execs the runtime before Go starts (internal/early), so the process has exactly the
// attributes that the engine gave it. These tests compare it with the runtime called directly. Where the start of the
// fake runtime, a Go program, would change an attribute, another program is the runtime.

// TestEarlyProcess: signals, limits, descriptors and the other attributes of the process are unchanged. grep and ls are
// the runtimes that print them, because a shell has a signal mask of its own.
func TestEarlyProcess(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread() // the mask of blocked signals belongs to the thread
	defer runtime.UnlockOSThread()
	for what, prepare := range map[string]string{
		"nothing special":     ":",
		"ignored signals":     "trap '' HUP INT QUIT PIPE ALRM TERM USR1 USR2 TSTP TTIN TTOU WINCH URG",
		"blocked signals":     `exec env --block-signal=USR1,TERM,URG "$0" "$@"`,
		"a limit of files":    "ulimit -Sn 1000",
		"a small stack":       "ulimit -Ss 256",
		"closed input":        "exec <&-",
		"closed error":        "exec 2>&-",
		"more descriptors":    "exec 3</dev/null 7</dev/zero 8<&0",
		"an umask":            "umask 077",
		"a directory removed": "mkdir gone; cd gone; rmdir ../gone",
	} {
		for _, says := range [][]string{
			{"/bin/grep", "-E", "^(SigBlk|SigIgn|SigCgt|Cap|NoNewPrivs|Seccomp:|Threads|Umask|Max)", "/proc/self/status", "/proc/self/limits"},
			{"/bin/ls", "/proc/self/fd"},
		} {
			dir := t.TempDir()
			output := func(command ...string) string {
				cmd := exec.Command("/bin/sh", append([]string{"-c", prepare + `; exec "$0" "$@"`}, command...)...)
				cmd.Dir = dir
				out, err := cmd.Output()
				if err != nil || len(out) == 0 {
					t.Fatalf("%s: %v", what, err)
				}
				return string(out)
			}
			want := output(says...)
			if got := output(append([]string{program, "--hook-config-path", "/no/file", "--runtime-path"}, says...)...); got != want {
				t.Errorf("%s: as the runtime, %s prints\n%s\nand called directly\n%s", what, says[0], got, want)
			}
		}
	}
}

// TestEarlyEnvironment: the runtime gets exactly the environment and arguments that the engine passes.
func TestEarlyEnvironment(t *testing.T) {
	t.Parallel()
	b := newBundle(t, emptyConfig)
	env := []string{"FAKERT_RECORD=" + b.notes, "A=1", "B=2", "A=3", "no equals sign", "=empty name", "", "BYTES=\xff", "LISTEN_FDS=2", "LISTEN_PID=4711"}
	process, err := os.StartProcess(program, []string{program, "--runtime-path", fakeRuntime, "state", "", "\xff", "a\nb"}, &os.ProcAttr{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	if state, err := process.Wait(); err != nil || !state.Success() {
		t.Fatal(state, err)
	}
	if got, want := b.note("environ"), strings.Join(env, "\x00")+"\x00"; got != want {
		t.Errorf("the runtime's environment is %q, not %q", got, want)
	}
	if got, want := b.note("argv"), fakeRuntime+"\x00state\x00\x00\xff\x00a\nb\x00"; got != want {
		t.Errorf("the runtime's arguments are %q, not %q", got, want)
	}
	if got := b.note("pid"); got != strconv.Itoa(process.Pid) {
		t.Errorf("the runtime's pid is %s, the program's was %d", got, process.Pid)
	}
}

// TestEarlyParentDeathSignal: the parent-death signal that an engine sets is kept.
func TestEarlyParentDeathSignal(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread() // the kernel sends the signal when the thread that started the process ends
	defer runtime.UnlockOSThread()
	b := newBundle(t, emptyConfig)
	for range 50 {
		if err := errors.Join(os.RemoveAll(b.notes), os.Mkdir(b.notes, 0o755)); err != nil {
			t.Fatal(err)
		}
		cmd := b.command("--runtime-path", fakeRuntime, "state", "c")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		b.output(cmd)
		if got, want := b.note("pdeathsig"), fmt.Sprint(int(syscall.SIGKILL)); got != want {
			t.Fatalf("the parent-death signal is %s, not %s", got, want)
		}
	}
}
