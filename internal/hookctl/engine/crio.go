package engine

import (
	"path/filepath"
	"slices"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
)

// crio is CRI-O, which merges the files of crio.conf.d over its main file: a runtime has a file of its own there.
type crio struct{ config string }

func (*crio) Name() string     { return "crio" }
func (c *crio) Config() string { return c.config }

// dropIn is the folder whose files CRI-O reads after the file of that name.
func (c *crio) dropIn() string { return c.config + ".d" }

// builtIn are the runtimes that CRI-O and Podman have by themselves: to name one is to replace it, for everyone.
var builtIn = []string{"crun", "crun-vm", "crun-wasm", "kata", "krun", "ocijail", "runc", "runj", "runsc", "youki"}

func (c *crio) Plan(r Runtime, read func(string) ([]byte, error)) ([]change.File, error) {
	if len(r.PodAnnotations) > 0 {
		return nil, errNoAnnotations
	}
	if slices.Contains(builtIn, r.Name) {
		return nil, reserved(c, r.Name)
	}
	path := filepath.Join(c.dropIn(), ownFile(r.Name)+".conf")
	if own, err := read(path); err != nil {
		return nil, err
	} else if own != nil {
		return nil, unremembered(path)
	}
	text := generated(c, r.Name)
	if r.Default {
		text += writeTable([]string{"crio", "runtime"}, table{"default_runtime": r.Name})
	}
	text += writeTable([]string{"crio", "runtime", "runtimes", r.Name}, table{"runtime_path": r.Link, "runtime_type": "oci"})
	return []change.File{{Path: path, After: []byte(text), Mode: 0o644}}, nil
}

func (c *crio) Without(path string, text []byte, r *Record) ([]byte, error) {
	tree, err := decode(path, text)
	if err != nil {
		return nil, err
	}
	delete(dig(tree, "crio", "runtime", "runtimes"), r.Name)
	delete(dig(tree, "crio", "runtime"), "default_runtime")
	return nil, othersSettings(path, tree)
}

// read gives the files, and what they come to.
func (c *crio) read() (files []string, tree table, err error) {
	if files, err = configFiles(c.config, c.dropIn()); err == nil {
		tree, err = merged(files)
	}
	return files, tree, err
}

// view is what the files say together, as CRI-O merges them.
func (c *crio) view() (*view, error) {
	files, tree, err := c.read()
	if err != nil {
		return nil, err
	}
	return &view{tree: tree, files: files, runtimes: []string{"crio", "runtime", "runtimes"}, standard: []string{"crio", "runtime", "default_runtime"}}, nil
}

func (c *crio) Reload() Reload {
	return restarting("crio", c.config)
}
