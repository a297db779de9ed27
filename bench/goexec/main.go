//go:debug updatemaxprocs=0

// Goexec is a minimal wrapper that starts Go's runtime. It execs the program that its first argument names, and keeps
// the attributes that oci-add-hooks must keep (the first thread, the limit of open files, the environment).
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
