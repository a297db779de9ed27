package engine

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// table is a TOML table.
type table = map[string]any

// decode reads the TOML of the file at path. An error names the place.
func decode(path string, text []byte) (tree table, err error) {
	err = toml.Unmarshal(text, &tree)
	var at *toml.DecodeError
	if errors.As(err, &at) {
		line, column := at.Position()
		return nil, fmt.Errorf("%s:%d:%d: not valid TOML: %s; mend it first", path, line, column, strings.TrimPrefix(at.Error(), "toml: "))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: not valid TOML: %s; mend it first", path, strings.TrimPrefix(err.Error(), "toml: "))
	}
	return tree, nil
}

// tableName gives the heading of a table.
func tableName(path []string) string {
	keys := make([]string, len(path))
	for i, key := range path {
		keys[i] = key
		if strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			keys[i] = quoted(key)
		}
	}
	return "[" + strings.Join(keys, ".") + "]"
}

// writeTable writes a table under its whole name, so that it may stand anywhere after other tables; those in it follow. A
// table that holds tables alone needs no heading.
func writeTable(path []string, t table) string {
	var text, inner string
	for _, key := range slices.Sorted(maps.Keys(t)) {
		if sub, ok := t[key].(table); ok {
			inner += writeTable(append(path[:len(path):len(path)], key), sub)
			continue
		}
		line, err := toml.Marshal(table{key: t[key]})
		if err != nil {
			panic(err) // it has been read from TOML
		}
		text += string(line)
	}
	if text != "" && len(path) > 0 {
		text = tableName(path) + "\n" + text
	}
	return text + inner
}

// imported is a string in the array `imports` of a containerd configuration.
type imported struct {
	path string // as it is meant
	unstable.Range
}

// importsOf gives the imports of a containerd configuration, and where the array's bracket opens; -1 if there is none.
func importsOf(text []byte) (open int, items []imported, err error) {
	var p unstable.Parser
	p.Reset(text)
	open = -1
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind == unstable.Table || e.Kind == unstable.ArrayTable {
			break // what follows is not at the top
		}
		if e.Kind != unstable.KeyValue {
			continue
		}
		names, at := keysOf(e)
		if !slices.Equal(names, []string{"imports"}) {
			continue
		}
		if e.Value().Kind != unstable.Array {
			return 0, nil, errors.New("imports is not an array")
		}
		open = at + strings.IndexByte(string(text[at:]), '[')
		for item := e.Value().Children(); item.Next(); {
			if n := item.Node(); n.Kind == unstable.String {
				items = append(items, imported{string(n.Data), n.Raw})
			}
		}
	}
	return open, items, p.Error()
}

// importLine is the line that hookctl adds to a containerd configuration without imports.
func importLine(path string) string {
	return "imports = [" + quoted(path) + "] # written by hookctl\n"
}

// addImport has a containerd configuration import the file at path.
func addImport(text []byte, path string) ([]byte, error) {
	open, items, err := importsOf(text)
	switch {
	case err != nil:
		return nil, err
	case open >= 0 && len(items) > 0:
		last := items[len(items)-1]
		return insertAt(text, int(last.Offset+last.Length), ", "+quoted(path)), nil
	case open >= 0:
		return insertAt(text, open+1, quoted(path)), nil
	case text == nil:
		return fmt.Appendf(nil, "version = %d\n%s", dropInVersion, importLine(path)), nil
	}
	return insertAt(text, 0, importLine(path)), nil // before all tables
}

// removeImport takes back what addImport did to the configuration at config, however it has been written since.
func removeImport(text []byte, path, config string) ([]byte, error) {
	if line := importLine(path); strings.Contains(string(text), line) {
		return []byte(strings.Replace(string(text), line, "", 1)), nil
	}
	_, items, err := importsOf(text)
	if err != nil {
		return nil, err
	}
	for i, item := range items {
		if absolute(item.path, config) != path {
			continue
		}
		start, end := int(item.Offset), int(item.Offset+item.Length)
		switch {
		case i > 0:
			start = int(items[i-1].Offset + items[i-1].Length)
		case len(items) > 1:
			end = int(items[1].Offset)
		}
		return removeImport(slices.Concat(text[:start], text[end:]), path, config) // it may be there twice
	}
	return text, nil
}

// absolute gives a path that stands in the file config.
func absolute(path, config string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(config), path)
}

func insertAt(text []byte, at int, what string) []byte {
	return slices.Concat(text[:at], []byte(what), text[at:])
}

// place is where a key stands in a table, or where it could.
type place struct {
	heading    int // the offset after the table's heading; -1 if there is none
	start, end int // of the line with the key; end is 0 if there is none
	value      unstable.Range
}

// locate finds a key in the table that has a heading of its own.
func locate(text []byte, path []string, key string) (place, error) {
	var p unstable.Parser
	p.Reset(text)
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

// keysOf gives the key of an expression, and the offset after it.
func keysOf(e *unstable.Node) (names []string, end int) {
	for key := e.Key(); key.Next(); {
		n := key.Node()
		names = append(names, string(n.Data))
		end = int(n.Raw.Offset + n.Raw.Length)
	}
	return names, end
}

// lineLength gives the length of the first line, with its line feed.
func lineLength(text []byte) int {
	if i := strings.IndexByte(string(text), '\n'); i >= 0 {
		return i + 1
	}
	return len(text)
}

// setKey gives a key of a table another value, or adds it.
func setKey(text []byte, path []string, key, value string) ([]byte, error) {
	at, err := locate(text, path, key)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", err)
	case at.end > 0:
		return slices.Concat(text[:at.value.Offset], []byte(value), text[at.value.Offset+at.value.Length:]), nil
	case at.heading >= 0:
		return insertAt(text, at.heading, key+" = "+value+"\n"), nil
	}
	return append(slices.Clone(text), "\n"+tableName(path)+"\n"+key+" = "+value+"\n"...), nil
}

// removeKey takes the line of a key out of a table.
func removeKey(text []byte, path []string, key string) ([]byte, error) {
	at, err := locate(text, path, key)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	return slices.Concat(text[:at.start], text[at.end:]), nil
}
