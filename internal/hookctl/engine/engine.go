// Package engine says what hookctl asks of an engine: how a runtime is registered with it, how that is undone, what the
// engine itself makes of its configuration, and how it is made to read it again.
//
// It knows no engine: each is a directory below, and a row in the table of package engines. A runtime is a name and the
// path of a link; of hooks nothing is known here, nor of what hookctl remembers.
package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/tomledit"
)

// Engine is one that calls low-level runtimes.
type Engine interface {
	// Name is what hookctl's command line calls it.
	Name() string

	// Config returns the path of its main configuration file.
	Config() string

	// Program returns the name of its program, or of its daemon's.
	Program() string

	// Plan returns the files that register r, in the order in which they are to be written: what a file refers to comes
	// before it. read returns a file's text as it is without r; nil if there is no such file.
	Plan(ctx context.Context, r Runtime, read func(path string) ([]byte, error)) ([]change.File, error)

	// Block returns what a person adds to the engine's configuration to register r, where hookctl cannot.
	Block(ctx context.Context, r Runtime) (string, error)

	// Advice returns what a person is to know who registers r; empty if there is nothing.
	Advice(r Runtime) string

	// Without returns the text of a file without what an installation put there. The file was edited since: all else stays.
	// The result is nil if the installation made the file and nothing is left in it.
	Without(path string, text []byte, was Installed) ([]byte, error)

	// View returns what the engine makes of its configuration; an error if it refuses it.
	View(ctx context.Context) (*View, error)

	// Registered returns the runtimes that the engine's configuration comes to.
	Registered(ctx context.Context) (*Registered, error)

	// Daemon returns its daemon; nil if it has none.
	Daemon() *Daemon

	// Known returns what the running daemon itself says that it knows: names, paths, and which one is the default.
	Known(ctx context.Context) (*Registered, error)

	// Reload returns how the engine comes to know of a change to files.
	Reload(files []change.File) Reload

	// Reach returns how a container is run by a runtime; an error if hookctl cannot do that with this engine.
	Reach(ctx context.Context, runtime string) (*Reach, error)
}

// Runtime is what is registered with an engine.
type Runtime struct {
	Name           string   // by which users of the engine choose it: the profile's
	Link           string   // the path of the profile's link
	Default        bool     // whether it is for containers that ask for no runtime too
	PodAnnotations []string // globs: the annotations that containerd's CRI lets through to a container
	Others         []string // the names of what else hookctl has installed in the same configuration
}

// Installed is what an installation has changed.
type Installed struct {
	Name, Link string
	Record     string              // the path of the file in which hookctl remembers it
	Files      []string            // in the order in which they were written
	Before     func(string) []byte // returns a file's text before the installation; nil if there was no such file
	Others     []string            // the names of what else hookctl has installed in the same configuration
}

// Reload is how an engine comes to know of a change.
type Reload struct {
	Command string                      // for a person to run; empty if there is nothing to do
	Effect  string                      // what it does to running containers
	Do      func(context.Context) error // the same
	Refused error                       // why Do is not to be called, on this system; or nil
}

// Reach is how a container is run: by a client, or by the CRI.
type Reach struct {
	Client *Client
	CRI    *CRI
}

// Client is a command like docker's.
type Client struct {
	Command string
	Global  []string // options before a command
	Run     []string // options of `run`
	NoHooks string   // the option, before a command, for a directory that the client itself takes hooks from; or empty
}

// CRI is how Kubernetes reaches a containerd, and what its pods are made with.
type CRI struct {
	Version      int64  // of its configuration: 3 and more are containerd 2
	Socket       string // a path
	SandboxImage string
	Snapshotter  string
	Systemd      bool // whether the handler has systemd make cgroups
}

// Registered is what the configuration of an engine comes to, as far as runtimes go.
type Registered struct {
	Entries []Entry // in the order of their names
	Faults  []Fault // that concern no entry alone
}

// Entry returns the entry of that name; nil if there is none.
func (r *Registered) Entry(name string) *Entry {
	for i := range r.Entries {
		if r.Entries[i].Name == name {
			return &r.Entries[i]
		}
	}
	return nil
}

