// Package container finds containers, whichever engine started them: the bundle of one by its id (Find), and those whose
// engine calls a certain program as their runtime (Using).
//
// It knows where engines keep their bundles: in folders of their own, below which each container has one, named after
// its id; and which processes stand in such a folder or name it, so that engines whose folders lie elsewhere are found
// too; and what engines note of the runtime that they call. It asks no engine: what it knows is read from the file
// system alone.
package container

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// System is the root of the file system in which engines' files and /proc are looked for. Tests set it.
var System = "/"

// Container is a container that was found.
type Container struct {
	ID     string `json:"id"`
	Engine string `json:"engine"` // docker, containerd (with its namespace), podman, runc or crun
	Bundle string `json:"bundle"`
}

// String tells which container it is.
func (c Container) String() string { return fmt.Sprintf("%s (%s, %s)", c.ID, c.Engine, c.Bundle) }

// Find gives the container with an id, or else the only one whose id begins so. roots are folders in which runtimes keep
// their state (runc --root), besides the usual ones.
func Find(id string, roots []string) (Container, error) {
	s := &search{id: id, system: System}
	return s.find(roots)
}

// search looks for an id.
type search struct {
	id     string
	system string // the root of the file system; another in tests
	found  []Container
	closed []string // folders that could not be read
}

func (s *search) find(roots []string) (Container, error) {
	for _, dir := range s.taskDirs() {
		s.tasks(dir)
	}
	for _, dir := range s.podmanDirs() {
		s.podman(dir)
	}
	s.conmons()
	for _, dir := range append(s.stateDirs(), roots...) {
		s.state(dir)
	}
	exact := slices.DeleteFunc(slices.Clone(s.found), func(c Container) bool { return c.ID != s.id })
	switch {
	case len(exact) == 1:
		return exact[0], nil
	case len(exact) > 1: // of several engines, or of several namespaces of one
		return Container{}, fmt.Errorf("several containers have the id %q; give the bundle by --bundle:%s", s.id, lines(exact))
	case len(s.found) == 1:
		return s.found[0], nil
	case len(s.found) > 1:
		return Container{}, fmt.Errorf("%q is the beginning of several ids; give more of it, or the bundle by --bundle:%s", s.id, lines(s.found))
	case len(s.closed) > 0:
		return Container{}, fmt.Errorf("no container has an id that begins with %q, as far as this user may see (not %s); try as root",
			s.id, strings.Join(s.closed, ", "))
	}
	return Container{}, fmt.Errorf("no container has an id that begins with %q; is it running? If its engine is another, give the bundle by --bundle", s.id)
}

// lines lists containers, each in a line of its own.
func lines(list []Container) string {
	var b strings.Builder
	for _, c := range list {
		b.WriteString("\n  " + c.String())
	}
	return b.String()
}

// add notes a container, if its id is the one that is looked for and its bundle is one.
func (s *search) add(id, engine, bundle string) {
	if !strings.HasPrefix(id, s.id) {
		return
	}
	if _, err := os.Stat(filepath.Join(bundle, "config.json")); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.closed = append(s.closed, bundle)
		}
		return
	}
	for _, c := range s.found {
		if c.ID == id && same(c.Bundle, bundle) {
			return
		}
	}
	s.found = append(s.found, Container{ID: id, Engine: engine, Bundle: bundle})
}

func same(a, b string) bool {
	stA, errA := os.Stat(a)
	stB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(stA, stB)
}

