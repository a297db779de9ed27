// Package engine defines what hookctl needs of an engine: how a runtime is registered with it, how that is undone, how
// the engine itself reads its configuration, and how it is made to read it again.
//
// It knows no engine: each is a directory below, and a row in the table of package engines. A runtime is a name and the
// path of a link. The package knows nothing of hooks, nor of what hookctl records.
package engine

import (
	"cmp"
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

// Engine is an engine that calls low-level runtimes.
type Engine interface {
	// Name returns its name on hookctl's command line.
	Name() string

	// Config returns the path of its main configuration file.
	Config() string

	// Program returns the name of its program, or of its daemon's.
	Program() string

	// Plan returns the files that register r, in the order in which they have to be written: a file precedes those that
	// refer to it. read returns a file's text without r; nil if there is no such file.
	Plan(ctx context.Context, r Runtime, read func(path string) ([]byte, error)) ([]change.File, error)

	// Block returns the text that a person adds to the engine's configuration to register r where hookctl cannot.
	Block(ctx context.Context, r Runtime) (string, error)

	// Advice returns advice for the user who registers r; empty if there is none.
	Advice(r Runtime) string

	// Without removes what an installation added from the text of a file that was edited since, and returns the rest.
	// The result is nil if the installation made the file and nothing is left in it.
	Without(path string, text []byte, was Installed) ([]byte, error)

	// View returns the configuration as the engine reads it; an error if the engine refuses it.
	View(ctx context.Context) (*View, error)

	// Registered returns the runtimes in the engine's effective configuration.
	Registered(ctx context.Context) (*Registered, error)

	// Daemon returns its daemon; nil if it has none.
	Daemon() *Daemon

	// Known returns the runtimes that the running daemon itself reports: names, paths, and which one is the default.
	Known(ctx context.Context) (*Registered, error)

	// Reload returns how the engine is made to read a change to files.
	Reload(files []change.File) Reload

	// Reach returns how a container is run with a runtime; an error if hookctl cannot do that with this engine.
	Reach(ctx context.Context, runtime string) (*Reach, error)
}

// Runtime is a runtime to register with an engine.
type Runtime struct {
	Name           string   // by which users of the engine select it: the profile's
	Link           string   // the path of the profile's link
	Default        bool     // whether it is also for containers that ask for no runtime
	PodAnnotations []string // globs of the annotations that containerd's CRI passes to a container
	Others         []string // the names of hookctl's other installations in the same configuration
}

// Installed is the change that an installation made.
type Installed struct {
	Name, Link string
	Record     string              // the path of hookctl's record of it
	Files      []string            // in the order in which they were written
	Before     func(string) []byte // returns a file's text before the installation; nil if there was no such file
	Others     []string            // the names of hookctl's other installations in the same configuration
}

// Reload is the way in which an engine reads a change.
type Reload struct {
	Command string                      // for a person to run; empty if nothing needs to be done
	Effect  string                      // the effect on running containers; without a Command, when the engine reads it
	Do      func(context.Context) error // does the same as Command; nil if Refused
	Refused error                       // why Do must not be called on this system; or nil
}

// Reach is the way to run a container: through a client, or through the CRI.
type Reach struct {
	Client *Client
	CRI    *CRI
}

// Client is a command such as docker.
type Client struct {
	Command string
	Global  []string // options that precede a command
	Run     []string // options of `run`
	NoHooks string   // the option, before a command, for a directory from which the client itself reads hooks; or empty
}

// CRI is Kubernetes' interface to a containerd, and the settings for its pods.
type CRI struct {
	Version      int64  // of its configuration; 3 and later are containerd 2
	Socket       string // a path
	SandboxImage string
	Snapshotter  string
	Systemd      bool // whether the handler makes cgroups through systemd
}

// Registered holds the runtimes in an engine's effective configuration.
type Registered struct {
	Entries []Entry // sorted by name
	Faults  []Fault // those that concern no single entry
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

// Sort sorts the entries by name.
func (r *Registered) Sort() {
	slices.SortFunc(r.Entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
}

// Entry is a runtime that an engine knows.
type Entry struct {
	Name           string
	Path           string   // what the engine calls: a path, or a name that it looks up
	Args           []string // the arguments that precede the engine's own
	Default        bool     // whether it is for containers that ask for no runtime
	PodAnnotations []string // globs of the annotations that reach a container; nil if all do
	Features       []string // the features below that the engine knows the runtime to have (Known)
	Faults         []Fault
}

// The features of a runtime that an engine asks for, and does not use if the runtime lacks them.
const (
	RecursiveReadOnly = "recursive read-only mounts"
	UserNamespaces    = "user namespaces"
)

// Fault is a reason why an engine does not do what its configuration seems to say.
type Fault struct {
	Fatal   bool // containers do not start, or start without hooks
	Problem string
	Remedy  string
}

// RuncV2 is the type of containerd's shim that calls a runtime as it calls runc; RuncV1 is an older one.
const (
	RuncV2 = "io.containerd.runc.v2"
	RuncV1 = "io.containerd.runc.v1"
)

// OfType records a fault for a containerd shim that does not call a runtime as it calls runc.
func (e *Entry) OfType(kind string) {
	switch kind {
	case RuncV2:
	case RuncV1:
		e.Faults = append(e.Faults, Fault{
			Problem: "the type " + RuncV1 + " no longer exists since containerd 2.0",
			Remedy:  "write " + RuncV2})
	default:
		e.Faults = append(e.Faults, Fault{Fatal: true,
			Problem: fmt.Sprintf("the type is %q, whose shim ignores BinaryName", kind),
			Remedy:  "write " + RuncV2})
	}
}

// Version returns the version line of an engine's program: the running daemon's, or the installed one's.
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

// ErrNoAnnotations is the error of an engine without globs for annotations if it gets some.
var ErrNoAnnotations = errors.New("--pod-annotation is only for containerd: this engine lets a container's annotations through")

// BuiltIn are the built-in runtimes of CRI-O and Podman. A profile with such a name would replace the runtime for
// everyone.
var BuiltIn = []string{"crun", "crun-vm", "crun-wasm", "kata", "krun", "ocijail", "runc", "runj", "runsc", "youki"}

// Reserved returns the error for a profile with the name of a built-in runtime.
func Reserved(e Engine, name string) error {
	return fmt.Errorf("%s has a built-in runtime %s, which would be replaced for all that use it: choose another name for the profile", e.Name(), name)
}

// ForRuntimeClass returns a warning if no pod can select a runtime of that name; else "".
func ForRuntimeClass(name string) string {
	if label.MatchString(name) {
		return ""
	}
	return fmt.Sprintf("no pod can choose %s: the handler of a RuntimeClass is a DNS label (a-z, 0-9 and -, at most 63 characters); give the profile such a name, unless it is only for the default runtime", name)
}

var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Unremembered returns the error for a file with a name of hookctl's of which hookctl has no record.
func Unremembered(path string) error {
	return fmt.Errorf("%s exists, but hookctl has no record of it; move it away and retry", path)
}

// OwnFile returns the name, without extension, of a file that is hookctl's own.
func OwnFile(name string) string { return "50-oci-add-hooks-" + name }

// Manual is an error about a configuration that a person has to change, because hookctl cannot.
type Manual struct {
	Problem string
	Engine  string
	Profile string // empty if unknown
	Way     string // what to do with the text that hookctl prints
}

func (e Manual) Error() string {
	return fmt.Sprintf("%s; `hookctl install %s --profile %s --print` prints what to add: %s", e.Problem, e.Engine, cmp.Or(e.Profile, "NAME"), e.Way)
}

// ForProfile returns err; a Manual then names the profile.
func ForProfile(err error, profile string) error {
	var manual Manual
	if errors.As(err, &manual) {
		manual.Profile = profile
		return manual
	}
	return err
}

// Generated returns the comment that names hookctl as the author of a text, which registers profiles.
func Generated(e Engine, profiles ...string) string {
	var commands []string
	for _, name := range profiles {
		commands = append(commands, fmt.Sprintf("hookctl uninstall %s --profile %s", e.Name(), name))
	}
	return "# Written by hookctl. To remove it: " + strings.Join(commands, "; ") + "\n"
}

// OthersSettings returns an error if the rest of a file of hookctl's own has any settings.
func OthersSettings(path string, left tomledit.Table) error {
	if len(tomledit.Settings(left)) == 0 {
		return nil
	}
	return fmt.Errorf("somebody has added settings of their own to %s, which is hookctl's: move them to another file", path)
}
