// Package faults shows that nothing breaks the program: killed at any system call, any file system call failing, files
// that are something else than they should be, two thousand creates at once. It runs the program as it is built, and
// knows nothing of its inside but which system calls it makes.
package faults
