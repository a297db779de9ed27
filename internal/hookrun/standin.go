package hookrun

import (
	"errors"
	"math"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A standIn starts the hook, and is the hook's parent in place of this process. Otherwise a hook that kills its parent, or
// its parent's process group, would end this process, and with it the record and the name of the hook.
//
// The stand-in is a fork of this process that executes no other program. It leads a process group of its own. It starts the
// hook, closes its descriptors, waits for the end of the hook, and exits with status 0. It does not reap the hook, which
// then becomes a child of this process, a subreaper. If a signal ends the stand-in first, the hook gets SIGKILL, its
// parent-death signal, and becomes a child of this process too.
//
// A fork of a Go program has one thread, and no runtime that works. So until the exec there are only system calls, and the
// rules of package early hold: nosplit, no allocation, no write of a pointer, nothing that can panic.
// TestNothingOfTheRuntime checks them.
type standIn struct {
	path, argv, env uintptr         // C strings and arrays of them
	files           [3]int32        // which become the hook's descriptors 0, 1 and 2
	limit           *syscall.Rlimit // the hook's RLIMIT_NOFILE; nil if it is this process's
	report          int32           // the pipe to which reports go

	parent  uintptr    // the process id of whoever forks next
	mask    uint64     // of blocked signals, when they are not all blocked
	signals uint64     // to wait for
	action  [8]uintptr // room for the kernel's sigaction, whose first member is the handler
	info    child
	startReport
}

// startReport is what the stand-in and the hook say before the exec.
type startReport struct {
	hook  int32 // its process id; 0 if there is none
	errno int32 // why the hook could not be executed; 0 if that is still to be tried
}

// errNoParent is the error if the stand-in is ended before it has started the hook.
var errNoParent = errors.New("the process that was to start it was ended")

// startProgram starts the hook's program with files as its descriptors 0, 1 and 2, and returns the process ids of its
// stand-in and of the program itself. Both get SIGKILL when the calling thread ends.
func startProgram(h Hook, files [3]int32) (parent, hook int, err error) {
	path, err := syscall.BytePtrFromString(h.Path)
	if err != nil {
		return 0, 0, notExecutable(h.Path, err)
	}
	argv, err := syscall.SlicePtrFromStrings(h.Args)
	if err != nil {
		return 0, 0, notExecutable(h.Path, err)
	}
	env, err := syscall.SlicePtrFromStrings(h.Env)
	if err != nil {
		return 0, 0, notExecutable(h.Path, err)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, 0, plumbing(err)
	}
	defer unix.Close(pipe[0])
	s := &standIn{
		path: uintptr(unsafe.Pointer(path)), argv: uintptr(unsafe.Pointer(&argv[0])), env: uintptr(unsafe.Pointer(&env[0])),
		files: files, limit: limitAsGiven(), report: int32(pipe[1]), parent: uintptr(os.Getpid()),
	}
	pid, errno := s.start()
	runtime.KeepAlive(path)
	runtime.KeepAlive(argv)
	runtime.KeepAlive(env)
	unix.Close(pipe[1])
	if errno != 0 {
		return 0, 0, plumbing(errno)
	}
	last, err := lastReport(pipe[0])
	switch {
	case err != nil:
	case last == startReport{}:
		err = plumbing(errNoParent)
	case last.hook == 0:
		err = plumbing(syscall.Errno(last.errno))
	case last.errno != 0:
		err = notExecutable(h.Path, syscall.Errno(last.errno))
	default:
		return int(pid), int(last.hook), nil
	}
	for { // until neither is left
		if _, waitErr := syscall.Wait4(-1, nil, 0, nil); waitErr == syscall.ECHILD {
			return 0, 0, err
		}
	}
}

// limitAsGiven returns the RLIMIT_NOFILE that this process was started with, if Go has raised it since.
func limitAsGiven() *syscall.Rlimit {
	var raised, given syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &raised) != nil {
		return nil
	}
	_ = syscall.Exec("", nil, nil) // puts the limit back, and fails
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &given) != nil || given == raised {
		return nil
	}
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised)
	return &given
}

