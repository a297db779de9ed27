package docker

import (
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/tomledit"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// object is the place of a JSON object and its members in a file. Its methods return the file's text with one change,
// and every other byte unchanged.
type object struct {
	start, end int // of the braces; end is after the closing one, and 0 if there is no such object
	members    []member
}

// member is the place of a member.
type member struct {
	name              string
	start, after, end int // of its name; its value begins at after
}

func (m member) value(f *jsonfile.File) []byte { return f.Data[m.after:m.end] }

func (m member) is(f *jsonfile.File, value string) bool { return string(m.value(f)) == value }

// readObject reads an object. It calls each, which may read the value, for each member.
func readObject(r *jsonfile.Reader, each func(name string) error) (o object, err error) {
	o.start = r.Next()
	err = r.Object(func(name string) error {
		m := member{name: name, start: r.Start()}
		named := r.End()
		m.after = r.Next()
		if each != nil {
			if err := each(name); err != nil {
				return err
			}
		}
		if r.End() == named {
			if _, err := r.Value(); err != nil {
				return err
			}
		}
		m.end = r.End()
		o.members = append(o.members, m)
		return nil
	})
	o.end = r.End()
	return o, err
}

func (o object) exists() bool { return o.end > 0 }

func (o object) find(name string) (member, bool) {
	for _, m := range o.members {
		if m.name == name {
			return m, true
		}
	}
	return member{}, false
}

// indents returns the text before a member, which is a line feed and its indentation or nothing, and the indentation of
// one more level.
func (o object) indents(f *jsonfile.File) (indent, unit string) {
	lineStart := strings.LastIndexByte(string(f.Data[:o.start]), '\n') + 1
	line := string(f.Data[lineStart:o.start])
	outer := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	if len(o.members) == 0 {
		return "\n" + outer + "  ", "  "
	}
	indent = string(f.Data[o.start+1 : o.members[0].start])
	if at := strings.LastIndexByte(indent, '\n'); at >= 0 {
		indent = indent[at:]
		if unit = strings.TrimPrefix(indent[1:], outer); unit == "" {
			unit = "  "
		}
		return indent, unit
	}
	return indent, ""
}

// insert adds a member at the end, in the layout of the others.
func (o object) insert(f *jsonfile.File, text string) []byte {
	indent, unit := o.indents(f)
	if len(o.members) > 0 {
		return f.Edited([]jsonfile.Edit{jsonfile.Insert(o.members[len(o.members)-1].end, []byte(","+indent+text))}).Bytes()
	}
	outer := strings.TrimSuffix(indent, unit)
	return f.Edited([]jsonfile.Edit{{Start: o.start + 1, End: o.end - 1, Text: []byte(indent + text + outer)}}).Bytes()
}

// set returns a text in which a member has another value, or is added.
func (o object) set(f *jsonfile.File, name, value string) []byte {
	if m, ok := o.find(name); ok {
		return f.Edited([]jsonfile.Edit{{Start: m.after, End: m.end, Text: []byte(value)}}).Bytes()
	}
	return o.insert(f, tomledit.Quote(name)+": "+value)
}

// remove removes a member, if there is one, with its comma and the space before it.
func (o object) remove(f *jsonfile.File, name string) []byte {
	for i, m := range o.members {
		switch {
		case m.name != name:
			continue
		case i > 0:
			return f.Edited([]jsonfile.Edit{{Start: o.members[i-1].end, End: m.end}}).Bytes()
		case len(o.members) > 1:
			return f.Edited([]jsonfile.Edit{{Start: m.start, End: o.members[1].start}}).Bytes()
		}
		return f.Edited([]jsonfile.Edit{{Start: o.start + 1, End: o.end - 1}}).Bytes()
	}
	return f.Data
}
