// Package early does one thing before Go's runtime starts: a call that certainly adds nothing, and whose low-level runtime
// is plain to see, becomes that runtime. Whatever is not certain is left to the rest of the program.
//
// An engine calls its runtime four or five times for each container, and once for each exec probe. All but one of these
// calls (state, start, kill, delete, exec, ps, features) only pass through, and what they cost is Go's own start: threads, a
// heap, signal handlers, for a process that is about to exec. On amd64 and arm64, in a program linked with
//
//	-ldflags '-E github.com/awslabs/oci-add-hooks/internal/early.entry'
//
// as the Makefile does, the kernel enters the program at entry, a few lines of assembly. They call start on the kernel's
// stack. If start returns, it has changed nothing, and entry jumps to where the kernel would have entered Go. On another
// architecture, or without -E, the linker drops this package's code, and the program starts as any Go program does.
//
// # What it decides
//
// The one decision is to exec. It is taken if, and only if,
//
//   - there are at most 250 arguments, none of them is create, run or restore, and the call is not one for this program
//     itself;
//   - this program's own options stand first, where they cannot be anything else's;
//   - the low-level runtime is named by --runtime-path, or by the hook file (the first --hook-config-path, else the
//     profile's) as its first member, in plain characters;
//   - the runtime is an absolute path, or a name that is found in the system's directories, and it is an executable regular
//     file and not this program;
//   - the process is not one that gained rights when it was executed (AT_SECURE).
//
// So it keeps the rules 1, 3, 5, 7, 8, 9 and 20 of docs/design.md for the calls that it takes, and tests hold it to the
// packages cmdline, profile and launch, which keep them for all calls. It never prints, never writes, never adds a hook.
//
// # What its code may do
//
// There is no heap, no goroutine and no signal handler yet, and the register that points to the current goroutine points to
// none. So in every function that start reaches:
//
//   - the pragma nosplit is there: the check for stack growth would look at the current goroutine. The linker then holds all
//     frames together to 800 bytes;
//   - nothing is allocated: no closure, append, map, conversion between strings and bytes, interface, or variable that
//     escapes. Buffers are in [call], of which the program has one, in its data;
//   - nothing can panic: an index is checked where the compiler cannot prove it, so that it leaves out its own check;
//   - no pointer is stored in memory, or the compiler would add a write barrier: pointers that outlive a function are
//     uintptrs. They point to the kernel's stack or to the program's data, which never move;
//   - strings are compared by [equal], since == calls into the runtime.
//
// TestNothingOfTheRuntime disassembles the program and fails if one of these functions calls anything of the runtime.
package early
