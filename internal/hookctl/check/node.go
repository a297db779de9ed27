package check

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// node is a JSON value and its place in a file. A nil node is an absent value.
type node struct {
	file     *source
	whole    bool // it stands for the whole file
	pointer  jsontext.Pointer
	start    int    // the offset of the value
	key      string // of a member: its name
	name     int    // of a member: the offset of its name
	raw      jsontext.Value
	children []*node // members or elements
}

// read reads the file at path, once.
func (c *checker) read(path string) (*source, error) {
	if file := c.result.files[path]; file != nil {
		return file, nil
	}
	file, err := jsonfile.Read(path)
	if err != nil {
		return nil, err
	}
	c.result.files[path] = newSource(file)
	return c.result.files[path], nil
}

// load reads the JSON file at path.
func (c *checker) load(path string) (*node, error) {
	file, err := c.read(path)
	if err != nil {
		return nil, err
	}
	return read(file.Strict(), &node{file: file})
}

// read reads the next value into n.
func read(r *jsonfile.Reader, n *node) (*node, error) {
	n.start = r.Next()
	var err error
	switch r.Kind() {
	case '{':
		err = r.Object(func(key string) error {
			child, err := read(r, &node{file: n.file, pointer: n.pointer.AppendToken(key), key: key, name: r.Start()})
			n.children = append(n.children, child)
			return err
		})
	case '[':
		err = r.Array(func() error {
			place := strconv.Itoa(len(n.children))
			child, err := read(r, &node{file: n.file, pointer: n.pointer.AppendToken(place)})
			n.children = append(n.children, child)
			return err
		})
	default:
		_, err = r.Value()
	}
	if err == nil {
		n.raw = r.Since(n.start)
	}
	return n, err
}

// wholeOf returns a node that stands for a file that has not been read.
func wholeOf(path string) *node {
	return &node{file: newSource(&jsonfile.File{Path: path}), whole: true}
}

// wholeFile returns a node that stands for the file.
func (n *node) wholeFile() *node { return &node{file: n.file, whole: true} }

// place returns the offset at which the node begins; for a member, that of its name.
func (n *node) place() int {
	if n.key != "" {
		return n.name
	}
	return n.start
}

// list returns the members of an object or the elements of an array.
func (n *node) list() []*node {
	if n == nil {
		return nil
	}
	return n.children
}

// members returns the members of an object; nil for anything else.
func (n *node) members() []*node { return n.listOf('{') }

// elements returns the elements of an array; nil for anything else.
func (n *node) elements() []*node { return n.listOf('[') }

func (n *node) listOf(kind jsontext.Kind) []*node {
	if n == nil || n.raw.Kind() != kind {
		return nil
	}
	return n.children
}

// get returns a member of an object; nil if it is absent or null.
func (n *node) get(key string) *node {
	for _, child := range n.list() {
		if child.key == key && child.raw.Kind() != 'n' {
			return child
		}
	}
	return nil
}

// text returns the value of a string; "" for anything else.
func (n *node) text() string {
	if n == nil || n.raw.Kind() != '"' {
		return ""
	}
	text, _ := jsontext.AppendUnquote(nil, n.raw) // fails on what Strict has refused
	return string(text)
}

// is reports whether the value is the boolean value.
func (n *node) is(value bool) bool {
	return n != nil && string(n.raw) == strconv.FormatBool(value)
}
