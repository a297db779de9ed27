// Package engine makes Docker, containerd, CRI-O and Podman know a runtime, and takes it from them again.
//
// It knows where each engine's configuration lies, how an entry is added to it with every other byte kept, how it is
// taken out again, what the engine itself makes of the result, and how the engine is told to read it anew. It knows
// nothing of hooks: a runtime is a name and the path of a link.
//
// An installation is remembered below State, so that it can be taken back even when others have edited the files since.
package engine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/launch"
)

// Runtime is what an engine is to know.
type Runtime struct {
	Name           string   // by which users of the engine choose it: the profile's
	Link           string   // the path of the profile's link
	Default        bool     // whether it is for containers that ask for no runtime too
	PodAnnotations []string // globs: the annotations that containerd's CRI lets through to a container
}

// Engine is one that calls low-level runtimes.
type Engine interface {
	// Name is what hookctl's command line calls it.
	Name() string

	// Config is the path of its main configuration file.
	Config() string

	// Plan gives the files that make the engine know r, in the order in which they are to be written: what a file refers
	// to comes before it. read gives a file's text as it is without r; nil if there is no such file.
	Plan(r Runtime, read func(path string) ([]byte, error)) ([]change.File, error)

	// Without gives the text of a file without what an installation put there. The file was edited since: all else stays.
	// The result is nil if the installation made the file and nothing is left in it.
	Without(path string, text []byte, r *Record) ([]byte, error)

	// view gives what the engine makes of its configuration; an error if it refuses it.
	view() (*view, error)

	// Reload says how the engine comes to know of a change.
	Reload() Reload

	// Program is the name of its program, or of its daemon's.
	Program() string

	// Registered gives the runtimes that the engine's configuration comes to.
	Registered() (*Registered, error)
}

// Reload is how an engine comes to know of a change.
type Reload struct {
	Command string       // for a person to run; empty if there is nothing to do
	Effect  string       // what it does to running containers
	Do      func() error // the same; fails if it is not known how, on this system
}

// Names are those of the engines.
var Names = []string{"docker", "containerd", "crio", "podman"}

// New gives the engine of a name, whose configuration is the file config; its usual one if that is empty.
func New(name, config string) (Engine, error) {
	usual := func(path string) string {
		if config != "" {
			return config
		}
		return path
	}
	switch name {
	case "docker":
		return &docker{config: usual("/etc/docker/daemon.json")}, nil
	case "containerd":
		return &containerd{config: usual("/etc/containerd/config.toml"), usual: config == ""}, nil
	case "crio":
		return &crio{config: usual("/etc/crio/crio.conf")}, nil
	case "podman":
		return &podman{config: usual("/etc/containers/containers.conf")}, nil
	}
	return nil, fmt.Errorf("there is no engine %q: it is one of %s", name, strings.Join(Names, ", "))
}

// reserved says that an engine has a runtime of that name by itself.
func reserved(e Engine, name string) error {
	return fmt.Errorf("%s has a runtime %s by itself, which would be replaced for all that use it: take another name for the profile", e.Name(), name)
}

// unremembered says that a file is hookctl's by its name, and nothing is remembered of it.
func unremembered(path string) error {
	return fmt.Errorf("%s is there already, and %s has nothing of it: take out what is in it", path, State)
}

// othersSettings gives an error if there is anything in the table that is left of a file of hookctl's own.
func othersSettings(path string, left table) error {
	if len(settings(left)) == 0 {
		return nil
	}
	return fmt.Errorf("somebody has added settings of their own to %s, which is hookctl's: move them to another file", path)
}

// find gives the path of an engine's program: in PATH, or in the system's folders, since an administrator's PATH may lack
// those of daemons.
func find(program string) (string, error) {
	for _, folder := range filepath.SplitList(os.Getenv("PATH") + ":" + launch.SystemPath) {
		if path, err := exec.LookPath(filepath.Join(folder, program)); err == nil && filepath.IsAbs(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: it is neither in PATH nor in any of the folders %s", program, launch.SystemPath)
}

// output gives what a program prints on standard output. If it fails, the error tells what it says on standard error.
func output(program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
