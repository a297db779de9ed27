package jsonfile

// Edit puts Text in the place of the bytes from Start to End.
type Edit struct {
	Start, End int
	Text       []byte
}

// Insert returns the edit that puts text at an offset, in the place of nothing.
func Insert(at int, text []byte) Edit { return Edit{Start: at, End: at, Text: text} }

// Edited returns the file's bytes with edits, which are given in the order of their places and don't overlap; every other
// byte is as it was.
func (f *File) Edited(edits []Edit) []byte {
	size := len(f.Data)
	for _, e := range edits {
		size += len(e.Text) - (e.End - e.Start)
	}
	out, at := make([]byte, 0, size), 0
	for _, e := range edits {
		out = append(append(out, f.Data[at:e.Start]...), e.Text...)
		at = e.End
	}
	return append(out, f.Data[at:]...)
}
