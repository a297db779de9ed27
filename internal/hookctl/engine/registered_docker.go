package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
)

func (d *docker) Registered() (*Registered, error) {
	text, err := change.Read(d.config)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return &Registered{}, nil
	}
	if _, err := d.parse(text); err != nil {
		return nil, err
	}
	var settings struct {
		Default  string `json:"default-runtime"`
		Runtimes map[string]struct {
			Path    string
			Args    []string `json:"runtimeArgs"`
			Type    string   `json:"runtimeType"`
			Options struct{ BinaryName string }
		}
	}
	if err := json.Unmarshal(text, &settings); err != nil {
		return nil, fmt.Errorf("%s: %w", d.config, err)
	}
	r := &Registered{}
	for name, runtime := range settings.Runtimes {
		entry := Entry{Name: name, Path: runtime.Path, Args: runtime.Args, Default: name == settings.Default}
		if entry.Path == "" && runtime.Type != "" {
			if entry.Path = runtime.Options.BinaryName; entry.Path == "" {
				entry.Path = "runc"
			}
			entry.ofType(runtime.Type)
		}
		entry.byShell()
		r.Entries = append(r.Entries, entry)
	}
	return sortEntries(r), nil
}

// byShell notes arguments that do not arrive as they are written: dockerd writes the path and the arguments into a script
// for /bin/sh as they are (daemon/runtime_unix.go of moby).
func (e *Entry) byShell() {
	if len(e.Args) == 0 {
		return
	}
	for _, word := range append([]string{e.Path}, e.Args...) {
		if word == "" || strings.Trim(word, plainInShell) != "" {
			e.Faults = append(e.Faults, Fault{Fatal: true,
				Problem: fmt.Sprintf("dockerd hands %q in runtimeArgs to a shell, which splits, expands or drops it", word),
				Remedy:  "register the link of a profile by path alone"})
		}
	}
}

// plainInShell are characters that a shell leaves as they are, anywhere in a word.
const plainInShell = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%"

// ofType notes a shim of containerd's that does not call a runtime as runc is called.
func (e *Entry) ofType(kind string) {
	switch kind {
	case runcV2:
	case runcV1:
		e.Faults = append(e.Faults, Fault{
			Problem: "the type " + runcV1 + " is not there any more from containerd 2.0 on",
			Remedy:  "write " + runcV2})
	default:
		e.Faults = append(e.Faults, Fault{Fatal: true,
			Problem: fmt.Sprintf("the type is %q, whose shim does not heed BinaryName", kind),
			Remedy:  "write " + runcV2})
	}
}

// runcV1 is an older type of the same kind as runcV2.
const runcV1 = "io.containerd.runc.v1"

// DockerHost gives the first socket that daemon.json has dockerd listen on; empty if it says nothing of that.
func DockerHost(e Engine) (string, error) {
	text, err := change.Read(e.Config())
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return "", err
	}
	var settings struct{ Hosts []string }
	if err := json.Unmarshal(text, &settings); err != nil {
		return "", fmt.Errorf("%s: %w", e.Config(), err)
	}
	for _, host := range settings.Hosts {
		if strings.HasPrefix(host, "unix://") {
			return host, nil
		}
	}
	return "", nil
}
