package main

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookrun"
)

// The exit statuses if the hook has none, as in timeout(1) and env(1).
const (
	statusTimedOut      = 124
	statusOwn           = 125
	statusNotExecutable = 126
	statusNotFound      = 127
)

// exit ends this process as the hook ended, with its status or by its signal.
func exit(run hookrun.Outcome) {
	switch {
	case run.Result == hookrun.TimedOut:
		os.Exit(statusTimedOut)
	case run.Result == hookrun.NotStarted && errors.Is(run.Err, unix.ENOENT):
		os.Exit(statusNotFound)
	case run.Result == hookrun.NotStarted:
		os.Exit(statusNotExecutable)
	case run.Signal != 0:
		die(run.Signal)
		os.Exit(128 + int(run.Signal))
	}
	os.Exit(run.Status)
}

// die ends this process by a signal, without a core dump: only the hook's core is useful.
func die(s syscall.Signal) {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	// Package signal cannot reset Go's handlers of signals such as SIGSEGV, which print. A kernel sigaction of zeros is
	// the default action. A set of signals has 8 bytes on every architecture of this program.
	var byDefault [64]byte
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
	_ = unix.Kill(os.Getpid(), s)
}

// signalName returns a signal's name, or "signal NUMBER" if it has none.
func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(int(s))
}

// maxPrinted is the maximum number of bytes of the hook's output in a message.
const maxPrinted = 1 << 10

// lastPrinted returns the end of the hook's standard error, or of its standard output if that is empty, after ": ". It
// returns "" if both are empty.
func lastPrinted(stdout, stderr *hookrun.Tail) string {
	text := bytes.TrimSpace(stderr.Bytes())
	if len(text) == 0 {
		text = bytes.TrimSpace(stdout.Bytes())
	}
	if over := len(text) - maxPrinted; over > 0 {
		text = text[over:]
		if _, whole, found := bytes.Cut(text, []byte{'\n'}); found {
			text = whole
		}
	}
	if len(text) == 0 {
		return ""
	}
	return ": " + string(text)
}
