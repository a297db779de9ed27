package hookrun

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/report"
)

// family is a started hook with its descendants.
//
// This process is a subreaper: a descendant whose parent ends becomes its child, even if it is a daemon. So the
// children of this process are the roots of all remaining processes of the hook.
type family struct {
	hook           int // the process id of the hook, and the id of its process group
	parent         int // the process id of its stand-in
	begin          time.Time
	stdin          *os.File // the write end of the pipe that the hook reads; nil if there is none
	stdout, stderr *stream

	exited    chan struct{}  // closed when the hook has exited, or its stand-in has been ended by a signal
	succeeded bool           // the hook exited with status 0; valid after exited is closed
	sent      syscall.Signal // the signal that ended the stand-in; 0 if none did; valid after exited is closed

	mu     sync.Mutex // held while signalling or reaping the hook: after that, another group may have its id
	reaped bool
	status syscall.WaitStatus // the hook's; valid after reap or kill
}

// killTime is how long a descendant may take to die. A process in an uninterruptible sleep may never die.
const killTime = 3 * time.Second

// await waits until the hook exits. It leaves the hook a zombie, so that its process id is not reused. It reaps
// descendants that have become this process's children, as init would.
func (f *family) await() {
	defer close(f.exited)
	for {
		c, err := wait(unix.P_ALL, 0)
		if err != nil { // there are no children: kill has reaped them
			return
		}
		if pid := int(c.pid); pid == f.parent || pid == f.hook {
			break
		}
		_, _ = unix.Wait4(int(c.pid), nil, unix.WNOHANG, nil)
	}
	// The hook becomes this process's child only after its parent has ended.
	parent, err := wait(unix.P_PID, f.parent)
	if err != nil {
		return
	}
	if parent.Code != cldExited {
		f.sent = syscall.Signal(parent.status)
		return
	}
	hook, err := wait(unix.P_PID, f.hook)
	f.succeeded = err == nil && hook.Code == cldExited && hook.status == 0
}

// wait waits until a child has ended, and leaves it a zombie. idType and id are those of waitid(2).
func wait(idType, id int) (c child, err error) {
	for {
		err = unix.Waitid(idType, id, (*unix.Siginfo)(unsafe.Pointer(&c)), unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return c, err
		}
	}
}

// child is the kernel's siginfo_t as waitid fills it, with the size of siginfo_t.
type child struct {
	Signo, Errno, Code int32
	_                  [0]uintptr // aligns the next field as a pointer
	pid                int32
	_                  uint32
	status             int32
	_                  [128 - 6*4]byte
}

// cldExited is the code of a child that exited (CLD_EXITED).
const cldExited = 1

// signal sends a signal to the hook's process group.
func (f *family) signal(s syscall.Signal) { f.send(s, -f.hook) }

// send sends a signal to the hook, its group or its parent, with the ids of kill(2), unless they have been reaped.
func (f *family) send(s syscall.Signal, to ...int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, pid := range to {
		if !f.reaped {
			_ = unix.Kill(pid, s)
		}
	}
}

// killFirst kills only the hook's first process, as a runtime does, and waits until it has exited. It kills the
// stand-in too, which may be stopped and would not notice the end.
func (f *family) killFirst() {
	f.send(unix.SIGKILL, f.hook, f.parent)
	<-f.exited
}

// reap reaps the hook and its stand-in, which have both exited, and sets the hook's status.
func (f *family) reap() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reaped = true
	for _, pid := range []int{f.parent, f.hook} {
		for {
			if _, err := syscall.Wait4(pid, &f.status, 0, nil); err != syscall.EINTR {
				break
			}
		}
	}
}

// kill kills the hook and its descendants, and sets the hook's status. It returns an error if processes remain after
// killTime.
func (f *family) kill() error {
	f.send(unix.SIGKILL, -f.hook, f.parent)
	var unknown error // why descendants cannot be found
	deadline := time.Now().Add(killTime)
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		pids, err := children()
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL) // the child is not yet reaped, so its process id is not reused
		}
		unknown = err
		if f.reapAll() {
			return nil
		}
		if time.Now().After(deadline) {
			break
		}
		time.Sleep(pause)
	}
	if unknown != nil {
		return fmt.Errorf("its descendants outside its process group cannot be found and still run: %w", report.Plain(unknown))
	}
	return fmt.Errorf("%d s after SIGKILL, not all of its processes have ended", int(killTime.Seconds()))
}

// reapAll reaps the children that have ended. It reports whether no child remains.
func (f *family) reapAll() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		var status syscall.WaitStatus
		switch pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); {
		case err == syscall.ECHILD:
			return true
		case err == syscall.EINTR:
		case pid <= 0:
			return false
		case pid == f.hook:
			f.status, f.reaped = status, true
		}
	}
}

// children returns the process ids of this process's children.
func children() ([]int, error) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, task := range tasks {
		text, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if err != nil {
			if _, gone := os.Stat("/proc/self/task/" + task.Name()); gone != nil {
				continue
			}
			return nil, err
		}
		for _, field := range strings.Fields(string(text)) {
			if pid := ownPID(field); pid > 0 {
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}

// ownPID returns a process's id in this process's PID namespace. pid is its id in the PID namespace of /proc. The two
// differ for a createContainer hook, which runs in the container's PID namespace and sees the host's /proc. ownPID
// returns 0 if the process has no id here.
func ownPID(pid string) int {
	depth := len(namespaced("self"))
	if depth <= 1 {
		n, _ := strconv.Atoi(pid)
		return n
	}
	if ids := namespaced(pid); len(ids) >= depth {
		n, _ := strconv.Atoi(ids[depth-1])
		return n
	}
	return 0
}

// namespaced returns a process's ids in the PID namespace of /proc and in the nested ones (proc(5), NSpid).
func namespaced(pid string) []string {
	text, _ := os.ReadFile("/proc/" + pid + "/status")
	_, after, _ := strings.Cut(string(text), "\nNSpid:")
	line, _, _ := strings.Cut(after, "\n")
	return strings.Fields(line)
}
