// Package faults shows that the program survives faults: it is killed at each system call, each system call about files
// fails, files have the wrong type, and there are two thousand creates at once. The tests run the built program. They
// know nothing about its internals except its system calls.
package faults
