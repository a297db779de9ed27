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
	for _, name := range now.disabled() {
		r.Faults = append(r.Faults, engine.Fault{
			Problem: "the CRI plugin is disabled (" + name + " in disabled_plugins): nobody can ask for a handler",
			Remedy:  "remove it from disabled_plugins, if Kubernetes is to use this containerd; ctr and nerdctl take a link without a handler"})
	}
	if name := now.missingDefault(); name != "" {
		r.Faults = append(r.Faults, engine.Fault{Fatal: true,
			Problem: fmt.Sprintf("the %s is %q, and there is no such handler: the CRI plugin does not start", defaultRuntimeName, name), Remedy: "add it, or name another"})
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

// entry returns a handler as an entry.
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
			Remedy:  "remove it, and put the link into BinaryName, below options"})
	}
	if older, _ := h["runtime_engine"].(string); older != "" {
		entry.Faults = append(entry.Faults, engine.Fault{Fatal: true,
			Problem: fmt.Sprintf("runtime_engine is %q, which is only for shims of containerd 1.0", older),
			Remedy:  "remove it, and put the link into BinaryName, below options"})
	}
	return entry
}

// unseen adds faults for the handlers that files name and containerd does not know: those in files that it does not
// read, in the table of a plugin that it does not have, and in files whose CRI section another file replaces.
func (c *containerd) unseen(now *effective, r *engine.Registered) error {
	main, err := change.Read(c.config)
	if err != nil {
		return err
	}
	read, err := c.files(main)
	if err != nil {
		return err
	}
	seen := source{read: read, trees: map[string]tomledit.Table{}, config: c.config}
	files := slices.Concat(read, slices.DeleteFunc(tomlFiles(c.config), func(path string) bool { return slices.Contains(read, path) }))
	for _, path := range files {
		text, err := change.Read(path)
		if err != nil {
			return err
		}
		// A file that containerd does not read cannot stop it.
		if seen.trees[path], err = tomledit.Decode(path, text); err != nil && slices.Contains(read, path) {
			return err
		}
	}
	for _, path := range files {
		for _, plugin := range append(cris, "cri") {
			handlers := tomledit.Dig(seen.trees[path], "plugins", plugin, "containerd", "runtimes")
			for _, name := range slices.Sorted(maps.Keys(handlers)) {
				binary, _ := tomledit.Dig(handlers, name, "options")["BinaryName"].(string)
				if there := tomledit.Dig(now.handlers(), name); there != nil && (binary == "" || tomledit.Dig(there, "options")["BinaryName"] == any(binary)) {
					continue
				}
				r.Entries = append(r.Entries, engine.Entry{Name: name, Path: binary, Faults: []engine.Fault{seen.why(now, name, path, plugin)}})
			}
		}
	}
	return nil
}

// source holds the files of a configuration.
type source struct {
	config string
	read   []string // those that containerd reads, in order
	trees  map[string]tomledit.Table
}

// why returns the reason why containerd does not know a handler in the file at path, below plugin.
func (s source) why(e *effective, name, path, plugin string) engine.Fault {
	f := engine.Fault{Fatal: true}
	at := slices.Index(s.read, path)
	later := s.read[at+1:]
	has := func(keys ...string) string {
		for _, other := range later {
			if tomledit.Dig(s.trees[other], keys...) != nil {
				return other
			}
		}
		return ""
	}
	switch {
	case at < 0:
		f.Problem = fmt.Sprintf("%s, where the handler is, is not read", path)
		f.Remedy = fmt.Sprintf("import it in %s: imports = [%q]", s.config, path)
	case e.plugin == "":
		f.Problem, f.Remedy = path+" has the handler, and this containerd has no CRI plugin", "use a containerd that has one"
	case plugin != e.plugin:
		f.Problem = fmt.Sprintf("%s has the handler below plugins.%q, and this containerd's CRI plugin is %q", path, plugin, e.plugin)
		f.Remedy = "move it there, with its options"
	case has("plugins", plugin, "containerd", "runtimes", name) != "":
		other := has("plugins", plugin, "containerd", "runtimes", name)
		f.Problem = fmt.Sprintf("%s has the handler, and %s, which is read later, has another of that name", path, other)
		f.Remedy = "keep one of the two"
	case e.version < 3 && has("plugins", plugin) != "":
		f.Problem = fmt.Sprintf("%s has the handler, and %s, which is read later, has other settings of the CRI plugin: containerd 1.x then takes none from elsewhere", path, has("plugins", plugin))
		f.Remedy = "put the handler into that file"
	default:
		f.Problem = path + " has the handler, and `containerd config dump` has not"
		f.Remedy = "look for its name in what that command prints"
	}
	return f
}

// tomlFiles returns the files in the directory for drop-in files of a configuration.
func tomlFiles(config string) []string {
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(config), "conf.d", "*.toml")) // fails only on a bad pattern
	return files
}

// Reach returns the CRI.
func (c *containerd) Reach(ctx context.Context, handler string) (*engine.Reach, error) {
	now, err := c.ask(ctx)
	if err != nil {
		return nil, err
	}
	text := now.setting
	const old, images = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images"
	systemd, _ := tomledit.Dig(now.handlers(), handler, "options")["SystemdCgroup"].(bool)
	return &engine.Reach{CRI: &engine.CRI{
		Version:      now.version,
		Socket:       c.socket(now),
		SandboxImage: cmp.Or(text("sandbox_image", "plugins", old), text("sandbox", "plugins", images, "pinned_images")),
		Snapshotter:  cmp.Or(text("snapshotter", "plugins", old, "containerd"), text("snapshotter", "plugins", images)),
		Systemd:      systemd,
	}}, nil
}

// setting returns a string from the configuration.
func (e *effective) setting(key string, path ...string) string {
	value, _ := tomledit.Dig(e.tree, path...)[key].(string)
	return value
}

// socket returns the path of the socket on which containerd listens.
func (c *containerd) socket(now *effective) string {
	return cmp.Or(c.daemon.Option("--address", "-address", "-a"), now.setting("address", "grpc"), now.setting("address", "plugins", "io.containerd.server.v1.grpc"),
		"/run/containerd/containerd.sock")
}
