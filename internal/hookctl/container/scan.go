package container

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/pod"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// Scan is the result of a scan.
type Scan struct {
	Containers []Container

	sys       system.System
	roots     []string
	unknown   []error // errors about what could not be read
	strangers []stranger
	byID      map[string][]int // indexes into Containers
}

// stranger is a process with the name of an engine's process that is not believed.
type stranger struct {
	process proc.Process
	why     error
}

// denied is an error about one of several processes or directories that this user may not examine.
type denied struct {
	error
	which, others string
}

// Unknown returns an error if there may be more containers than were found. Processes that this user may not examine
// take one line, and directories another.
func (s *Scan) Unknown() error {
	var list []error
	more := map[string]int{}
	for _, err := range s.unknown {
		if d, ok := err.(denied); ok {
			if more[d.others]++; more[d.others] > 1 {
				continue
			}
		}
		list = append(list, err)
	}
	for i, err := range list {
		if d, ok := err.(denied); ok && more[d.others] > 1 {
			list[i] = fmt.Errorf("%s, and %d other %s, cannot be examined: %w", d.which, more[d.others]-1, d.others, report.Plain(unix.EACCES))
		}
	}
	return errors.Join(list...)
}

// Look looks for containers. roots are directories in which runtimes keep their state, in addition to the usual ones.
func Look(sys system.System, roots ...string) *Scan {
	const attempts = 3
	for attempt := 1; ; attempt++ {
		s := &Scan{sys: sys, roots: roots, byID: map[string][]int{}}
		s.look()
		if len(s.unknown) == 0 || attempt == attempts {
			return s
		}
		time.Sleep(50 * time.Millisecond) // a shim writes its files one after the other
	}
}

func (s *Scan) look() {
	list, err := proc.List(s.sys)
	if err != nil {
		s.note(err)
	}
	var shims, dockerds, conmons []proc.Process
	for _, p := range list {
		var of *[]proc.Process
		switch name := p.Name(); {
		case strings.HasPrefix(name, "containerd-shim"):
			of = &shims
		case name == "dockerd":
			of = &dockerds
		case name == "conmon", name == "conmonrs":
			of = &conmons
		default:
			continue
		}
		switch err := p.Trusted(); {
		case err == nil:
			*of = append(*of, p)
		case proc.Gone(err):
		case errors.Is(err, fs.ErrPermission):
			s.note(denied{err, fmt.Sprintf("process %d (%s)", p.PID, p.Name()), "processes"})
		default:
			s.strangers = append(s.strangers, stranger{p, err})
		}
	}
	s.tasks(shims)
	s.docker(dockerds)
	s.pods(conmons)
	for _, dir := range s.stateDirs() {
		s.state(dir)
	}
}

// note records an error, once.
func (s *Scan) note(err error) {
	if !slices.ContainsFunc(s.unknown, func(known error) bool { return known.Error() == err.Error() }) {
		s.unknown = append(s.unknown, err)
	}
}

// list returns the names of the subdirectories of a directory, which may be missing.
func (s *Scan) list(files proc.Files, path string) (names []string) {
	entries, err := files.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		s.note(denied{err, filepath.Join(files.Root, path), "directories"})
	case err != nil && !proc.Gone(err):
		s.note(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// read reads a JSON file into v, and reports whether the file existed and could be read.
func (s *Scan) read(files proc.Files, path string, v any) bool {
	text, err := files.Read(path)
	if proc.Gone(err) {
		return false
	}
	if err == nil {
		var other *json.UnmarshalTypeError
		err = json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), v) // dockerd skips such a mark
		switch {
		case errors.As(err, &other):
			err = fmt.Errorf("%s: %s has the type %s, which no engine writes there", filepath.Join(files.Root, path), cmp.Or(other.Field, "its value"), other.Value)
		case err != nil:
			err = fmt.Errorf("%s: it is not valid JSON", filepath.Join(files.Root, path))
		}
	}
	if err != nil {
		s.note(err)
	}
	return err == nil
}

