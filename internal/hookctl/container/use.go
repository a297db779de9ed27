package container

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// Use is a container whose engine calls a certain program as its runtime.
type Use struct {
	Container        // the bundle's path is empty if there is none, as for a container that does not run
	By        string `json:"by"`              // what the engine calls: a path, or a name that it looks up
	Calls     string `json:"calls,omitempty"` // what was looked for, if that is in a script or an argument of By
	Running   bool   `json:"running"`         // or has ended, and its engine has yet to call the runtime to delete it; else it could be started again
}

// String tells which container it is, and what of.
func (u Use) String() string {
	state := "stopped"
	if u.Running {
		state = "running"
	}
	return fmt.Sprintf("%s (%s, %s, by %s)", u.ID, u.Engine, state, u.Call())
}

// Call tells what the engine calls.
func (u Use) Call() string {
	if u.Calls == "" {
		return u.By
	}
	return u.By + ", which calls " + u.Calls
}

// Using gives the containers whose engine uses what matches says: it is asked about each path and name that there is in the
// engine's call of the runtime, or in a script that it calls. The containers are
//
//   - those of containerd's shim for runc (Docker, ctr, nerdctl, Kubernetes) that run, or have not been deleted since;
//   - Docker's that are stopped, as far as daemon.json, or the options of a dockerd that runs, say what their runtime is;
//     one that is registered nowhere is taken for a program of that name;
//   - those that a conmon watches (Podman, CRI-O), every user's;
//   - those that CRI-O notes a runtime handler for, which is taken for a program of that name.
//
// Unlike for Find, processes of any user count: one that only pretends to be an engine's can at worst have a user found
// where there is none. An error means that there may be more than were found.
func Using(matches func(word string) bool) ([]Use, error) {
	const attempts = 3
	for attempt := 1; ; attempt++ {
		s := &uses{matches: matches, system: System, running: map[string]bool{}}
		s.search()
		if len(s.unknown) == 0 || attempt == attempts {
			return s.found, errors.Join(s.unknown...)
		}
		time.Sleep(50 * time.Millisecond) // shims write their files bit by bit
	}
}

// uses looks for uses.
type uses struct {
	matches func(string) bool
	system  string
	running map[string]bool // by id: whatever they use
	found   []Use
	unknown []error // what could not be read
}

func (s *uses) search() {
	// Whoever may not see the first process may not see others', and there is none where /proc is not mounted.
	if _, err := os.Stat(filepath.Join(s.system, "proc/1")); err != nil {
		s.fail("the processes of others", err)
	}
	var shims, dockerds []process
	for _, dir := range processDirs(s.system) {
		p, err := readProcess(dir)
		if gone(err) || err == nil && p.argv == nil {
			continue
		}
		if err != nil {
			s.note(err)
			continue
		}
		switch name := filepath.Base(p.argv[0]); {
		case p.isShim():
			shims = append(shims, p)
		case name == "dockerd":
			dockerds = append(dockerds, p)
		case name == "conmon":
			s.conmon(p)
		case name == "conmonrs":
			s.conmonrs(p)
		}
	}
	s.tasks(shims)
	s.stoppedDocker(dockerds)
	s.crio()
}

// gone says whether an error means that something was not there, or ended while it was looked at.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }

// note notes an error, once.
func (s *uses) note(err error) {
	if !slices.ContainsFunc(s.unknown, func(known error) bool { return known.Error() == err.Error() }) {
		s.unknown = append(s.unknown, err)
	}
}

// fail notes what could not be examined.
func (s *uses) fail(what string, err error) {
	s.note(fmt.Errorf("%s cannot be examined: %w", what, report.Plain(err)))
}

