package jsonfile

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// syntaxRemedy returns the remedy for the text at an offset, where the JSON becomes invalid. It recognizes the mistakes
// that people make from that text and from jsontext's problem.
func (f *File) syntaxRemedy(offset int, problem string) string {
	p := mistake{f.Data[:min(offset, len(f.Data))], f.Data[min(offset, len(f.Data)):], problem}
	switch {
	case bytes.HasPrefix(f.Data, []byte("\xef\xbb\xbf")):
		return "the file begins with a byte order mark: save it as UTF-8 without one"
	case bytes.IndexByte(f.Data, 0) >= 0, p.next() >= utf8.RuneSelf && !utf8.Valid(f.Data):
		return "save the file as UTF-8"
	case p.says("max depth"):
		return "no runtime needs it as deep as this"
	case p.says("in string"):
		return p.inString()
	case p.starts("//", "/*", "#"):
		return "remove the comment: JSON has none"
	case p.starts("'", "`"):
		return "write strings in double quotes"
	case p.starts("\u201c", "\u201d", "\u2018", "\u2019"):
		return `write strings in plain double quotes: "`
	case p.says("in number"), p.says("start of value") && p.starts("+", "."):
		return "write the number in digits, as in 5, -5 or 0.5"
	case p.says("in literal"), p.says("start of value") && isLetter(p.next()):
		return "write names and strings in double quotes, and true, false and null in lower case"
	case p.says("start of value"):
		return p.noValue()
	case p.says("after object name"):
		return p.noColon()
	}
	return p.noComma()
}

// mistake is the place at which JSON becomes invalid.
type mistake struct {
	before, at []byte // the text before and after the place
	problem    string // jsontext's description
}

func (p mistake) says(words string) bool { return strings.Contains(p.problem, words) }

func (p mistake) starts(prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return bytes.HasPrefix(p.at, []byte(prefix)) })
}

// next returns the first invalid byte, or 0 at the end.
func (p mistake) next() byte {
	if len(p.at) == 0 {
		return 0
	}
	return p.at[0]
}

// last returns the byte before the first invalid one, or 0 at the beginning.
func (p mistake) last() byte {
	if len(p.before) == 0 {
		return 0
	}
	return p.before[len(p.before)-1]
}

func (p mistake) inString() string {
	switch {
	case p.says("surrogate pair"):
		return "write the character itself, or both halves of its escape"
	case p.says("escape sequence"):
		return `a backslash in a string is written \\`
	case p.starts("\n", "\r", "\t"):
		return `a line break in a string is written \n, a tab \t`
	}
	return `a control character in a string is written \u and four hexadecimal digits`
}

// noValue returns the remedy if there is something else instead of a value or a name.
func (p mistake) noValue() string {
	r, _ := utf8.DecodeRune(p.at)
	switch {
	case p.starts(",") && bytes.IndexByte([]byte("}]"), firstOf(p.at[1:])) >= 0:
		return "remove it: JSON has no comma after the last of a list"
	case p.starts(","):
		return "remove it, or write what is missing before it"
	case p.starts("}", "]"):
		return "a value is missing before it"
	case r >= utf8.RuneSelf && !unicode.IsPrint(r):
		return "remove it: JSON has no spaces but those of ASCII"
	}
	return "remove it, or write it in a string"
}

func (p mistake) noColon() string {
	switch {
	case p.starts("=", ";"):
		return "write a colon in its place"
	case p.starts("}", "]", ","):
		return "write a colon and a value before it"
	}
	return "put a colon before it"
}

// noComma returns the remedy for invalid text after a member of an object or an element of an array.
func (p mistake) noComma() string {
	joined := isLetter(p.next()) || '0' <= p.next() && p.next() <= '9' || p.next() == '_'
	switch {
	case p.starts("}", "]"):
		return "close what was opened last: { with }, [ with ]"
	case p.last() == '0' && '0' <= p.next() && p.next() <= '9':
		return "write numbers without zeros before them"
	case '0' <= p.last() && p.last() <= '9' && joined:
		return "write the number in decimal digits alone"
	case p.last() == '"' && p.next() != '"' && !p.starts(":", ";", "{", "["):
		return `put a comma before it; a quote inside a string is written \"`
	case p.starts(";"):
		return "write a comma in its place"
	case p.starts(":"):
		return "write names and their values in braces: {...}"
	}
	return "put a comma before it"
}

// firstOf returns the first byte that is not white space, or 0 if there is none.
func firstOf(text []byte) byte {
	if text = bytes.TrimLeft(text, " \t\r\n"); len(text) > 0 {
		return text[0]
	}
	return 0
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
