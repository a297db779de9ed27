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

// A launch starts a hook that is not the child of this process, but of a stand-in. Otherwise a hook that kills its parent,
// or its parent's process group, would end this process, and with it the record and the name of the hook.
//
// The stand-in executes no other program. It leads a process group of its own. It starts the hook, closes its descriptors,
// waits for the end of the hook, and exits with status 0. It does not reap the hook, which then becomes a child of this
// process, a subreaper. If a signal ends the stand-in first, the hook gets SIGKILL, its parent-death signal, and becomes a
// child of this process too.
//
// Where this process can have it so (spawn), the stand-in, and the hook until its exec, share its memory: a copy takes a
// third of the time in which Go starts. Each has a stack of its own, and no runtime of Go's. So they make only system calls,
// and keep the rules of package early: nosplit, no allocation, no write of a pointer, nothing that can panic.
// TestNothingOfTheRuntime checks them.
type launch struct {
	path, argv, env uintptr  // C strings and arrays of them
	files           [3]int32 // which become the hook's descriptors 0, 1 and 2
	limit           syscall.Rlimit
	lowered         bool  // the hook's RLIMIT_NOFILE is limit, else this process's
	pipe            int32 // where news goes

	supervisor, standIn uintptr // process ids
	news                news

	mask    uint64     // the signals that are blocked, when they are not all blocked
	blocked uint64     // those that the stand-in blocks, and before it is there all
	awaited uint64     // those that the hook waits for
	action  [8]uintptr // room for the kernel's sigaction, whose first member is the handler
	info    child

	stacks [roles][8 << 10]byte
}

// The roles of the processes that run without Go's runtime.
const (
	asStandIn = iota
	asHook
	roles
)

// only is the one launch of a process at a time. A stand-in uses it as long as it lives.
var only launch

// news is what the stand-in and the hook say before the exec.
type news struct {
	hook  int32 // its process id; 0 if there is none
	errno int32 // why the hook could not be executed; 0 if that is still to be tried
}

// errNoParent is the error if the stand-in is ended before it has started the hook.
var errNoParent = errors.New("the process that was to start it was ended")

// startProgram starts the hook's program with files as its descriptors 0, 1 and 2, and returns the process ids of its
// stand-in and of the program itself. Both get SIGKILL when the calling thread ends.
func startProgram(h Hook, files [3]int32) (standIn, hook int, err error) {
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
	defer runtime.KeepAlive(path)
	defer runtime.KeepAlive(argv)
	defer runtime.KeepAlive(env)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, 0, plumbing(err)
	}
	defer unix.Close(pipe[0])
	l := &only
	l.path, l.argv, l.env = uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0]))
	l.files, l.pipe, l.news = files, int32(pipe[1]), news{}
	l.limit, l.lowered = limitAsGiven()
	l.supervisor = uintptr(os.Getpid())
	pid, errno := l.start()
	unix.Close(pipe[1])
	if errno != 0 {
		return 0, 0, plumbing(errno)
	}
	last, err := lastNews(pipe[0])
	switch {
	case err != nil:
	case last == news{}:
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

// limitAsGiven returns the RLIMIT_NOFILE that this process was started with, and whether Go has raised it since.
func limitAsGiven() (given syscall.Rlimit, raised bool) {
	var now syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now) != nil {
		return given, false
	}
	_ = syscall.Exec("", nil, nil) // puts the limit back, and fails
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &given) != nil || given == now {
		return given, false
	}
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now)
	return given, true
}