// list gives the names in a folder, which may be missing.
func (s *uses) list(dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	if err != nil && !gone(err) {
		s.fail(dir, err)
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// read reads a JSON file into v, and says whether it was there and could be read.
func (s *uses) read(path string, v any) bool {
	file, err := jsonfile.Read(path)
	if gone(err) {
		return false
	}
	if err == nil {
		if err = json.Unmarshal(file.Data, v); err != nil {
			err = &jsonfile.Error{Path: path, Problem: err.Error()}
		}
	}
	if err != nil {
		s.note(err)
	}
	return err == nil
}

// add notes a container, if what its engine calls is, names or is a script that names what is looked for. The paths in
// call are those of the file system whose root is at root.
func (s *uses) add(c Container, running bool, root string, call []string) {
	if len(call) == 0 || slices.ContainsFunc(s.found, func(u Use) bool { return u.ID == c.ID && u.Engine == c.Engine }) {
		return
	}
	use := Use{Container: c, By: call[0], Running: running}
	for _, word := range s.words(root, call) {
		if s.matches(word) {
			if word != use.By {
				use.Calls = word
			}
			s.found = append(s.found, use)
			return
		}
	}
}

// words gives the paths and names that there are in a call, in the scripts that it calls, and in those that they call.
func (s *uses) words(root string, call []string) (words []string) {
	for _, arg := range call {
		words = append(words, arg)
		if _, value, ok := strings.Cut(arg, "="); ok {
			words = append(words, value)
		}
	}
	next := words
	for range 2 { // dockerd's for a runtime with arguments, and one by a person that this calls
		var found []string
		for _, word := range next {
			text, err := readScript(root, word)
			if err != nil {
				s.note(err)
			}
			found = append(found, strings.FieldsFunc(text, betweenWords)...)
		}
		words, next = append(words, found...), found
	}
	return words
}

// betweenWords says whether a character of a script stands between words. One in which a path holds such a character is
// not understood.
func betweenWords(r rune) bool { return strings.ContainsRune(" \t\n\"'`=;&|()<>{}", r) }

// maxScript is the size in bytes of the longest script that is looked through.
const maxScript = 64 << 10

// readScript reads the file at path, below root, if it is a script.
func readScript(root, path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", nil
	}
	path = filepath.Join(root, path)
	unreadable := func(err error) error {
		if err == nil || gone(err) || errors.Is(err, unix.ENOTDIR) {
			return nil
		}
		return fmt.Errorf("%s cannot be read: %w", path, report.Plain(err))
	}
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return "", unreadable(err)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", unreadable(err)
	}
	defer file.Close()
	text := make([]byte, maxScript+1)
	n, err := io.ReadFull(file, text[:2])
	if err == nil && string(text[:2]) != "#!" {
		return "", nil
	}
	if err == nil {
		n, err = io.ReadFull(file, text)
	}
	switch {
	case err == nil:
		return "", fmt.Errorf("%s is longer than the scripts that are looked through (%d KiB)", path, maxScript>>10)
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return "", unreadable(err)
	}
	return string(text[:n]), nil
}

// tasks looks through the folders of containerd's shims: NAMESPACE/ID. A shim stands in the bundle of a container of its own;
// others that it watches have theirs beside that. It may have another file system than hookctl (rootless Docker).
func (s *uses) tasks(shims []process) {
	type taskDir struct{ open, shown, root string }
	var dirs []taskDir
	for _, dir := range usualTaskDirs(s.system) {
		dirs = append(dirs, taskDir{dir, dir, s.system})
	}
	for _, p := range shims {
		bundle, err := os.Readlink(filepath.Join(p.dir, "cwd"))
		if err != nil {
			if !gone(err) {
				s.fail(p.dir+"/cwd", err)
			}
			continue
		}
		dirs = append(dirs, taskDir{p.dir + "/cwd/../..", filepath.Dir(filepath.Dir(bundle)), p.dir + "/root"})
	}
	for i, dir := range dirs {
		if slices.ContainsFunc(dirs[:i], func(before taskDir) bool { return same(before.open, dir.open) }) {
			continue
		}
		for _, namespace := range s.list(dir.open) {
			for _, id := range s.list(dir.open + "/" + namespace) {
				at := dir.open + "/" + namespace + "/" + id
				if call, ok := s.shimCall(at); ok {
					s.running[id] = true
					s.add(Container{id, engineOf(namespace), filepath.Join(dir.shown, namespace, id)}, true, dir.root, call)
				}
			}
		}
	}
}

// shimCall gives what the shim of a bundle calls, and whether it is the one for runc, which writes that into the bundle:
// the name is in both files, and older shims write the first alone. Without a name it is runc.
func (s *uses) shimCall(bundle string) (call []string, ok bool) {
	switch file, err := jsonfile.Read(bundle + "/runtime"); {
	case err == nil:
		call = append(call, string(file.Data))
	case !gone(err):
		s.note(err)
	}
	var options struct {
		BinaryName string `json:"binary_name"`
	}
	if s.read(bundle+"/options.json", &options) {
		call = append(call, options.BinaryName)
	}
	for i := range call {
		call[i] = cmp.Or(call[i], "runc")
	}
	return slices.Compact(call), len(call) > 0
}

// conmon looks at a process that watches a container of Podman's or CRI-O's. Options that take a value, which might look
// like an option, are those that are used for more than a container's id, bundle and runtime.
func (s *uses) conmon(p process) {
	c := Container{Engine: conmonEngine}
	call := make([]string, 1) // and the arguments that it gives the runtime
	for i := 1; i < len(p.argv); i++ {
		name, value, joined := strings.Cut(p.argv[i], "=")
		if !joined && i+1 < len(p.argv) {
			value = p.argv[i+1]
		}
		known := true
		switch name {
		case "-c", "--cid":
			c.ID = value
		case "-b", "--bundle":
			c.Bundle = value
		case "-r", "--runtime":
			call[0] = value
		case "--runtime-arg", "--runtime-opt":
			call = append(call, value)
		case "--exit-command", "--exit-command-arg":
		default:
			known = false
		}
		if known && !joined {
			i++
		}
	}
	if call[0] == "" && c.ID == "" {
		return // `conmon --version`, which Podman calls
	}
	if call[0] == "" {
		s.fail(p.dir, errors.New("a conmon whose command line does not tell its runtime"))
		return
	}
	s.running[c.ID] = true
	s.add(c, true, p.dir+"/root", call)
}