// add adds a container, or what is new about a container that was already found.
func (s *Scan) add(c Container) *Container {
	for _, i := range s.byID[c.ID] {
		known := &s.Containers[i]
		bothOfPods := ofPods(known.Engine) && ofPods(c.Engine) // CRI-O has two bundles of one container
		if !bothOfPods && (known.Engine != c.Engine || c.Bundle != "" && known.Bundle != "" && !program.LeadsTo(c.Bundle, known.Bundle)) {
			continue
		}
		if known.Engine == conmonEngine { // the storage knows more than a conmon's command line
			known.Engine, known.Name = c.Engine, cmp.Or(c.Name, known.Name)
		}
		if known.Bundle == "" {
			known.Bundle, known.files, known.at = c.Bundle, c.files, c.at
		}
		known.Name, known.Image = cmp.Or(known.Name, c.Name), cmp.Or(known.Image, c.Image)
		known.Running = known.Running || c.Running
		known.Dropped = known.Dropped && c.Dropped // a conmon watches it
		known.Shim = cmp.Or(known.Shim, c.Shim)
		if known.pid == 0 {
			known.pid, known.start = c.pid, c.start
		}
		known.calls = append(known.calls, c.calls...)
		return known
	}
	c.sys = s.sys
	s.byID[c.ID] = append(s.byID[c.ID], len(s.Containers))
	s.Containers = append(s.Containers, c)
	return &s.Containers[len(s.Containers)-1]
}

func (s *Scan) system() proc.Files { return proc.Below(s.sys.Root) }

// taskDirName is the directory, below containerd's state, in which its runtime v2 keeps bundles as NAMESPACE/ID.
const taskDirName = "io.containerd.runtime.v2.task"

// taskDirs are the usual directories of that name.
var taskDirs = []string{
	"/run/containerd/" + taskDirName,               // that of containerd, also if dockerd uses it
	"/run/docker/containerd/daemon/" + taskDirName, // dockerd with a containerd of its own
	"/run/k3s/containerd/" + taskDirName,
}

// tasks scans the directories of containerd's shims. A shim's working directory is the bundle of one of its containers.
// The bundles of its other containers are beside it.
func (s *Scan) tasks(shims []proc.Process) {
	type taskDir struct {
		proc.Files
		path string // a path in files
	}
	var dirs []taskDir
	for _, dir := range taskDirs {
		dirs = append(dirs, taskDir{s.system(), dir})
	}
	watching := map[string]int{} // PIDs of shims by namespace and id
	for _, p := range shims {
		watching[p.Option("-namespace")+"/"+p.Option("-id")] = p.PID
		bundle, err := os.Readlink(filepath.Join(p.Dir, "cwd"))
		if err != nil {
			if !proc.Gone(err) {
				s.note(fmt.Errorf("%s/cwd cannot be examined: %w", p.Dir, report.Plain(err)))
			}
			continue
		}
		files := p.Files()
		if files.Own() { // the link shows the path as hookctl opens it
			if bundle, err = filepath.Rel(s.sys.Root, bundle); err != nil {
				s.note(err)
				continue
			}
			bundle = "/" + bundle
		}
		dirs = append(dirs, taskDir{files, path.Dir(path.Dir(bundle))})
	}
	seen := map[string]bool{}
	for i, dir := range dirs {
		at := filepath.Join(dir.Root, dir.path)
		if seen[at] || slices.ContainsFunc(dirs[:min(i, len(taskDirs))], func(d taskDir) bool { return program.LeadsTo(filepath.Join(d.Root, d.path), at) }) {
			continue
		}
		seen[at] = true
		for _, namespace := range s.list(dir.Files, dir.path) {
			for _, id := range s.list(dir.Files, path.Join(dir.path, namespace)) {
				s.task(dir.Files, path.Join(dir.path, namespace, id), namespace, id, watching[namespace+"/"+id])
			}
		}
	}
}

