// Package podman knows Podman: its configuration, and how to run a container with it.
package podman

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/tomledit"
)

// podman is Podman, which merges the files of containers.conf.d over its main files. All runtimes that hookctl
// registers share one file there. Each file with a list of runtimes that log in JSON (runtime_supports_json) replaces
// the whole list, so that hookctl's list has to repeat that of the other files.
type podman struct{ config string }

// usual is the path of Podman's main configuration.
const usual = "/etc/containers/containers.conf"

// New returns the Podman whose main configuration is the file config; the usual one if that is empty.
func New(_ system.System, config string) (engine.Engine, error) {
	return &podman{config: cmp.Or(config, usual)}, nil
}

func (*podman) Name() string           { return "podman" }
func (*podman) Program() string        { return "podman" }
func (p *podman) Config() string       { return p.config }
func (*podman) Daemon() *engine.Daemon { return nil }

// file returns the path of hookctl's own file. Its name sorts after most names in such a directory, so that Podman
// reads it later.
func (p *podman) file() string {
	return filepath.Join(p.config+".d", "90-oci-add-hooks.conf")
}

// files returns the files that Podman merges, later ones over earlier ones.
func (p *podman) files() ([]string, error) {
	const vendor = "/usr/share/containers/containers.conf"
	files, err := engine.ConfFiles(vendor, vendor+".d")
	if err != nil {
		return nil, err
	}
	own, err := engine.ConfFiles(p.config, p.config+".d")
	if err != nil || p.config != usual {
		return append(files, own...), err
	}
	// Later versions also read the user's files, including root's, and in the end one more.
	mine := filepath.Join(cmp.Or(os.Getenv("XDG_CONFIG_HOME"), filepath.Join(os.Getenv("HOME"), ".config")), "containers/containers.conf")
	users, err := engine.ConfFiles(mine, mine+".d")
	if err != nil {
		return nil, err
	}
	if last := os.Getenv("CONTAINERS_CONF_OVERRIDE"); last != "" {
		users = append(users, last)
	}
	return slices.Concat(files, own, users), nil
}

// refuse returns an error if Podman does not read the files, or does not accept their content.
func (p *podman) refuse(ctx context.Context, tree tomledit.Table) error {
	if path := os.Getenv("CONTAINERS_CONF"); path != "" {
		return fmt.Errorf("CONTAINERS_CONF is set: Podman then reads only %s, and nothing in %s; unset it for hookctl and for every caller of Podman", path, filepath.Dir(p.file()))
	}
	name, _ := tomledit.Dig(tree, "engine")["runtime"].(string)
	if name != "" && !filepath.IsAbs(name) && tomledit.Dig(tree, "engine", "runtimes")[name] == nil && !slices.Contains(engine.BuiltIn, name) {
		return fmt.Errorf("the default runtime of podman is %q, and there is no such runtime: podman runs no container; add it below [engine.runtimes], or name another", name)
	}
	program, err := command.Find("podman")
	if err != nil || p.config != usual {
		return nil // no Podman to ask, or it reads other files
	}
	if _, err := command.Output(ctx, program, "version"); err != nil {
		return fmt.Errorf("podman does not accept its configuration: %w", err)
	}
	return nil
}

// defaultJSON are the runtimes that Podman knows to log in JSON without a list.
var defaultJSON = []any{"crun", "runc", "kata", "runsc", "youki", "krun"}

// supportsJSON returns that list from a configuration.
func supportsJSON(tree tomledit.Table) []any {
	if list, ok := tomledit.Dig(tree, "engine")["runtime_supports_json"].([]any); ok {
		return list
	}
	return defaultJSON
}

func (*podman) Advice(engine.Runtime) string { return "" }

func (p *podman) Plan(_ context.Context, r engine.Runtime, read func(string) ([]byte, error)) ([]change.File, error) {
	text, err := read(p.file())
	if err != nil {
		return nil, err
	}
	if text, err = p.plan(r, text); err != nil {
		return nil, err
	}
	return []change.File{{Path: p.file(), After: text, Mode: 0o644}}, nil
}

// Block returns the content of hookctl's file.
func (p *podman) Block(_ context.Context, r engine.Runtime) (string, error) {
	text, err := p.plan(r, nil)
	if err != nil {
		return "", err
	}
	_, block, _ := strings.Cut(string(text), "\n") // after the comment that names the author
	return block, nil
}

// plan returns hookctl's file with a runtime added.
func (p *podman) plan(r engine.Runtime, text []byte) ([]byte, error) {
	if len(r.PodAnnotations) > 0 {
		return nil, engine.ErrNoAnnotations
	}
	if slices.Contains(engine.BuiltIn, r.Name) {
		return nil, engine.Reserved(p, r.Name)
	}
	tree, err := tomledit.Decode(p.file(), text)
	if err != nil {
		return nil, err
	}
	ours := maps.Clone(tomledit.Dig(tree, "engine", "runtimes"))
	if ours == nil {
		ours = tomledit.Table{}
	}
	if ours[r.Name] != nil {
		return nil, engine.Unremembered(p.file())
	}
	others, err := p.others()
	if err != nil {
		return nil, err
	}
	ours[r.Name] = []any{r.Link}
	name, _ := tomledit.Dig(tree, "engine")["runtime"].(string)
	if r.Default {
		name = r.Name
	}
	return p.write(ours, others, name), nil
}

