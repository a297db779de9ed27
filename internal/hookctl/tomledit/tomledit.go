// Package tomledit edits TOML text: one value changes, and every other byte stays.
//
// It knows the format, and the place of a table, a key or an item of an array in a text. It does not know what the keys
// mean.
package tomledit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Table is a TOML table.
type Table = map[string]any

// Decode reads the TOML of the file at path. An error names the place.
func Decode(path string, text []byte) (tree Table, err error) {
	err = toml.Unmarshal(unmarked(text), &tree)
	var at *toml.DecodeError
	if errors.As(err, &at) {
		line, column := at.Position()
		return nil, fmt.Errorf("%s:%d:%d: not valid TOML: %s; fix it first", path, line, column, strings.TrimPrefix(at.Error(), "toml: "))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: not valid TOML: %s; fix it first", path, strings.TrimPrefix(err.Error(), "toml: "))
	}
	return tree, nil
}

// mark is the byte order mark, with which a text may begin for containerd 1.x.
var mark = []byte("\xef\xbb\xbf")

// unmarked returns a text with blanks in place of a byte order mark, so that all offsets stay the same.
func unmarked(text []byte) []byte {
	if rest, ok := bytes.CutPrefix(text, mark); ok {
		return slices.Concat([]byte("   "), rest)
	}
	return text
}

// Prepend returns a text with a line added before all others.
func Prepend(text []byte, line string) []byte {
	if bytes.HasPrefix(text, mark) {
		return Insert(text, len(mark), line)
	}
	return Insert(text, 0, line)
}

// heading returns the heading of a table.
func heading(path []string) string {
	keys := make([]string, len(path))
	for i, key := range path {
		keys[i] = key
		if strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			keys[i] = Quote(key)
		}
	}
	return "[" + strings.Join(keys, ".") + "]"
}

// Write returns a table under its full name, so that it can follow any other table, and then its subtables. A table
// that holds only tables needs no heading.
func Write(path []string, t Table) string {
	var text, inner string
	for _, key := range slices.Sorted(maps.Keys(t)) {
		if sub, ok := t[key].(Table); ok {
			inner += Write(append(path[:len(path):len(path)], key), sub)
			continue
		}
		line, err := toml.Marshal(Table{key: t[key]})
		if err != nil {
			panic(err) // the value was read from TOML
		}
		text += string(line)
	}
	if text != "" && len(path) > 0 {
		text = heading(path) + "\n" + text
	}
	return text + inner
}

// Item is a string in an array.
type Item struct {
	Value      string
	Start, End int // of the item in the text, with its quotation marks
}

// Array returns the strings in a top-level array, and the offset of its bracket; -1 if there is no such array.
func Array(text []byte, key string) (open int, items []Item, err error) {
	var p unstable.Parser
	p.Reset(unmarked(text))
	open = -1
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind == unstable.Table || e.Kind == unstable.ArrayTable {
			break // the rest is in a table
		}
		if e.Kind != unstable.KeyValue {
			continue
		}
		names, at := keysOf(e)
		if !slices.Equal(names, []string{key}) {
			continue
		}
		if e.Value().Kind != unstable.Array {
			return 0, nil, errors.New(key + " is not an array")
		}
		open = at + strings.IndexByte(string(text[at:]), '[')
		for item := e.Value().Children(); item.Next(); {
			if n := item.Node(); n.Kind == unstable.String {
				start := int(n.Raw.Offset)
				items = append(items, Item{string(n.Data), start, start + int(n.Raw.Length)})
			}
		}
	}
	return open, items, p.Error()
}

// Insert returns a text with what inserted at an offset.
func Insert(text []byte, at int, what string) []byte {
	return slices.Concat(text[:at], []byte(what), text[at:])
}

// place is the place of a key in a table, or where it would be.
type place struct {
	heading    int // the offset after the table's heading; -1 if there is none
	start, end int // of the line with the key; end is 0 if there is none
	value      unstable.Range
}

// locate finds a key in the table that has a heading of its own.
func locate(text []byte, path []string, key string) (place, error) {
	var p unstable.Parser
	p.Reset(unmarked(text))
	at, within := place{heading: -1}, false
	for p.NextExpression() {
		e := p.Expression()
		names, end := keysOf(e)
		switch e.Kind {
		case unstable.Table:
			if within = slices.Equal(names, path); within {
				at.heading = end + lineLength(text[end:])
			}
		case unstable.ArrayTable:
			within = false
		case unstable.KeyValue:
			if within && slices.Equal(names, []string{key}) {
				at.value = e.Value().Raw
				at.start = strings.LastIndexByte(string(text[:at.value.Offset]), '\n') + 1
				at.end = at.start + lineLength(text[at.start:])
			}
		}
	}
	return at, p.Error()
}

// keysOf returns the key of an expression, and the offset after it.
func keysOf(e *unstable.Node) (names []string, end int) {
	for key := e.Key(); key.Next(); {
		n := key.Node()
		names = append(names, string(n.Data))
		end = int(n.Raw.Offset + n.Raw.Length)
	}
	return names, end
}

// lineLength returns the length of the first line, including its line feed.
func lineLength(text []byte) int {
	if i := strings.IndexByte(string(text), '\n'); i >= 0 {
		return i + 1
	}
	return len(text)
}

// RemoveItem returns a text without an item of an array. It removes whole lines where the item has a line of its own.
// Comments stay.
func RemoveItem(text []byte, item Item) []byte {
	lineStart := bytes.LastIndexByte(text[:item.Start], '\n') + 1
	before, after := string(text[lineStart:item.Start]), string(text[item.End:])
	after = after[:lineLength([]byte(after))]
	start, end := item.Start, item.End
	rest := strings.TrimLeft(after, " \t")
	comma := strings.HasPrefix(rest, ",")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, ","), " \t")
	switch {
	case strings.TrimSpace(before) == "" && strings.TrimSpace(rest) == "" && strings.HasSuffix(after, "\n"):
		start, end = lineStart, end+len(after)
	case strings.HasSuffix(strings.TrimRight(before, " \t"), ","):
		start = lineStart + strings.LastIndexByte(before, ',')
	case comma:
		end += len(after) - len(rest)
	}
	return slices.Concat(text[:start], text[end:])
}

// SetKey returns a text in which a key of a table has another value, or is added.
func SetKey(text []byte, path []string, key, value string) ([]byte, error) {
	at, err := locate(text, path, key)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", err)
	case at.end > 0:
		return slices.Concat(text[:at.value.Offset], []byte(value), text[at.value.Offset+at.value.Length:]), nil
	case at.heading >= 0:
		return Insert(text, at.heading, key+" = "+value+"\n"), nil
	}
	return append(slices.Clone(text), "\n"+heading(path)+"\n"+key+" = "+value+"\n"...), nil
}

// RemoveKey returns a text without the line of a key of a table.
func RemoveKey(text []byte, path []string, key string) ([]byte, error) {
	at, err := locate(text, path, key)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	return slices.Concat(text[:at.start], text[at.end:]), nil
}

// HasHeading reports whether a table has a heading of its own.
func HasHeading(text []byte, path []string) (bool, error) {
	at, err := locate(text, path, "")
	return at.heading >= 0, err
}

// Quote returns a text as a TOML basic string.
func Quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string can always be encoded
	}
	return string(b)
}
