//go:build amd64 || arm64

package hookrun

// spawn calls clone(2) with those flags. The new process has its stack below the address stack, and runs begin(role). In the
// calling process it returns what the kernel does: the new one's process id, or an error's number less than 0.
func spawn(flags, stack, role uintptr) uintptr