// task adds a container from its bundle of containerd's. The shim for runc records in the bundle what it calls.
func (s *Scan) task(files proc.Files, at, namespace, id string, shim int) {
	c := Container{ID: id, Engine: engineOf(namespace), Bundle: filepath.Join(files.Root, at), Running: true, Shim: shim, files: files, at: at}
	words, isRunc := s.shimCall(c)
	if isRunc {
		c.calls = []call{{words, files}}
	} else if !c.hasConfig() {
		return // the container has been deleted
	}
	if c.Engine != docker { // Docker keeps the name elsewhere
		var cfg struct{ Annotations map[string]string }
		if text, err := c.files.Read(path.Join(at, "config.json")); err == nil && json.Unmarshal(text, &cfg) == nil {
			c.Name, c.Image = cfg.Annotations["nerdctl/name"], cfg.Annotations["io.kubernetes.cri.image-name"]
			if namespace == pod.ContainerdNamespace { // elsewhere, users write the annotations
				c.Name = cmp.Or(pod.Containerd(cfg.Annotations).String(), c.Name)
			}
		}
	}
	s.add(c)
}

// shimCall returns what the shim of a bundle calls, and reports whether it is the shim for runc. Both files have the
// name; older shims write only the first. If the name is missing, it is runc.
func (s *Scan) shimCall(c Container) (words []string, ok bool) {
	switch text, err := c.files.Read(path.Join(c.at, "runtime")); {
	case err == nil:
		words = append(words, string(text))
	case !proc.Gone(err):
		s.note(err)
	}
	var options struct {
		BinaryName string `json:"binary_name"`
	}
	if s.read(c.files, path.Join(c.at, "options.json"), &options) {
		words = append(words, options.BinaryName)
	}
	for i := range words {
		words[i] = cmp.Or(words[i], "runc")
	}
	return slices.Compact(words), len(words) > 0
}

// dockerd is a Docker daemon.
type dockerd struct {
	proc.Files
	data     string              // its data-root
	runtimes map[string][]string // what it calls, by the names of the registered runtimes
	standard string              // the name of its default runtime
}

// docker scans the containers that each dockerd lists, including stopped ones.
func (s *Scan) docker(processes []proc.Process) {
	var daemons []dockerd
	for _, p := range processes {
		daemons = append(daemons, s.configure(p.Files(), p))
	}
	// The configuration in the usual files, for a dockerd that does not run. A running one knows more about its
	// containers than these files.
	usual := s.configure(s.system(), proc.Process{Args: []string{"dockerd"}})
	if !slices.ContainsFunc(daemons, func(d dockerd) bool { return program.LeadsTo(d.dir(), usual.dir()) }) {
		daemons = append(daemons, usual)
	}
	listed, unread := map[string]bool{}, len(s.unknown)
	for _, d := range daemons {
		for _, id := range s.list(d.Files, path.Join(d.data, "containers")) {
			listed[id] = true
			at := path.Join(d.data, "containers", id)
			var host struct{ Runtime string }
			if !s.read(d.Files, path.Join(at, "hostconfig.json"), &host) {
				continue
			}
			var about struct {
				Name   string
				Config struct{ Image string }
			}
			s.read(d.Files, path.Join(at, "config.v2.json"), &about)
			s.add(Container{ID: id, Engine: docker, Name: strings.TrimPrefix(about.Name, "/"), Image: about.Config.Image,
				calls: []call{{d.call(host.Runtime), d.Files}}})
		}
	}
	if len(processes) == 0 || len(s.unknown) > unread {
		return
	}
	for i := range s.Containers {
		c := &s.Containers[i]
		c.Forgotten = c.Engine == docker && !listed[c.ID]
	}
}

// dir returns the directory of its containers, as this process opens it.
func (d dockerd) dir() string { return filepath.Join(d.Root, d.data, "containers") }

