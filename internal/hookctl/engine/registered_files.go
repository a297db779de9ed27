package engine

import (
	"fmt"
	"os"
	"slices"
)

func (c *crio) Registered() (*Registered, error) {
	_, tree, err := c.read()
	if err != nil {
		return nil, err
	}
	standard := dig(tree, "crio", "runtime")["default_runtime"]
	r := &Registered{}
	for name := range dig(tree, "crio", "runtime", "runtimes") {
		t := dig(tree, "crio", "runtime", "runtimes", name)
		entry := Entry{Name: name, Default: standard == any(name)}
		if entry.Path, _ = t["runtime_path"].(string); entry.Path == "" {
			entry.Path = name // CRI-O looks for a program of the runtime's name
		}
		if kind, _ := t["runtime_type"].(string); kind == "vm" {
			entry.Faults = append(entry.Faults, Fault{Fatal: true,
				Problem: `the runtime_type is "vm", for which CRI-O takes runtime_path for a shim`, Remedy: `write runtime_type = "oci"`})
		}
		r.Entries = append(r.Entries, entry)
	}
	return sortEntries(r), nil
}

func (p *podman) Registered() (*Registered, error) {
	_, tree, err := p.read()
	if err != nil {
		return nil, err
	}
	engine := dig(tree, "engine")
	supported := supportsJSON(tree)
	r := &Registered{}
	for name, paths := range dig(tree, "engine", "runtimes") {
		entry := Entry{Name: name, Path: firstOf(texts(paths)), Default: engine["runtime"] == any(name)}
		if !slices.Contains(supported, any(name)) {
			entry.Faults = append(entry.Faults, Fault{
				Problem: "Podman's runtime_supports_json lacks the name: it does not show why a container is refused",
				Remedy:  fmt.Sprintf("add %q to that list, below [engine]", name)})
		}
		r.Entries = append(r.Entries, entry)
	}
	return sortEntries(r), nil
}

// firstOf gives the first path at which there is a file, as Podman takes it; the first if there is none anywhere.
func firstOf(paths []string) string {
	for _, path := range paths {
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			return path
		}
	}
	return append(paths, "")[0]
}
