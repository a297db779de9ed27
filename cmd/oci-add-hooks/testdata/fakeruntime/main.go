// Fakeruntime stands in for an OCI runtime in the tests: it writes down how it was called, into the directory that
// FAKERT_RECORD names, and ends as FAKERT_STDOUT, FAKERT_STDERR and FAKERT_EXIT ask.
//
// It takes what it can from the kernel (/proc/self), not from Go's view of it: the exact bytes of the arguments and of
// the environment are what matters. What Go's own start-up changes (RLIMIT_NOFILE, how signals are handled) it cannot
// tell; tests take a shell for the runtime there.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The parent-death signal is the first thread's.
func init() { runtime.LockOSThread() }

func main() {
	fds := openFiles()
	if dir := os.Getenv("FAKERT_RECORD"); dir != "" {
		record(dir, "argv", contents("/proc/self/cmdline"))
		record(dir, "environ", contents("/proc/self/environ"))
		record(dir, "fds", fds)
		record(dir, "pid", []byte(strconv.Itoa(os.Getpid())))
		record(dir, "cwd", []byte(link("/proc/self/cwd")))
		record(dir, "pdeathsig", []byte(strconv.Itoa(parentDeathSignal())))
		if os.Getenv("FAKERT_STDIN") != "" {
			input, err := io.ReadAll(os.Stdin)
			must(err)
			record(dir, "stdin", input)
		}
	}
	os.Stdout.WriteString(os.Getenv("FAKERT_STDOUT"))
	os.Stderr.WriteString(os.Getenv("FAKERT_STDERR"))
	status, _ := strconv.Atoi(os.Getenv("FAKERT_EXIT"))
	os.Exit(status)
}

// record writes one fact. To be called twice in one call of the program under test is a failure of its own.
func record(dir, name string, data []byte) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	must(err)
	_, err = f.Write(data)
	must(err)
	must(f.Close())
}

// openFiles lists the descriptors that were passed on, `NUMBER TARGET` a line: Go's own are closed on exec, and none
// that came over an exec is. None above 31 is looked for.
func openFiles() []byte {
	var list bytes.Buffer
	for fd := range 32 {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			fmt.Fprintln(&list, fd, link(fmt.Sprintf("/proc/self/fd/%d", fd)))
		}
	}
	return list.Bytes()
}

func parentDeathSignal() int {
	var signal int32
	must(unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&signal)), 0, 0, 0))
	return int(signal)
}

func link(path string) string {
	target, err := os.Readlink(path)
	must(err)
	return target
}

func contents(path string) []byte {
	data, err := os.ReadFile(path)
	must(err)
	return data
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "the fake runtime:", err)
		os.Exit(99)
	}
}
