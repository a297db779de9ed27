package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
)

// Registered is what the configuration of an engine comes to, as far as runtimes go.
type Registered struct {
	Entries []Entry // in the order of their names
	Faults  []Fault // that concern no entry alone
}

// Entry is a runtime that an engine knows.
type Entry struct {
	Name           string
	Path           string   // what it calls: a path, or a name that it looks up
	Args           []string // that it calls it with, before its own
	Default        bool     // whether it is for containers that ask for no runtime
	PodAnnotations []string // globs of the annotations that reach a container; nil if all do
	Faults         []Fault
}

// Fault is why an engine does not do what its configuration seems to say.
type Fault struct {
	Fatal   bool // containers do not start, or start without hooks
	Problem string
	Remedy  string
}

// here says whether an engine is on this system: its program, or a configuration.
func here(e Engine) bool {
	if _, err := find(e.Program()); err == nil {
		return true
	}
	text, err := change.Read(e.Config())
	return err != nil || text != nil
}

// Here gives the engines that are on this system: with their usual configuration, and with others in which hookctl has
// installed something.
func Here() (list []Engine, err error) {
	for _, name := range Names {
		e, err := New(name, "")
		if err != nil {
			return nil, err
		}
		if here(e) {
			list = append(list, e)
		}
		others, err := configs(name)
		if err != nil {
			return nil, err
		}
		for _, config := range others {
			if config == e.Config() {
				continue
			}
			other, err := New(name, config)
			if err != nil {
				return nil, err
			}
			list = append(list, other)
		}
	}
	return list, nil
}

// configs gives the configurations of an engine in which hookctl has installed something.
func configs(name string) (paths []string, err error) {
	records, err := filepath.Glob(recordPath(name, "*"))
	if err != nil {
		return nil, err
	}
	for _, path := range records {
		rec, _, err := ReadRecord(name, strings.TrimSuffix(filepath.Base(path), ".json"))
		if err != nil {
			return nil, err
		}
		if rec != nil && !slices.Contains(paths, rec.Config) {
			paths = append(paths, rec.Config)
		}
	}
	return paths, nil
}

// Version gives what an engine's program says of itself, in one line; what is installed, which need not be what runs.
func Version(e Engine) (string, error) {
	program, err := find(e.Program())
	if err != nil {
		return "", err
	}
	text, err := output(program, "--version")
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line), err
}

// Lookup gives the path of the program that an engine calls by a path or a name.
func Lookup(path string) (string, error) {
	if strings.Contains(path, "/") {
		_, err := os.Stat(path)
		return path, err
	}
	return find(path)
}

// Records gives what hookctl has installed in an engine.
func Records(e Engine) ([]*Record, error) { return installed(e, "") }

// Edited gives the files of an installation that are not as any installation has left them, and those that are gone.
// Several installations may have changed a file: the last one counts.
func Edited(e Engine, r *Record) (edited []string, err error) {
	all, err := Records(e)
	if err != nil {
		return nil, err
	}
	left := map[string]bool{}
	for _, other := range all {
		for _, f := range other.Files {
			left[f.Path+" "+f.AfterSHA256] = true
		}
	}
	for _, f := range r.Files {
		text, err := change.Read(f.Path)
		if err != nil {
			return nil, err
		}
		if !left[f.Path+" "+digest(text)] {
			edited = append(edited, f.Path)
		}
	}
	return edited, nil
}

func (*docker) Program() string     { return "dockerd" }
func (*containerd) Program() string { return "containerd" }
func (*crio) Program() string       { return "crio" }
func (*podman) Program() string     { return "podman" }

// texts gives the strings in a TOML array.
func texts(v any) (list []string) {
	array, _ := v.([]any)
	for _, item := range array {
		if text, ok := item.(string); ok {
			list = append(list, text)
		}
	}
	return list
}

func sortEntries(r *Registered) *Registered {
	slices.SortFunc(r.Entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return r
}

// tomlFiles gives the *.toml files of the folder in which drop-in files of a containerd configuration lie.
func tomlFiles(config string) []string {
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(config), "conf.d", "*.toml")) // fails on a bad pattern alone
	return files
}
