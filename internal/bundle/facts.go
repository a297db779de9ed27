package bundle

import (
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// readFact reads the member of config.json that is called name into facts, if it is one that conditions ask for. Null
// stands for an absent member, as it does for runtimes.
func readFact(r *jsonfile.Reader, name string, facts *hooks.Container) error {
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
	case "mounts":
		facts.BindMounts = nil
		return r.Array(func() error {
			destination, err := readBindMount(r)
			if destination != "" && !isEngines(destination) {
				facts.BindMounts = append(facts.BindMounts, destination)
			}
			return err
		})
	}
	return nil
}

// readBindMount reads a mount and gives its destination if it is a bind mount, else "".
func readBindMount(r *jsonfile.Reader) (destination string, err error) {
	bind := false
	err = r.Object(func(name string) (err error) {
		if r.Kind() == 'n' {
			return nil
		}
		switch name {
		case "destination":
			destination, err = r.String()
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
	if !bind {
		return "", err
	}
	return destination, err
}

// enginesMounts are the destinations at which engines bind-mount things of their own; those that end in a slash are
// meant with all below. By them alone the user's mounts can be told apart in a config.json, so that hasBindMounts is an
// approximation of what Podman and CRI-O know.
var enginesMounts = []string{
	"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/passwd", "/etc/group",
	"/dev/shm", "/dev/termination-log",
	"/run/.containerenv", "/run/secrets", "/var/run/secrets/kubernetes.io/",
	"/sys/",
	"/sbin/docker-init", "/run/podman-init",
}

func isEngines(destination string) bool {
	return slices.ContainsFunc(enginesMounts, func(m string) bool {
		return destination == strings.TrimSuffix(m, "/") || strings.HasSuffix(m, "/") && strings.HasPrefix(destination, m)
	})
}
