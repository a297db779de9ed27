package canary

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
)

// client is the command-line client of Docker or Podman. Both take the same arguments.
type client struct {
	*engine.Client
	name, image string // of the container, of the image
}

func newClient(reached *engine.Client, dir, image string) (*client, error) {
	c := &client{Client: reached, name: filepath.Base(dir), image: image}
	if c.NoHooks != "" {
		none := filepath.Join(dir, "hooks.d")
		if err := os.MkdirAll(none, 0o755); err != nil {
			return nil, err
		}
		c.Global = append(c.Global, c.NoHooks, none)
	}
	return c, nil
}

func (c *client) call(args ...string) (string, error) {
	return call(c.Command, append(c.Global[:len(c.Global):len(c.Global)], args...)...)
}

func (c *client) load(archive string) error {
	_, err := c.call("load", "--quiet", "--input", archive)
	return err
}

func (c *client) start() (string, error) {
	args := append([]string{"run", "--detach", "--name", c.name, "--network", "none", "--pull", "never"}, c.Run...)
	out, err := c.call(append(args, c.image)...)
	lines := strings.Split(out, "\n")
	return lines[len(lines)-1], err
}

func (c *client) runs(string) (bool, error) {
	out, err := c.call("container", "inspect", "--format", "{{.State.Running}}", c.name)
	return out == "true", err
}

// remove checks after an error whether the container or the image exists: earlier steps may or may not have left one.
func (c *client) remove() error {
	removed := func(what, name string, args ...string) error {
		_, err := c.call(append(args, "--force", name)...)
		if err == nil {
			return nil
		}
		if _, missing := c.call(what, "inspect", "--format", "{{.Id}}", name); missing != nil {
			return nil
		}
		return err
	}
	if err := errors.Join(removed("container", c.name, "rm"), removed("image", c.image, "image", "rm")); err != nil {
		return fmt.Errorf("the canary's remains have to be removed manually: %w", err)
	}
	return nil
}
