package bundle

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// Addition holds the hooks to add to a stage.
type Addition struct {
	Stage   hooks.Stage
	Prepend []jsontext.Value // hook objects to add before the existing ones
	Append  []jsontext.Value // hook objects to add after the existing ones
}

// Has reports whether the stage holds the hooks of block as a contiguous run (rule 13). It compares them as JSON
// values: the order of members, white space, escapes and the spelling of numbers do not matter. Every stage holds an
// empty block. Has fails as Splice does.
func (c *Config) Has(name hooks.Stage, block []jsontext.Value) (bool, error) {
	if len(block) == 0 {
		return true, nil
	}
	if c.fault != nil {
		return false, c.fault
	}
	s := c.stages[name]
	if s == nil || len(s.hooks) < len(block) {
		return false, nil
	}
	return bytes.Contains(canonical(s.hooks), canonical(block)), nil
}

// Hooks returns the hooks of a stage as the file spells them. It fails as Splice does.
func (c *Config) Hooks(name hooks.Stage) ([]jsontext.Value, error) {
	if c.fault != nil || c.stages[name] == nil {
		return nil, c.fault
	}
	return c.stages[name].hooks, nil
}

// canonical returns the canonical form of the values, so that equal values have equal bytes. A line feed, which no
// canonical value contains, is before and after each of them.
func canonical(values []jsontext.Value) []byte {
	text := []byte{'\n'}
	for _, v := range values {
		v = v.Clone()
		// Integers keep all their digits. The text is valid JSON, so this cannot fail.
		if err := v.Canonicalize(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), jsontext.CanonicalizeRawInts(false)); err != nil {
			panic("canonical form of a value that has been read: " + err.Error())
		}
		text = append(append(text, v...), '\n')
	}
	return text
}

// Splice returns the text of config.json with the additions; all other bytes are unchanged (rules 11 and 12). It
// returns an error if hooks cannot be added to the file (rule 14):
//
//   - "hooks" or a stage is given twice, or in a different letter case;
//   - "hooks" or a stage has the wrong type;
//   - text follows the end of the JSON value.
func (c *Config) Splice(additions []Addition) (jsonfile.Text, error) {
	if c.fault != nil {
		return nil, c.fault
	}
	return c.file.Edited(c.edits(additions)), nil
}

// edits returns the edits that Splice makes, sorted by offset. A new member goes to the front of its object, because
// the end may be far away.
func (c *Config) edits(additions []Addition) []jsonfile.Edit {
	var edits []jsonfile.Edit
	members := make([]byte, 0, room(additions)) // the members to add to hooks, or hooks itself with them
	switch {
	case !c.hooks.exists():
		members = append(members, `"hooks":{`...)
	case c.hooks.isNull():
		members = append(members, '{')
	}
	none := len(members)
	for _, a := range additions {
		s := c.stages[a.Stage]
		switch {
		case len(a.Prepend)+len(a.Append) == 0:
		case s == nil:
			if len(members) > none {
				members = append(members, ',')
			}
			members = append(append(append(members, '"'), a.Stage...), `":`...)
			members = appendArray(members, a)
		case s.isNull():
			edits = append(edits, jsonfile.Edit{Start: s.start, End: s.end, Text: appendArray(nil, a)})
		case s.empty:
			edits = append(edits, jsonfile.Insert(s.inside, appendList(nil, a.Prepend, a.Append)))
		default:
			if len(a.Prepend) > 0 {
				edits = append(edits, jsonfile.Insert(s.inside, append(appendList(nil, a.Prepend), ',')))
			}
			if len(a.Append) > 0 {
				edits = append(edits, jsonfile.Insert(s.last, appendList([]byte{','}, a.Append)))
			}
		}
	}
	if len(members) > none {
		switch {
		case !c.hooks.exists():
			edits = append(edits, front(c.root, append(members, '}')))
		case c.hooks.isNull():
			edits = append(edits, jsonfile.Edit{Start: c.hooks.start, End: c.hooks.end, Text: append(members, '}')})
		default:
			edits = append(edits, front(c.hooks, members))
		}
	}
	slices.SortFunc(edits, func(a, b jsonfile.Edit) int { return cmp.Compare(a.Start, b.Start) })
	return edits
}

// room returns an upper bound of the size of all additions in bytes, if each needs a new stage. One allocation is
// faster than many that grow.
func room(additions []Addition) int {
	size := len(`"hooks":{},`)
	for _, a := range additions {
		size += len(a.Stage) + len(`"":[],`)
		for _, hooks := range [][]jsontext.Value{a.Prepend, a.Append} {
			for _, h := range hooks {
				size += len(h) + len(",")
			}
		}
	}
	return size
}

// front returns the edit that inserts members at the front of an object.
func front(object value, members []byte) jsonfile.Edit {
	if !object.empty {
		members = append(members, ',')
	}
	return jsonfile.Insert(object.inside, members)
}

// appendList appends hooks, separated by commas.
func appendList(text []byte, lists ...[]jsontext.Value) []byte {
	none := len(text)
	for _, hooks := range lists {
		for _, h := range hooks {
			if len(text) > none {
				text = append(text, ',')
			}
			text = append(text, h...)
		}
	}
	return text
}

// appendArray appends the array of a new stage.
func appendArray(text []byte, a Addition) []byte {
	return append(appendList(append(text, '['), a.Prepend, a.Append), ']')
}
