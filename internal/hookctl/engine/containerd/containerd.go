// Package containerd knows containerd: its configuration, which handlers of its CRI plugin it comes to, and how a pod is
// reached.
package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/tomledit"
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

// New returns the containerd whose main configuration is the file config; the usual one if that is empty.
func New(config string) engine.Engine {
	return &containerd{config: cmp.Or(config, "/etc/containerd/config.toml"), usual: config == ""}
}

func (*containerd) Name() string     { return "containerd" }
func (*containerd) Program() string  { return "containerd" }
func (c *containerd) Config() string { return c.config }

// effective is what containerd makes of its configuration.
type effective struct {
	text    string
	tree    tomledit.Table
	version int64
	plugin  string // the key below plugins that has the handlers
}

// cris are the names of the plugin that has the handlers, in version 3 of the configuration and in version 2.
var cris = []string{"io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"}

// dump has containerd say what its configuration comes to.
func (c *containerd) dump(ctx context.Context) (*effective, error) {
	program, err := command.Find("containerd")
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
	if e.text, err = command.Output(ctx, program, args...); err != nil {
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
		if tomledit.Dig(e.tree, "plugins", key, "containerd", "runtimes") != nil {
			e.plugin = key
			break
		}
	}
	return e, nil
}

// ask is dump for one that has a CRI plugin.
func (c *containerd) ask(ctx context.Context) (*effective, error) {
	e, err := c.dump(ctx)
	if err != nil || e.plugin != "" {
		return e, err
	}
	return nil, errors.New("this containerd has no CRI plugin, or it is among the disabled_plugins of " + c.config + "; it is by its handlers that Kubernetes chooses a runtime, " +
		"and without Kubernetes nothing has to be registered: ctr run --runc-binary LINK, nerdctl run --runtime LINK")
}

// handlers returns the handlers, by their names.
func (e *effective) handlers() tomledit.Table {
	return tomledit.Dig(e.tree, "plugins", e.plugin, "containerd", "runtimes")
}

// containerdTable is the table of the plugin that has the handlers and the name of the default one.
func (e *effective) containerdTable() tomledit.Table {
	return tomledit.Dig(e.tree, "plugins", e.plugin, "containerd")
}

