// Package early execs the low-level runtime before Go's runtime starts, if the call certainly adds no hooks and the
// low-level runtime is certain. It leaves every other call to the rest of the program.
//
// An engine calls its runtime four or five times for each container, and once for each exec probe. All but one of these
// calls (state, start, kill, delete, exec, ps, features) only pass through. Most of their cost is Go's start: threads,
// a heap and signal handlers, for a process that is about to exec. On amd64 and arm64, in a program linked with
//
//	-ldflags '-E github.com/awslabs/oci-add-hooks/internal/early.entry'
//
// as the Makefile does, the kernel enters the program at entry, a few lines of assembly. They call start on the
// kernel's stack. If start returns, it has changed nothing, and entry jumps to where the kernel would have entered Go.
// On another architecture, or without -E, the linker drops this package's code, and the program starts as any Go
// program does.
//
// # What it decides
//
// The package makes one decision: to exec. It does so if, and only if,
//
//   - there are at most 250 arguments, none of them is create, run or restore, and the call is not for this program
//     itself;
//   - this program's own options come first, where they cannot be another option's values;
//   - --runtime-path names the low-level runtime, or the hook file (the first --hook-config-path, else the profile's)
//     names it in its first member, in printable ASCII without escapes;
//   - the runtime is an absolute path, or a name in one of the system's directories, and it is an executable regular
//     file and not this program;
//   - the process did not gain rights when it was executed (AT_SECURE).
//
// For these calls the package implements the rules 1, 3, 5, 7, 8, 9 and 20 of docs/design.md. The packages cmdline,
// profile and launch implement them for all calls, and tests compare this package with them. It never prints, never
// writes and never adds a hook.
//
// # What its code may do
//
// There is no heap, no goroutine and no signal handler yet, and no current goroutine in its register. So every function
// that start reaches keeps these rules:
//
//   - It has the pragma nosplit, because the check for stack growth reads the current goroutine. The linker then limits
//     the sum of all frames to 800 bytes.
//   - It allocates nothing. It has no closure, append, map, conversion between strings and bytes, interface, or
//     variable that escapes. The buffers are in [call]; the program has one, in its data segment.
//   - It cannot panic. It checks each index that the compiler cannot prove, so that the compiler omits its own check.
//   - It stores no pointer in memory, because the compiler would add a write barrier. Pointers that outlive a function
//     are uintptrs. They point to the kernel's stack or to the program's data, which never move.
//   - It compares strings with [equal], because == calls into the runtime.
//
// TestNothingOfTheRuntime disassembles the program and fails if one of these functions calls Go's runtime.
package early
