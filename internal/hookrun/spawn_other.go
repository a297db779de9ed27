//go:build !amd64 && !arm64

package hookrun

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// spawn starts a process that runs begin(role), as on other architectures. Here the process gets a copy of the memory,
// including the stack.
//
//go:nosplit
//go:norace
func spawn(_, _, role uintptr) uintptr {
	flags, second := uintptr(unix.SIGCHLD), uintptr(0)
	if runtime.GOARCH == "s390x" { // the order of the arguments differs, clone(2)
		flags, second = second, flags
	}
	pid, errno := system(unix.SYS_CLONE, flags, second, 0, 0)
	if errno != 0 {
		return -uintptr(errno)
	}
	if pid == 0 {
		beginning(role)
	}
	return pid
}

// beginning is begin. The linker would take a direct call for an infinite recursion.
var beginning func(role uintptr)

func init() { beginning = begin }
