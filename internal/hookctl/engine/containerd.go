package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/report"
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
		return c.planDropIn(now, r, main, read)
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

// planDropIn puts the handler into a file of its own.
func (c *containerd) planDropIn(now *effective, r Runtime, main []byte, read func(string) ([]byte, error)) ([]change.File, error) {
	path := filepath.Join(filepath.Dir(c.config), "conf.d", ownFile(r.Name)+".toml")
	if own, err := read(path); err != nil {
		return nil, err
	} else if own != nil {
		return nil, unremembered(path)
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
	if there, err := imports(main, path, c.config); err != nil || there {
		return files, err
	}
	imported, err := addImport(main, path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.config, err)
	}
	return append(files, change.File{Path: c.config, After: imported, Mode: 0o644}), nil
}

// dropInVersion is the version of the configuration in which hookctl writes files of its own: the oldest with these names.
// A newer containerd reads each file in its own version.
const dropInVersion = 3

// imports says whether a main file has containerd read the file at path. The `imports` that `config dump` prints do not tell:
// from 2.2 on they begin with a default that only counts when it stands in the file.
func imports(main []byte, path, config string) (bool, error) {
	_, items, err := importsOf(main)
	if err != nil {
		return false, fmt.Errorf("%s: %w", config, err)
	}
	return slices.ContainsFunc(items, func(item imported) bool {
		match, err := filepath.Match(absolute(item.path, config), path)
		return err == nil && match
	}), nil
}

// planBlock puts the handler into hookctl's block at the end of the main file.
func (c *containerd) planBlock(now *effective, r Runtime, main []byte) ([]change.File, error) {
	tree, err := decode(c.config, main)
	if err != nil {
		return nil, err
	}
	if version, _ := tree["version"].(int64); version != 2 && len(tree) > 0 {
		return nil, fmt.Errorf("%s is of an older version than 2: write `version = 2` at its beginning, and the names of plugins as version 2 has them", c.config)
	}
	h, err := now.handler(r)
	if err != nil {
		return nil, err
	}
	path := []string{"plugins", now.plugin, "containerd"}
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
	at, err := locate(rest, path, defaultRuntimeName)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.config, err)
	}
	if r.Default && at.heading >= 0 {
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
	if tree, err = decode(c.config+", hookctl's part", []byte(block)); err != nil {
		return nil, nil, err
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
	plugin := "" // in which this file has the handler
	tree, err := decode(path, text)
	if err != nil {
		return nil, err
	}
	for _, key := range cris {
		if dig(tree, "plugins", key, "containerd", "runtimes", r.Name) != nil {
			plugin = key
		}
	}
	if path != c.config { // the handler's own file
		delete(dig(tree, "plugins", plugin, "containerd", "runtimes"), r.Name)
		delete(dig(tree, "plugins", plugin, "containerd"), defaultRuntimeName)
		delete(tree, "version")
		return nil, othersSettings(path, tree)
	}
	text, err = c.withoutDefault(text, tree, r)
	if err != nil {
		return nil, err
	}
	for _, f := range r.Files { // those that it may import
		if f.Path != c.config {
			if text, err = removeImport(text, f.Path, c.config); err != nil {
				return nil, fmt.Errorf("%s: %w", c.config, err)
			}
		}
	}
	if plugin == "" {
		return text, nil
	}
	block, rest, err := c.cutBlock(text)
	if err != nil {
		return nil, err
	}
	handlers := dig(block, "plugins", plugin, "containerd", "runtimes")
	if handlers[r.Name] == nil {
		return nil, fmt.Errorf("%s: the lines around hookctl's part (%q) are gone, so that nobody knows what it is: take the tables of the handler %s out by hand, then remove %s",
			c.config, strings.TrimSpace(beginBlock), r.Name, recordPath(c.Name(), r.Name))
	}
	others, err := installed(c, r.Name)
	if err != nil {
		return nil, err
	}
	delete(handlers, r.Name)
	if defaults := dig(block, "plugins", plugin, "containerd"); defaults[defaultRuntimeName] == any(r.Name) {
		delete(defaults, defaultRuntimeName)
	}
	for _, other := range others {
		if handlers[other.Name] != nil {
			return c.addBlock(rest, block), nil
		}
	}
	return rest, nil // what is left there alone are handlers that containerd has by itself
}

// withoutDefault gives default_runtime_name back the value that it had, if it is this runtime's name now and stands outside
// of hookctl's block.
func (c *containerd) withoutDefault(text []byte, tree table, r *Record) ([]byte, error) {
	recorded, _ := r.file(c.config)
	was, err := decode(c.config, recorded.before())
	if err != nil {
		return nil, err
	}
	for _, plugin := range cris {
		path := []string{"plugins", plugin, "containerd"}
		block, _, err := c.cutBlock(text)
		if err != nil {
			return nil, err
		}
		if dig(tree, path...)[defaultRuntimeName] != any(r.Name) || dig(block, path...)[defaultRuntimeName] != nil {
			continue
		}
		if old, ok := dig(was, path...)[defaultRuntimeName].(string); ok {
			return setKey(text, path, defaultRuntimeName, quoted(old))
		}
		return removeKey(text, path, defaultRuntimeName)
	}
	return text, nil
}

// view is what `config dump` prints. Files that are imported and not there are an error: the dump passes over them, and
// containerd does not start.
func (c *containerd) view() (*view, error) {
	e, err := c.ask()
	if err != nil {
		return nil, err
	}
	main, err := change.Read(c.config)
	if err != nil {
		return nil, err
	}
	_, items, err := importsOf(main)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.config, err)
	}
	for _, item := range items {
		path := absolute(item.path, c.config)
		if _, err := os.Stat(path); err != nil && !strings.Contains(path, "*") {
			return nil, fmt.Errorf("%s imports %s, which cannot be read: %w", c.config, path, report.Plain(err))
		}
	}
	delete(e.tree, "imports")
	path := []string{"plugins", e.plugin, "containerd"}
	return &view{tree: e.tree, runtimes: append(path, "runtimes"), standard: append(path[:3:3], defaultRuntimeName)}, nil
}

func (c *containerd) Reload() Reload {
	return restarting("containerd", c.config)
}
