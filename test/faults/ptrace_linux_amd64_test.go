package faults

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// stop describes the program when it has stopped at the entry of a system call of its first thread. All system calls
// about files run on that thread.
type stop struct {
	regs unix.PtraceRegs
	path string // the path that the system call is about, if it takes a path or a descriptor
}

// action says what happens to a system call.
type action struct {
	kill bool       // kill the program
	fail unix.Errno // if not 0, skip the system call and return this error from it
}

// trace runs cmd and calls at at the entry of each of its system calls, until cmd execs another program or ends. It
// returns the error with which cmd ended, as cmd.Wait does.
func trace(t *testing.T, cmd *exec.Cmd, at func(s stop) action) error {
	t.Helper()
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		t.Skipf("programs cannot be traced here: %v", err)
	}
	pid := cmd.Process.Pid
	wait := func() unix.WaitStatus {
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, 0, nil); err != nil {
			t.Fatal(err)
		}
		return status
	}
	wait() // the program stops at its own exec
	options := unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(pid, options); err != nil {
		t.Fatal(err)
	}
	signal := 0
	var failing unix.Errno // the error of the current system call
	for entering := true; ; {
		if err := unix.PtraceSyscall(pid, signal); err != nil {
			t.Fatal(err)
		}
		status := wait()
		signal = 0
		switch {
		case status.Exited() || status.Signaled():
			return ended(cmd, status)
		case status.Stopped() && status.TrapCause() == unix.PTRACE_EVENT_EXEC:
			if err := unix.PtraceDetach(pid); err != nil {
				t.Fatal(err)
			}
			return cmd.Wait()
		case status.StopSignal() != unix.SIGTRAP|0x80:
			signal = int(status.StopSignal()) // Go preempts threads with a signal
			continue
		}
		var regs unix.PtraceRegs
		if err := unix.PtraceGetRegs(pid, &regs); err != nil {
			t.Fatal(err)
		}
		if !entering {
			if failing != 0 {
				regs.Rax = uint64(-int64(failing))
				if err := unix.PtraceSetRegs(pid, &regs); err != nil {
					t.Fatal(err)
				}
				failing = 0
			}
			entering = true
			continue
		}
		entering = false
		switch do := at(stop{regs, pathOf(pid, regs)}); {
		case do.kill:
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			for !status.Signaled() {
				status = wait()
			}
			return ended(cmd, status)
		case do.fail != 0:
			failing = do.fail
			regs.Orig_rax = ^uint64(0) // an invalid system call
			if err := unix.PtraceSetRegs(pid, &regs); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// ended returns the error with which the program ended. cmd.Wait cannot return it, because the tracer has already
// waited.
func ended(cmd *exec.Cmd, status unix.WaitStatus) error {
	_ = cmd.Wait() // fails, but collects the output
	switch {
	case status.Signaled():
		return fmt.Errorf("signal %v", status.Signal())
	case status.ExitStatus() != 0:
		return exitStatus(status.ExitStatus())
	}
	return nil
}

type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }
func (s exitStatus) ExitCode() int { return int(s) }

// fileCalls are the system calls about files, with the index of the argument that is a path or a descriptor.
var fileCalls = map[uint64]struct {
	name string
	path int // the index of the path, or -1
	fd   int // the index of the descriptor, or -1
}{
	unix.SYS_OPENAT: {"openat", 1, -1}, unix.SYS_NEWFSTATAT: {"newfstatat", 1, -1}, unix.SYS_STAT: {"stat", 0, -1},
	unix.SYS_LSTAT: {"lstat", 0, -1}, unix.SYS_FACCESSAT: {"faccessat", 1, -1}, unix.SYS_FACCESSAT2: {"faccessat2", 1, -1},
	unix.SYS_READLINKAT: {"readlinkat", 1, -1}, unix.SYS_RENAME: {"rename", 0, -1}, unix.SYS_RENAMEAT: {"renameat", 1, -1},
	unix.SYS_RENAMEAT2: {"renameat2", 1, -1}, unix.SYS_LISTXATTR: {"listxattr", 0, -1}, unix.SYS_GETXATTR: {"getxattr", 0, -1},
	unix.SYS_FSTAT: {"fstat", -1, 0}, unix.SYS_READ: {"read", -1, 0}, unix.SYS_WRITE: {"write", -1, 0},
	unix.SYS_CLOSE: {"close", -1, 0}, unix.SYS_FCHMOD: {"fchmod", -1, 0}, unix.SYS_FCHOWN: {"fchown", -1, 0},
	unix.SYS_FLISTXATTR: {"flistxattr", -1, 0}, unix.SYS_FGETXATTR: {"fgetxattr", -1, 0}, unix.SYS_FSETXATTR: {"fsetxattr", -1, 0},
	unix.SYS_GETDENTS64: {"getdents64", -1, 0}, unix.SYS_UNLINKAT: {"unlinkat", 1, -1}, unix.SYS_UNLINK: {"unlink", 0, -1},
}

func pathOf(pid int, regs unix.PtraceRegs) string {
	call, known := fileCalls[regs.Orig_rax]
	if !known {
		return ""
	}
	arguments := []uint64{regs.Rdi, regs.Rsi}
	if call.fd >= 0 {
		path, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, arguments[call.fd]))
		return path
	}
	var text []byte
	for address := uintptr(arguments[call.path]); ; address++ {
		one := make([]byte, 1)
		if _, err := unix.PtracePeekData(pid, address, one); err != nil || one[0] == 0 {
			return string(text)
		}
		text = append(text, one[0])
	}
}