// conmonrs looks at a process that watches all containers of a pod of CRI-O's (runtime_type "pod"), and does not tell which.
func (s *uses) conmonrs(p process) {
	for i, arg := range p.argv {
		name, value, joined := strings.Cut(arg, "=")
		if name != "--runtime" && name != "-r" {
			continue
		}
		if !joined && i+1 < len(p.argv) {
			value = p.argv[i+1]
		}
		s.add(Container{ID: "a pod's", Engine: "cri-o, process " + filepath.Base(p.dir)}, true, p.dir+"/root", []string{value})
	}
}

// stoppedDocker looks through the containers that Docker could start again.
func (s *uses) stoppedDocker(dockerds []process) {
	daemons := []dockerd{}
	for _, p := range dockerds {
		daemons = append(daemons, dockerd{root: p.dir + "/root", argv: p.argv[1:]})
	}
	daemons = append(daemons, dockerd{root: s.system}) // as it would be by its usual files, if it does not run
	for i := range daemons {
		d := &daemons[i]
		s.configure(d)
		if slices.ContainsFunc(daemons[:i], func(before dockerd) bool { return same(before.data, d.data) }) {
			continue
		}
		for _, id := range s.list(filepath.Join(d.data, "containers")) {
			var host struct{ Runtime string }
			if s.read(filepath.Join(d.data, "containers", id, "hostconfig.json"), &host) {
				s.add(Container{ID: id, Engine: docker}, s.running[id], d.root, d.call(host.Runtime))
			}
		}
	}
}

// dockerd is a daemon of Docker's.
type dockerd struct {
	root     string              // of its file system
	argv     []string            // its options
	data     string              // its data-root, with root
	runtimes map[string][]string // what it calls, by the name that the runtime is registered by
}

// configure takes what the daemon's options and its configuration file say.
func (s *uses) configure(d *dockerd) {
	d.runtimes = map[string][]string{}
	config, data := "/etc/docker/daemon.json", ""
	for i, arg := range d.argv {
		name, value, joined := strings.Cut(arg, "=")
		if !joined && i+1 < len(d.argv) {
			value = d.argv[i+1]
		}
		switch name {
		case "--config-file":
			config = value
		case "--data-root", "--graph", "-g":
			data = value
		case "--add-runtime":
			if name, path, ok := strings.Cut(value, "="); ok {
				d.runtimes[name] = []string{path}
			}
		}
	}
	var file struct {
		DataRoot string `json:"data-root"`
		Graph    string `json:"graph"` // its old name
		Runtimes map[string]struct {
			Path    string   `json:"path"`
			Args    []string `json:"runtimeArgs"`
			Options struct{ BinaryName string }
		} `json:"runtimes"`
	}
	s.read(filepath.Join(d.root, config), &file)
	d.data = filepath.Join(d.root, cmp.Or(data, file.DataRoot, file.Graph, "/var/lib/docker"))
	for name, r := range file.Runtimes {
		if program := cmp.Or(r.Path, r.Options.BinaryName); program != "" {
			d.runtimes[name] = append([]string{program}, r.Args...)
		}
	}
}

// call gives what the daemon calls for a runtime. One that is not registered any more, or whose entry names no program, is
// called by its name.
func (d *dockerd) call(runtime string) []string {
	if call := d.runtimes[runtime]; call != nil {
		return call
	}
	if runtime == "" || runtime == "io.containerd.runc.v2" {
		runtime = "runc"
	}
	return []string{runtime}
}

// crio looks through the containers of root's storage for what CRI-O notes: the name of the runtime handler, unless it is
// the default one. It calls it to delete a container that has ended, too, whose conmon is gone.
func (s *uses) crio() {
	storage := filepath.Join(s.system, "var/lib/containers/storage")
	for _, name := range s.list(storage) {
		if !strings.HasSuffix(name, "-containers") {
			continue
		}
		for _, id := range s.list(filepath.Join(storage, name)) {
			bundle := filepath.Join(storage, name, id, "userdata")
			var config struct{ Annotations map[string]string }
			if !s.read(filepath.Join(bundle, "config.json"), &config) {
				continue
			}
			handler := config.Annotations["io.kubernetes.cri-o.RuntimeHandler"]
			if handler == "" || slices.ContainsFunc(s.found, func(u Use) bool { return u.ID == id && u.Engine == conmonEngine }) {
				continue
			}
			s.add(Container{id, "cri-o", bundle}, true, s.system, []string{handler})
		}
	}
}
