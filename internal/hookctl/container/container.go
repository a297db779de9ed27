// Package container finds containers, independent of the engine that started them.
//
// It makes one scan of a system, which Find and Using filter. It knows where engines keep their bundles, what they
// record there about a container and the runtime that they call for it, and which processes watch containers. It
// believes only the processes that rule 31 accepts (package proc). What other processes say is kept apart, and opens no
// file. Two claims about one container are merged.
//
// It asks no engine: it reads only the file system. It does not know what a profile is.
package container

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// Container is a container that the scan found.
type Container struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`  // Docker's, Podman's or nerdctl's; NAMESPACE/POD/CONTAINER or, for a sandbox, NAMESPACE/POD
	Image   string `json:"image,omitempty"` // as its engine names it, if that is recorded
	Engine  string `json:"engine"`          // docker, containerd (with its namespace), podman, cri-o, "podman or cri-o", runc or crun
	Bundle  string `json:"bundle"`          // its path; empty if there is none, as for a stopped container of Docker's
	Running bool   `json:"running"`         // or it has ended, but its engine has yet to call the runtime to delete it

	// Dropped is set for a pod's sandbox whose infra container CRI-O does not start (drop_infra_ctr): no runtime is
	// called for it, though its bundle has a config.json.
	Dropped bool `json:"-"`

	// Shim is the PID of containerd's shim that watches the container, 0 if there is none. Forgotten is set if the
	// running dockerd no longer lists the container.
	Shim      int  `json:"shim,omitempty"`
	Forgotten bool `json:"forgotten,omitempty"`

	calls []call
	files proc.Files // the file system of the bundle
	at    string     // its path there
	later bool       // config.json is younger than the container

	sys   system.System
	pid   int    // a process that runs as long as the container; 0 if it is in the bundle or unknown
	start uint64 // the start time of that process, in the form that proc.Runs takes
}

// call is an engine's call for a container. Its paths are paths in files.
type call struct {
	words []string
	files proc.Files
}

// String returns the title, engine and bundle of a container.
func (c Container) String() string { return fmt.Sprintf("%s (%s, %s)", c.Title(), c.Engine, c.Bundle) }

// IsNamed reports whether name is the container's name, or the last parts of it.
func (c Container) IsNamed(name string) bool { return strings.HasSuffix("/"+c.Name, "/"+name) }

// State returns whether a container runs, and for one of Docker's, that Docker no longer lists it.
func (c Container) State() string {
	state := "stopped"
	if c.Running {
		state = "running"
	}
	if c.Forgotten {
		state += ", no longer listed by Docker"
		if c.Shim != 0 {
			state += fmt.Sprintf(" though its shim is process %d", c.Shim)
		}
	}
	return state
}

// Title returns the name and the id of a container.
func (c Container) Title() string {
	if c.Name == "" || c.Name == c.ID {
		return c.ID
	}
	return c.Name + ", " + c.ID
}

// File opens a file of the bundle.
func (c Container) File(name string) (*os.File, error) {
	if c.at == "" {
		return nil, fmt.Errorf("%s has no bundle", c.Title())
	}
	return c.files.Open(path.Join(c.at, name))
}

// Alive reports whether a process shows that the container runs now, rather than being created or deleted.
func (c Container) Alive() bool {
	pid := c.pid
	if pid == 0 && c.at != "" { // the shim for runc writes the file
		if text, err := c.files.Read(path.Join(c.at, "init.pid")); err == nil {
			pid, _ = strconv.Atoi(string(text)) // 0 if there is none
		}
	}
	return pid > 0 && proc.Runs(c.sys, pid, c.start)
}

func (c Container) hasConfig() bool {
	file, err := c.File("config.json")
	if err == nil {
		_ = file.Close()
	}
	return err == nil
}

// ErrLater is wrapped by an error about a config.json that is not the one with which the container was created.
var ErrLater = errors.New("was changed after the container was created; which hooks that has is not known")

// Config returns a path that opens config.json until done is called.
func (c Container) Config() (path string, done func(), err error) {
	file, err := c.File("config.json")
	if err != nil {
		return "", nil, err
	}
	if c.later {
		return "", nil, fmt.Errorf("%s %w", file.Name(), errors.Join(ErrLater, file.Close()))
	}
	if c.files.Own() {
		return file.Name(), func() {}, file.Close()
	}
	// Links in another file system lead elsewhere if they are followed in this one.
	return fmt.Sprintf("/proc/self/fd/%d", file.Fd()), func() { _ = file.Close() }, nil
}

// Call returns what the engine calls for the container; for a running one, what it called to create it. The paths are
// paths in files. It returns false if the call is unknown, as for a container that a person started.
func (c Container) Call() (words []string, files proc.Files, known bool) {
	if len(c.calls) == 0 {
		return nil, files, false
	}
	return c.calls[0].words, c.calls[0].files, true
}

// HasShim reports whether a shim of containerd's watches the container.
func (c Container) HasShim() bool {
	return c.Engine == docker || strings.HasPrefix(c.Engine, "containerd")
}

// Find returns the container with an id or a name, or else the only one whose id begins with it. roots are directories
// in which runtimes keep their state (runc --root), in addition to the usual ones.
func Find(sys system.System, id string, roots []string) (Container, error) {
	s := Look(sys, roots...)
	var whole, part, begin, ended, bare []Container
	for _, c := range s.Containers {
		if !c.IsNamed(id) && !strings.HasPrefix(c.ID, id) {
			continue
		}
		switch {
		case !c.hasConfig() && !c.Running:
			ended = append(ended, c)
		case !c.hasConfig():
			bare = append(bare, c)
		case c.ID == id, c.Name == id:
			whole = append(whole, c)
		case strings.HasSuffix(c.Name, "/"+id):
			part = append(part, c)
		default:
			begin = append(begin, c)
		}
	}
	for _, found := range [][]Container{whole, part} {
		switch {
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1: // of several engines, or in several namespaces of one
			return Container{}, fmt.Errorf("several containers have the id or name %q; give the bundle with --bundle:%s", id, lines(found))
		}
	}
	switch {
	case len(begin) == 1:
		return begin[0], nil
	case len(begin) > 1:
		return Container{}, fmt.Errorf("%q is the beginning of several ids; give more of it, or the bundle with --bundle:%s", id, lines(begin))
	case len(ended) == 1:
		return Container{}, fmt.Errorf("%s does not run, and %s keeps no config.json for it; start it first", ended[0].Title(), ended[0].Engine)
	case len(bare) == 1:
		return Container{}, fmt.Errorf("%s has no config.json: its bundle is gone, or it is being created or deleted", bare[0])
	case len(s.unknown) > 0:
		return Container{}, fmt.Errorf("no container has the name %q, or an id that begins with it, but not all can be seen; %s", id, Because(s.Unknown()))
	}
	err := fmt.Errorf("no container has the name %q, or an id that begins with it; is it running? If its engine is another, give the bundle with --bundle", id)
	for _, why := range s.Strangers() {
		err = fmt.Errorf("%w\n  %s; its containers are not searched", err, why)
	}
	return Container{}, err
}

// lines lists containers, one per line.
func lines(list []Container) string {
	var b strings.Builder
	for _, c := range list {
		b.WriteString("\n  " + c.String())
	}
	return b.String()
}

// Because returns a remedy and the reasons, to follow a message that not all containers can be seen.
func Because(err error) string { return advice() + ":" + Inset(err) }

// advice returns what to do about containers that cannot be seen.
func advice() string {
	if os.Geteuid() != 0 {
		return "try as root"
	}
	return "correct this"
}

// Inset returns the lines of an error, indented, to follow a message.
func Inset(err error) string { return "\n  " + strings.ReplaceAll(err.Error(), "\n", "\n  ") }

// docker is the name of Docker in Container.Engine.
const docker = "docker"

// engineOf returns the engine that keeps its containers in a namespace of containerd.
func engineOf(namespace string) string {
	if namespace == "moby" {
		return docker
	}
	return "containerd, namespace " + namespace
}

// conmonEngine is the engine of a container about which only its conmon is known.
const conmonEngine = "podman or cri-o"

// ofPods reports whether an engine keeps its containers as Podman does. Two containers of such engines with the same id
// may be the same container.
func ofPods(engine string) bool {
	return slices.Contains([]string{"podman", "cri-o", conmonEngine}, engine)
}
