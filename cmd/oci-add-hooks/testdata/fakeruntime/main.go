// Fakeruntime replaces an OCI runtime in the tests. It records how it was called in the directory FAKERT_RECORD, prints
// FAKERT_STDOUT and FAKERT_STDERR, and exits with FAKERT_EXIT.
//
// It reads the arguments and the environment from /proc/self, because Go might change their bytes. It cannot record
// what Go's start changes (RLIMIT_NOFILE, signal handling). Tests of these use a shell as the runtime.
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

// The parent-death signal belongs to the first thread.
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

// record writes one fact. It fails if the file exists: the program under test must call the runtime only once.
func record(dir, name string, data []byte) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	must(err)
	_, err = f.Write(data)
	must(err)
	must(f.Close())
}

// openFiles returns the inherited descriptors up to 31, as lines of the form `NUMBER TARGET`. Go's own descriptors are
// close-on-exec, and inherited ones are not.
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
