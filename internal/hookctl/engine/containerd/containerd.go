// Package containerd knows containerd: its configuration, the handlers of its CRI plugin in that, and how a pod is
// started.
package containerd

import (
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
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/tomledit"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// containerd has runtimes as handlers of its CRI plugin. `containerd config dump` prints its effective configuration:
// the version, the imported files, and the defaults.
//
// Since version 3 of the configuration, a handler has a file of its own, and hookctl adds an import to the main file if
// it has none. In version 2 an imported file would replace all settings of the CRI plugin, so that the handler is a
// marked block at the end of the main file.
type containerd struct {
	config string
	given  bool // whether --config gave it, rather than a default that containerd can do without
	daemon *engine.Daemon
}

// New returns the containerd whose main configuration is the file config. If that is empty, it is the one that runs, or
// that of the usual file.
func New(sys system.System, config string) (engine.Engine, error) {
	kind := engine.Kind{Program: "containerd", Usual: "/etc/containerd/config.toml", Config: configOptions, Except: ofDocker}
	daemon, err := kind.Find(sys, config)
	if err != nil {
		return nil, err
	}
	return &containerd{config: daemon.Config, given: config != "" && daemon.Config != kind.Usual, daemon: daemon}, nil
}

var configOptions = []string{"--config", "-config", "-c"}

// ofDocker reports whether a configuration belongs to the containerd that dockerd starts, which has no CRI plugin.
func ofDocker(config string) bool {
	return strings.HasSuffix(config, "/docker/containerd/containerd.toml")
}

func (*containerd) Name() string             { return "containerd" }
func (*containerd) Program() string          { return "containerd" }
func (c *containerd) Config() string         { return c.config }
func (c *containerd) Daemon() *engine.Daemon { return c.daemon }

// effective is containerd's effective configuration.
type effective struct {
	text    string
	tree    tomledit.Table
	version int64
	plugin  string // the key below plugins that has the handlers
}

// cris are the names of the plugin that has the handlers, in versions 3 and 2 of the configuration.
var cris = []string{"io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"}

// dump returns the effective configuration, which it asks containerd for.
func (c *containerd) dump(ctx context.Context) (*effective, error) {
	program, err := c.daemon.Path()
	if err != nil {
		return nil, err
	}
	var args []string
	if c.daemon.Process != nil {
		args = c.daemon.Process.Without(configOptions...) // the daemon's options also apply to this command
	}
	text, err := change.Read(c.config)
	asked := "dump"
	switch {
	case err != nil:
		return nil, err
	case text != nil:
		args = append(args, "--config", c.config)
	case c.given:
		return nil, fmt.Errorf("there is no %s", c.config)
	default:
		asked = "default" // its configuration without a file; `config dump` of 1.x needs one
	}
	e := &effective{}
	if e.text, err = command.Output(ctx, program, append(args, "config", asked)...); err != nil {
		if template := c.refuseTemplate(text); template != nil {
			return nil, template
		}
		return nil, fmt.Errorf("containerd cannot read its configuration: %w", err)
	}
	if strings.TrimSpace(e.text) == "" {
		return nil, fmt.Errorf("`%s config %s` printed nothing: is it a script in the place of containerd?", program, asked)
	}
	if err := toml.Unmarshal([]byte(e.text), &e.tree); err != nil {
		return nil, fmt.Errorf("what `containerd config dump` prints cannot be read: %w", err)
	}
	e.version, _ = e.tree["version"].(int64)
	if len(e.disabled()) > 0 {
		return e, nil
	}
	for _, key := range cris {
		if tomledit.Dig(e.tree, "plugins", key, "containerd", "runtimes") != nil {
			e.plugin = key
			break
		}
	}
	return e, nil
}

// disabled returns the names in disabled_plugins that disable the CRI: in containerd 1.x that of the whole plugin, in
// 2.x that of one of its parts.
func (e *effective) disabled() []string {
	return slices.DeleteFunc(tomledit.Strings(e.tree["disabled_plugins"]), func(name string) bool {
		return !slices.Contains(append(cris, "cri", "io.containerd.cri.v1.images"), name)
	})
}

// ask is dump for a containerd that has a CRI plugin.
func (c *containerd) ask(ctx context.Context) (*effective, error) {
	e, err := c.dump(ctx)
	if err != nil || e.plugin != "" {
		return e, err
	}
	return nil, errors.New("this containerd has no CRI plugin, or it is among the disabled_plugins of " + c.config + "; Kubernetes chooses a runtime by its handlers, " +
		"and without Kubernetes nothing has to be registered: ctr run --runc-binary LINK, nerdctl run --runtime LINK")
}

// handlers returns the handlers by name.
func (e *effective) handlers() tomledit.Table {
	return tomledit.Dig(e.tree, "plugins", e.plugin, "containerd", "runtimes")
}

// missingDefault returns the name of the default handler if no handler has that name; else "".
func (e *effective) missingDefault() string {
	name, _ := e.containerdTable()[defaultRuntimeName].(string)
	if e.handlers()[name] != nil {
		return ""
	}
	return name
}

// containerdTable returns the plugin's table with the handlers and the name of the default one.
func (e *effective) containerdTable() tomledit.Table {
	return tomledit.Dig(e.tree, "plugins", e.plugin, "containerd")
}

func (*containerd) Advice(r engine.Runtime) string { return engine.ForRuntimeClass(r.Name) }

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
	if err := c.refuseGenerated(main); err != nil {
		return nil, err
	}
	return c.planBlock(now, r, main)
}

