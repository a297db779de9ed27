package docker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
)

const (
	addRuntime         = "--add-runtime"
	defaultRuntimeFlag = "--default-runtime"
)

// flagged reports whether dockerd was started with a runtime of that name.
func (d *docker) flagged(name string) bool { return slices.Contains(d.flaggedNames(), name) }

// flaggedNames returns the names of the runtimes that dockerd was started with.
func (d *docker) flaggedNames() (names []string) {
	for _, value := range d.daemon.Options(addRuntime) {
		name, _, _ := strings.Cut(value, "=")
		names = append(names, name)
	}
	return names
}

// args returns those flags of the running dockerd that a setting of hookctl's could contradict, as it was given them.
func (d *docker) args() (args []string) {
	for _, name := range []string{addRuntime, defaultRuntimeFlag} {
		for _, value := range d.daemon.Options(name) {
			args = append(args, name, value)
		}
	}
	return args
}

// contradiction refuses a runtime that the flags of the running dockerd contradict: a default runtime both as a flag and in
// daemon.json keeps it from starting again.
func (d *docker) contradiction(r engine.Runtime) error {
	if d.daemon.Process == nil {
		return nil
	}
	pid := d.daemon.Process.PID
	if d.flagged(r.Name) {
		return fmt.Errorf("dockerd (process %d) was started with %s %s=...: choose another name for the profile, or start it without that flag", pid, addRuntime, r.Name)
	}
	if flags := d.daemon.Options(defaultRuntimeFlag); r.Default && len(flags) > 0 {
		return fmt.Errorf("dockerd (process %d) was started with %s %s: with %s in %s too, it would not start again; start it without that flag, then retry",
			pid, defaultRuntimeFlag, flags[len(flags)-1], defaultRuntime, d.config)
	}
	return nil
}

// Reload is by SIGHUP, unless dockerd would then keep a default runtime that is no longer named (Docker 20.10, as seen), or
// lose the runtimes of its flags: daemon.json's take their place.
func (d *docker) Reload(files []change.File) engine.Reload {
	hup := "kill -HUP $(cat " + d.pidfile() + ")"
	problem, instead := "", ""
	switch names := d.flaggedNames(); {
	case len(names) > 0:
		problem = fmt.Sprintf("dockerd (process %d) was started with %s (%s), and forgets that on SIGHUP", d.daemon.Process.PID, addRuntime, strings.Join(names, ", "))
		instead = "move its runtimes into " + d.config + " and start it without that flag, and " + hup + " is enough"
	case d.forgetsDefault(files):
		problem = "dockerd keeps a default runtime that " + d.config + " no longer names until it is restarted"
		instead = `write "default-runtime": "runc" into ` + d.config + " first, and " + hup + " is enough"
	default:
		return engine.Reload{Command: hup, Effect: "dockerd reads its configuration on SIGHUP; no container is touched", Do: d.signal, Refused: d.daemon.NotRunning()}
	}
	r := d.daemon.Restart()
	if strings.HasPrefix(r.Command, "systemctl") {
		r.Command = strings.Replace(r.Command, "dockerd", "docker", 1)
	}
	r.Effect = problem + "; a restart ends its containers, unless live-restore is set; or " + instead
	if r.Refused = d.daemon.NotRunning(); r.Refused == nil {
		r.Refused = engine.NotReloaded{Problem: problem, Without: "then restart dockerd, which ends its containers, unless live-restore is set; or " + instead, First: instead}
	}
	return r
}

func (d *docker) signal(context.Context) error {
	if err := d.daemon.Process.Trusted(); err != nil { // it may have ended, and its number be another's
		return err
	}
	return unix.Kill(d.daemon.Process.PID, unix.SIGHUP)
}

// forgetsDefault reports whether a change removes the default runtime's name.
func (d *docker) forgetsDefault(files []change.File) bool {
	names := func(text []byte) bool {
		daemon, err := d.parse(text)
		if err != nil {
			return false
		}
		_, ok := daemon.root.find(defaultRuntime)
		return ok
	}
	return slices.ContainsFunc(files, func(f change.File) bool {
		return f.Path == d.config && names(f.Before) && !names(f.After)
	})
}

// pidfile returns the path of the file in which dockerd writes its number.
func (d *docker) pidfile() string {
	var settings struct {
		Pidfile string `json:"pidfile"`
	}
	text, err := change.Read(d.config)
	if err == nil {
		_ = json.Unmarshal(text, &settings) // what is wrong with it, others say
	}
	return cmp.Or(d.daemon.Option("--pidfile", "-p"), settings.Pidfile, "/var/run/docker.pid")
}

// host returns where dockerd listens: the first unix socket of its flags, or of daemon.json; the usual one if neither says.
func (d *docker) host() (string, error) {
	text, err := change.Read(d.config)
	if err != nil {
		return "", err
	}
	var settings struct{ Hosts []string }
	if len(bytes.TrimSpace(text)) > 0 {
		if err := json.Unmarshal(text, &settings); err != nil {
			return "", fmt.Errorf("%s: %w", d.config, err)
		}
	}
	hosts := append(d.daemon.Options("-H", "--host"), settings.Hosts...)
	for _, host := range hosts {
		if strings.HasPrefix(host, "unix://") {
			return host, nil
		}
		if strings.HasPrefix(host, "fd://") {
			return usualHost, nil
		}
	}
	if len(hosts) > 0 {
		return "", fmt.Errorf("dockerd listens on no unix socket (%s): it cannot be asked", strings.Join(hosts, ", "))
	}
	return usualHost, nil
}

const usualHost = "unix:///var/run/docker.sock"

// Known asks dockerd (GET /info of its API).
func (d *docker) Known(ctx context.Context) (*engine.Registered, error) {
	host, err := d.host()
	if err != nil {
		return nil, err
	}
	text, err := engine.Get(ctx, strings.TrimPrefix(host, "unix://"), "/info")
	if err != nil {
		return nil, fmt.Errorf("dockerd cannot be asked: %w", err)
	}
	var info struct {
		Runtimes map[string]struct {
			Path   string
			Status map[string]string // from Docker 25 on
		}
		DefaultRuntime string
	}
	if err := json.Unmarshal(text, &info); err != nil {
		return nil, fmt.Errorf("what dockerd says at %s cannot be read: %w", host, err)
	}
	r := &engine.Registered{}
	for name, runtime := range info.Runtimes {
		entry := engine.Entry{Name: name, Path: runtime.Path, Default: name == info.DefaultRuntime}
		var features struct{ MountOptions []string } // of the runtime specification, features.md
		if text := runtime.Status["org.opencontainers.runtime-spec.features"]; text != "" {
			if err := json.Unmarshal([]byte(text), &features); err != nil {
				return nil, fmt.Errorf("the features that dockerd has of %s cannot be read: %w", name, err)
			}
		}
		if slices.Contains(features.MountOptions, "rro") {
			entry.Features = []string{engine.RecursiveReadOnly}
		}
		r.Entries = append(r.Entries, entry)
	}
	r.Sort()
	return r, nil
}

func (d *docker) Reach(_ context.Context, runtime string) (*engine.Reach, error) {
	host, err := d.host()
	if err != nil {
		return nil, err
	}
	c := &engine.Client{Command: "docker", Run: []string{"--runtime", runtime}}
	if host != usualHost {
		c.Global = []string{"--host", host}
	}
	return &engine.Reach{Client: c}, nil
}

// Block is what daemon.json has.
func (d *docker) Block(_ context.Context, r engine.Runtime) (string, error) {
	files, err := d.plan(r, nil)
	if err != nil {
		return "", err
	}
	return string(files), nil
}