// TestKilledAnywhere kills the program with SIGKILL before each of its system calls in turn, up to the exec of the
// runtime. config.json must then be the old or the new one, and the next call must succeed, with each hook once.
//
// The order of the system calls about files is always the same, so the first sweep covers them all. The second sweep
// counts all system calls, of which Go's own vary.
func TestKilledAnywhere(t *testing.T) {
	t.Run("file calls and exec", func(t *testing.T) {
		old, new, left := killSweep(t, func(s stop) bool {
			_, isFile := fileCalls[s.regs.Orig_rax]
			return isFile || s.regs.Orig_rax == unix.SYS_EXECVE
		})
		if old == 0 || new == 0 || left == 0 {
			t.Error("the kills did not reach from before the replacement to after it")
		}
	})
	t.Run("all calls", func(t *testing.T) {
		killSweep(t, func(stop) bool { return true })
	})
}

// killSweep kills the program at each of the system calls for which counts returns true. It returns how often
// config.json was then the old and the new one, and the number of temporary files that were left.
func killSweep(t *testing.T, counts func(s stop) bool) (old, new, left int) {
	for n := 1; ; n++ {
		b := newBed(t)
		cmd, out := b.create()
		at := 0
		err := trace(t, cmd, func(s stop) action {
			if counts(s) {
				at++
			}
			return action{kill: at == n}
		})
		if at < n {
			if err != nil || b.text(t) != newConfig {
				t.Fatalf("without a kill, it ended with %v, %s", err, out)
			}
			break
		}
		switch b.text(t) {
		case oldConfig:
			old++
		case newConfig:
			new++
		default:
			t.Errorf("killed at the %dth system call, config.json is %q", n, b.text(t))
		}
		if b.runtimeCalled() {
			t.Errorf("killed at the %dth system call, it had called the runtime", n)
		}
		left += len(b.leftovers(t))
		b.checkSucceeds(t)
	}
	t.Logf("killed %d times; config.json was the old one %d times, the new one %d times; a temporary file was left %d times", old+new, old, new, left)
	return old, new, left
}

var temporary = regexp.MustCompile(`\d+-\d+\.tmp`)

