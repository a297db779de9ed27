// Package crio knows CRI-O: its configuration, and how a running crio is made to read it again.
package crio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/tomledit"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// crio is CRI-O. It merges the files of a directory over its main file; each runtime has a file of its own there. `crio
// config` prints the effective configuration.
type crio struct {
	config string
	dropIn string // the directory
	daemon *engine.Daemon
}

// New returns the CRI-O whose main configuration is the file config. If that is empty, it is the one that runs, or that
// of the usual file.
func New(sys system.System, config string) (engine.Engine, error) {
	const usual = "/etc/crio/crio.conf"
	kind := engine.Kind{Program: "crio", Usual: usual, Config: configOptions, Variables: variables}
	daemon, err := kind.Find(sys, config)
	if err != nil {
		return nil, err
	}
	c := &crio{config: daemon.Config, dropIn: usual + ".d", daemon: daemon} // independent of the main file's directory
	switch {
	case daemon.Process != nil:
		c.dropIn = cmp.Or(daemon.Option(dirOptions...), c.dropIn)
	case config != "":
		c.dropIn = config + ".d"
	default:
		c.dropIn = cmp.Or(os.Getenv("CONTAINER_CONFIG_DIR"), c.dropIn)
	}
	return c, nil
}

// variables are those for options that hookctl takes into account (internal/criocli of cri-o).
var variables = map[string]string{
	"CONTAINER_CONFIG":          "--config",
	"CONTAINER_CONFIG_DIR":      dirOption,
	"CONTAINER_DEFAULT_RUNTIME": defaultFlag,
	"CONTAINER_RUNTIMES":        "--runtimes",
	"CONTAINER_LISTEN":          "--listen",
}

const dirOption = "--config-dir"

var configOptions, dirOptions = []string{"--config", "-c"}, []string{dirOption, "-d"}

func (*crio) Name() string             { return "crio" }
func (*crio) Program() string          { return "crio" }
func (c *crio) Config() string         { return c.config }
func (c *crio) Daemon() *engine.Daemon { return c.daemon }

func (*crio) Advice(r engine.Runtime) string { return engine.ForRuntimeClass(r.Name) }

func (c *crio) Plan(ctx context.Context, r engine.Runtime, read func(string) ([]byte, error)) ([]change.File, error) {
	path := filepath.Join(c.dropIn, engine.OwnFile(r.Name)+".conf")
	if own, err := read(path); err != nil {
		return nil, err
	} else if own != nil {
		return nil, engine.Unremembered(path)
	}
	if flags := c.daemon.Options(defaultFlag); r.Default && len(flags) > 0 {
		return nil, fmt.Errorf("crio (process %d) was started with %s %s, which overrides its files; start it without that flag, then retry", c.daemon.Process.PID, defaultFlag, flags[len(flags)-1])
	}
	block, err := c.Block(ctx, r)
	if err != nil {
		return nil, err
	}
	return []change.File{{Path: path, After: []byte(engine.Generated(c, r.Name) + block), Mode: 0o644}}, nil
}

const defaultFlag = "--default-runtime"

// Block returns the content of the runtime's own file.
func (c *crio) Block(ctx context.Context, r engine.Runtime) (text string, err error) {
	if len(r.PodAnnotations) > 0 {
		return "", engine.ErrNoAnnotations
	}
	if slices.Contains(engine.BuiltIn, r.Name) {
		return "", engine.Reserved(c, r.Name)
	}
	now, err := c.View(ctx)
	if err != nil {
		return "", err
	}
	h, err := handler(now, r)
	if err != nil {
		return "", err
	}
	if r.Default {
		text = tomledit.Write([]string{"crio", "runtime"}, tomledit.Table{"default_runtime": r.Name})
	}
	return text + tomledit.Write([]string{"crio", "runtime", "runtimes", r.Name}, h), nil
}

