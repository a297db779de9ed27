package canary

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
)

// client is the command of Docker or Podman, which are told the same.
type client struct {
	command       string
	global        []string // options before a command
	name, image   string   // of the container, of the image
	run           []string // options for `run`
	loaded, begun bool
}

func newDocker(opts Options, name, image string) (*client, error) {
	host, err := engine.DockerHost(opts.Engine)
	if err != nil {
		return nil, err
	}
	c := &client{command: "docker", name: name, image: image, run: []string{"--runtime", opts.Runtime}}
	if host != "" {
		c.global = []string{"--host", host}
	}
	return c, c.known(opts.Runtime)
}

// known waits until dockerd knows a runtime: it reads its configuration anew some time after it has been told to.
func (c *client) known(runtime string) error {
	for deadline := time.Now().Add(settling); ; time.Sleep(100 * time.Millisecond) {
		out, err := c.call("info", "--format", "{{json .Runtimes}}")
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

func newPodman(opts Options, dir, image string) (*client, error) {
	usual, err := engine.New("podman", "")
	if err != nil {
		return nil, err
	}
	if config := opts.Engine.Config(); config != usual.Config() {
		return nil, fmt.Errorf("Podman reads %s, and is not to be told to read %s: no container can be run by that", usual.Config(), config)
	}
	// Podman adds hooks itself: from a directory that has none, for a hook in config.json to prove something.
	none := filepath.Join(dir, "hooks.d")
	if err := os.Mkdir(none, 0o755); err != nil {
		return nil, err
	}
	return &client{command: "podman", global: []string{"--runtime", opts.Runtime, "--hooks-dir", none}, name: filepath.Base(dir), image: image}, nil
}

func (c *client) call(args ...string) (string, error) {
	return call(c.command, append(c.global[:len(c.global):len(c.global)], args...)...)
}

func (c *client) load(archive string) error {
	_, err := c.call("load", "--quiet", "--input", archive)
	c.loaded = err == nil
	return err
}

func (c *client) start() (string, error) {
	c.begun = true
	args := append([]string{"run", "--detach", "--name", c.name, "--network", "none", "--pull", "never"}, c.run...)
	out, err := c.call(append(args, c.image)...)
	lines := strings.Split(out, "\n")
	return lines[len(lines)-1], err
}

func (c *client) runs(string) (bool, error) {
	out, err := c.call("container", "inspect", "--format", "{{.State.Running}}", c.name)
	return out == "true", err
}

// remove asks whether there is a container before it judges: a run that failed may have left one or not.
func (c *client) remove() (err error) {
	if c.begun {
		_, err = c.call("rm", "--force", c.name)
		if _, missing := c.call("container", "inspect", "--format", "{{.Id}}", c.name); missing != nil {
			err = nil
		}
	}
	if c.loaded {
		_, imageErr := c.call("image", "rm", "--force", c.image)
		err = errors.Join(err, imageErr)
	}
	if err != nil {
		return fmt.Errorf("what the canary left has to be removed by hand: %w", err)
	}
	return nil
}