func (c *containerd) Plan(ctx context.Context, r engine.Runtime, read func(string) ([]byte, error)) ([]change.File, error) {
	now, err := c.ask(ctx)
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

// handler returns the settings of the handler that is to be: those of runc's, whose hooks it adds to, with the link in the
// place of its runtime; those of the default one where there is none for runc.
func (e *effective) handler(r engine.Runtime) (tomledit.Table, error) {
	name, _ := e.containerdTable()[defaultRuntimeName].(string)
	if e.handlers()["runc"] != nil || name == r.Name {
		name = "runc"
	}
	like := tomledit.Dig(e.handlers(), name)
	if kind := like["runtime_type"]; like != nil && kind != engine.RuncV2 {
		return nil, fmt.Errorf("containerd's handler %s is of the type %v, not %s, and there is none called runc: its settings are of no use to a runtime like runc", name, kind, engine.RuncV2)
	}
	h := tomledit.Settings(like)
	h["runtime_type"] = engine.RuncV2
	options, _ := h["options"].(tomledit.Table)
	if options == nil {
		options = tomledit.Table{}
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

// planDropIn puts the handler into a file of its own.
func (c *containerd) planDropIn(now *effective, r engine.Runtime, main []byte, read func(string) ([]byte, error)) ([]change.File, error) {
	path := filepath.Join(filepath.Dir(c.config), "conf.d", engine.OwnFile(r.Name)+".toml")
	if own, err := read(path); err != nil {
		return nil, err
	} else if own != nil {
		return nil, engine.Unremembered(path)
	}
	h, err := now.handler(r)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%sversion = %d\n", engine.Generated(c, r.Name), dropInVersion)
	if r.Default {
		text += tomledit.Write([]string{"plugins", now.plugin, "containerd"}, tomledit.Table{defaultRuntimeName: r.Name})
	}
	text += tomledit.Write([]string{"plugins", now.plugin, "containerd", "runtimes", r.Name}, h)
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

func (c *containerd) Without(path string, text []byte, was engine.Installed) ([]byte, error) {
	plugin := "" // in which this file has the handler
	tree, err := tomledit.Decode(path, text)
	if err != nil {
		return nil, err
	}
	for _, key := range cris {
		if tomledit.Dig(tree, "plugins", key, "containerd", "runtimes", was.Name) != nil {
			plugin = key
		}
	}
	if path != c.config { // the handler's own file
		delete(tomledit.Dig(tree, "plugins", plugin, "containerd", "runtimes"), was.Name)
		delete(tomledit.Dig(tree, "plugins", plugin, "containerd"), defaultRuntimeName)
		delete(tree, "version")
		return nil, engine.OthersSettings(path, tree)
	}
	text, err = c.withoutDefault(text, tree, was)
	if err != nil {
		return nil, err
	}
	for _, file := range was.Files { // those that it may import
		if file != c.config {
			if text, err = removeImport(text, file, c.config); err != nil {
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
	handlers := tomledit.Dig(block, "plugins", plugin, "containerd", "runtimes")
	if handlers[was.Name] == nil {
		return nil, fmt.Errorf("%s: the lines around hookctl's part (%q) are gone, so that nobody knows what it is: take the tables of the handler %s out by hand, then remove %s",
			c.config, strings.TrimSpace(beginBlock), was.Name, was.Record)
	}
	delete(handlers, was.Name)
	if defaults := tomledit.Dig(block, "plugins", plugin, "containerd"); defaults[defaultRuntimeName] == any(was.Name) {
		delete(defaults, defaultRuntimeName)
	}
	for _, other := range was.Others {
		if handlers[other] != nil {
			return c.addBlock(rest, block), nil
		}
	}
	return rest, nil // what is left there alone are handlers that containerd has by itself
}

// withoutDefault restores the value of default_runtime_name that it had, if it is this runtime's name now and stands outside
// of hookctl's block.
func (c *containerd) withoutDefault(text []byte, tree tomledit.Table, was engine.Installed) ([]byte, error) {
	before, err := tomledit.Decode(c.config, was.Before(c.config))
	if err != nil {
		return nil, err
	}
	for _, plugin := range cris {
		path := []string{"plugins", plugin, "containerd"}
		block, _, err := c.cutBlock(text)
		if err != nil {
			return nil, err
		}
		if tomledit.Dig(tree, path...)[defaultRuntimeName] != any(was.Name) || tomledit.Dig(block, path...)[defaultRuntimeName] != nil {
			continue
		}
		if old, ok := tomledit.Dig(before, path...)[defaultRuntimeName].(string); ok {
			return tomledit.SetKey(text, path, defaultRuntimeName, tomledit.Quote(old))
		}
		return tomledit.RemoveKey(text, path, defaultRuntimeName)
	}
	return text, nil
}

// View is what `config dump` prints. Files that are imported and not there are an error: the dump passes over them, and
// containerd does not start.
func (c *containerd) View(ctx context.Context) (*engine.View, error) {
	e, err := c.ask(ctx)
	if err != nil {
		return nil, err
	}
	main, err := change.Read(c.config)
	if err != nil {
		return nil, err
	}
	_, items, err := tomledit.Array(main, importsKey)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.config, err)
	}
	for _, item := range items {
		path := absolute(item.Value, c.config)
		if _, err := os.Stat(path); err != nil && !strings.Contains(path, "*") {
			return nil, fmt.Errorf("%s imports %s, which cannot be read: %w", c.config, path, report.Plain(err))
		}
	}
	delete(e.tree, "imports")
	path := []string{"plugins", e.plugin, "containerd"}
	return &engine.View{Tree: e.tree, Runtimes: append(path, "runtimes"), Standard: append(path[:3:3], defaultRuntimeName)}, nil
}

func (c *containerd) Reload([]change.File) engine.Reload {
	return engine.Restarting("containerd", c.config)
}