// TestEveryFileCallFails lets each system call about a file fail in turn, with each of several errors. The program must
// report it in one line that names the file, and change nothing.
func TestEveryFileCallFails(t *testing.T) {
	failures := []unix.Errno{unix.ENOSPC, unix.EIO, unix.EROFS, unix.EACCES, unix.EMFILE, unix.EDQUOT}
	seen := map[string]int{}
	for i, errno := range failures {
		for n := 1; ; n++ {
			b := newBed(t)
			cmd, out := b.create()
			started, at, failed := false, 0, ""
			err := trace(t, cmd, func(s stop) action {
				call, isFile := fileCalls[s.regs.Orig_rax]
				// System calls before the hook file is opened are Go's. Only one system call fails in each run.
				started = started || s.path == b.hooks
				if !started || !isFile || failed != "" {
					return action{}
				}
				if at++; at != n {
					return action{}
				}
				failed = call.name + " " + temporary.ReplaceAllString(strings.ReplaceAll(s.path, b.dir, ""), "PID-N.tmp")
				return action{fail: errno}
			})
			if failed == "" { // the program makes fewer than n
				if err != nil || b.text(t) != newConfig {
					t.Fatalf("without a failure, it ended with %v, %s", err, out)
				}
				break
			}
			seen[failed] |= 1 << i
			if strings.HasPrefix(failed, "close ") && !strings.Contains(failed, ".tmp") {
				continue // the file was only read, so nothing depends on the close
			}
			if failed == "openat /bundle/" && errno == unix.EACCES {
				continue // an unreadable directory is opened without the right to read it
			}
			if problem := b.problem(t, err, out.String()); problem != "" || b.text(t) != oldConfig {
				t.Errorf("%s fails with %v: %s\n%sconfig.json: %s", failed, errno, problem, out, b.text(t))
			}
			b.checkSucceeds(t)
		}
	}
	var calls []string
	for call := range seen {
		calls = append(calls, call)
	}
	slices.Sort(calls)
	t.Logf("%d system calls failed in %d ways:\n%s", len(calls), len(failures), strings.Join(calls, "\n"))
	for _, want := range []string{"openat /hooks.json", "read /bundle/config.json", "write ", "fchmod ", "renameat ", "flistxattr "} {
		if !slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, want) }) {
			t.Errorf("none of them was %s", want)
		}
	}
}

// TestDirectoryGoneHalfway: the bundle is removed while the program runs.
func TestDirectoryGoneHalfway(t *testing.T) {
	for _, before := range []uint64{unix.SYS_WRITE, unix.SYS_FCHMOD, unix.SYS_RENAMEAT} {
		b := newBed(t)
		cmd, out := b.create()
		gone := false
		err := trace(t, cmd, func(s stop) action {
			if s.regs.Orig_rax == before && strings.Contains(s.path, ".tmp") {
				gone = true
				os.RemoveAll(b.bundle)
			}
			return action{}
		})
		if err == nil || !gone || !strings.HasPrefix(out.String(), "oci-add-hooks: "+b.config+": cannot be replaced: ") || b.runtimeCalled() {
			t.Errorf("gone: %v, %v, %s; runtime called: %v", gone, err, out, b.runtimeCalled())
		}
	}
}

// TestHookFileReplacedWhileRead: the program uses the file that it has opened, even if the file is replaced meanwhile.
func TestHookFileReplacedWhileRead(t *testing.T) {
	b := newBed(t)
	cmd, out := b.create()
	replaced := false
	err := trace(t, cmd, func(s stop) action {
		if s.regs.Orig_rax == unix.SYS_READ && s.path == b.hooks && !replaced {
			replaced = true
			b.write(t, b.hooks+".new", `{"hooks":{"poststop":[{"path":"/bin/other"}]}}`)
			if err := os.Rename(b.hooks+".new", b.hooks); err != nil {
				t.Error(err)
			}
		}
		return action{}
	})
	if err != nil || !replaced || b.text(t) != newConfig {
		t.Errorf("replaced: %v, %v, %s; config.json:\n%s", replaced, err, out, b.text(t))
	}
}
