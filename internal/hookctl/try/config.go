package try

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/inject"
	"github.com/awslabs/oci-add-hooks/internal/launch"
)

// config is a config.json, with its hooks by stage.
type config struct {
	specs.Spec
	Hooks map[hooks.Stage][]hook `json:"hooks,omitempty"`
}

// hook is a hook object.
type hook struct {
	Path    string   `json:"path"`
	Args    []string `json:"args,omitempty"`
	Env     []string `json:"env,omitzero"` // an empty one is written too: without env, the hook would inherit
	Timeout int      `json:"timeout,omitempty"`
}

// newConfig returns the config.json of a container that runs args in the root file system at path. A root file system
// given by the user is read-only. A user who is not root becomes root in a user namespace.
func newConfig(path string, opts Options, args []string) config {
	keep := []string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"} // what runc spec gives
	c := config{Spec: specs.Spec{
		Version:  "1.0.2",
		Hostname: "hookctl-try",
		Process: &specs.Process{
			Args:            args,
			Env:             []string{"PATH=" + launch.SystemPath, "TERM=dumb"},
			Cwd:             "/",
			Capabilities:    &specs.LinuxCapabilities{Bounding: keep, Effective: keep, Permitted: keep},
			NoNewPrivileges: true,
		},
		Root:        &specs.Root{Path: path, Readonly: opts.Rootfs != ""},
		Annotations: opts.Annotations,
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
			{Type: specs.MountNamespace}, {Type: specs.NetworkNamespace}}},
	}}
	for _, m := range opts.Mounts {
		access := "rw"
		if m.ReadOnly {
			access = "ro"
		}
		c.Mounts = append(c.Mounts, specs.Mount{Destination: m.Destination, Type: "bind", Source: m.Source, Options: []string{"rbind", access}})
	}
	if uid := os.Geteuid(); uid != 0 {
		c.Linux.Namespaces = append(c.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		c.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: uint32(uid), Size: 1}}
		c.Linux.GIDMappings = []specs.LinuxIDMapping{{HostID: uint32(os.Getegid()), Size: 1}}
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

// instrument replaces each hook that the plan added, and the container's command, by this program as a recorder. It
// returns the tasks, the container's command last. A task that runs in the container is recorded in the directory
// inside, which is mounted there; any other in the directory outside.
func (c *config) instrument(plan *inject.Plan, inside, outside, program string, opts Options) ([]*task, error) {
	var added config
	if plan.Text != nil {
		if err := json.Unmarshal(plan.Text.Bytes(), &added); err != nil {
			return nil, err
		}
	}
	from := map[hooks.Stage][]inject.Decision{} // the decisions about a stage's hooks, in order
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
			t.take(h)
			if err := t.write(len(tasks)); err != nil {
				return nil, err
			}
			args := []string{"hookctl", recordRole, filepath.Join(where, t.name)}
			c.Hooks[stage] = append(c.Hooks[stage], hook{Path: recorder, Args: args, Env: h.Env}) // the recorder keeps the timeout
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
	c.Mounts = append(c.Mounts, specs.Mount{Destination: mountedAt, Type: "bind", Source: inside, Options: []string{"rbind"}})
	return append(tasks, t), nil
}

// take sets what the runtime would run for a hook object.
func (t *task) take(h hook) {
	t.Path, t.Args, t.Own = h.Path, h.Args, time.Duration(h.Timeout)*time.Second
	if t.supervised != nil { // the supervisor's options end at --
		t.Supervised = slices.Index(t.Args, "--")
	}
	if len(t.Args) == 0 {
		t.Args = []string{t.Path} // as runtimes do
	}
}

// example returns a hook file with a hook in every stage. Each hook is this program.
func example(program string) ([]byte, error) {
	stages := map[hooks.Stage][]hook{}
	for _, stage := range hooks.Stages() {
		path := program
		if stage == hooks.StartContainer {
			path = mountedProgram
		}
		stages[stage] = []hook{{Path: path, Args: []string{"hookctl", exampleRole, string(stage)}, Env: []string{networkEnv + "=" + network()}, Timeout: 10}}
	}
	return json.MarshalIndent(map[string]any{"hooks": stages}, "", "\t")
}
