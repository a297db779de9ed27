package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/rogpeppe/go-internal/diff"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
)

// containerd knows runtimes by handlers of its CRI plugin. What its configuration comes to, `containerd config dump` says:
// which version it is, which files it imports, and what the defaults are.
//
// From version 3 of the configuration on, a handler goes into a file of its own, which the main file imports if it does
// not yet. In version 2 an imported file would replace all of the CRI plugin's settings, so that the handler is a marked
// block at the end of the main file.
type containerd struct {
	config string
	usual  bool // no other file was asked for
}

func (*containerd) Name() string     { return "containerd" }
func (c *containerd) Config() string { return c.config }

// effective is what containerd makes of its configuration.
type effective struct {
	text    string
	tree    table
	version int64
	plugin  string // the key below plugins that has the handlers
}

// cris are the names of the plugin that has the handlers, in version 3 of the configuration and in version 2.
var cris = []string{"io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"}

// table is a TOML table.
type table = map[string]any

// dump has containerd say what its configuration comes to.
func (c *containerd) dump() (*effective, error) {
	program, err := find("containerd")
	if err != nil {
		return nil, err
	}
	args := []string{"config", "dump"}
	text, err := change.Read(c.config)
	switch {
	case err != nil:
		return nil, err
	case text != nil:
		args = append([]string{"--config", c.config}, args...)
	case !c.usual:
		return nil, fmt.Errorf("there is no %s", c.config)
	}
	e := &effective{}
	if e.text, err = output(program, args...); err != nil {
		return nil, fmt.Errorf("containerd cannot read its configuration: %w", err)
	}
	if err := toml.Unmarshal([]byte(e.text), &e.tree); err != nil {
		return nil, fmt.Errorf("what `containerd config dump` prints cannot be read: %w", err)
	}
	e.version, _ = e.tree["version"].(int64)
	disabled, _ := e.tree["disabled_plugins"].([]any)
	for _, key := range cris {
		if slices.Contains(disabled, any("cri")) || slices.Contains(disabled, any(key)) {
			continue
		}
		if dig(e.tree, "plugins", key, "containerd", "runtimes") != nil {
			e.plugin = key
			break
		}
	}
	return e, nil
}

// ask is dump for one that has a CRI plugin.
func (c *containerd) ask() (*effective, error) {
	e, err := c.dump()
	if err != nil || e.plugin != "" {
		return e, err
	}
	return nil, errors.New("this containerd has no CRI plugin, or it is among the disabled_plugins of " + c.config + "; it is by its handlers that Kubernetes chooses a runtime, " +
		"and without Kubernetes nothing has to be registered: ctr run --runc-binary LINK, nerdctl run --runtime LINK")
}

// dig gives a table within tables; nil if there is none.
func dig(t table, path ...string) table {
	for _, key := range path {
		t, _ = t[key].(table)
	}
	return t
}

// handlers gives the handlers, by their names.
func (e *effective) handlers() table {
	return dig(e.tree, "plugins", e.plugin, "containerd", "runtimes")
}

// containerdTable is the table of the plugin that has the handlers and the name of the default one.
func (e *effective) containerdTable() table { return dig(e.tree, "plugins", e.plugin, "containerd") }

func (c *containerd) Plan(r Runtime, read func(string) ([]byte, error)) ([]change.File, error) {
	now, err := c.ask()
	if err != nil {
		return nil, err
	}
	main, err := read(c.config)
	if err != nil {
		return nil, err
	}
	if now.version >= 3 {
		return c.planDropIn(now, r, main)
	}
	return c.planBlock(now, r, main)
}

// handler gives the settings of the handler that is to be: those of runc's, whose hooks it adds to, with the link in the
// place of its runtime; those of the default one where there is none for runc.
func (e *effective) handler(r Runtime) (table, error) {
	name, _ := e.containerdTable()[defaultRuntimeName].(string)
	if e.handlers()["runc"] != nil || name == r.Name {
		name = "runc"
	}
	like := dig(e.handlers(), name)
	if kind := like["runtime_type"]; like != nil && kind != runcV2 {
		return nil, fmt.Errorf("containerd's handler %s is of the type %v, not %s, and there is none called runc: its settings are of no use to a runtime like runc", name, kind, runcV2)
	}
	h := settings(like)
	h["runtime_type"] = runcV2
	options, _ := h["options"].(table)
	if options == nil {
		options = table{}
	}
	options["BinaryName"] = r.Link
	h["options"] = options
	globs, _ := h["pod_annotations"].([]any)
	for _, glob := range r.PodAnnotations {
		if !slices.Contains(globs, any(glob)) {
			globs = append(globs, glob)
		}
	}
	if len(globs) > 0 {
		h["pod_annotations"] = globs
	}
	return h, nil
}

