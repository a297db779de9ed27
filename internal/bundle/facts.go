package bundle

import (
	"path"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// factReader reads the facts that conditions need.
type factReader struct {
	hooks.Container
	binds       []mount
	cgroupsPath string
}

// mount is a bind mount.
type mount struct{ source, destination string }

// read reads the value of the member name of config.json, if conditions need it. A null counts as an absent member, as
// it does for runtimes.
func (facts *factReader) read(r *jsonfile.Reader, name string) error {
	if r.Kind() == 'n' {
		return nil
	}
	switch name {
	case "annotations":
		facts.Annotations = map[string]string{}
		return r.Object(func(key string) (err error) {
			facts.Annotations[key], err = r.String()
			return err
		})
	case "process":
		facts.HasProcess = true
		return r.Object(func(name string) (err error) {
			if name == "args" && r.Kind() != 'n' {
				facts.Args, err = r.Strings()
			}
			return err
		})
	case "linux":
		return r.Object(func(name string) (err error) {
			if name == "cgroupsPath" && r.Kind() != 'n' {
				facts.cgroupsPath, err = r.String()
			}
			return err
		})
	case "mounts":
		facts.binds = nil
		return r.Array(func() error {
			m, bind, err := readMount(r)
			if bind {
				facts.binds = append(facts.binds, m)
			}
			return err
		})
	}
	return nil
}

// readMount reads a mount, and reports whether it is a bind mount.
func readMount(r *jsonfile.Reader) (m mount, bind bool, err error) {
	err = r.Object(func(name string) (err error) {
		if r.Kind() == 'n' {
			return nil
		}
		switch name {
		case "destination":
			m.destination, err = r.String()
		case "source":
			m.source, err = r.String()
		case "type":
			var kind string
			kind, err = r.String()
			bind = bind || kind == "bind"
		case "options":
			var options []string
			options, err = r.Strings()
			bind = bind || slices.Contains(options, "bind") || slices.Contains(options, "rbind")
		}
		return err
	})
	return m, bind, err
}

// container returns the facts about a container, after all of config.json has been read.
func (facts *factReader) container() hooks.Container {
	c := facts.Container
	own := facts.engineDirs()
	for _, m := range facts.binds {
		if m.destination != "" && !isEngines(m, own) {
			c.BindMounts = append(c.BindMounts, m.destination)
		}
	}
	return c
}

// engineFiles are destinations at which engines bind-mount files of their own; below them, if one ends in a slash.
// Users may mount there too. A mount is the engine's if its source is in the engine's directory for the container or
// its pod, which has an id as its name. A user cannot know that id in advance. In doubt, a mount counts as the user's,
// so that a hook is added rather than left out. So hasBindMounts approximates what Podman and CRI-O know.
var engineFiles = []string{
	"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/passwd", "/etc/group", "/dev/shm", "/dev/termination-log",
	"/run/.containerenv", "/run/secrets", "/var/run/secrets/kubernetes.io/",
}

// engineInits are the destinations of the init program that engines add, and the names of that program. (A map would be
// built at every start.)
var engineInits = []struct {
	destination string
	programs    []string
}{
	{"/sbin/docker-init", []string{"docker-init", "tini"}},
	{"/run/podman-init", []string{"catatonit", "tini", "dumb-init"}},
}

// podIDs are the annotations in which containerd and CRI-O record the id of the pod's sandbox and of the pod.
var podIDs = []string{
	"io.kubernetes.cri.sandbox-id", "io.kubernetes.cri.sandbox-uid",
	"io.kubernetes.cri-o.SandboxID", "io.kubernetes.pod.uid",
}

// engineDirs returns directories of the engine, each with a slash at its end. It recognizes them by the names of the
// directories that engines mount files from: one that is named after the container is among the directories of the
// engine's other containers, and one that is named after the pod is the pod's own.
func (facts *factReader) engineDirs() (dirs []string) {
	for _, m := range facts.binds {
		if !isAmong(m.destination, engineFiles) {
			continue
		}
		for dir := path.Clean(m.source); len(dir) > 1; dir = path.Dir(dir) {
			switch name := path.Base(dir); {
			case name == facts.ID, name == idOfCgroup(facts.cgroupsPath):
				dirs = append(dirs, path.Dir(dir)+"/")
			case facts.isPod(name):
				dirs = append(dirs, dir+"/")
			}
		}
	}
	return dirs
}

// isPod reports whether name is the id of the container's pod or of its sandbox. Users write annotations too, so a value
// counts only if it is as long as an id, and no ordinary name.
func (facts *factReader) isPod(name string) bool {
	return len(name) >= 32 && strings.Trim(name, "0123456789abcdef-") == "" &&
		slices.ContainsFunc(podIDs, func(annotation string) bool { return facts.Annotations[annotation] == name })
}

// idOfCgroup returns the container's id, 64 hexadecimal digits, that an engine puts at the end of the cgroup's path. It
// returns "" if there is none.
func idOfCgroup(cgroupsPath string) string {
	id := strings.TrimSuffix(cgroupsPath, ".scope")
	id = id[strings.LastIndexAny(id, "/:-")+1:]
	if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return ""
	}
	return id
}

// isEngines reports whether a bind mount is the engine's own and not the user's.
func isEngines(m mount, engineDirs []string) bool {
	source := path.Clean(m.source)
	switch {
	case isAmong(m.destination, engineFiles):
		return slices.ContainsFunc(engineDirs, func(dir string) bool { return strings.HasPrefix(source, dir) })
	case isAmong(m.destination, []string{"/sys/"}):
		return source == path.Clean(m.destination)
	}
	for _, init := range engineInits {
		if m.destination == init.destination {
			return slices.Contains(init.programs, path.Base(source))
		}
	}
	return false
}

// isAmong reports whether destination is in list, or below an entry that ends in a slash.
func isAmong(destination string, list []string) bool {
	return slices.ContainsFunc(list, func(m string) bool {
		return destination == strings.TrimSuffix(m, "/") || strings.HasSuffix(m, "/") && strings.HasPrefix(destination, m)
	})
}