// write returns the text of hookctl's file.
func (p *podman) write(runtimes, others tomledit.Table, defaultName string) []byte {
	list := slices.Clone(supportsJSON(others))
	names := slices.Sorted(maps.Keys(runtimes))
	for _, name := range names {
		if !slices.Contains(list, any(name)) {
			list = append(list, name)
		}
	}
	settings := tomledit.Table{"runtime_supports_json": list}
	if defaultName != "" {
		settings["runtime"] = defaultName
	}
	return []byte(engine.Generated(p, names...) + tomledit.Write([]string{"engine"}, settings) + tomledit.Write([]string{"engine", "runtimes"}, runtimes))
}

// others returns the merged content of all files except hookctl's.
func (p *podman) others() (tomledit.Table, error) {
	files, err := p.files()
	if err != nil {
		return nil, err
	}
	return tomledit.ReadAll(slices.DeleteFunc(files, func(path string) bool { return path == p.file() }))
}

func (p *podman) Without(path string, text []byte, was engine.Installed) ([]byte, error) {
	tree, err := tomledit.Decode(path, text)
	if err != nil {
		return nil, err
	}
	settled, err := tomledit.Decode(path, text)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"runtimes", "runtime", "runtime_supports_json"} {
		delete(tomledit.Dig(settled, "engine"), key)
	}
	if err := engine.OthersSettings(path, settled); err != nil {
		return nil, err
	}
	ours := tomledit.Dig(tree, "engine", "runtimes")
	delete(ours, was.Name)
	if len(ours) == 0 {
		return nil, nil
	}
	others, err := p.others()
	if err != nil {
		return nil, err
	}
	name, _ := tomledit.Dig(tree, "engine")["runtime"].(string)
	if name == was.Name {
		name = ""
	}
	return p.write(ours, others, name), nil
}

// read returns the files, and their merged content.
func (p *podman) read() (files []string, tree tomledit.Table, err error) {
	if files, err = p.files(); err == nil {
		tree, err = tomledit.ReadAll(files)
	}
	return files, tree, err
}

// View returns the merged files as Podman reads them, with the names in runtime_supports_json as keys.
func (p *podman) View(ctx context.Context) (*engine.View, error) {
	files, tree, err := p.read()
	if err == nil {
		err = p.refuse(ctx, tree)
	}
	if err != nil {
		return nil, err
	}
	list := supportsJSON(tree)
	names := tomledit.Within(tree, "engine", "runtime_supports_json") // replaces the list
	for _, name := range list {
		if text, ok := name.(string); ok {
			names[text] = true
		}
	}
	return &engine.View{Tree: tree, Files: files, Runtimes: []string{"engine", "runtimes"}, Standard: []string{"engine", "runtime"},
		Lists: [][]string{{"engine", "runtime_supports_json"}}}, nil
}

func (p *podman) Registered(ctx context.Context) (*engine.Registered, error) {
	_, tree, err := p.read()
	if err == nil {
		err = p.refuse(ctx, tree)
	}
	if err != nil {
		return nil, err
	}
	standard := tomledit.Dig(tree, "engine")["runtime"]
	supported := supportsJSON(tree)
	r := &engine.Registered{}
	for name, paths := range tomledit.Dig(tree, "engine", "runtimes") {
		entry := engine.Entry{Name: name, Path: firstOf(tomledit.Strings(paths)), Default: standard == any(name)}
		if !slices.Contains(supported, any(name)) {
			entry.Faults = append(entry.Faults, engine.Fault{
				Problem: "Podman's runtime_supports_json does not have the name: it does not show why a container is refused",
				Remedy:  fmt.Sprintf("add %q to that list, below [engine]", name)})
		}
		r.Entries = append(r.Entries, entry)
	}
	r.Sort()
	return r, nil
}

// firstOf returns the first path with a file, as Podman uses it; the first path if there is none.
func firstOf(paths []string) string {
	for _, path := range paths {
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			return path
		}
	}
	return append(paths, "")[0]
}

// Known returns Registered: Podman has no daemon.
func (p *podman) Known(ctx context.Context) (*engine.Registered, error) { return p.Registered(ctx) }

// Reload returns nothing to do: every call of Podman reads its configuration.
func (*podman) Reload([]change.File) engine.Reload {
	return engine.Reload{Do: func(context.Context) error { return nil }}
}

func (p *podman) Reach(_ context.Context, runtime string) (*engine.Reach, error) {
	if p.config != usual {
		return nil, fmt.Errorf("no container can be run with this file: Podman reads %s, and hookctl cannot make it read %s", usual, p.config)
	}
	// Podman adds hooks itself. An empty directory keeps it from that, so that a hook in config.json proves something.
	return &engine.Reach{Client: &engine.Client{Command: "podman", Global: []string{"--runtime", runtime}, NoHooks: "--hooks-dir"}}, nil
}