// configure returns the settings of a daemon's options and its configuration file.
func (s *Scan) configure(files proc.Files, p proc.Process) dockerd {
	d := dockerd{Files: files, runtimes: map[string][]string{}}
	p.Letters = true
	for _, value := range p.Options("--add-runtime") {
		if name, path, ok := strings.Cut(value, "="); ok {
			d.runtimes[name] = []string{path}
		}
	}
	var file struct {
		DataRoot string `json:"data-root"`
		Graph    string `json:"graph"` // its old name
		Default  string `json:"default-runtime"`
		Runtimes map[string]struct {
			Path    string   `json:"path"`
			Args    []string `json:"runtimeArgs"`
			Options struct{ BinaryName string }
		} `json:"runtimes"`
	}
	s.read(d.Files, cmp.Or(p.Option("--config-file"), "/etc/docker/daemon.json"), &file)
	d.data = cmp.Or(p.Option("--data-root", "--graph", "-g"), file.DataRoot, file.Graph, "/var/lib/docker")
	d.standard = cmp.Or(p.Option("--default-runtime"), file.Default, "runc")
	for name, r := range file.Runtimes {
		if program := cmp.Or(r.Path, r.Options.BinaryName); program != "" {
			d.runtimes[name] = append([]string{program}, r.Args...)
		}
	}
	return d
}

// call returns what the daemon calls for a runtime. If the runtime is no longer registered, or its entry names no
// program, that is the runtime's name.
func (d dockerd) call(runtime string) []string {
	runtime = cmp.Or(runtime, d.standard)
	if call := d.runtimes[runtime]; call != nil {
		return call
	}
	if runtime == "io.containerd.runc.v2" {
		runtime = "runc"
	}
	return []string{runtime}
}

// pods scans what Podman and CRI-O have: the conmon that watches a container, and the storage, which also has the
// containers that have ended.
func (s *Scan) pods(conmons []proc.Process) {
	storages := []string{s.sys.Path("run/containers/storage"), s.sys.Path("var/lib/containers/storage")} // CRI-O's bundles first
	if os.Geteuid() != 0 {
		if data := os.Getenv("XDG_DATA_HOME"); data != "" {
			storages = append(storages, filepath.Join(data, "containers/storage"))
		} else if home := os.Getenv("HOME"); home != "" {
			storages = append(storages, filepath.Join(home, ".local/share/containers/storage"))
		}
	}
	for _, p := range conmons {
		if p.Name() == "conmonrs" {
			s.conmonrs(p)
		} else if storage := s.conmon(p); storage != "" && !slices.Contains(storages, storage) {
			storages = append(storages, storage)
		}
	}
	for i, storage := range storages {
		if !slices.ContainsFunc(storages[:i], func(before string) bool { return program.LeadsTo(before, storage) }) {
			s.storage(storage)
		}
	}
}

// conmon adds the container of a conmon: `conmon -c ID -n NAME -b BUNDLE -r RUNTIME`. Only the cases below take a
// value, which may look like an option. It returns the storage of the bundle, if that is in the system's file system.
func (s *Scan) conmon(p proc.Process) (storage string) {
	files := p.Files()
	c := Container{Engine: conmonEngine, Running: true, files: files}
	words := make([]string, 1) // the runtime and its arguments
	isExec := false            // set for `podman exec`, which has a bundle of its own
	for i := 1; i < len(p.Args); i++ {
		name, value, joined := strings.Cut(p.Args[i], "=")
		if !joined && i+1 < len(p.Args) {
			value = p.Args[i+1]
		}
		known := true
		switch name {
		case "-c", "--cid":
			c.ID = value
		case "-n", "--name":
			c.Name = value
		case "-b", "--bundle":
			c.at = value
		case "-r", "--runtime":
			words[0] = value
		case "--runtime-arg", "--runtime-opt":
			words = append(words, value)
		case "--exit-command", "--exit-command-arg":
		default:
			known = false
		}
		isExec = isExec || name == "-e" || name == "--exec"
		if known && !joined {
			i++
		}
	}
	switch {
	case words[0] == "" && c.ID == "":
		return "" // `conmon --version`, as Podman calls it
	case words[0] == "":
		s.note(fmt.Errorf("%s cannot be examined: a conmon whose command line does not name its runtime", p.Dir))
		return ""
	}
	c.calls = []call{{words, files}}
	if isExec {
		c.at = ""
	} else {
		c.pid = p.PID
	}
	if c.at != "" {
		c.Bundle = filepath.Join(files.Root, c.at)
		if files.Own() {
			storage = filepath.Dir(filepath.Dir(filepath.Dir(c.Bundle)))
		}
	}
	s.add(c)
	return storage
}

