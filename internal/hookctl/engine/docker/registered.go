package docker

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
)

// builtIn is the runtime that dockerd has without any configuration. It looks that up in its PATH.
const builtIn = "runc"

func (d *docker) Registered(context.Context) (*engine.Registered, error) {
	var settings struct {
		Default  string `json:"default-runtime"`
		Runtimes map[string]struct {
			Path    string
			Args    []string `json:"runtimeArgs"`
			Type    string   `json:"runtimeType"`
			Options struct{ BinaryName string }
		}
	}
	if err := d.read(&settings); err != nil {
		return nil, err
	}
	standard := cmp.Or(d.daemon.Option(defaultRuntimeFlag), settings.Default)
	r := &engine.Registered{}
	for name, runtime := range settings.Runtimes {
		entry := engine.Entry{Name: name, Path: runtime.Path, Args: runtime.Args, Default: name == standard}
		if entry.Path == "" && runtime.Type != "" {
			if entry.Path = runtime.Options.BinaryName; entry.Path == "" {
				entry.Path = "runc"
			}
			entry.OfType(runtime.Type)
			if runtime.Type == engine.RuncV2 && runtime.Options.BinaryName != "" {
				entry.Faults = append(entry.Faults, engine.Fault{
					Problem: "registered by runtimeType and BinaryName: dockerd asks only a runtime with a path for its features, so that a read-only bind mount of a container is not recursively read-only",
					Remedy:  fmt.Sprintf(`write {"path": %q}`, runtime.Options.BinaryName)})
			}
		}
		byShell(&entry)
		r.Entries = append(r.Entries, entry)
	}
	if _, replaced := settings.Runtimes[builtIn]; !replaced {
		r.Entries = append(r.Entries, engine.Entry{Name: builtIn, Path: builtIn, Default: standard == "" || standard == builtIn})
	}
	for name, path := range d.flagged() {
		r.Entries = append(r.Entries, engine.Entry{Name: name, Path: path, Default: name == standard})
	}
	r.Sort()
	return r, nil
}

// byShell adds faults for arguments that do not arrive unchanged: dockerd writes the path and the arguments into a
// script for /bin/sh without quoting them (daemon/runtime_unix.go of moby).
func byShell(e *engine.Entry) {
	if len(e.Args) == 0 {
		return
	}
	for _, word := range append([]string{e.Path}, e.Args...) {
		if word == "" || strings.Trim(word, plainInShell) != "" {
			e.Faults = append(e.Faults, engine.Fault{Fatal: true,
				Problem: fmt.Sprintf("dockerd passes %q in runtimeArgs to a shell, which splits, expands or drops it", word),
				Remedy:  "register the link of a profile by path alone"})
		}
	}
}

// plainInShell are characters that a shell does not change, anywhere in a word.
const plainInShell = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%"
