package jsonfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Reader reads a file's JSON once, from the beginning to the end. Its methods read the next value. Its errors are of
// type *Error or Errors. Start, End, Raw and Fail are about the last value, token or member name that was read.
type Reader struct {
	file   *File
	dec    *jsontext.Decoder
	start  int
	strict bool
	faults Errors // the errors about members and elements that a strict reader has read
	broken bool   // the rest of the file is not valid JSON
}

// Strict returns a reader of JSON as RFC 8259 recommends: a duplicate member and invalid UTF-8 are errors. It finds all
// errors in a file. Object and Array keep an error about a member or an element and continue with the next one, as long
// as the file is valid JSON. Finish returns the kept errors.
func (f *File) Strict() *Reader {
	r := f.reader(jsontext.AllowDuplicateNames(true)) // Object finds these, since the decoder stops at the first
	r.strict = true
	return r
}

// Lenient returns a reader of JSON as runtimes read it: a member may be duplicate, and a string may contain any bytes.
// It stops at the first error.
func (f *File) Lenient() *Reader {
	return f.reader(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func (f *File) reader(opts ...jsontext.Options) *Reader {
	// The decoder reads a bytes.Buffer without copying it.
	return &Reader{file: f, dec: jsontext.NewDecoder(bytes.NewBuffer(f.Data), opts...)}
}

// Start returns the byte offset at which the last value, token or member name begins.
func (r *Reader) Start() int { return r.start }

// End returns the byte offset after the last value, token or member name.
func (r *Reader) End() int { return int(r.dec.InputOffset()) }

// Raw returns the bytes in the file of the last value, token or member name.
func (r *Reader) Raw() jsontext.Value { return r.Since(r.start) }

// Next returns the byte offset at which the next value, token or member name begins.
func (r *Reader) Next() int { return r.after(r.End()) }

// Since returns the bytes from the offset start to End.
func (r *Reader) Since(start int) jsontext.Value { return r.file.Data[start:r.End()] }

// Fail returns an error about the last value, token or member name.
func (r *Reader) Fail(problem, remedy string) error { return r.FailAt(r.start, problem, remedy) }

// FailAt returns an error about the last value, which begins at the offset start.
func (r *Reader) FailAt(start int, problem, remedy string) error {
	return r.file.At(start, r.dec.StackPointer(), problem, remedy)
}

// Kind returns the kind of the next value without reading it. It returns 0 if the rest of the file is not valid JSON.
func (r *Reader) Kind() jsontext.Kind { return r.dec.PeekKind() }

func (r *Reader) token() (jsontext.Token, error) {
	before := r.End()
	tok, err := r.dec.ReadToken()
	if err != nil {
		return tok, r.syntax(err)
	}
	r.start = r.after(before)
	return tok, nil
}

func (r *Reader) syntax(err error) error {
	r.broken = true
	return r.file.syntax(err)
}

// Value reads a complete value of any kind.
func (r *Reader) Value() (jsontext.Value, error) {
	start := r.Next()
	var err error
	switch kind := r.Kind(); {
	case r.strict && kind == '{': // it may have a duplicate member
		err = r.Object(func(string) error { return nil })
	case r.strict && kind == '[':
		err = r.Array(func() error { _, err := r.Value(); return err })
	default:
		// ReadValue is faster than SkipValue, which reads each token.
		if _, err = r.dec.ReadValue(); err != nil {
			err = r.syntax(err)
		}
	}
	if err != nil {
		return nil, err
	}
	r.start = start
	return r.Raw(), nil
}

// after returns the offset of the next token after the offset end: it skips white space and a comma or colon.
func (r *Reader) after(end int) int {
	for end < len(r.file.Data) && strings.IndexByte(" \t\r\n,:", r.file.Data[end]) >= 0 {
		end++
	}
	return end
}

// want reads the next token if it has the given kind. Otherwise it reads the whole value and returns an error about it.
func (r *Reader) want(kind jsontext.Kind, name string) (jsontext.Token, error) {
	if got := r.Kind(); got != kind && got != 0 {
		return jsontext.Token{}, r.Mismatch(name, KindRemedy(kind))
	}
	return r.token()
}

// Mismatch reads the next value and returns an error that says that it must be want, such as "an object".
func (r *Reader) Mismatch(want, remedy string) error {
	got := r.Kind()
	if _, err := r.Value(); err != nil {
		return err
	}
	return r.Fail("must be "+want+", not "+kindName(got), remedy)
}

// KindRemedy returns the remedy that says how to write a value of a kind.
func KindRemedy(k jsontext.Kind) string {
	switch k {
	case '{':
		return "write it in braces: {...}"
	case '[':
		return "write it in brackets: [...]"
	case '"':
		return "write it in double quotes"
	default:
		return "write true or false, without quotes"
	}
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 'n':
		return "null"
	default:
		return "a boolean"
	}
}

// Object reads an object. It calls each for each member, after reading the name. If each does not read the value,
// Object skips it.
func (r *Reader) Object(each func(name string) error) error {
	if _, err := r.want('{', "an object"); err != nil {
		return err
	}
	var seen names
	for r.Kind() != '}' {
		tok, err := r.token()
		if err != nil {
			return err
		}
		name, named := tok.String(), r.End()
		if r.strict && seen.have(name) {
			err = r.Fail(fmt.Sprintf("member %q is given twice", name), "remove one of them")
		} else {
			err = each(name)
		}
		if err = r.keep(err); err != nil {
			return err
		}
		if r.End() == named {
			if _, err := r.Value(); err != nil {
				return err
			}
		}
	}
	_, err := r.token()
	return err
}

// Array reads an array. For each element it calls each, which must read it.
func (r *Reader) Array(each func() error) error {
	if _, err := r.want('[', "an array"); err != nil {
		return err
	}
	for r.Kind() != ']' {
		if r.Kind() == 0 { // invalid JSON, or the end: token returns the error
			_, err := r.token()
			return err
		}
		if err := r.keep(each()); err != nil {
			return err
		}
	}
	_, err := r.token()
	return err
}

// keep keeps an error for Finish and returns nil. If the reader cannot continue, it returns the error.
func (r *Reader) keep(err error) error {
	var at *Error
	if err == nil || !r.strict || r.broken || !errors.As(err, &at) {
		return err
	}
	r.faults = append(r.faults, at)
	return nil
}

// Note keeps an error about the file for Finish.
func (r *Reader) Note(err error) { r.faults = append(r.faults, All(err)...) }

// names is the set of the names of an object's members.
type names struct {
	few  []string // used while there are few names
	many map[string]bool
}

// have reports whether name is in the set, and adds it.
func (n *names) have(name string) bool {
	const few = 32 // a record of a hook has 22
	switch {
	case n.many[name], n.many == nil && slices.Contains(n.few, name):
		return true
	case n.many != nil:
		n.many[name] = true
	case len(n.few) < few:
		n.few = append(n.few, name)
	default:
		n.many = map[string]bool{name: true}
		for _, name := range n.few {
			n.many[name] = true
		}
	}
	return false
}

// String reads a string and returns its decoded value.
func (r *Reader) String() (string, error) {
	tok, err := r.want('"', "a string")
	if err != nil {
		return "", err
	}
	return tok.String(), nil
}

// Strings reads an array of strings.
func (r *Reader) Strings() ([]string, error) {
	list := []string{}
	err := r.Array(func() error {
		s, err := r.String()
		list = append(list, s)
		return err
	})
	return list, err
}

// Bool reads true or false.
func (r *Reader) Bool() (bool, error) {
	k := r.Kind()
	if k != 't' && k != 'f' && k != 0 {
		_, err := r.want('t', "true or false")
		return false, err
	}
	_, err := r.token()
	return k == 't', err
}

// Finish must be called after the file's value has been read. It returns the errors that Object, Array and Note have
// kept, and an error if text follows the value.
func (r *Reader) Finish() error {
	before := r.End()
	if _, err := r.dec.ReadToken(); err != io.EOF {
		r.faults = append(r.faults, r.file.At(r.after(before), "", "text follows the end of the JSON value", "remove it"))
	}
	return r.faults.Err()
}

// MisspeltCase returns an error if name, which was read last, differs from one of the known names only in letter case:
// some runtimes treat the two as equal.
func (r *Reader) MisspeltCase(name string, known ...string) error {
	for _, k := range known {
		if name != k && strings.EqualFold(name, k) {
			return r.Fail(fmt.Sprintf("member %q differs from %q in the case of letters alone", name, k),
				fmt.Sprintf("write %q", k))
		}
	}
	return nil
}