// conmonrs adds a process that watches all containers of a pod of CRI-O's (runtime_type "pod"). It does not name them,
// so that it counts as one container.
func (s *Scan) conmonrs(p proc.Process) {
	files := p.Files()
	s.add(Container{ID: "a pod's", Engine: fmt.Sprintf("cri-o, process %d", p.PID), Running: true,
		calls: []call{{[]string{p.Option("--runtime", "-r")}, files}}})
}

// storage scans a storage of Podman and CRI-O: DRIVER-containers/ID/userdata.
func (s *Scan) storage(storage string) {
	files := proc.Below(storage)
	for _, name := range s.list(files, "/") {
		if !strings.HasSuffix(name, "-containers") {
			continue
		}
		known := s.stored(files, name)
		for _, id := range s.list(files, name) {
			at := path.Join("/", name, id, "userdata")
			entry, indexed := known[id]
			var cfg struct{ Annotations map[string]string }
			if !s.read(files, path.Join(at, "config.json"), &cfg) {
				if entry.image != "" && !entry.ofPod { // Podman writes the file when it starts the container
					s.add(Container{ID: id, Name: entry.name, Image: entry.image, Engine: "podman"})
				}
				continue
			}
			c := Container{ID: id, Name: entry.name, Image: entry.image, Engine: "podman", Bundle: filepath.Join(storage, at), files: files, at: at}
			// The user of a container may choose its annotations. The index has only what the engine writes. CRI-O's
			// bundles in /run are in no index.
			if entry.ofPod || !indexed && isMarkedCRIO(cfg.Annotations) {
				s.ofCRIO(&c, cfg.Annotations)
			}
			s.add(c)
		}
	}
}

const (
	crioType    = "io.kubernetes.cri-o.ContainerType"
	crioHandler = "io.kubernetes.cri-o.RuntimeHandler"
)

func isMarkedCRIO(annotations map[string]string) bool {
	return annotations[crioType] != "" || annotations[crioHandler] != ""
}

// ofCRIO sets what CRI-O records about a container in its annotations.
func (s *Scan) ofCRIO(c *Container, annotations map[string]string) {
	c.Engine = "cri-o"
	c.Name = cmp.Or(pod.CRIO(annotations).String(), c.Name)
	c.Image = cmp.Or(c.Image, annotations["io.kubernetes.cri-o.ImageName"])
	c.Dropped = isDropped(annotations, c.ID)
	// CRI-O records the runtime handler, unless it is the default one. It also calls it to delete a container that has
	// ended, whose conmon is gone.
	if handler := annotations[crioHandler]; handler != "" {
		c.Running = true
		c.calls = []call{{[]string{handler}, s.system()}}
	}
}

// droppedMarks are the annotations by which CRI-O records that it has not started a sandbox's infra container: the name
// before version 1.35, and the name since.
var droppedMarks = []string{"io.kubernetes.cri-o.Spoofed", "spoofed.crio.io"}

// isDropped reports whether CRI-O has not started the container. A mark counts only for sandboxes, since a pod's own
// annotations are also in the config.json of its other containers. A sandbox that a conmon watches was started,
// whatever its annotations say.
func isDropped(annotations map[string]string, id string) bool {
	marked := slices.ContainsFunc(droppedMarks, func(mark string) bool { return annotations[mark] == "true" })
	return marked && hooks.Container{ID: id, Annotations: annotations}.IsSandbox()
}