// defaultRuntimeName is the key whose value is the handler for pods that name none.
const defaultRuntimeName = "default_runtime_name"

// runcV2 is the type of the handlers that call a runtime as runc is called.
const runcV2 = "io.containerd.runc.v2"

// settings gives what is set in a table, and in those in it, to something else than nothing.
func settings(t table) table {
	set := table{}
	for key, v := range t {
		if inner, ok := v.(table); ok {
			v = settings(inner)
		}
		if value := reflect.ValueOf(v); value.IsZero() || (value.Kind() == reflect.Slice || value.Kind() == reflect.Map) && value.Len() == 0 {
			continue
		}
		set[key] = v
	}
	return set
}

// planDropIn puts the handler into a file of its own.
func (c *containerd) planDropIn(now *effective, r Runtime, main []byte) ([]change.File, error) {
	path := filepath.Join(filepath.Dir(c.config), "conf.d", ownFile(r.Name)+".toml")
	switch own, err := change.Read(path); {
	case err != nil:
		return nil, err
	case own == nil && now.handlers()[r.Name] != nil:
		return nil, taken(c.config, r.Name)
	}
	h, err := now.handler(r)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%sversion = %d\n", generated(c, r.Name), dropInVersion)
	if r.Default {
		text += writeTable([]string{"plugins", now.plugin, "containerd"}, table{defaultRuntimeName: r.Name})
	}
	text += writeTable([]string{"plugins", now.plugin, "containerd", "runtimes", r.Name}, h)
	files := []change.File{{Path: path, After: []byte(text), Mode: 0o644}}
	var tree table
	if err := toml.Unmarshal(main, &tree); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", c.config, err)
	}
	if imports(tree, path, c.config) {
		return files, nil
	}
	imported, err := addImport(main, path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.config, err)
	}
	return append(files, change.File{Path: c.config, After: imported, Mode: 0o644}), nil
}

func taken(config, name string) error {
	return fmt.Errorf("%s, or a file that it imports, has a handler %s already, and hookctl did not put it there: take it out, or take another name for the profile", config, name)
}

// dropInVersion is the version of the configuration in which hookctl writes files of its own: the oldest with these names.
// A newer containerd reads each file in its own version.
const dropInVersion = 3

// imports says whether a main file has containerd read the file at path. The `imports` that `config dump` prints do not tell:
// from 2.2 on they begin with a default that only counts when it stands in the file.
func imports(main table, path, config string) bool {
	patterns, _ := main["imports"].([]any)
	return slices.ContainsFunc(patterns, func(p any) bool {
		pattern, _ := p.(string)
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(config), pattern)
		}
		match, err := filepath.Match(pattern, path)
		return err == nil && match
	})
}

// planBlock puts the handler into hookctl's block at the end of the main file.
func (c *containerd) planBlock(now *effective, r Runtime, main []byte) ([]change.File, error) {
	var tree table
	if err := toml.Unmarshal(main, &tree); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", c.config, err)
	}
	if version, _ := tree["version"].(int64); version != 2 && len(tree) > 0 {
		return nil, fmt.Errorf("%s is of an older version than 2: write `version = 2` at its beginning, and the names of plugins as version 2 has them", c.config)
	}
	h, err := now.handler(r)
	if err != nil {
		return nil, err
	}
	path := []string{"plugins", now.plugin, "containerd"}
	if dig(tree, append(path, "runtimes", r.Name)...) != nil {
		return nil, taken(c.config, r.Name)
	}
	block, rest, err := c.cutBlock(main)
	if err != nil {
		return nil, err
	}
	if len(tree) == 0 {
		block["version"] = int64(2)
	}
	ours := within(block, path...)
	// containerd 1.6 forgets the handler that it has by itself as soon as another one is named.
	if dig(tree, append(path, "runtimes")...) == nil {
		for name, like := range now.handlers() {
			within(ours, "runtimes")[name] = settings(like.(table))
		}
	}
	within(ours, "runtimes")[r.Name] = h
	if r.Default && dig(tree, path...) != nil && ours[defaultRuntimeName] == nil {
		if rest, err = setKey(rest, path, defaultRuntimeName, quoted(r.Name)); err != nil {
			return nil, fmt.Errorf("%s: %w", c.config, err)
		}
	} else if r.Default {
		ours[defaultRuntimeName] = r.Name
	}
	return []change.File{{Path: c.config, After: c.addBlock(rest, block), Mode: 0o644}}, nil
}

// within gives the table at a path, which is made if there is none.
func within(t table, path ...string) table {
	for _, key := range path {
		inner, ok := t[key].(table)
		if !ok {
			inner = table{}
			t[key] = inner
		}
		t = inner
	}
	return t
}

// The lines around what hookctl writes into a file that is not its own.
const (
	beginBlock = "# begin of oci-add-hooks: written by hookctl, which takes it out by: hookctl uninstall containerd --profile NAME\n"
	endBlock   = "# end of oci-add-hooks\n"
)

