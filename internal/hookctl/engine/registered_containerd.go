package engine

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
)

func (c *containerd) Registered() (*Registered, error) {
	now, err := c.dump()
	if err != nil {
		return nil, err
	}
	r := &Registered{}
	// What disables it is named as in any version of the configuration: the plugin as a whole in containerd 1.x, its parts
	// in 2.x.
	for _, name := range texts(now.tree["disabled_plugins"]) {
		if slices.Contains(append(cris, "cri"), name) {
			r.Faults = append(r.Faults, Fault{
				Problem: "the CRI plugin is disabled (" + name + " in disabled_plugins): nobody can ask for a handler",
				Remedy:  "take it out of disabled_plugins, if Kubernetes is to use this containerd; ctr and nerdctl take a link by themselves"})
		}
	}
	standard := now.containerdTable()[defaultRuntimeName]
	for name := range now.handlers() {
		r.Entries = append(r.Entries, now.entry(name, standard == any(name)))
	}
	if len(r.Faults) == 0 {
		if err := c.unseen(now, r); err != nil {
			return nil, err
		}
	}
	return sortEntries(r), nil
}

// entry gives a handler.
func (e *effective) entry(name string, isDefault bool) Entry {
	h := dig(e.handlers(), name)
	entry := Entry{Name: name, Path: "runc", Default: isDefault, PodAnnotations: []string{}}
	entry.PodAnnotations = append(entry.PodAnnotations, texts(h["pod_annotations"])...)
	options := dig(h, "options")
	if binary, _ := options["BinaryName"].(string); binary != "" {
		entry.Path = binary
	}
	kind, _ := h["runtime_type"].(string)
	entry.ofType(kind)
	if shim, _ := h["runtime_path"].(string); shim != "" {
		entry.Faults = append(entry.Faults, Fault{Fatal: true,
			Problem: fmt.Sprintf("runtime_path is %q: containerd calls that as the shim", shim),
			Remedy:  "take it out; the link belongs into BinaryName, below options"})
	}
	if engine, _ := h["runtime_engine"].(string); engine != "" {
		entry.Faults = append(entry.Faults, Fault{Fatal: true,
			Problem: fmt.Sprintf("runtime_engine is %q, which is for shims of containerd 1.0 alone", engine),
			Remedy:  "take it out; the link belongs into BinaryName, below options"})
	}
	return entry
}

// unseen notes the handlers that files name and containerd does not know: in files that it does not read, in the table of
// a plugin that it does not have, and in files whose CRI section another one replaces.
func (c *containerd) unseen(now *effective, r *Registered) error {
	main, err := change.Read(c.config)
	if err != nil {
		return err
	}
	own, err := decode(c.config, main)
	if err != nil {
		return err
	}
	read := []string{c.config}
	for _, pattern := range texts(own["imports"]) { // see imports, why not those of the dump
		matches, err := filepath.Glob(absolute(pattern, c.config))
		if err != nil {
			return fmt.Errorf("%s: imports: %q: %w", c.config, pattern, err)
		}
		read = append(read, matches...)
	}
	files := slices.Compact(slices.Sorted(slices.Values(append(tomlFiles(c.config), read...))))
	for _, path := range files {
		text, err := change.Read(path)
		if err != nil {
			return err
		}
		tree, err := decode(path, text)
		if err != nil && !slices.Contains(read, path) {
			continue // containerd does not stumble over it
		}
		if err != nil {
			return err
		}
		for _, plugin := range append(cris, "cri") {
			handlers := dig(tree, "plugins", plugin, "containerd", "runtimes")
			for _, name := range slices.Sorted(maps.Keys(handlers)) {
				binary, _ := dig(handlers, name, "options")["BinaryName"].(string)
				if there := dig(now.handlers(), name); there != nil && (binary == "" || dig(there, "options")["BinaryName"] == any(binary)) {
					continue
				}
				r.Entries = append(r.Entries, Entry{Name: name, Path: binary, Faults: []Fault{now.why(name, path, plugin, slices.Contains(read, path), c.config)}})
			}
		}
	}
	return nil
}

// why says why containerd does not know a handler as a file has it.
func (e *effective) why(name, path, plugin string, read bool, config string) Fault {
	f := Fault{Fatal: true}
	switch {
	case !read:
		f.Problem = fmt.Sprintf("%s, where the handler is, is not read", path)
		f.Remedy = fmt.Sprintf("import it in %s: imports = [%q]", config, path)
	case plugin != e.plugin && e.plugin != "":
		f.Problem = fmt.Sprintf("%s has the handler below plugins.%q, and this containerd's CRI plugin is %q", path, plugin, e.plugin)
		f.Remedy = "move it there, with its options"
	default:
		f.Problem = fmt.Sprintf("%s has the handler, and a file that is read later says something else: from an imported file, containerd 1.x takes all of the CRI plugin's settings", path)
		f.Remedy = "put the handler into that file"
	}
	return f
}

// CRI is how Kubernetes reaches a containerd, and what its pods are made with.
type CRI struct {
	Version      int64  // of its configuration: 3 and more are containerd 2
	Socket       string // a path
	SandboxImage string
	Snapshotter  string
	Systemd      bool // whether the handler has systemd make cgroups
}

// CRIOf gives how a containerd, as it is configured, makes pods of a handler.
func CRIOf(e Engine, handler string) (*CRI, error) {
	c, ok := e.(*containerd)
	if !ok {
		return nil, fmt.Errorf("%s is not containerd", e.Name())
	}
	now, err := c.ask()
	if err != nil {
		return nil, err
	}
	text := func(key string, path ...string) string {
		value, _ := dig(now.tree, path...)[key].(string)
		return value
	}
	const old, images = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images"
	systemd, _ := dig(now.handlers(), handler, "options")["SystemdCgroup"].(bool)
	return &CRI{
		Version:      now.version,
		Socket:       cmp.Or(text("address", "grpc"), text("address", "plugins", "io.containerd.server.v1.grpc"), "/run/containerd/containerd.sock"),
		SandboxImage: cmp.Or(text("sandbox_image", "plugins", old), text("sandbox", "plugins", images, "pinned_images")),
		Snapshotter:  cmp.Or(text("snapshotter", "plugins", old, "containerd"), text("snapshotter", "plugins", images)),
		Systemd:      systemd,
	}, nil
}
