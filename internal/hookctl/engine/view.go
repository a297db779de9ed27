package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/rogpeppe/go-internal/diff"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
)

// view is what an engine makes of its configuration.
type view struct {
	tree     table
	runtimes []string   // the table that has the runtimes, by their names
	lists    [][]string // other tables that have their names
	standard []string   // the key whose value is the name of the default one
	files    []string   // that were merged, if it is hookctl that merges them
}

// knows says whether there is a runtime of that name.
func (v *view) knows(name string) bool {
	_, known := dig(v.tree, v.runtimes...)[name]
	return known
}

// standardName gives the name of the default runtime; empty if it is the one that the engine has by itself.
func (v *view) standardName() string {
	last := len(v.standard) - 1
	name, _ := dig(v.tree, v.standard[:last]...)[v.standard[last]].(string)
	return name
}

// without gives what is set, less what an installation of that name is about.
func (v *view) without(name string) table {
	tree := settings(v.tree)
	for _, path := range append([][]string{v.runtimes}, v.lists...) {
		delete(dig(tree, path...), name)
	}
	last := len(v.standard) - 1
	delete(dig(tree, v.standard[:last]...), v.standard[last])
	return settings(tree)
}

// naming gives the files that name a runtime, to be told: empty if hookctl does not know.
func (v *view) naming(name string) string {
	var files []string
	for _, path := range v.files {
		if tree, err := merged([]string{path}); err == nil && dig(tree, v.runtimes...)[name] != nil {
			files = append(files, path)
		}
	}
	if len(files) == 0 {
		return ""
	}
	return " (in " + strings.Join(files, ", ") + ")"
}

// judge says in what the engine's configuration has become another than p is about.
func (p *Plan) judge(before, after *view) error {
	name, is, was := p.runtime.Name, after.standardName(), before.standardName()
	wantDefault := p.expected && p.runtime.Default
	switch {
	case p.expected && !after.knows(name):
		return fmt.Errorf("%s does not see the runtime %s: a file that it reads later replaces what its other files say; name that file by --config", p.engine.Name(), name)
	case !p.expected && after.knows(name):
		return fmt.Errorf("%s still sees the runtime %s%s: another file than those that hookctl changed names it; take it out there", p.engine.Name(), name, after.naming(name))
	case wantDefault && is != name:
		return fmt.Errorf("the default runtime of %s would not be %s but %s: a file that it reads later says so", p.engine.Name(), name, is)
	case !p.expected && is == name:
		return fmt.Errorf("the default runtime of %s would still be %s: another file than those that hookctl changed says so", p.engine.Name(), name)
	case !wantDefault && was != name && is != was:
		return fmt.Errorf("the default runtime of %s would be %q, and no longer %q", p.engine.Name(), is, was)
	}
	for _, path := range after.lists {
		if _, listed := dig(after.tree, path...)[name]; p.expected && !listed {
			return fmt.Errorf("a file that %s reads after hookctl's has a %s of its own: add %q to it", p.engine.Name(), path[len(path)-1], name)
		}
	}
	if was, is := before.without(name), after.without(name); !reflect.DeepEqual(was, is) {
		return fmt.Errorf("the configuration of %s would change in other things too:\n%s", p.engine.Name(), difference(was, is))
	}
	return nil
}

func difference(was, is table) string {
	texts := make([][]byte, 2)
	for i, t := range []table{was, is} {
		text, err := toml.Marshal(t)
		if err != nil {
			return err.Error()
		}
		texts[i] = text
	}
	_, unified, _ := strings.Cut(string(diff.Diff("before", texts[0], "after", texts[1])), "\n") // after a line for git
	return strings.TrimSpace(unified)
}

// dig gives a table within tables; nil if there is none.
func dig(t table, path ...string) table {
	for _, key := range path {
		t, _ = t[key].(table)
	}
	return t
}

// settings gives what is set in a table, and in those in it, to something else than nothing.
func settings(t table) table {
	set := table{}
	for key, v := range t {
		if inner, ok := v.(table); ok {
			v = settings(inner)
		}
		value := reflect.ValueOf(v)
		if v == nil || value.IsZero() || (value.Kind() == reflect.Slice || value.Kind() == reflect.Map) && value.Len() == 0 {
			continue
		}
		set[key] = v
	}
	return set
}

// configFiles gives a main file, if there is one, and the *.conf files of a folder, in the order in which they are merged.
func configFiles(main, dir string) (files []string, err error) {
	if _, err := os.Stat(main); err == nil {
		files = append(files, main)
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return files, nil
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".conf" {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, err
}

// merged reads TOML files, the later over the earlier: tables are merged, all else is replaced.
func merged(files []string) (table, error) {
	all := table{}
	for _, path := range files {
		text, err := change.Read(path)
		if err != nil {
			return nil, err
		}
		tree, err := decode(path, text)
		if err != nil {
			return nil, err
		}
		merge(all, tree)
	}
	return all, nil
}

func merge(into, from table) {
	for key, v := range from {
		inner, isTable := v.(table)
		if there, ok := into[key].(table); ok && isTable {
			merge(there, inner)
			continue
		}
		into[key] = v
	}
}
