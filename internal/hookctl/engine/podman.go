package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
)

// podman is Podman, which merges the files of containers.conf.d over its main files. All runtimes that hookctl registers
// share one file there: the list of runtimes that write their log as JSON (runtime_supports_json) is replaced as a whole
// by each file that has it, so that ours has to hold what the others say too.
type podman struct{ config string }

func (*podman) Name() string     { return "podman" }
func (p *podman) Config() string { return p.config }

// file is hookctl's own. Its name has it read after those that are named as files of such a folder mostly are.
func (p *podman) file() string {
	return filepath.Join(p.config+".d", "90-oci-add-hooks.conf")
}

// files gives the files that Podman merges, the later over the earlier.
func (p *podman) files() ([]string, error) {
	const vendor = "/usr/share/containers/containers.conf"
	files, err := configFiles(vendor, vendor+".d")
	if err != nil {
		return nil, err
	}
	own, err := configFiles(p.config, p.config+".d")
	return append(files, own...), err
}

// defaultJSON are the runtimes of which Podman knows by itself that they write their log as JSON.
var defaultJSON = []any{"crun", "runc", "kata", "runsc", "youki", "krun"}

func (p *podman) Plan(r Runtime, read func(string) ([]byte, error)) ([]change.File, error) {
	if len(r.PodAnnotations) > 0 {
		return nil, errNoAnnotations
	}
	text, err := read(p.file())
	if err != nil {
		return nil, err
	}
	var tree table
	if err := toml.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", p.file(), err)
	}
	ours := maps.Clone(dig(tree, "engine", "runtimes"))
	if ours == nil {
		ours = table{}
	}
	standing, err := p.others()
	if err != nil {
		return nil, err
	}
	for _, runtimes := range []table{ours, dig(standing, "engine", "runtimes")} {
		if there, ok := runtimes[r.Name]; ok {
			return nil, fmt.Errorf("there is a runtime %s (%v) in the configuration of Podman already, and hookctl did not put it there: take it out, or take another name for the profile", r.Name, there)
		}
	}
	ours[r.Name] = []any{r.Link}
	name, _ := dig(tree, "engine")["runtime"].(string)
	if r.Default {
		name = r.Name
	}
	return []change.File{{Path: p.file(), After: p.write(ours, standing, name), Mode: 0o644}}, nil
}

// write gives the text of hookctl's file.
func (p *podman) write(runtimes, others table, defaultName string) []byte {
	list, ok := dig(others, "engine")["runtime_supports_json"].([]any)
	if !ok {
		list = defaultJSON
	}
	list = slices.Clone(list)
	text := "# Written by hookctl, for each profile that it has installed for Podman: hookctl uninstall podman --profile NAME\n"
	for _, name := range slices.Sorted(maps.Keys(runtimes)) {
		if !slices.Contains(list, any(name)) {
			list = append(list, name)
		}
	}
	engine := table{"runtime_supports_json": list}
	if defaultName != "" {
		engine["runtime"] = defaultName
	}
	return []byte(text + writeTable([]string{"engine"}, engine) + writeTable([]string{"engine", "runtimes"}, runtimes))
}

// others gives what all files but hookctl's say.
func (p *podman) others() (table, error) {
	files, err := p.files()
	if err != nil {
		return nil, err
	}
	return merged(slices.DeleteFunc(files, func(path string) bool { return path == p.file() }))
}

func (p *podman) Without(path string, text []byte, r *Record) ([]byte, error) {
	var tree table
	if err := toml.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", path, err)
	}
	ours := dig(tree, "engine", "runtimes")
	delete(ours, r.Name)
	if len(ours) == 0 {
		return nil, nil
	}
	standing, err := p.others()
	if err != nil {
		return nil, err
	}
	name, _ := dig(tree, "engine")["runtime"].(string)
	if name == r.Name {
		name = ""
	}
	return p.write(ours, standing, name), nil
}

// Watch compares what the files say together, as Podman merges them.
func (p *podman) Watch(name string) (func(bool) error, error) {
	verify, err := watchTables(name, []string{"engine", "runtimes"}, []string{"engine", "runtime"}, p.files)
	if err != nil {
		return nil, err
	}
	return func(expected bool) error {
		if err := verify(expected); err != nil || !expected {
			return err
		}
		files, err := p.files()
		if err != nil {
			return err
		}
		tree, err := merged(files)
		if err != nil {
			return err
		}
		if list, _ := dig(tree, "engine")["runtime_supports_json"].([]any); !slices.Contains(list, any(name)) {
			return fmt.Errorf("a file that is read after %s has a runtime_supports_json of its own: add %q to it", p.file(), name)
		}
		return nil
	}, nil
}

// Reload: every call of Podman reads its configuration.
func (*podman) Reload() Reload {
	return Reload{Do: func() error { return nil }}
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
		var tree table
		if err := toml.Unmarshal(text, &tree); err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", path, err)
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

// watchTables is Watch for an engine that merges TOML files. The table at runtimes has the engine's runtimes, the key at
// standard names the default one.
func watchTables(name string, runtimes, standard []string, list func() ([]string, error)) (func(bool) error, error) {
	read := func() (tree table, there bool, err error) {
		files, err := list()
		if err != nil {
			return nil, false, err
		}
		if tree, err = merged(files); err != nil {
			return nil, false, err
		}
		_, there = dig(tree, runtimes...)[name]
		delete(dig(tree, runtimes...), name)
		delete(dig(tree, standard[:len(standard)-1]...), standard[len(standard)-1])
		delete(dig(tree, "engine"), "runtime_supports_json") // Podman's, which is looked at for itself
		return settings(tree), there, nil
	}
	was, _, err := read()
	if err != nil {
		return nil, err
	}
	return func(expected bool) error {
		is, there, err := read()
		if err != nil {
			return err
		}
		if there != expected {
			return fmt.Errorf("the runtime %s is in the engine's configuration: %t; another file names it, or one that is read later", name, there)
		}
		if !reflect.DeepEqual(was, is) {
			return fmt.Errorf("the engine's configuration would change in other things too:\n%s", difference(was, is))
		}
		return nil
	}, nil
}
