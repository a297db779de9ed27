package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// Reload is by SIGHUP, unless a default runtime is no longer named.
func (d *docker) Reload(files []change.File) engine.Reload {
	if d.forgetsDefault(files) {
		return d.restart()
	}
	return engine.Reload{
		Command: "kill -HUP $(cat " + d.pidfile() + ")",
		Effect:  "dockerd reads its configuration anew, by SIGHUP; no container is touched",
		Do: func(context.Context) error {
			pid, err := d.pid()
			if err != nil {
				return err
			}
			return unix.Kill(pid, unix.SIGHUP)
		},
	}
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

// restart is Reload for a file that names no default runtime any more: on SIGHUP, dockerd keeps the one that it has
// (Docker 20.10, as seen).
func (d *docker) restart() engine.Reload {
	return engine.Reload{
		Command: "systemctl restart docker",
		Effect: "dockerd keeps a default runtime that is no longer named until it starts anew, which ends its containers, unless live-restore is set; " +
			`or write "default-runtime": "runc" into ` + d.config + ", and kill -HUP $(cat " + d.pidfile() + ") is enough",
		Do: func(context.Context) error {
			return fmt.Errorf("dockerd keeps a default runtime that %s no longer names: do without --reload, and restart it, which ends its containers, unless live-restore is set; "+
				`or write "default-runtime": "runc" into that file first`, d.config)
		},
	}
}

// pidfile returns the path of the file in which dockerd writes its number.
func (d *docker) pidfile() string {
	var settings struct {
		Pidfile string `json:"pidfile"`
	}
	text, err := change.Read(d.config)
	if err == nil && json.Unmarshal(text, &settings) == nil && settings.Pidfile != "" {
		return settings.Pidfile
	}
	return "/var/run/docker.pid" // and what is wrong with the file, others say
}

// pid returns the number of the dockerd that runs with this configuration.
func (d *docker) pid() (int, error) {
	path := d.pidfile()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("dockerd does not run: there is no %s; start it, and it reads the configuration", path)
	}
	if err != nil {
		return 0, fmt.Errorf("%s cannot be read: %w", path, report.Plain(err))
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || !engine.Runs(pid, "dockerd") {
		return 0, fmt.Errorf("%s does not lead to a dockerd that runs; start it, and it reads the configuration", path)
	}
	if argv, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err != nil || !engine.Reads(strings.Split(string(argv), "\x00"), d.config) {
		return 0, fmt.Errorf("the dockerd of %s (process %d) reads another configuration than %s; give its own by --config", path, pid, d.config)
	}
	return pid, nil
}

func (d *docker) Reach(_ context.Context, runtime string) (*engine.Reach, error) {
	c := &engine.Client{Command: "docker", Run: []string{"--runtime", runtime}, Ready: ready(runtime)}
	text, err := change.Read(d.config)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return &engine.Reach{Client: c}, err
	}
	var settings struct{ Hosts []string }
	if err := json.Unmarshal(text, &settings); err != nil {
		return nil, fmt.Errorf("%s: %w", d.config, err)
	}
	for _, host := range settings.Hosts {
		if strings.HasPrefix(host, "unix://") {
			c.Global = []string{"--host", host}
			break
		}
	}
	return &engine.Reach{Client: c}, nil
}

// settling is how long dockerd may take until it knows what it has been told.
const settling = 10 * time.Second

// ready returns a function that waits until dockerd knows a runtime.
func ready(runtime string) func(func(...string) (string, error)) error {
	return func(ask func(...string) (string, error)) error {
		for deadline := time.Now().Add(settling); ; time.Sleep(100 * time.Millisecond) {
			out, err := ask("info", "--format", "{{json .Runtimes}}")
			if err != nil {
				return err
			}
			var runtimes map[string]any
			if err := json.Unmarshal([]byte(out), &runtimes); err != nil {
				return fmt.Errorf("docker info: %w", err)
			}
			if _, ok := runtimes[runtime]; ok {
				return nil
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("dockerd does not know the runtime %s: systemctl reload docker has it read its configuration", runtime)
			}
		}
	}
}
