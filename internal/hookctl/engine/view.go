package engine

import (
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/tomledit"
)

// View is an engine's configuration as the engine reads it.
type View struct {
	Tree     tomledit.Table
	Runtimes []string   // the path of the table that has the runtimes by name
	Lists    [][]string // the paths of other tables that have these names
	Standard []string   // the path of the key whose value is the name of the default runtime
	Files    []string   // TOML files that the engine reads, as far as hookctl knows
}

// Knows reports whether there is a runtime of that name.
func (v *View) Knows(name string) bool {
	_, known := tomledit.Dig(v.Tree, v.Runtimes...)[name]
	return known
}

// Default returns the name of the default runtime; empty if it is the engine's built-in one.
func (v *View) Default() string {
	last := len(v.Standard) - 1
	name, _ := tomledit.Dig(v.Tree, v.Standard[:last]...)[v.Standard[last]].(string)
	return name
}

// Without returns the settings, without those that belong to an installation of that name.
func (v *View) Without(name string) tomledit.Table {
	tree := tomledit.Settings(v.Tree)
	for _, path := range slices.Concat([][]string{v.Runtimes}, v.Lists) {
		delete(tomledit.Dig(tree, path...), name)
	}
	last := len(v.Standard) - 1
	delete(tomledit.Dig(tree, v.Standard[:last]...), v.Standard[last])
	return tomledit.Settings(tree)
}

// Naming returns the files that name a runtime, as text for a message; empty if hookctl does not know.
func (v *View) Naming(name string) string {
	return in(v.files(func(file *View) bool { return file.Knows(name) }))
}

// NamingDefault returns the file that names the default runtime, as text for a message; empty if hookctl does not know.
func (v *View) NamingDefault() string {
	files := v.files(func(file *View) bool { return file.Default() != "" && file.Default() == v.Default() })
	return in(files[max(0, len(files)-1):]) // the last one takes effect
}

// Last returns the last file that has a value at a path of keys, which takes effect; "a file" if hookctl does not know.
func (v *View) Last(path ...string) string {
	last := len(path) - 1
	files := v.files(func(file *View) bool { return tomledit.Dig(file.Tree, path[:last]...)[path[last]] != nil })
	return append([]string{"a file"}, files...)[len(files)]
}

// files returns the files whose content alone has a property.
func (v *View) files(has func(*View) bool) (files []string) {
	for _, path := range v.Files {
		tree, err := tomledit.ReadAll([]string{path})
		if err == nil && has(&View{Tree: tree, Runtimes: v.Runtimes, Standard: v.Standard}) {
			files = append(files, path)
		}
	}
	return files
}

func in(files []string) string {
	if len(files) == 0 {
		return ""
	}
	return " (in " + strings.Join(files, ", ") + ")"
}
