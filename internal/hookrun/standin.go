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

// launch starts a hook that is not a child of this process, but of a stand-in. Otherwise a hook that kills its parent,
// or its parent's process group, would end this process, and the record and the message with the hook's name would be
// lost.
//
// The stand-in executes no other program. It leads its own process group. It starts the hook, closes its descriptors,
// waits for the end of the hook, and exits with status 0. It does not reap the hook, which then becomes a child of this
// process, a subreaper. If a signal ends the stand-in first, the hook gets SIGKILL, its parent-death signal, and
// becomes a child of this process too.
//
// If the kernel allows it (spawn), the stand-in, and the hook until its exec, share the memory of this process, because
// a copy takes a third of the time in which Go starts. Each has its own stack, and does not use Go's runtime. So they
// make only system calls, and keep the rules of package early: nosplit, no allocation, no write of a pointer, nothing
// that can panic. TestNothingOfTheRuntime checks these rules.
type launch struct {
	path, argv, env uintptr  // C strings and arrays of them
	files           [3]int32 // become the hook's descriptors 0, 1 and 2
	limit           syscall.Rlimit
	lowered         bool  // whether limit becomes the hook's RLIMIT_NOFILE
	pipe            int32 // the pipe for news

	supervisor, standIn uintptr // process ids
	news                news

	mask    uint64     // the signals that are blocked normally
	blocked uint64     // the signals to block: all at first, later those of the stand-in
	awaited uint64     // the signals for which the hook waits
	action  [8]uintptr // a kernel sigaction, whose first member is the handler
	info    child

	stacks [roles][8 << 10]byte
}

// The roles of the processes that run without Go's runtime.
const (
	asStandIn = iota
	asHook
	roles
)

// only is the launch of this process, one at a time. The stand-in uses it until it ends.
var only launch

// news is a message that the stand-in or the hook sends before the exec.
type news struct {
	hook  int32 // the hook's process id; 0 if there is none
	errno int32 // why the hook could not be executed; 0 before the exec
}

// errNoParent is the error if a signal ends the stand-in before it has started the hook.
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
	for { // until both processes have been reaped
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
	_ = syscall.Exec("", nil, nil) // restores the limit, and fails
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &given) != nil || given == now {
		return given, false
	}
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now)
	return given, true
}

// lastNews reads news until the pipe has no writer: the hook's exec has closed it, or both processes have ended. It
// returns the last news.
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

// start starts the stand-in. Go's signal handlers must not run in it, so signals are blocked until it has none.
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

// block blocks exactly the signals of the set at the address set. It writes the previously blocked set to before,
// unless that is 0.
//
//go:nosplit
//go:norace
func (l *launch) block(set, before uintptr) {
	system(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, set, before, sizeOfSet)
}

const sizeOfSet = unsafe.Sizeof(uint64(0)) // the size of the kernel's set of signals, on every architecture of this program

// fork starts a process with a role, and returns its process id.
//
//go:nosplit
//go:norace
func (l *launch) fork(role uintptr) (pid uintptr, errno syscall.Errno) {
	const aligned = ^uintptr(15)
	stack := (uintptr(unsafe.Pointer(&l.stacks)) + (role+1)*unsafe.Sizeof(l.stacks[0])) & aligned
	pid = spawn(unix.CLONE_VM|uintptr(unix.SIGCHLD), stack, role)
	if -pid == uintptr(unix.EINVAL) { // emulators do not support CLONE_VM
		pid = spawn(uintptr(unix.SIGCHLD), stack, role)
	}
	const mostErrno = 4095
	if -pid <= mostErrno {
		return 0, syscall.Errno(-pid)
	}
	return pid, 0
}

// begin is the first function of a new process. It does not return.
//
//go:nosplit
//go:norace
func begin(role uintptr) {
	if role == asHook {
		only.exec()
	}
	only.waitForHook()
}

// waitForHook runs in the stand-in. It starts the hook, waits for its end, and exits.
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
	// Before Linux 5.16, a process that dumps core ends all processes that share its memory.
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

// dumpCore are the signals whose default action is to dump core (signal(7)).
const dumpCore = 1<<(unix.SIGQUIT-1) | 1<<(unix.SIGILL-1) | 1<<(unix.SIGTRAP-1) | 1<<(unix.SIGABRT-1) | 1<<(unix.SIGBUS-1) |
	1<<(unix.SIGFPE-1) | 1<<(unix.SIGSEGV-1) | 1<<(unix.SIGXCPU-1) | 1<<(unix.SIGXFSZ-1) | 1<<(unix.SIGSYS-1)

// closed is the signal that the stand-in sends when its descriptors are closed. The hook waits for it: otherwise it
// could stop the stand-in while that has the pipe open, and this process would never read the end of the pipe.
const closed = uintptr(unix.SIGUSR1)

// exec runs in the process of the hook, and execs the hook's program.
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
	l.say() // after the exec, the hook may end the stand-in, so only this process can send its id
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

// awaitClosed waits for the blocked signal closed.
//
//go:nosplit
//go:norace
func (l *launch) awaitClosed() {
	l.awaited = 1 << (closed - 1)
	for got := uintptr(0); got != closed; {
		got, _ = system(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&l.awaited)), 0, 0, sizeOfSet)
	}
}

// resetSignals sets each signal that has a handler to its default action. Ignored signals stay ignored.
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

// dieWith lets the kernel kill this process when its parent ends. It exits if the parent has already ended.
//
//go:nosplit
//go:norace
func dieWith(parent uintptr) {
	system(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0)
	if now, _ := system(unix.SYS_GETPPID, 0, 0, 0, 0); now != parent {
		exit()
	}
}

// fail sends the error and exits.
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

// system makes a system call. It returns 0 as the error if the call succeeds.
//
//go:nosplit
//go:norace
func system(number, a, b, c, d uintptr) (uintptr, syscall.Errno) {
	result, _, errno := syscall.RawSyscall6(number, a, b, c, d, 0, 0)
	return result, errno
}
