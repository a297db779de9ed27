//go:build amd64 || arm64

package hookrun

// spawn calls clone(2) with flags. The new process has its stack below the address stack, and runs begin(role). In the
// calling process, spawn returns the kernel's result: the new process's id, or a negative error number.
func spawn(flags, stack, role uintptr) uintptr

// The assembly calls begin, which staticcheck does not see.
var _ = begin
