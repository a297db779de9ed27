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
	name, image   string // of the container, of the image
	loaded, begun bool
}

func newClient(reached *engine.Client, dir, image string) (*client, error) {
	c := &client{Client: reached, name: filepath.Base(dir), image: image}
	if c.NoHooks != "" {
		none := filepath.Join(dir, "hooks.d")
		if err := os.Mkdir(none, 0o755); err != nil {
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
	c.loaded = err == nil
	return err
}

func (c *client) start() (string, error) {
	c.begun = true
	args := append([]string{"run", "--detach", "--name", c.name, "--network", "none", "--pull", "never"}, c.Run...)
	out, err := c.call(append(args, c.image)...)
	lines := strings.Split(out, "\n")
	return lines[len(lines)-1], err
}

func (c *client) runs(string) (bool, error) {
	out, err := c.call("container", "inspect", "--format", "{{.State.Running}}", c.name)
	return out == "true", err
}

// remove ignores an error if the container does not exist afterwards: a failed run may or may not have left one.
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
		return fmt.Errorf("the canary's remains have to be removed manually: %w", err)
	}
	return nil
}