// list gives the folders in dir.
func (s *search) list(dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.closed = append(s.closed, fmt.Sprintf("%s: %v", dir, report.Plain(err)))
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// taskDirName is the folder below its state in which containerd's runtime v2 keeps bundles, as NAMESPACE/ID.
const taskDirName = "io.containerd.runtime.v2.task"

// usualTaskDirs gives the usual folders of that name.
func usualTaskDirs(system string) (dirs []string) {
	for _, state := range []string{
		"run/containerd",               // containerd's own, and dockerd's that uses it
		"run/docker/containerd/daemon", // dockerd with a containerd of its own
		"run/k3s/containerd",
	} {
		dirs = append(dirs, filepath.Join(system, state, taskDirName))
	}
	return dirs
}

// taskDirs gives the usual folders, and those of shims that run: a shim stands in a container's bundle.
func (s *search) taskDirs() []string {
	dirs := usualTaskDirs(s.system)
	for _, p := range s.processes() {
		if !p.isShim() {
			continue
		}
		if bundle, err := os.Readlink(filepath.Join(p.dir, "cwd")); err == nil {
			if dir := filepath.Dir(filepath.Dir(bundle)); !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

func (s *search) tasks(dir string) {
	for _, namespace := range s.list(dir) {
		for _, id := range s.list(filepath.Join(dir, namespace)) {
			s.add(id, engineOf(namespace), filepath.Join(dir, namespace, id))
		}
	}
}

// docker is what Docker is called here.
const docker = "docker"

// engineOf says which engine's containers are in a namespace of containerd.
func engineOf(namespace string) string {
	if namespace == "moby" {
		return docker
	}
	return "containerd, namespace " + namespace
}

// podmanDirs gives the folders in which Podman keeps its storage, root's and this user's.
func (s *search) podmanDirs() []string {
	dirs := []string{filepath.Join(s.system, "var/lib/containers/storage")}
	if data := os.Getenv("XDG_DATA_HOME"); data != "" {
		dirs = append(dirs, filepath.Join(data, "containers/storage"))
	} else if home := os.Getenv("HOME"); home != "" {
		dirs = append(dirs, filepath.Join(home, ".local/share/containers/storage"))
	}
	return dirs
}

// podman looks through a storage: DRIVER-containers/ID/userdata.
func (s *search) podman(storage string) {
	for _, name := range s.list(storage) {
		if !strings.HasSuffix(name, "-containers") {
			continue
		}
		for _, id := range s.list(filepath.Join(storage, name)) {
			s.add(id, "podman", filepath.Join(storage, name, id, "userdata"))
		}
	}
}

// conmonEngine is what is known of the engine of a container that a conmon watches.
const conmonEngine = "podman or cri-o"

// conmons looks at the processes by which Podman and CRI-O watch containers: `conmon -c ID -b BUNDLE`.
func (s *search) conmons() {
	for _, p := range s.processes() {
		if filepath.Base(p.argv[0]) != "conmon" {
			continue
		}
		var id, bundle string
		for i, arg := range p.argv[:len(p.argv)-1] {
			switch arg {
			case "-c", "--cid":
				id = p.argv[i+1]
			case "-b", "--bundle":
				bundle = p.argv[i+1]
			}
		}
		if id != "" && bundle != "" {
			s.add(id, conmonEngine, bundle)
		}
	}
}

// stateDirs gives the folders in which runc and crun keep the state of containers that a person started.
func (s *search) stateDirs() []string {
	dirs := []string{filepath.Join(s.system, "run/runc"), filepath.Join(s.system, "run/crun")}
	if user := os.Getenv("XDG_RUNTIME_DIR"); user != "" {
		dirs = append(dirs, filepath.Join(user, "runc"), filepath.Join(user, "crun"))
	}
	return dirs
}

// state looks through a runtime's folder: ID/state.json of runc names the bundle in a label, ID/status of crun in a
// member.
func (s *search) state(dir string) {
	for _, id := range s.list(dir) {
		if file, err := jsonfile.Read(filepath.Join(dir, id, "state.json")); err == nil {
			var state struct{ Config struct{ Labels []string } }
			if json.Unmarshal(file.Data, &state) != nil {
				continue
			}
			for _, label := range state.Config.Labels {
				if bundle, ok := strings.CutPrefix(label, "bundle="); ok {
					s.add(id, "runc", bundle)
				}
			}
		}
		if file, err := jsonfile.Read(filepath.Join(dir, id, "status")); err == nil {
			var status struct{ Bundle string }
			if json.Unmarshal(file.Data, &status) == nil && status.Bundle != "" {
				s.add(id, "crun", status.Bundle)
			}
		}
	}
}

// process is a process that runs.
type process struct {
	dir  string // its folder in /proc
	argv []string
}

// isShim says whether it calls itself a shim of containerd's.
func (p process) isShim() bool { return strings.HasPrefix(filepath.Base(p.argv[0]), "containerd-shim") }

// readProcess reads the process whose folder in /proc is dir. Without argv it is one of the kernel's, or a zombie.
func readProcess(dir string) (process, error) {
	file, err := jsonfile.Read(filepath.Join(dir, "cmdline"))
	if err != nil || len(file.Data) == 0 {
		return process{}, err
	}
	p := process{dir: dir}
	for arg := range bytes.SplitSeq(bytes.TrimSuffix(file.Data, []byte{0}), []byte{0}) {
		p.argv = append(p.argv, string(arg))
	}
	return p, nil
}

// processDirs gives the folders of processes in /proc.
func processDirs(system string) []string {
	dirs, _ := filepath.Glob(filepath.Join(system, "proc/[0-9]*")) // fails on a bad pattern alone
	return dirs
}

// processes lists the processes that are root's or this user's: what others call themselves, and where they stand, is not
// to be believed.
func (s *search) processes() (list []process) {
	for _, dir := range processDirs(s.system) {
		if p, err := readProcess(dir); err == nil && p.argv != nil && trusted(dir) {
			list = append(list, p)
		}
	}
	return list
}

// trusted says whether all user ids of the process whose folder in /proc is dir are root's or this user's. Who owns the
// folder does not tell: one may start a set-user-ID program under any name.
func trusted(dir string) bool {
	status, err := jsonfile.Read(filepath.Join(dir, "status"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status.Data)) {
		if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
			return !slices.ContainsFunc(strings.Fields(ids), func(id string) bool {
				return id != "0" && id != strconv.Itoa(os.Geteuid())
			})
		}
	}
	return false
}