// handler returns the settings of the new handler: those of the default one (above all the path of its monitor), with
// the link as its runtime.
func handler(now *engine.View, r engine.Runtime) (tomledit.Table, error) {
	h := tomledit.Settings(tomledit.Dig(now.Tree, slices.Concat(now.Runtimes, []string{now.Default()})...))
	if h["runtime_type"] == "vm" {
		return nil, fmt.Errorf(`crio's default handler %s has the runtime_type "vm": its settings do not suit a runtime like runc; name another default_runtime first`, now.Default())
	}
	for _, key := range []string{"inherit_default_runtime", "platform_runtime_paths"} { // each selects another program
		delete(h, key)
	}
	if h["runtime_type"] == nil {
		h["runtime_type"] = "oci"
	}
	h["runtime_path"] = r.Link
	return h, nil
}

func (c *crio) Without(path string, text []byte, was engine.Installed) ([]byte, error) {
	tree, err := tomledit.Decode(path, text)
	if err != nil {
		return nil, err
	}
	delete(tomledit.Dig(tree, "crio", "runtime", "runtimes"), was.Name)
	delete(tomledit.Dig(tree, "crio", "runtime"), "default_runtime")
	return nil, engine.OthersSettings(path, tree)
}

// files returns the files that CRI-O reads, in order: the main file, then all files below the directory, with any name
// (UpdateFromPath in pkg/config of cri-o).
func (c *crio) files() (files []string, err error) {
	if _, err := os.Stat(c.config); err == nil {
		files = append(files, c.config)
	}
	err = filepath.WalkDir(c.dropIn, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files = append(files, path)
			var st fs.FileInfo
			st, err = os.Stat(path) // for a link: its target, because CRI-O does not start if it cannot read it
			switch {
			case errors.Is(err, fs.ErrNotExist):
				err = fmt.Errorf("%s leads nowhere: crio does not start; remove it", path)
			case err == nil && st.IsDir():
				err = fmt.Errorf("%s is a link to a directory, which crio does not follow: crio does not start; replace it by the directory", path)
			}
		}
		return err
	})
	var system *fs.PathError
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if errors.As(err, &system) {
		err = fmt.Errorf("%s cannot be read: %w", c.dropIn, report.Plain(err))
	}
	return files, err
}

