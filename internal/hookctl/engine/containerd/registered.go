package containerd

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/tomledit"
)

func (c *containerd) Registered(ctx context.Context) (*engine.Registered, error) {
	now, err := c.dump(ctx)
	if err != nil {
		return nil, err
	}
	r := &engine.Registered{}
	// What disables it is named as in any version of the configuration: the plugin as a whole in containerd 1.x, its parts
	// in 2.x.
	for _, name := range tomledit.Strings(now.tree["disabled_plugins"]) {
		if slices.Contains(append(cris, "cri"), name) {
			r.Faults = append(r.Faults, engine.Fault{
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
	r.Sort()
	return r, nil
}

// entry returns a handler.
func (e *effective) entry(name string, isDefault bool) engine.Entry {
	h := tomledit.Dig(e.handlers(), name)
	entry := engine.Entry{Name: name, Path: "runc", Default: isDefault, PodAnnotations: []string{}}
	entry.PodAnnotations = append(entry.PodAnnotations, tomledit.Strings(h["pod_annotations"])...)
	options := tomledit.Dig(h, "options")
	if binary, _ := options["BinaryName"].(string); binary != "" {
		entry.Path = binary
	}
	kind, _ := h["runtime_type"].(string)
	entry.OfType(kind)
	if shim, _ := h["runtime_path"].(string); shim != "" {
		entry.Faults = append(entry.Faults, engine.Fault{Fatal: true,
			Problem: fmt.Sprintf("runtime_path is %q: containerd calls that as the shim", shim),
			Remedy:  "take it out; the link belongs into BinaryName, below options"})
	}
	if older, _ := h["runtime_engine"].(string); older != "" {
		entry.Faults = append(entry.Faults, engine.Fault{Fatal: true,
			Problem: fmt.Sprintf("runtime_engine is %q, which is for shims of containerd 1.0 alone", older),
			Remedy:  "take it out; the link belongs into BinaryName, below options"})
	}
	return entry
}

// unseen notes the handlers that files name and containerd does not know: in files that it does not read, in the table of
// a plugin that it does not have, and in files whose CRI section another one replaces.
func (c *containerd) unseen(now *effective, r *engine.Registered) error {
	main, err := change.Read(c.config)
	if err != nil {
		return err
	}
	own, err := tomledit.Decode(c.config, main)
	if err != nil {
		return err
	}
	read := []string{c.config}
	for _, pattern := range tomledit.Strings(own["imports"]) { // see imports, why not those of the dump
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
		tree, err := tomledit.Decode(path, text)
		if err != nil && !slices.Contains(read, path) {
			continue // containerd does not stumble over it
		}
		if err != nil {
			return err
		}
		for _, plugin := range append(cris, "cri") {
			handlers := tomledit.Dig(tree, "plugins", plugin, "containerd", "runtimes")
			for _, name := range slices.Sorted(maps.Keys(handlers)) {
				binary, _ := tomledit.Dig(handlers, name, "options")["BinaryName"].(string)
				if there := tomledit.Dig(now.handlers(), name); there != nil && (binary == "" || tomledit.Dig(there, "options")["BinaryName"] == any(binary)) {
					continue
				}
				r.Entries = append(r.Entries, engine.Entry{Name: name, Path: binary, Faults: []engine.Fault{now.why(name, path, plugin, slices.Contains(read, path), c.config)}})
			}
		}
	}
	return nil
}

// why says why containerd does not know a handler as a file has it.
func (e *effective) why(name, path, plugin string, read bool, config string) engine.Fault {
	f := engine.Fault{Fatal: true}
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

// tomlFiles returns the files of the directory in which drop-in files of a configuration lie.
func tomlFiles(config string) []string {
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(config), "conf.d", "*.toml")) // fails on a bad pattern alone
	return files
}

// Reach is by the CRI.
func (c *containerd) Reach(ctx context.Context, handler string) (*engine.Reach, error) {
	now, err := c.ask(ctx)
	if err != nil {
		return nil, err
	}
	text := func(key string, path ...string) string {
		value, _ := tomledit.Dig(now.tree, path...)[key].(string)
		return value
	}
	const old, images = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images"
	systemd, _ := tomledit.Dig(now.handlers(), handler, "options")["SystemdCgroup"].(bool)
	return &engine.Reach{CRI: &engine.CRI{
		Version:      now.version,
		Socket:       cmp.Or(text("address", "grpc"), text("address", "plugins", "io.containerd.server.v1.grpc"), "/run/containerd/containerd.sock"),
		SandboxImage: cmp.Or(text("sandbox_image", "plugins", old), text("sandbox", "plugins", images, "pinned_images")),
		Snapshotter:  cmp.Or(text("snapshotter", "plugins", old, "containerd"), text("snapshotter", "plugins", images)),
		Systemd:      systemd,
	}}, nil
}
