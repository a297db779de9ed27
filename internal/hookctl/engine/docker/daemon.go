package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
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

// flagged returns the runtimes that dockerd was started with: paths, by name.
func (d *docker) flagged() map[string]string {
	runtimes := map[string]string{}
	for _, value := range d.daemon.Options(addRuntime) {
		name, path, _ := strings.Cut(value, "=")
		runtimes[name] = path
	}
	return runtimes
}

// args returns the flags of the running dockerd that a setting of hookctl's could contradict, in their original form.
func (d *docker) args() (args []string) {
	for _, name := range []string{addRuntime, defaultRuntimeFlag} {
		for _, value := range d.daemon.Options(name) {
			args = append(args, name, value)
		}
	}
	return args
}

// contradiction returns an error if the flags of the running dockerd contradict a runtime: with a default runtime both
// as a flag and in daemon.json, dockerd does not start again.
func (d *docker) contradiction(r engine.Runtime) error {
	if d.daemon.Process == nil {
		return nil
	}
	pid := d.daemon.Process.PID
	if _, flagged := d.flagged()[r.Name]; flagged {
		return fmt.Errorf("dockerd (process %d) was started with %s %s=...: choose another name for the profile, or start it without that flag", pid, addRuntime, r.Name)
	}
	if flags := d.daemon.Options(defaultRuntimeFlag); r.Default && len(flags) > 0 {
		return fmt.Errorf("dockerd (process %d) was started with %s %s: with %s in %s too, it would not start again; start it without that flag, then retry",
			pid, defaultRuntimeFlag, flags[len(flags)-1], defaultRuntime, d.config)
	}
	return nil
}

// Reload returns SIGHUP, unless dockerd would then keep a default runtime that is no longer named (seen with Docker
// 20.10), or lose the runtimes of its flags, which those of daemon.json replace.
func (d *docker) Reload(files []change.File) engine.Reload {
	if d.daemon.Process == nil {
		return d.daemon.AtStart()
	}
	hup := "kill -HUP $(cat " + d.pidfile() + ")"
	problem, instead := "", ""
	switch names := slices.Sorted(maps.Keys(d.flagged())); {
	case len(names) > 0:
		problem = fmt.Sprintf("dockerd (process %d) was started with %s (%s), and forgets that on SIGHUP", d.daemon.Process.PID, addRuntime, strings.Join(names, ", "))
		instead = "move its runtimes into " + d.config + " and start it without that flag, and " + hup + " is enough"
	case d.forgetsDefault(files):
		problem = "dockerd keeps a default runtime that " + d.config + " no longer names until it is restarted"
		instead = `write "default-runtime": "runc" into ` + d.config + " first, and " + hup + " is enough"
	default:
		return engine.Reload{Command: hup, Effect: "dockerd reads its configuration on SIGHUP; no container is touched", Do: d.signal}
	}
	r := d.daemon.Restart()
	r.Effect = problem + "; a restart ends its containers, unless live-restore is set; or " + instead
	r.Refused = engine.NotReloaded{Problem: problem, Without: "then restart dockerd, which ends its containers, unless live-restore is set; or " + instead, First: instead}
	return r
}

func (d *docker) signal(context.Context) error {
	if err := d.daemon.Process.Trusted(); err != nil { // it may have ended, and its PID be another process's
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

// pidfile returns the path of the file to which dockerd writes its PID.
func (d *docker) pidfile() string {
	var settings struct{ Pidfile string }
	_ = d.read(&settings) // others report what is wrong with it
	return cmp.Or(d.daemon.Option("--pidfile", "-p"), settings.Pidfile, "/var/run/docker.pid")
}

// host is the address on which dockerd listens.
type host struct{ network, address string }

// String returns the address in the form that the docker command takes.
func (h host) String() string { return h.network + "://" + h.address }

var usualHost = host{"unix", "/var/run/docker.sock"}

// host returns the address on which dockerd listens, according to its flags and daemon.json: the first unix socket, or
// else the first TCP address without TLS. If there is none in either, it is the usual socket (opts/hosts.go of moby).
func (d *docker) host() (host, error) {
	var settings struct {
		Hosts          []string
		TLS, TLSVerify bool
	}
	if err := d.read(&settings); err != nil {
		return host{}, err
	}
	hosts := append(d.daemon.Options("-H", "--host"), settings.Hosts...)
	if len(hosts) == 0 {
		return usualHost, nil
	}
	var tcp []host
	for _, text := range hosts {
		network, address, ok := strings.Cut(strings.TrimSpace(text), "://")
		if !ok && network != "" {
			network, address = "tcp", network
		}
		switch network {
		case "unix":
			return host{network, cmp.Or(address, usualHost.address)}, nil
		case "", "fd":
			return usualHost, nil
		case "tcp":
			name, port, _ := strings.Cut(address, ":")
			if strings.HasPrefix(address, "[") { // IPv6
				name, port, _ = strings.Cut(address[1:], "]")
				port = strings.TrimPrefix(port, ":")
			}
			tcp = append(tcp, host{network, net.JoinHostPort(cmp.Or(name, "127.0.0.1"), cmp.Or(port, "2375"))})
		}
	}
	if len(tcp) > 0 && !settings.TLS && !settings.TLSVerify && !d.usesTLS() {
		return tcp[0], nil
	}
	return host{}, fmt.Errorf("dockerd listens on %s, where hookctl cannot ask it: neither a unix socket, nor TCP without TLS; have it listen on %s too (-H)", strings.Join(hosts, ", "), usualHost)
}

// usesTLS reports whether dockerd was started with a flag for TLS, which it then requires of every client.
func (d *docker) usesTLS() bool {
	return d.daemon.Process != nil && slices.ContainsFunc(d.daemon.Process.Args, func(arg string) bool {
		name, value, _ := strings.Cut(arg, "=")
		return (name == "--tls" || name == "--tlsverify") && value != "false"
	})
}

// Known asks dockerd (GET /info of its API).
func (d *docker) Known(ctx context.Context) (*engine.Registered, error) {
	host, err := d.host()
	if err != nil {
		return nil, err
	}
	text, err := engine.Get(ctx, host.network, host.address, "/info")
	if err != nil {
		return nil, fmt.Errorf("dockerd cannot be asked: %w", err)
	}
	var info struct {
		Runtimes map[string]struct {
			Path   string
			Status map[string]string // since Docker 25
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
		c.Global = []string{"--host", host.String()}
	}
	return &engine.Reach{Client: c}, nil
}

// Block returns the members of daemon.json.
func (d *docker) Block(_ context.Context, r engine.Runtime) (string, error) {
	files, err := d.plan(r, nil)
	if err != nil {
		return "", err
	}
	return string(files), nil
}
