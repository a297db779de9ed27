//go:debug updatemaxprocs=0

// Goexec is the least that a wrapper can cost if it starts Go's runtime: it becomes the program that its first argument names, and
// keeps what oci-add-hooks has to keep (the first thread, the limit of open files, the environment).
package main

import (
	"os"
	"runtime"
	"syscall"
)

func init() { runtime.LockOSThread() }

func main() {
	if len(os.Args) > 1 {
		_ = syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
	}
	os.Exit(1)
}
