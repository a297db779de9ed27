package engine

import (
	"path/filepath"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
)

// crio is CRI-O, which merges the files of crio.conf.d over its main file: a runtime has a file of its own there.
type crio struct{ config string }

func (*crio) Name() string     { return "crio" }
func (c *crio) Config() string { return c.config }

// dropIn is the folder whose files CRI-O reads after the file of that name.
func (c *crio) dropIn() string { return c.config + ".d" }

func (c *crio) Plan(r Runtime, _ func(string) ([]byte, error)) ([]change.File, error) {
	if len(r.PodAnnotations) > 0 {
		return nil, errNoAnnotations
	}
	text := generated(c, r.Name)
	if r.Default {
		text += writeTable([]string{"crio", "runtime"}, table{"default_runtime": r.Name})
	}
	text += writeTable([]string{"crio", "runtime", "runtimes", r.Name}, table{"runtime_path": r.Link, "runtime_type": "oci"})
	return []change.File{{Path: filepath.Join(c.dropIn(), ownFile(r.Name)+".conf"), After: []byte(text), Mode: 0o644}}, nil
}

// Without takes the whole file: it is for this runtime alone, whatever has been written into it since.
func (*crio) Without(string, []byte, *Record) ([]byte, error) { return nil, nil }

// Watch compares what the files say together, as CRI-O merges them.
func (c *crio) Watch(name string) (func(bool) error, error) {
	return watchTables(name, []string{"crio", "runtime", "runtimes"}, []string{"crio", "runtime", "default_runtime"},
		func() ([]string, error) { return configFiles(c.config, c.dropIn()) })
}

func (c *crio) Reload() Reload {
	return Reload{
		Command: "systemctl restart crio",
		Effect:  "running containers and pods run on; until it is back, none can be started or stopped",
		Do:      func() error { return restart("crio", c.config) },
	}
}
