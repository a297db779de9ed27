package bundle

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// Addition is what is to be added to a stage.
type Addition struct {
	Stage   hooks.Stage
	Prepend []jsontext.Value // hook objects that come before those that are there
	Append  []jsontext.Value // hook objects that come after
}

// Has says whether the stage holds the hooks of block as a contiguous run, compared as JSON values: the order of
// members, spacing, escapes and the spelling of numbers don't count. An empty block is held by every stage.
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

// Hooks returns the hooks of a stage, as they are written in the file. It fails as Splice does.
func (c *Config) Hooks(name hooks.Stage) ([]jsontext.Value, error) {
	if c.fault != nil || c.stages[name] == nil {
		return nil, c.fault
	}
	return c.stages[name].hooks, nil
}

// canonical gives the values so that equal ones have equal bytes, each between line feeds, which no value contains.
func canonical(values []jsontext.Value) []byte {
	text := []byte{'\n'}
	for _, v := range values {
		v = v.Clone()
		// Integers keep all their digits. The text is valid JSON, so that nothing is left that could fail.
		if err := v.Canonicalize(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), jsontext.CanonicalizeRawInts(false)); err != nil {
			panic("canonical form of a value that has been read: " + err.Error())
		}
		text = append(append(text, v...), '\n')
	}
	return text
}

// Splice gives the text of config.json with the additions, every other byte as it was. It fails if the file is one to
// which hooks cannot be added (hooks or a stage written twice or in another letter case, or of another type; text after
// the end of the JSON value).
func (c *Config) Splice(additions []Addition) (jsonfile.Text, error) {
	if c.fault != nil {
		return nil, c.fault
	}
	return c.file.Edited(c.edits(additions)), nil
}

// edits gives what Splice changes, in the order of the places. What is new goes to the front of its object, since the
// end of one is easily far away.
func (c *Config) edits(additions []Addition) []jsonfile.Edit {
	var edits []jsonfile.Edit
	var newStages [][]byte // members to be added to hooks
	for _, a := range additions {
		s := c.stages[a.Stage]
		switch {
		case len(a.Prepend)+len(a.Append) == 0:
		case s == nil:
			member := append([]byte(`"`+string(a.Stage)+`":`), array(a)...)
			newStages = append(newStages, member)
		case s.isNull():
			edits = append(edits, jsonfile.Edit{Start: s.start, End: s.end, Text: array(a)})
		case s.empty:
			edits = append(edits, jsonfile.Insert(s.inside, list(slices.Concat(a.Prepend, a.Append))))
		default:
			if len(a.Prepend) > 0 {
				edits = append(edits, jsonfile.Insert(s.inside, append(list(a.Prepend), ',')))
			}
			if len(a.Append) > 0 {
				edits = append(edits, jsonfile.Insert(s.last, append([]byte{','}, list(a.Append)...)))
			}
		}
	}
	if len(newStages) > 0 {
		members := bytes.Join(newStages, []byte{','})
		switch {
		case !c.hooks.exists():
			text := slices.Concat([]byte(`"hooks":{`), members, []byte{'}'})
			edits = append(edits, front(c.root, text))
		case c.hooks.isNull():
			edits = append(edits, jsonfile.Edit{Start: c.hooks.start, End: c.hooks.end, Text: slices.Concat([]byte{'{'}, members, []byte{'}'})})
		default:
			edits = append(edits, front(c.hooks, members))
		}
	}
	slices.SortFunc(edits, func(a, b jsonfile.Edit) int { return cmp.Compare(a.Start, b.Start) })
	return edits
}

// front gives the edit that puts members at the front of an object.
func front(object value, members []byte) jsonfile.Edit {
	if !object.empty {
		members = append(members, ',')
	}
	return jsonfile.Insert(object.inside, members)
}

// list gives the hooks with commas between them.
func list(hooks []jsontext.Value) []byte {
	size := 0
	for _, h := range hooks {
		size += len(h) + 1
	}
	text := make([]byte, 0, size+1) // and room for a comma before or after
	for i, h := range hooks {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, h...)
	}
	return text
}

// array gives the array of a stage that has no hooks yet.
func array(a Addition) []byte {
	return slices.Concat([]byte{'['}, list(slices.Concat(a.Prepend, a.Append)), []byte{']'})
}