// lastReport reads reports until nobody can make any more: the hook's exec has closed the pipe, or both processes have ended.
func lastReport(pipe int) (r startReport, err error) {
	for {
		next := (*[unsafe.Sizeof(r)]byte)(unsafe.Pointer(&r))
		n, err := unix.Read(pipe, next[:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return r, plumbing(err)
		case n == 0:
			return r, nil
		}
	}
}

const sizeOfMask = unsafe.Sizeof(uint64(0)) // the kernel's set of signals, on every architecture of this program

// start forks the stand-in. No handler of Go's may run in the fork, so signals are blocked until the stand-in has none.
//
//go:nosplit
//go:norace
func (s *standIn) start() (pid uintptr, errno syscall.Errno) {
	s.mask = ^uint64(0)
	s.swapMask()
	if pid, errno = fork(); pid == 0 && errno == 0 {
		s.run()
	}
	s.swapMask()
	return pid, errno
}

// swapMask exchanges the mask of the signals that the thread blocks and s.mask.
//
//go:nosplit
//go:norace
func (s *standIn) swapMask() {
	mask := uintptr(unsafe.Pointer(&s.mask))
	system(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, mask, mask, sizeOfMask)
}

// run is the stand-in.
//
//go:nosplit
//go:norace
func (s *standIn) run() {
	s.resetSignals()
	system(unix.SYS_SETPGID, 0, 0, 0, 0)
	s.dieWithParent()
	s.parent, _ = system(unix.SYS_GETPID, 0, 0, 0, 0)
	pid, errno := fork()
	if errno != 0 {
		s.fail(errno)
	}
	if pid == 0 {
		s.exec()
	}
	s.swapMask()
	if _, errno := system(unix.SYS_CLOSE_RANGE, 0, math.MaxInt32, 0, 0); errno != 0 {
		const mostWithoutLinux59 = 1024
		for fd := range uintptr(mostWithoutLinux59) {
			system(unix.SYS_CLOSE, fd, 0, 0, 0)
		}
	}
	system(unix.SYS_KILL, pid, closed, 0, 0)
	errno = unix.EINTR
	for errno == unix.EINTR {
		_, errno = system(unix.SYS_WAITID, unix.P_PID, pid, uintptr(unsafe.Pointer(&s.info)), unix.WEXITED|unix.WNOWAIT)
	}
	exit(0)
}

// exec becomes the hook.
//
//go:nosplit
//go:norace
func (s *standIn) exec() {
	pid, _ := system(unix.SYS_GETPID, 0, 0, 0, 0)
	s.hook = int32(pid)
	_, errno := system(unix.SYS_SETPGID, 0, 0, 0, 0)
	if errno != 0 {
		s.fail(errno)
	}
	s.dieWithParent()
	s.awaitClosed()
	s.swapMask()
	s.say() // once it is executed, the hook may end whoever else could
	for i := range uintptr(3) {
		fd := uintptr(s.files[i])
		if fd == i {
			_, errno = system(unix.SYS_FCNTL, fd, unix.F_SETFD, 0, 0)
		} else {
			_, errno = system(unix.SYS_DUP3, fd, i, 0, 0)
		}
		if errno != 0 {
			s.fail(errno)
		}
	}
	if s.limit != nil {
		system(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(s.limit)), 0)
	}
	_, errno = system(unix.SYS_EXECVE, s.path, s.argv, s.env, 0)
	s.fail(errno)
}

// closed is the signal by which the stand-in says that its descriptors are closed. A hook could stop a stand-in whose copy
// of the pipe is open, and nobody would ever read the end of it.
const closed = uintptr(unix.SIGUSR1)

// awaitClosed waits for that signal, which is blocked.
//
//go:nosplit
//go:norace
func (s *standIn) awaitClosed() {
	s.signals = 1 << (closed - 1)
	for got := uintptr(0); got != closed; {
		got, _ = system(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&s.signals)), 0, 0, sizeOfMask)
	}
}

// fork forks this process. In the child pid is 0.
//
//go:nosplit
//go:norace
func fork() (pid uintptr, errno syscall.Errno) {
	if runtime.GOARCH == "s390x" { // clone(2): it has its own order
		return system(unix.SYS_CLONE, 0, uintptr(unix.SIGCHLD), 0, 0)
	}
	return system(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0)
}

// resetSignals gives each signal that has a handler its default action. What is ignored stays ignored.
//
//go:nosplit
//go:norace
func (s *standIn) resetSignals() {
	const ignored, last = 1, 64
	action := uintptr(unsafe.Pointer(&s.action))
	for signal := uintptr(1); signal <= last; signal++ {
		_, errno := system(unix.SYS_RT_SIGACTION, signal, 0, action, sizeOfMask)
		if errno == 0 && s.action[0] > ignored {
			s.action = [8]uintptr{}
			system(unix.SYS_RT_SIGACTION, signal, action, 0, sizeOfMask)
		}
	}
}

// dieWithParent has the process killed when its parent ends, which may have happened.
//
//go:nosplit
//go:norace
func (s *standIn) dieWithParent() {
	system(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0)
	if parent, _ := system(unix.SYS_GETPPID, 0, 0, 0, 0); parent != s.parent {
		exit(0)
	}
}

// fail ends the process and says why.
//
//go:nosplit
//go:norace
func (s *standIn) fail(errno syscall.Errno) {
	s.errno = int32(errno)
	s.say()
	exit(0)
}

//go:nosplit
//go:norace
func (s *standIn) say() {
	system(unix.SYS_WRITE, uintptr(s.report), uintptr(unsafe.Pointer(&s.startReport)), unsafe.Sizeof(s.startReport), 0)
}

//go:nosplit
//go:norace
func exit(status uintptr) {
	for {
		system(unix.SYS_EXIT_GROUP, status, 0, 0, 0)
	}
}

// system makes a system call.
//
//go:nosplit
//go:norace
func system(number, a, b, c, d uintptr) (uintptr, syscall.Errno) {
	result, _, errno := syscall.RawSyscall6(number, a, b, c, d, 0, 0)
	return result, errno
}
