package main

import "os"

// growStack makes room on the stack for all that adding hooks takes. Without it, the stack grows in the middle of reading a
// hook file: there Go moves twelve frames, here two. That saves 2 % of a create.
//
//go:noinline
func growStack() byte {
	var frame [6 << 10]byte
	return frame[len(os.Args)%len(frame)] // without a use, the compiler leaves it out
}
