package engine

import (
	"maps"
	"path/filepath"
	"slices"

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

// supportsJSON gives the list that a configuration comes to.
func supportsJSON(tree table) []any {
	if list, ok := dig(tree, "engine")["runtime_supports_json"].([]any); ok {
		return list
	}
	return defaultJSON
}

func (p *podman) Plan(r Runtime, read func(string) ([]byte, error)) ([]change.File, error) {
	if len(r.PodAnnotations) > 0 {
		return nil, errNoAnnotations
	}
	if slices.Contains(builtIn, r.Name) {
		return nil, reserved(p, r.Name)
	}
	text, err := read(p.file())
	if err != nil {
		return nil, err
	}
	tree, err := decode(p.file(), text)
	if err != nil {
		return nil, err
	}
	ours := maps.Clone(dig(tree, "engine", "runtimes"))
	if ours == nil {
		ours = table{}
	}
	if ours[r.Name] != nil {
		return nil, unremembered(p.file())
	}
	standing, err := p.others()
	if err != nil {
		return nil, err
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
	list := slices.Clone(supportsJSON(others))
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
	tree, err := decode(path, text)
	if err != nil {
		return nil, err
	}
	settled, err := decode(path, text)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"runtimes", "runtime", "runtime_supports_json"} {
		delete(dig(settled, "engine"), key)
	}
	if err := othersSettings(path, settled); err != nil {
		return nil, err
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

// read gives the files, and what they come to.
func (p *podman) read() (files []string, tree table, err error) {
	if files, err = p.files(); err == nil {
		tree, err = merged(files)
	}
	return files, tree, err
}

// view is what the files say together, as Podman merges them, with the names in runtime_supports_json as keys.
func (p *podman) view() (*view, error) {
	files, tree, err := p.read()
	if err != nil {
		return nil, err
	}
	list := supportsJSON(tree)
	names := within(tree, "engine", "runtime_supports_json") // in the place of the list
	for _, name := range list {
		if text, ok := name.(string); ok {
			names[text] = true
		}
	}
	return &view{tree: tree, files: files, runtimes: []string{"engine", "runtimes"}, standard: []string{"engine", "runtime"},
		lists: [][]string{{"engine", "runtime_supports_json"}}}, nil
}

// Reload: every call of Podman reads its configuration.
func (*podman) Reload() Reload {
	return Reload{Do: func() error { return nil }}
}