// Sort puts the entries into the order of their names.
func (r *Registered) Sort() {
	slices.SortFunc(r.Entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
}

// Entry is a runtime that an engine knows.
type Entry struct {
	Name           string
	Path           string   // what it calls: a path, or a name that it looks up
	Args           []string // that it calls it with, before its own
	Default        bool     // whether it is for containers that ask for no runtime
	PodAnnotations []string // globs of the annotations that reach a container; nil if all do
	Features       []string // which of these features the engine knows the runtime to have (Known)
	Faults         []Fault
}

// The features of a runtime that an engine asks it for, and does without where it has not.
const (
	RecursiveReadOnly = "recursive read-only mounts"
	UserNamespaces    = "user namespaces"
)

// Fault is why an engine does not do what its configuration seems to say.
type Fault struct {
	Fatal   bool // containers do not start, or start without hooks
	Problem string
	Remedy  string
}

// RuncV2 is the type of the shim of containerd's that calls a runtime as runc is called; RuncV1 is an older one.
const (
	RuncV2 = "io.containerd.runc.v2"
	RuncV1 = "io.containerd.runc.v1"
)

// OfType notes a shim of containerd's that does not call a runtime as runc is called.
func (e *Entry) OfType(kind string) {
	switch kind {
	case RuncV2:
	case RuncV1:
		e.Faults = append(e.Faults, Fault{
			Problem: "the type " + RuncV1 + " is not there any more from containerd 2.0 on",
			Remedy:  "write " + RuncV2})
	default:
		e.Faults = append(e.Faults, Fault{Fatal: true,
			Problem: fmt.Sprintf("the type is %q, whose shim does not heed BinaryName", kind),
			Remedy:  "write " + RuncV2})
	}
}

// Version returns what an engine's program says of itself, in one line: the daemon's that runs, or the one that is installed.
func Version(ctx context.Context, e Engine) (string, error) {
	find := func() (string, error) { return command.Find(e.Program()) }
	if d := e.Daemon(); d != nil {
		find = d.Path
	}
	program, err := find()
	if err != nil {
		return "", err
	}
	text, err := command.Output(ctx, program, "--version")
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line), err
}

// Lookup returns the path of the program that an engine calls by a path or a name.
func Lookup(path string) (string, error) {
	if strings.Contains(path, "/") {
		_, err := os.Stat(path)
		return path, err
	}
	return command.Find(path)
}

// ErrNoAnnotations is what an engine without globs for annotations says to them.
var ErrNoAnnotations = errors.New("--pod-annotation is for containerd alone: this engine lets a container's annotations through")

// BuiltIn are the built-in runtimes of CRI-O and Podman: to name one is to replace it, for everyone.
var BuiltIn = []string{"crun", "crun-vm", "crun-wasm", "kata", "krun", "ocijail", "runc", "runj", "runsc", "youki"}

// Reserved says that an engine has a built-in runtime of that name.
func Reserved(e Engine, name string) error {
	return fmt.Errorf("%s has a built-in runtime %s, which would be replaced for all that use it: choose another name for the profile", e.Name(), name)
}

// ForRuntimeClass warns of a name by which no pod can choose a runtime.
func ForRuntimeClass(name string) string {
	if label.MatchString(name) {
		return ""
	}
	return fmt.Sprintf("no pod can choose %s: the handler of a RuntimeClass is a DNS label (a-z, 0-9 and -, at most 63 characters); give the profile such a name, unless it is for the default runtime alone", name)
}

var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Unremembered says that a file is hookctl's by its name, and nothing is remembered of it.
func Unremembered(path string) error {
	return fmt.Errorf("%s exists, but hookctl has no record of it; move it away and retry", path)
}

// OwnFile begins the name of a file that is hookctl's alone.
func OwnFile(name string) string { return "50-oci-add-hooks-" + name }

// Generated is the comment that says whose a text is.
func Generated(e Engine, name string) string {
	return fmt.Sprintf("# Written by hookctl. To remove it: hookctl uninstall %s --profile %s\n", e.Name(), name)
}

// OthersSettings returns an error if there is anything in the table that is left of a file of hookctl's own.
func OthersSettings(path string, left tomledit.Table) error {
	if len(tomledit.Settings(left)) == 0 {
		return nil
	}
	return fmt.Errorf("somebody has added settings of their own to %s, which is hookctl's: move them to another file", path)
}
