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

// Reader walks through a file's JSON, once, from beginning to end. Its methods read the next value; its errors are
// of type *Error. Start, End, Raw and Fail are about what was read last.
type Reader struct {
	file   *File
	dec    *jsontext.Decoder
	start  int
	strict bool
	faults Errors // of a strict reader: what is wrong with members and elements read so far
	broken bool   // what follows is not JSON
}

// Strict returns a reader of JSON as RFC 8259 advises: a member given twice and invalid UTF-8 are errors. It finds all
// errors of a file: Object and Array keep an error that a member or an element has, and go on with the next one, as long
// as the file is JSON. Finish returns what they have kept.
func (f *File) Strict() *Reader {
	r := f.reader(jsontext.AllowDuplicateNames(true)) // Object finds these, since the decoder stops at the first
	r.strict = true
	return r
}

// Lenient returns a reader of JSON as runtimes read it: a member may be given twice, and a string may hold any bytes. It
// stops at the first error.
func (f *File) Lenient() *Reader {
	return f.reader(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func (f *File) reader(opts ...jsontext.Options) *Reader {
	// The decoder reads a bytes.Buffer where it lies, without a copy.
	return &Reader{file: f, dec: jsontext.NewDecoder(bytes.NewBuffer(f.Data), opts...)}
}

// Start returns the byte offset at which the value, token or member name read last begins.
func (r *Reader) Start() int { return r.start }

// End returns the byte offset after the value, token or member name read last.
func (r *Reader) End() int { return int(r.dec.InputOffset()) }

// Raw returns the bytes of what was read last, as they stand in the file.
func (r *Reader) Raw() jsontext.Value { return r.Since(r.start) }

// Next returns the byte offset at which the next value, token or member name begins.
func (r *Reader) Next() int { return r.after(r.End()) }

// Since returns the bytes from the offset start to the end of what was read last.
func (r *Reader) Since(start int) jsontext.Value { return r.file.Data[start:r.End()] }

// Fail returns an error about what was read last.
func (r *Reader) Fail(problem, remedy string) error { return r.FailAt(r.start, problem, remedy) }

// FailAt returns an error about what was read last, a value that began at the offset start.
func (r *Reader) FailAt(start int, problem, remedy string) error {
	return r.file.At(start, r.dec.StackPointer(), problem, remedy)
}

// Kind returns the kind of the next value without reading it; 0 if what follows is not JSON.
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

// Value reads a value of any kind, whole.
func (r *Reader) Value() (jsontext.Value, error) {
	start := r.Next()
	var err error
	switch kind := r.Kind(); {
	case r.strict && kind == '{': // which may have a member twice
		err = r.Object(func(string) error { return nil })
	case r.strict && kind == '[':
		err = r.Array(func() error { _, err := r.Value(); return err })
	default:
		// ReadValue is faster than SkipValue, which goes from token to token.
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

// after returns the offset of what comes after an offset at which something ended: white space and one comma or colon lie
// between.
func (r *Reader) after(end int) int {
	for end < len(r.file.Data) && strings.IndexByte(" \t\r\n,:", r.file.Data[end]) >= 0 {
		end++
	}
	return end
}

// want reads the next token if it is of the given kind, and fails at the whole value if it is not.
func (r *Reader) want(kind jsontext.Kind, name string) (jsontext.Token, error) {
	if got := r.Kind(); got != kind && got != 0 {
		return jsontext.Token{}, r.Mismatch(name, KindRemedy(kind))
	}
	return r.token()
}

// Mismatch reads the next value and returns an error that it is not what it must be: "an object".
func (r *Reader) Mismatch(want, remedy string) error {
	got := r.Kind()
	if _, err := r.Value(); err != nil {
		return err
	}
	return r.Fail("must be "+want+", not "+kindName(got), remedy)
}

// KindRemedy returns how a value of a kind is written.
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

// Object reads an object. For each member it calls each, after the name has been read; if each doesn't read the
// value, the value is passed over.
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
		if r.Kind() == 0 { // not JSON, or the end: token says what is wrong
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

// keep keeps an error for Finish, and returns nil, unless the reader cannot go on.
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

// names are the members of an object.
type names struct {
	few  []string // as long as they are few
	many map[string]bool
}

// have reports whether name is among the names, and adds it.
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

// String reads a string and gives what it means.
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

// Finish is called when the file's value has been read. It returns what is wrong with the file: what Object and Array
// have kept, and that text follows the value.
func (r *Reader) Finish() error {
	before := r.End()
	if _, err := r.dec.ReadToken(); err != io.EOF {
		r.faults = append(r.faults, r.file.At(r.after(before), "", "text follows the end of the JSON value", "remove it"))
	}
	return r.faults.Err()
}

// MisspeltCase returns an error if name, read last, differs from one of the known names in the case of its letters
// alone: some runtimes would take the one for the other.
func (r *Reader) MisspeltCase(name string, known ...string) error {
	for _, k := range known {
		if name != k && strings.EqualFold(name, k) {
			return r.Fail(fmt.Sprintf("member %q differs from %q in the case of letters alone", name, k),
				fmt.Sprintf("write %q", k))
		}
	}
	return nil
}