// Block returns what planDropIn writes into a file of its own, or planBlock between its marks.
func (c *containerd) Block(ctx context.Context, r engine.Runtime) (string, error) {
	now, err := c.ask(ctx)
	if err != nil {
		return "", err
	}
	main, err := change.Read(c.config)
	if err != nil {
		return "", err
	}
	return now.block(r, main)
}

// block returns the tables of a runtime for an imported file or the main file.
func (e *effective) block(r engine.Runtime, main []byte) (text string, err error) {
	h, err := e.handler(r, main)
	if err != nil {
		return "", err
	}
	if r.Default {
		text = tomledit.Write([]string{"plugins", e.plugin, "containerd"}, tomledit.Table{defaultRuntimeName: r.Name})
	}
	return text + tomledit.Write([]string{"plugins", e.plugin, "containerd", "runtimes", r.Name}, h), nil
}

// handler returns the settings of the new handler: those of the default handler, to whose containers it adds hooks,
// with the link as its runtime. If the default handler has another type or is hookctl's, they are those of runc.
func (e *effective) handler(r engine.Runtime, main []byte) (tomledit.Table, error) {
	if name := e.missingDefault(); name != "" && e.handlers()[r.Name] == nil {
		return nil, fmt.Errorf("the %s of containerd is %q, and there is no such handler: its CRI plugin does not start; add it, or name another", defaultRuntimeName, name)
	}
	name, _ := e.containerdTable()[defaultRuntimeName].(string)
	if name == r.Name { // it is being installed again
		was, err := tomledit.Decode("config.toml", main)
		if err != nil {
			return nil, err
		}
		name, _ = tomledit.Dig(was, "plugins", e.plugin, "containerd")[defaultRuntimeName].(string)
	}
	const runc = "runc"
	if tomledit.Dig(e.handlers(), name)["runtime_type"] != any(engine.RuncV2) && e.handlers()[runc] != nil || name == r.Name || slices.Contains(r.Others, name) {
		name = runc
	}
	like := tomledit.Dig(e.handlers(), name)
	kind, _ := like["runtime_type"].(string)
	switch {
	case like == nil || kind == engine.RuncV2:
	case kind == "":
		return nil, fmt.Errorf("containerd's handler %s has no runtime_type, so that no container starts with it; write runtime_type = %q first", name, engine.RuncV2)
	default:
		return nil, fmt.Errorf("containerd's handler %s has the type %s, not %s, and there is none called runc: its settings do not suit a runtime like runc", name, kind, engine.RuncV2)
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

// defaultRuntimeName is the key with the handler for pods that name none.
const defaultRuntimeName = "default_runtime_name"

// planDropIn writes the handler into a file of its own.
func (c *containerd) planDropIn(now *effective, r engine.Runtime, main []byte, read func(string) ([]byte, error)) ([]change.File, error) {
	dir, imported, err := c.dropIns(main)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, engine.OwnFile(r.Name)+".toml")
	if own, err := read(path); err != nil {
		return nil, err
	} else if own != nil {
		return nil, engine.Unremembered(path)
	}
	block, err := now.block(r, main)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%sversion = %d\n", engine.Generated(c, r.Name), dropInVersion) + block
	files := []change.File{{Path: path, After: []byte(text), Mode: 0o644}}
	if imported {
		return files, nil
	}
	if err := c.refuseGenerated(main); err != nil {
		return nil, err
	}
	edited, err := addImport(main, path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.config, err)
	}
	return append(files, change.File{Path: c.config, After: edited, Mode: 0o644}), nil
}

func (c *containerd) Without(path string, text []byte, was engine.Installed) ([]byte, error) {
	plugin := "" // the plugin that has the handler in this file
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
		return nil, fmt.Errorf("%s: the lines around hookctl's part (%q) are gone, so that its extent is unknown: remove the tables of the handler %s manually, then remove %s",
			c.config, beginBlock, was.Name, was.Record)
	}
	delete(handlers, was.Name)
	if defaults := tomledit.Dig(block, "plugins", plugin, "containerd"); defaults[defaultRuntimeName] == any(was.Name) {
		delete(defaults, defaultRuntimeName)
	}
	if others := handlersOf(block, plugin, was.Others); len(others) > 0 {
		return c.addBlock(rest, block, others), nil
	}
	return rest, nil // what remains are only containerd's built-in handlers
}

// withoutDefault restores the former value of default_runtime_name, if it is this runtime's name now and is outside
// hookctl's block.
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

// View returns what `config dump` prints. A missing imported file is an error: the dump ignores it, but containerd does
// not start.
func (c *containerd) View(ctx context.Context) (*engine.View, error) {
	e, err := c.ask(ctx)
	if err != nil {
		return nil, err
	}
	main, err := change.Read(c.config)
	if err != nil {
		return nil, err
	}
	files, err := c.files(main)
	if err != nil {
		return nil, err
	}
	for _, path := range files[1:] {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%s imports %s, which cannot be read: %w", c.config, path, report.Plain(err))
		}
	}
	delete(e.tree, "imports")
	path := []string{"plugins", e.plugin, "containerd"}
	return &engine.View{Tree: e.tree, Files: files, Runtimes: append(path, "runtimes"), Standard: append(path[:3:3], defaultRuntimeName)}, nil
}

func (c *containerd) Reload([]change.File) engine.Reload { return c.daemon.Restart() }