// View returns what `crio config` prints; without a crio, the merged files.
func (c *crio) View(ctx context.Context) (*engine.View, error) {
	files, err := c.files()
	if err != nil {
		return nil, err
	}
	v := &engine.View{Files: files, Runtimes: []string{"crio", "runtime", "runtimes"}, Standard: []string{"crio", "runtime", "default_runtime"}}
	if program, findErr := c.daemon.Path(); findErr == nil {
		v.Tree, err = c.ask(ctx, program)
	} else {
		v.Tree, err = read(files)
	}
	if name := v.Default(); err == nil && name != "" && !v.Knows(name) && !slices.Contains(engine.BuiltIn, name) {
		err = fmt.Errorf("the default_runtime of crio is %q%s, and there is no such runtime: crio does not start; add it, or name another", name, v.NamingDefault())
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// commented matches the line that `crio config` prints for an unchanged default.
var commented = regexp.MustCompile(`(?m)^# default_runtime = "([^"]*)"$`)

// ask returns the effective configuration, which it asks crio for. The daemon's options also apply to that command.
func (c *crio) ask(ctx context.Context, program string) (tree tomledit.Table, err error) {
	args := []string{dirOption, c.dropIn} // independent of hookctl's own environment
	if _, err := os.Stat(c.config); err == nil {
		args = append(args, "--config", c.config)
	}
	if c.daemon.Process != nil {
		args = append(args, c.daemon.Process.Without(slices.Concat(configOptions, dirOptions)...)...)
	}
	text, err := command.Output(ctx, program, append(args, "config")...)
	if err != nil {
		return nil, fmt.Errorf("crio cannot read its configuration: %w", err)
	}
	if err := toml.Unmarshal([]byte(text), &tree); err != nil {
		return nil, fmt.Errorf("what `crio config` prints cannot be read: %w", err)
	}
	if name := commented.FindStringSubmatch(text); name != nil {
		if runtime := tomledit.Within(tree, "crio", "runtime"); runtime["default_runtime"] == nil {
			runtime["default_runtime"] = name[1]
		}
	}
	return tree, nil
}

// read merges files as CRI-O does: of two tables for one handler, only the later one counts.
func read(files []string) (tomledit.Table, error) {
	all := tomledit.Table{}
	for _, path := range files {
		text, err := change.Read(path)
		if err != nil {
			return nil, err
		}
		tree, err := tomledit.Decode(path, text)
		if err != nil {
			return nil, err
		}
		handlers := tomledit.Dig(tree, "crio", "runtime", "runtimes")
		for name := range maps.Keys(handlers) {
			delete(tomledit.Dig(all, "crio", "runtime", "runtimes"), name)
		}
		tomledit.Merge(all, tree)
	}
	return all, nil
}

func (c *crio) Registered(ctx context.Context) (*engine.Registered, error) {
	now, err := c.View(ctx)
	if err != nil {
		return nil, err
	}
	return registered(now), nil
}

func registered(now *engine.View) *engine.Registered {
	r := &engine.Registered{}
	handlers := tomledit.Dig(now.Tree, now.Runtimes...)
	for name := range handlers {
		t := tomledit.Dig(handlers, name)
		entry := engine.Entry{Name: name, Default: now.Default() == name}
		if entry.Path, _ = t["runtime_path"].(string); entry.Path == "" {
			entry.Path = name // CRI-O looks for a program with the runtime's name
		}
		if kind, _ := t["runtime_type"].(string); kind == "vm" {
			entry.Faults = append(entry.Faults, engine.Fault{Fatal: true,
				Problem: `the runtime_type is "vm", with which CRI-O uses runtime_path as a shim`, Remedy: `write runtime_type = "oci"`})
		}
		if fault := monitor(t, tomledit.Dig(handlers, now.Default())); fault != nil {
			entry.Faults = append(entry.Faults, *fault)
		}
		r.Entries = append(r.Entries, entry)
	}
	r.Sort()
	return r
}

// monitor returns the fault in a handler's path of conmon; nil if there is none. CRI-O's packages install conmon
// outside of PATH, and name its path only in the default handler.
func monitor(handler, standard tomledit.Table) *engine.Fault {
	path, _ := handler["monitor_path"].(string)
	usual, _ := standard["monitor_path"].(string)
	_, err := command.Find("conmon")
	if path != "" || usual == "" && err == nil {
		return nil
	}
	if usual == "" {
		usual = "PATH OF CONMON"
	}
	return &engine.Fault{Fatal: err != nil,
		Problem: "it has no monitor_path: CRI-O looks for conmon in its PATH, and does not start if it is not there",
		Remedy:  fmt.Sprintf("write monitor_path = %q", usual)}
}

// Reload returns a restart: on SIGHUP, crio may accept handlers that it then cannot use.
func (c *crio) Reload([]change.File) engine.Reload { return c.daemon.Restart() }

// Known asks the running crio (GET /config on its socket).
func (c *crio) Known(ctx context.Context) (*engine.Registered, error) {
	socket := "/var/run/crio/crio.sock"
	now, err := c.View(ctx)
	if err != nil {
		return nil, err
	}
	if listen, _ := tomledit.Dig(now.Tree, "crio", "api")["listen"].(string); listen != "" {
		socket = listen
	}
	text, err := engine.Get(ctx, "unix", socket, "/config")
	if err != nil {
		return nil, fmt.Errorf("crio cannot be asked: %w", err)
	}
	known := *now
	known.Tree = nil
	if err := toml.Unmarshal(text, &known.Tree); err != nil {
		return nil, fmt.Errorf("what crio says of its configuration cannot be read: %w", err)
	}
	return registered(&known), nil
}

func (*crio) Reach(context.Context, string) (*engine.Reach, error) {
	return nil, errors.New("there is no canary for crio: run a container with it, then see hookctl preview --id ID")
}