// lastNews reads news until nobody can write any more: the hook's exec has closed the pipe, or both processes have ended.
func lastNews(pipe int) (r news, err error) {
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

// start starts the stand-in. No handler of Go's may run in it, so signals are blocked until it has none.
//
//go:nosplit
//go:norace
func (l *launch) start() (pid uintptr, errno syscall.Errno) {
	l.blocked = ^uint64(0)
	l.block(uintptr(unsafe.Pointer(&l.blocked)), uintptr(unsafe.Pointer(&l.mask)))
	pid, errno = l.fork(asStandIn)
	l.block(uintptr(unsafe.Pointer(&l.mask)), 0)
	return pid, errno
}

// block blocks the signals of a set, and no others. At before it leaves those that were blocked, unless that is 0.
//
//go:nosplit
//go:norace
func (l *launch) block(set, before uintptr) {
	system(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, set, before, sizeOfSet)
}

const sizeOfSet = unsafe.Sizeof(uint64(0)) // the kernel's set of signals, on every architecture of this program

// fork starts a process in a role, and returns its process id.
//
//go:nosplit
//go:norace
func (l *launch) fork(role uintptr) (pid uintptr, errno syscall.Errno) {
	const aligned = ^uintptr(15)
	stack := (uintptr(unsafe.Pointer(&l.stacks)) + (role+1)*unsafe.Sizeof(l.stacks[0])) & aligned
	pid = spawn(unix.CLONE_VM|uintptr(unix.SIGCHLD), stack, role)
	if -pid == uintptr(unix.EINVAL) { // not known to emulators
		pid = spawn(uintptr(unix.SIGCHLD), stack, role)
	}
	const mostErrno = 4095
	if -pid <= mostErrno {
		return 0, syscall.Errno(-pid)
	}
	return pid, 0
}

// begin is where a process begins.
//
//go:nosplit
//go:norace
func begin(role uintptr) {
	if role == asHook {
		only.exec()
	}
	only.waitForHook()
}

// waitForHook is the stand-in.
//
//go:nosplit
//go:norace
func (l *launch) waitForHook() {
	l.resetSignals()
	system(unix.SYS_SETPGID, 0, 0, 0, 0)
	dieWith(l.supervisor)
	l.standIn, _ = system(unix.SYS_GETPID, 0, 0, 0, 0)
	hook, errno := l.fork(asHook)
	if errno != 0 {
		l.fail(errno)
	}
	// Before Linux 5.16, a process that dumps core ends all that share its memory.
	l.blocked = l.mask | dumpCore
	l.block(uintptr(unsafe.Pointer(&l.blocked)), 0)
	if _, errno := system(unix.SYS_CLOSE_RANGE, 0, math.MaxInt32, 0, 0); errno != 0 {
		const mostWithoutLinux59 = 1024
		for fd := range uintptr(mostWithoutLinux59) {
			system(unix.SYS_CLOSE, fd, 0, 0, 0)
		}
	}
	system(unix.SYS_KILL, hook, closed, 0, 0)
	errno = unix.EINTR
	for errno == unix.EINTR {
		_, errno = system(unix.SYS_WAITID, unix.P_PID, hook, uintptr(unsafe.Pointer(&l.info)), unix.WEXITED|unix.WNOWAIT)
	}
	exit()
}

// dumpCore are the signals whose default action is to dump core, signal(7).
const dumpCore = 1<<(unix.SIGQUIT-1) | 1<<(unix.SIGILL-1) | 1<<(unix.SIGTRAP-1) | 1<<(unix.SIGABRT-1) | 1<<(unix.SIGBUS-1) |
	1<<(unix.SIGFPE-1) | 1<<(unix.SIGSEGV-1) | 1<<(unix.SIGXCPU-1) | 1<<(unix.SIGXFSZ-1) | 1<<(unix.SIGSYS-1)

// closed is the signal by which the stand-in says that its descriptors are closed. A hook could stop a stand-in whose copy
// of the pipe is open, and nobody would ever read the end of it.
const closed = uintptr(unix.SIGUSR1)

// exec becomes the hook.
//
//go:nosplit
//go:norace
func (l *launch) exec() {
	pid, _ := system(unix.SYS_GETPID, 0, 0, 0, 0)
	l.news.hook = int32(pid)
	_, errno := system(unix.SYS_SETPGID, 0, 0, 0, 0)
	if errno != 0 {
		l.fail(errno)
	}
	dieWith(l.standIn)
	l.awaitClosed()
	l.block(uintptr(unsafe.Pointer(&l.mask)), 0)
	l.say() // once it is executed, the hook may end whoever else could
	for i := range uintptr(3) {
		fd := uintptr(l.files[i])
		if fd == i {
			_, errno = system(unix.SYS_FCNTL, fd, unix.F_SETFD, 0, 0)
		} else {
			_, errno = system(unix.SYS_DUP3, fd, i, 0, 0)
		}
		if errno != 0 {
			l.fail(errno)
		}
	}
	if l.lowered {
		system(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&l.limit)), 0)
	}
	_, errno = system(unix.SYS_EXECVE, l.path, l.argv, l.env, 0)
	l.fail(errno)
}

// awaitClosed waits for the signal closed, which is blocked.
//
//go:nosplit
//go:norace
func (l *launch) awaitClosed() {
	l.awaited = 1 << (closed - 1)
	for got := uintptr(0); got != closed; {
		got, _ = system(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&l.awaited)), 0, 0, sizeOfSet)
	}
}

// resetSignals gives each signal that has a handler its default action. What is ignored stays ignored.
//
//go:nosplit
//go:norace
func (l *launch) resetSignals() {
	const ignored, last = 1, 64
	action := uintptr(unsafe.Pointer(&l.action))
	for signal := uintptr(1); signal <= last; signal++ {
		_, errno := system(unix.SYS_RT_SIGACTION, signal, 0, action, sizeOfSet)
		if errno == 0 && l.action[0] > ignored {
			l.action = [8]uintptr{}
			system(unix.SYS_RT_SIGACTION, signal, action, 0, sizeOfSet)
		}
	}
}

// dieWith has this process killed when its parent ends, which may have happened.
//
//go:nosplit
//go:norace
func dieWith(parent uintptr) {
	system(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0)
	if now, _ := system(unix.SYS_GETPPID, 0, 0, 0, 0); now != parent {
		exit()
	}
}

// fail ends the process and says why.
//
//go:nosplit
//go:norace
func (l *launch) fail(errno syscall.Errno) {
	l.news.errno = int32(errno)
	l.say()
	exit()
}

//go:nosplit
//go:norace
func (l *launch) say() {
	system(unix.SYS_WRITE, uintptr(l.pipe), uintptr(unsafe.Pointer(&l.news)), unsafe.Sizeof(l.news), 0)
}

//go:nosplit
//go:norace
func exit() {
	for {
		system(unix.SYS_EXIT_GROUP, 0, 0, 0, 0)
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
