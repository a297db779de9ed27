// Package ui draws all that hookctl prints.
//
// It knows terminals and what a reader needs. It opens no file, runs nothing and decides nothing: commands pass data to
// it.
//
// The rules of output:
//
//   - Standard output has only the requested result, as text or, with --json, as one JSON value. Notes and errors go to
//     standard error, each on its own lines that begin with "hookctl: ".
//   - Text from elsewhere, such as paths, names of containers and output of programs, is escaped. Only this package sends
//     control characters to the terminal.
//   - Colours are shown only on a terminal, and not if NO_COLOR is set or TERM is dumb. A word always says what a colour says.
//   - Lines fit the terminal. Tables and messages are broken between words or columns, never within a word. Elsewhere, such
//     as in a pipe, a row or a message is one line.
//   - In a locale without UTF-8, such as C or POSIX, only ASCII is drawn. Text from elsewhere stays as it is.
//   - Progress is drawn only on a terminal.
//   - Output that cannot be written is an error.
package ui

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// UI is what a command writes to. Its methods write to standard output unless their comment says otherwise.
type UI struct {
	AsJSON bool // --json was given

	text   *bufio.Writer // standard output
	err    io.Writer
	colour bool                       // colours are shown
	chars  charset                    // what is drawn with
	size   func() (width, height int) // of the terminal, in characters; 0 if standard output is not a terminal
	drawn  int                        // the number of lines that the next drawing replaces
}

// New returns a UI that writes to out as standard output and to err as standard error. NO_COLOR turns colours off
// (https://no-color.org).
func New(out, err io.Writer) *UI {
	u := &UI{text: bufio.NewWriter(out), err: err, chars: localCharset(), size: func() (width, height int) { return terminal(out) }}
	u.colour = u.Live() && os.Getenv("NO_COLOR") == ""
	return u
}

// width returns the width of the terminal, 0 if there is none.
func (u *UI) width() int {
	width, _ := u.size()
	return width
}

// Out returns the buffered standard output.
func (u *UI) Out() io.Writer { return u.text }

// Flush writes buffered output. After an error, each later call returns the same error.
func (u *UI) Flush() error { return u.text.Flush() }

// Printf prints text. It escapes nothing: see Escape and Paint.
func (u *UI) Printf(format string, args ...any) { fmt.Fprintf(u.text, format, args...) }

// JSON prints v, indented.
func (u *UI) JSON(v any) error {
	enc := jsonEncoder(u.text)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// JSONList returns a list that is printed as JSON does, one element after the other.
func (u *UI) JSONList() *JSONList { return &JSONList{u: u} }

// JSONList is a list of which a part is printed.
type JSONList struct {
	u     *UI
	begun bool
}

// Add prints an element.
func (l *JSONList) Add(v any) error {
	var text bytes.Buffer
	enc := jsonEncoder(&text)
	enc.SetIndent("  ", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	before := "[\n  "
	if l.begun {
		before = ",\n  "
	}
	l.begun = true
	_, err := l.u.text.WriteString(before + strings.TrimSuffix(text.String(), "\n"))
	return err
}

// End prints the end of the list.
func (l *JSONList) End() error {
	end := "\n]\n"
	if !l.begun {
		end = "[]\n"
	}
	_, err := l.u.text.WriteString(end)
	return err
}

// JSONLine prints v in one line.
func (u *UI) JSONLine(v any) error { return jsonEncoder(u.text).Encode(v) }

func jsonEncoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

// Error prints a message of one or more lines on standard error.
func (u *UI) Error(message string) {
	lines := strings.Split(message, "\n")
	for i, line := range lines {
		lines[i] = Escape(line)
	}
	fmt.Fprintf(u.err, "hookctl: %s\n", strings.Join(lines, "\n"))
}

// Note prints a note on standard error.
func (u *UI) Note(message string) { u.Error("note: " + message) }

// Colour is a colour of text on a terminal (ECMA-48, Select Graphic Rendition).
type Colour string

// The colours.
const (
	Plain  Colour = ""
	Bold   Colour = "1"
	Dim    Colour = "2"
	Red    Colour = "31"
	Green  Colour = "32"
	Yellow Colour = "33"
	Cyan   Colour = "36"
)

// Paint returns text, escaped, in a colour where colours are shown.
func (u *UI) Paint(c Colour, text string) string {
	text = Escape(text)
	if !u.colour || c == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// Live reports whether progress can be drawn: standard output is a terminal that can move its cursor.
func (u *UI) Live() bool { return u.width() > 0 && os.Getenv("TERM") != "dumb" }

// terminal returns the size of the terminal w in characters: 80 by 24 if the size is not known, 0 by 0 if w is not a
// terminal.
func terminal(w io.Writer) (width, height int) {
	f, isFile := w.(*os.File)
	if !isFile {
		return 0, 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	switch {
	case err != nil:
		return 0, 0
	case size.Col == 0 || size.Row == 0:
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}

// Escape returns text in which all that a terminal might interpret, including line feeds, is escaped as in a Go string.
// Tabs are kept.
func Escape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == '\t', strconv.IsPrint(r):
			b.WriteString(text[i : i+n])
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		i += n
	}
	return b.String()
}

// Count returns a number with its noun, in the plural unless n is 1.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
