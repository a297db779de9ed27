package jsonfile

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Edit replaces the bytes from Start to End by Text.
type Edit struct {
	Start, End int
	Text       []byte
}

// Insert returns the edit that inserts text at an offset.
func Insert(at int, text []byte) Edit { return Edit{Start: at, End: at, Text: text} }

// Text is a text in pieces. Most pieces of an edited file are slices of the bytes that were read, because memory for a
// copy costs more than writing the pieces.
type Text [][]byte

// Bytes returns the text in one piece.
func (t Text) Bytes() []byte { return slices.Concat(t...) }

// exceedsLimit reports whether the text is larger than RLIMIT_FSIZE. The kernel would end this process by a signal if
// it wrote such a file (setrlimit(2)).
func (t Text) exceedsLimit() bool {
	size := 0
	for _, piece := range t {
		size += len(piece)
	}
	var limit unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_FSIZE, &limit) == nil && uint64(size) > limit.Cur
}

// Edited returns the file's text with edits, which must be sorted by offset and not overlap. All other bytes are
// unchanged. The pieces of the text are those of the edits and of the file.
func (f *File) Edited(edits []Edit) Text {
	text, at := make(Text, 0, 2*len(edits)+1), 0
	for _, e := range edits {
		text = append(text, f.Data[at:e.Start], e.Text)
		at = e.End
	}
	return append(text, f.Data[at:])
}
