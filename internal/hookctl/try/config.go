package try

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/inject"
)

// config is as much of the runtime specification's config.json as a throwaway container needs.
type config struct {
	Version     string                 `json:"ociVersion"`
	Hostname    string                 `json:"hostname"`
	Process     process                `json:"process"`
	Root        root                   `json:"root"`
	Mounts      []mount                `json:"mounts"`
	Annotations map[string]string      `json:"annotations,omitempty"`
	Linux       linux                  `json:"linux"`
	Hooks       map[hooks.Stage][]hook `json:"hooks,omitempty"`
}

type process struct {
	User            struct{}            `json:"user"` // root, in the container
	Args            []string            `json:"args"`
	Env             []string            `json:"env"`
	Cwd             string              `json:"cwd"`
	Capabilities    map[string][]string `json:"capabilities"`
	NoNewPrivileges bool                `json:"noNewPrivileges"`
}

type root struct {
	Path     string `json:"path"`
	Readonly bool   `json:"readonly"`
}

type mount struct {
	Destination string   `json:"destination"`
	Type        string   `json:"type"`
	Source      string   `json:"source"`
	Options     []string `json:"options,omitempty"`
}

type linux struct {
	Namespaces  []namespace `json:"namespaces"`
	UIDMappings []idMapping `json:"uidMappings,omitempty"`
	GIDMappings []idMapping `json:"gidMappings,omitempty"`
}

type namespace struct {
	Type string `json:"type"`
}

type idMapping struct {
	ContainerID int `json:"containerID"`
	HostID      int `json:"hostID"`
	Size        int `json:"size"`
}

// hook is a hook object, with the members that we don't know.
type hook map[string]json.RawMessage

// newConfig returns the config.json of a container that runs args in the root file system at path, which it cannot write to if
// it is the user's. Somebody who is not root becomes root in a user namespace.
func newConfig(path string, opts Options, args []string) config {
	keep := []string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"} // what runc spec gives
	c := config{
		Version:  "1.0.2",
		Hostname: "hookctl-try",
		Process: process{
			Args:            args,
			Env:             []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb"},
			Cwd:             "/",
			Capabilities:    map[string][]string{"bounding": keep, "effective": keep, "permitted": keep},
			NoNewPrivileges: true,
		},
		Root:        root{Path: path, Readonly: opts.Rootfs != ""},
		Annotations: opts.Annotations,
		Mounts: []mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		},
		Linux: linux{Namespaces: []namespace{{"pid"}, {"ipc"}, {"uts"}, {"mount"}, {"network"}}},
	}
	for _, m := range opts.Mounts {
		access := "rw"
		if m.ReadOnly {
			access = "ro"
		}
		c.Mounts = append(c.Mounts, mount{Destination: m.Destination, Type: "bind", Source: m.Source, Options: []string{"rbind", access}})
	}
	if uid := os.Geteuid(); uid != 0 {
		c.Linux.Namespaces = append(c.Linux.Namespaces, namespace{"user"})
		c.Linux.UIDMappings = []idMapping{{HostID: uid, Size: 1}}
		c.Linux.GIDMappings = []idMapping{{HostID: os.Getegid(), Size: 1}}
	}
	return c
}

func (c config) write(path string) error {
	text, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// instrument puts this program, as a recorder, in the place of each hook that the plan added and of the container's
// command, and returns the tasks, the container's command last. A task that runs in the container is recorded in the
// directory inside, which is mounted there; any other in the directory outside.
func (c *config) instrument(plan *inject.Plan, inside, outside, program string, opts Options) ([]*task, error) {
	var added struct{ Hooks map[hooks.Stage][]hook }
	if plan.Text != nil {
		if err := json.Unmarshal(plan.Text.Bytes(), &added); err != nil {
			return nil, err
		}
	}
	from := map[hooks.Stage][]inject.Decision{} // about a stage's hooks, in their order
	for _, d := range plan.Decisions {
		if d.Verdict == inject.Added {
			from[d.Stage] = append(from[d.Stage], d)
		}
	}
	var tasks []*task
	c.Hooks = map[hooks.Stage][]hook{}
	for _, stage := range hooks.Stages() {
		for i, h := range added.Hooks[stage] {
			d := from[stage][i]
			t := &task{stage: stage, file: d.File, dir: outside, Limit: opts.Timeout, supervised: d.Supervised}
			where, recorder := outside, program
			if stage == hooks.StartContainer {
				t.dir, where, recorder = inside, mountedAt, mountedProgram
			}
			if stage == hooks.Poststop { // it undoes what other hooks did
				t.Grace = poststopGrace
			}
			if err := t.read(h); err != nil {
				return nil, err
			}
			if err := t.write(len(tasks)); err != nil {
				return nil, err
			}
			h = maps.Clone(h)
			delete(h, "timeout") // which the recorder keeps
			h["path"], _ = json.Marshal(recorder)
			h["args"], _ = json.Marshal([]string{"hookctl", recordRole, filepath.Join(where, t.name)})
			c.Hooks[stage] = append(c.Hooks[stage], h)
			tasks = append(tasks, t)
		}
	}
	t := &task{Container: true, dir: inside, Path: c.Process.Args[0], Args: c.Process.Args}
	if opts.Rootfs != "" {
		t.Limit = opts.Timeout
	}
	if err := t.write(len(tasks)); err != nil {
		return nil, err
	}
	c.Process.Args = []string{mountedProgram, recordRole, filepath.Join(mountedAt, t.name)}
	c.Mounts = append(c.Mounts, mount{Destination: mountedAt, Type: "bind", Source: inside, Options: []string{"rbind"}})
	return append(tasks, t), nil
}

// read takes what the runtime would run from a hook object.
func (t *task) read(h hook) error {
	var known struct {
		Path    string
		Args    []string
		Timeout int
	}
	text, err := json.Marshal(h)
	if err == nil {
		err = json.Unmarshal(text, &known)
	}
	t.Path, t.Args, t.Own = known.Path, known.Args, time.Duration(known.Timeout)*time.Second
	if t.supervised != nil { // the supervisor's options end at --
		t.Supervised = slices.Index(t.Args, "--")
	}
	if len(t.Args) == 0 {
		t.Args = []string{t.Path} // as runtimes do
	}
	return err
}

// example is a hook file with a hook in every stage, each of which is this program.
func example(program string) []byte {
	stages := map[hooks.Stage][]map[string]any{}
	for _, stage := range hooks.Stages() {
		path := program
		if stage == hooks.StartContainer {
			path = mountedProgram
		}
		stages[stage] = []map[string]any{{
			"path": path, "args": []string{"hookctl", exampleRole, string(stage)}, "env": []string{networkEnv + "=" + network()}, "timeout": 10,
		}}
	}
	text, err := json.MarshalIndent(map[string]any{"hooks": stages}, "", "\t")
	if err != nil {
		panic(fmt.Sprintf("a hook file of our own: %v", err))
	}
	return text
}