// cutBlock gives what stands in hookctl's block, and the text without it.
func (c *containerd) cutBlock(text []byte) (tree table, rest []byte, err error) {
	tree = table{}
	before, after, found := strings.Cut(string(text), beginBlock)
	if !found {
		return tree, text, nil
	}
	block, after, found := strings.Cut(after, endBlock)
	if !found {
		return nil, nil, fmt.Errorf("%s: the line %q is missing, so that nobody knows where hookctl's part ends; put it back, or take that part out by hand",
			c.config, strings.TrimSpace(endBlock))
	}
	if err := toml.Unmarshal([]byte(block), &tree); err != nil {
		return nil, nil, fmt.Errorf("%s: hookctl's part cannot be read: %w", c.config, err)
	}
	return tree, []byte(before + after), nil
}

// addBlock puts hookctl's block at the end of a text.
func (c *containerd) addBlock(text []byte, block table) []byte {
	text = slices.Clone(text)
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	return append(text, beginBlock+writeTable(nil, block)+endBlock...)
}

// ownFile begins the name of a file that is hookctl's alone.
func ownFile(name string) string { return "50-oci-add-hooks-" + name }

// generated is the comment that tells a reader whose text it is.
func generated(e Engine, name string) string {
	return fmt.Sprintf("# Written by hookctl. To take it out: hookctl uninstall %s --profile %s\n", e.Name(), name)
}

func (c *containerd) Without(path string, text []byte, r *Record) ([]byte, error) {
	if path != c.config { // the handler's own file, whatever has been written into it since
		return nil, nil
	}
	text, err := c.withoutDefault(text, r)
	if err != nil {
		return nil, err
	}
	block, rest, err := c.cutBlock(text)
	if err != nil {
		return nil, err
	}
	others, err := installed(c, r.Name)
	if err != nil {
		return nil, err
	}
	for _, plugin := range cris {
		handlers := dig(block, "plugins", plugin, "containerd", "runtimes")
		if handlers == nil {
			continue
		}
		delete(handlers, r.Name)
		for _, name := range others {
			if handlers[name] != nil {
				return c.addBlock(rest, block), nil
			}
		}
		return rest, nil // what is left there alone are handlers that containerd has by itself
	}
	return removeImport(text, r)
}

// withoutDefault gives default_runtime_name back the value that it had, if it is this runtime's name now.
func (c *containerd) withoutDefault(text []byte, r *Record) ([]byte, error) {
	recorded, _ := r.file(c.config)
	var now, was table
	if err := errors.Join(toml.Unmarshal(text, &now), toml.Unmarshal(recorded.before(), &was)); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", c.config, err)
	}
	for _, plugin := range cris {
		path := []string{"plugins", plugin, "containerd"}
		if dig(now, path...)[defaultRuntimeName] != any(r.Name) {
			continue
		}
		if old, ok := dig(was, path...)[defaultRuntimeName].(string); ok {
			return setKey(text, path, defaultRuntimeName, quoted(old))
		}
		return removeKey(text, path, defaultRuntimeName)
	}
	return text, nil
}

// Watch compares what containerd makes of its configuration before and after: this handler alone may be another, and the
// name of the default one.
func (c *containerd) Watch(name string) (func(bool) error, error) {
	before, err := c.ask()
	if err != nil {
		return nil, err
	}
	return func(expected bool) error {
		after, err := c.ask()
		if err != nil {
			return err
		}
		if _, there := after.handlers()[name]; there != expected {
			if expected {
				return fmt.Errorf("containerd does not see the handler %s: a file that %s imports may replace the settings of its CRI plugin as a whole; name that file by --config", name, c.config)
			}
			return fmt.Errorf("containerd still sees the handler %s: another file than %s names it", name, c.config)
		}
		was, is := before.comparable(name), after.comparable(name)
		if reflect.DeepEqual(was, is) {
			return nil
		}
		return fmt.Errorf("the configuration of containerd would change in other things too:\n%s", difference(was, is))
	}, nil
}

// comparable gives what is set in the configuration, without what an installation of that name may change.
func (e *effective) comparable(name string) table {
	var tree table
	if err := toml.Unmarshal([]byte(e.text), &tree); err != nil {
		panic(err) // it has been read before
	}
	delete(tree, "imports")
	plugin := dig(tree, "plugins", e.plugin, "containerd")
	delete(dig(plugin, "runtimes"), name)
	delete(plugin, defaultRuntimeName)
	return settings(tree)
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

func (c *containerd) Reload() Reload {
	return Reload{
		Command: "systemctl restart containerd",
		Effect:  "running containers and pods run on; until it is back, none can be started or stopped",
		Do:      func() error { return restart("containerd", c.config) },
	}
}
