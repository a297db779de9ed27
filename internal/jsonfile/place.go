package jsonfile

import "github.com/go-json-experiment/json/jsontext"

// At gives an error about the value that pointer leads to, at a byte offset in the file, as Reader's Fail gives it while
// the value is read.
func (f *File) At(offset int, pointer jsontext.Pointer, problem, remedy string) *Error {
	return f.errorAt(offset, pointer, problem, remedy)
}
