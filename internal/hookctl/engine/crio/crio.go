// Package crio knows CRI-O: its configuration, and how it is made to read it again.
package crio

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/tomledit"
)

// crio is CRI-O, which merges the files of crio.conf.d over its main file: a runtime has a file of its own there.
type crio struct{ config string }

// New returns the CRI-O whose main configuration is the file config; the usual one if that is empty.
func New(config string) engine.Engine {
	if config == "" {
		config = "/etc/crio/crio.conf"
	}
	return &crio{config: config}
}

func (*crio) Name() string     { return "crio" }
func (*crio) Program() string  { return "crio" }
func (c *crio) Config() string { return c.config }

// dropIn is the directory whose files CRI-O reads after the file of that name.
func (c *crio) dropIn() string { return c.config + ".d" }

func (c *crio) Plan(_ context.Context, r engine.Runtime, read func(string) ([]byte, error)) ([]change.File, error) {
	if len(r.PodAnnotations) > 0 {
		return nil, engine.ErrNoAnnotations
	}
	if slices.Contains(engine.BuiltIn, r.Name) {
		return nil, engine.Reserved(c, r.Name)
	}
	path := filepath.Join(c.dropIn(), engine.OwnFile(r.Name)+".conf")
	if own, err := read(path); err != nil {
		return nil, err
	} else if own != nil {
		return nil, engine.Unremembered(path)
	}
	text := engine.Generated(c, r.Name)
	if r.Default {
		text += tomledit.Write([]string{"crio", "runtime"}, tomledit.Table{"default_runtime": r.Name})
	}
	text += tomledit.Write([]string{"crio", "runtime", "runtimes", r.Name}, tomledit.Table{"runtime_path": r.Link, "runtime_type": "oci"})
	return []change.File{{Path: path, After: []byte(text), Mode: 0o644}}, nil
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

// read returns the files, and what they come to.
func (c *crio) read() (files []string, tree tomledit.Table, err error) {
	if files, err = engine.ConfFiles(c.config, c.dropIn()); err == nil {
		tree, err = tomledit.ReadAll(files)
	}
	return files, tree, err
}

// View is what the files say together, as CRI-O merges them.
func (c *crio) View(context.Context) (*engine.View, error) {
	files, tree, err := c.read()
	if err != nil {
		return nil, err
	}
	return &engine.View{Tree: tree, Files: files, Runtimes: []string{"crio", "runtime", "runtimes"}, Standard: []string{"crio", "runtime", "default_runtime"}}, nil
}

func (c *crio) Registered(context.Context) (*engine.Registered, error) {
	_, tree, err := c.read()
	if err != nil {
		return nil, err
	}
	standard := tomledit.Dig(tree, "crio", "runtime")["default_runtime"]
	r := &engine.Registered{}
	for name := range tomledit.Dig(tree, "crio", "runtime", "runtimes") {
		t := tomledit.Dig(tree, "crio", "runtime", "runtimes", name)
		entry := engine.Entry{Name: name, Default: standard == any(name)}
		if entry.Path, _ = t["runtime_path"].(string); entry.Path == "" {
			entry.Path = name // CRI-O looks for a program of the runtime's name
		}
		if kind, _ := t["runtime_type"].(string); kind == "vm" {
			entry.Faults = append(entry.Faults, engine.Fault{Fatal: true,
				Problem: `the runtime_type is "vm", for which CRI-O takes runtime_path for a shim`, Remedy: `write runtime_type = "oci"`})
		}
		r.Entries = append(r.Entries, entry)
	}
	r.Sort()
	return r, nil
}

func (c *crio) Reload([]change.File) engine.Reload { return engine.Restarting("crio", c.config) }

func (*crio) Reach(context.Context, string) (*engine.Reach, error) {
	return nil, errors.New("there is no canary for crio: run a container by it, and see hookctl preview --id ID")
}
