package jsonfile

import "slices"

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
