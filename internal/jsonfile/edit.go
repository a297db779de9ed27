package jsonfile

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Edit puts Text in the place of the bytes from Start to End.
type Edit struct {
	Start, End int
	Text       []byte
}

// Insert returns the edit that puts text at an offset, in the place of nothing.
func Insert(at int, text []byte) Edit { return Edit{Start: at, End: at, Text: text} }

// Text is a text in pieces. Most of a file that is edited lies where it was read: memory for a copy costs more than to
// write it.
type Text [][]byte

// Bytes returns the text in one piece.
func (t Text) Bytes() []byte { return slices.Concat(t...) }

// exceedsLimit reports whether the text is larger than a file that this process may write: the kernel would end it by a
// signal (setrlimit(2), RLIMIT_FSIZE).
func (t Text) exceedsLimit() bool {
	size := 0
	for _, piece := range t {
		size += len(piece)
	}
	var limit unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_FSIZE, &limit) == nil && uint64(size) > limit.Cur
}

// Edited returns the file's text with edits, which are given in the order of their places and don't overlap; every other
// byte is as it was. Its pieces are the edits' and the file's own bytes.
func (f *File) Edited(edits []Edit) Text {
	text, at := make(Text, 0, 2*len(edits)+1), 0
	for _, e := range edits {
		text = append(text, f.Data[at:e.Start], e.Text)
		at = e.End
	}
	return append(text, f.Data[at:])
}
