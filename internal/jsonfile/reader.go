package jsonfile

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Reader walks through a file's JSON, once, from beginning to end. Its methods read the next value; its errors are
// of type *Error. Start, End, Raw and Fail are about what was read last.
type Reader struct {
	file  *File
	dec   *jsontext.Decoder
	start int
}

// Strict reads JSON as RFC 8259 advises: a member given twice and invalid UTF-8 are errors.
func (f *File) Strict() *Reader { return f.reader() }

// Lenient reads JSON as runtimes do: a member may be given twice, and a string may hold any bytes.
func (f *File) Lenient() *Reader {
	return f.reader(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func (f *File) reader(opts ...jsontext.Options) *Reader {
	// The decoder reads a bytes.Buffer where it lies, without a copy.
	return &Reader{file: f, dec: jsontext.NewDecoder(bytes.NewBuffer(f.Data), opts...)}
}

// Start gives the byte offset at which the value, token or member name read last begins.
func (r *Reader) Start() int { return r.start }

// End gives the byte offset after the value, token or member name read last.
func (r *Reader) End() int { return int(r.dec.InputOffset()) }

// Raw gives the bytes of what was read last, as they stand in the file.
func (r *Reader) Raw() jsontext.Value { return r.Since(r.start) }

// Next gives the byte offset at which the next value, token or member name begins.
func (r *Reader) Next() int { return r.after(r.End()) }

// Since gives the bytes from the offset start to the end of what was read last.
func (r *Reader) Since(start int) jsontext.Value { return r.file.Data[start:r.End()] }

// Fail gives an error about what was read last.
func (r *Reader) Fail(problem, remedy string) error { return r.FailAt(r.start, problem, remedy) }

// FailAt gives an error about what was read last, a value that began at the offset start.
func (r *Reader) FailAt(start int, problem, remedy string) error {
	return r.file.At(start, r.dec.StackPointer(), problem, remedy)
}

// Kind gives the kind of the next value without reading it; 0 if what follows is not JSON.
func (r *Reader) Kind() jsontext.Kind { return r.dec.PeekKind() }

func (r *Reader) token() (jsontext.Token, error) {
	before := r.End()
	tok, err := r.dec.ReadToken()
	if err != nil {
		return tok, r.file.syntax(err)
	}
	r.start = r.after(before)
	return tok, nil
}

// Value reads a value of any kind, whole.
func (r *Reader) Value() (jsontext.Value, error) {
	before := r.End()
	// ReadValue is faster than SkipValue, which goes from token to token.
	if _, err := r.dec.ReadValue(); err != nil {
		return nil, r.file.syntax(err)
	}
	r.start = r.after(before)
	return r.Raw(), nil
}

// after gives the offset of what comes after an offset at which something ended: white space and one comma or colon lie
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
		if _, err := r.Value(); err != nil {
			return jsontext.Token{}, err
		}
		return jsontext.Token{}, r.Fail("must be "+name+", not "+kindName(got), "")
	}
	return r.token()
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
	for r.Kind() != '}' {
		tok, err := r.token()
		if err != nil {
			return err
		}
		name, named := tok.String(), r.End()
		if err := each(name); err != nil {
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
		if err := each(); err != nil {
			return err
		}
	}
	_, err := r.token()
	return err
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

// Finish gives an error if anything but white space follows.
func (r *Reader) Finish() error {
	before := r.End()
	if _, err := r.dec.ReadToken(); err == io.EOF {
		return nil
	}
	return r.file.At(r.after(before), "", "text follows the end of the JSON value", "take it out")
}

// MisspeltCase gives an error if name, read last, differs from one of the known names in the case of its letters
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