// stored is a container's entry in a storage's index.
type stored struct {
	name, image string
	ofPod       bool // according to CRI-O; Podman does not set it
}

// stored returns the entries of a storage's index, by the ids of containers.
func (s *Scan) stored(files proc.Files, dir string) map[string]stored {
	known := map[string]stored{}
	for _, file := range []string{"containers.json", "volatile-containers.json"} {
		var index []struct {
			ID       string
			Names    []string
			Metadata string
		}
		if !s.read(files, path.Join("/", dir, file), &index) {
			continue
		}
		for _, c := range index {
			var metadata struct {
				Image string `json:"image-name"`
				Pod   string `json:"pod-id"`
			}
			// Metadata of another form belongs to another engine, such as Buildah.
			_ = json.Unmarshal([]byte(c.Metadata), &metadata)
			known[c.ID] = stored{strings.Join(c.Names[:min(1, len(c.Names))], ""), metadata.Image, metadata.Pod != ""}
		}
	}
	return known
}

// stateDirs returns the directories in which runc and crun keep the state of containers that a person started.
func (s *Scan) stateDirs() []string {
	dirs := []string{s.sys.Path("run/runc"), s.sys.Path("run/crun")}
	if user := os.Getenv("XDG_RUNTIME_DIR"); user != "" && os.Geteuid() != 0 {
		dirs = append(dirs, filepath.Join(user, "runc"), filepath.Join(user, "crun"))
	}
	return append(dirs, s.roots...)
}

// state scans a runtime's directory. ID/state.json of runc names the bundle in a label, ID/status of crun in a member.
// The directory also has the containers that engines started, which are already known.
func (s *Scan) state(dir string) {
	files := proc.Below(dir)
	for _, id := range s.list(files, "/") {
		var runc struct {
			PID     int    `json:"init_process_pid"`
			Start   uint64 `json:"init_process_start"`
			Created time.Time
			Config  struct{ Labels []string }
		}
		if s.read(files, path.Join("/", id, "state.json"), &runc) {
			for _, label := range runc.Config.Labels {
				if bundle, ok := strings.CutPrefix(label, "bundle="); ok {
					s.alone(Container{ID: id, Engine: "runc", pid: runc.PID, start: runc.Start}, bundle, runc.Created)
				}
			}
		}
		var crun struct {
			PID    int
			Start  uint64 `json:"process-start-time"`
			Bundle string
		}
		if s.read(files, path.Join("/", id, "status"), &crun) && crun.Bundle != "" {
			c := Container{ID: id, Engine: "crun", pid: crun.PID, start: crun.Start, files: files, at: path.Join("/", id)} // it keeps a copy
			if !c.hasConfig() {
				c.at = ""
			}
			s.alone(c, crun.Bundle, time.Time{})
		}
	}
}

// alone adds a container of a runtime that a person may have called. created is the time when the container was created;
// zero if it is not recorded.
func (s *Scan) alone(c Container, bundle string, created time.Time) {
	c.Bundle = s.sys.Path(bundle)
	if c.at == "" {
		c.files, c.at = s.system(), bundle
	}
	var config unix.Stat_t
	switch err := unix.Stat(filepath.Join(c.Bundle, "config.json"), &config); {
	case err == nil: // a person may use a bundle for one container after the other
		c.later = !created.IsZero() && time.Unix(config.Ctim.Unix()).After(created)
	case !proc.Gone(err):
		s.note(fmt.Errorf("%s cannot be examined: %w", c.Bundle, report.Plain(err)))
		return
	}
	c.Running = proc.Runs(s.sys, c.pid, c.start)
	if slices.ContainsFunc(s.byID[c.ID], func(i int) bool {
		return s.Containers[i].Bundle == c.Bundle || program.LeadsTo(s.Containers[i].Bundle, c.Bundle)
	}) {
		return
	}
	s.add(c)
}
