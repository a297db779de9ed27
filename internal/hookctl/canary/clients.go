package canary

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

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

func (c *client) call(ctx context.Context, limit time.Duration, args ...string) (string, error) {
	return call(ctx, limit, c.Command, append(c.Global[:len(c.Global):len(c.Global)], args...)...)
}

func (c *client) load(ctx context.Context, archive string) error {
	_, err := c.call(ctx, patience, "load", "--quiet", "--input", archive)
	return err
}

func (c *client) start(ctx context.Context) (string, error) {
	args := append([]string{"run", "--detach", "--name", c.name, "--network", "none", "--pull", "never"}, c.Run...)
	out, err := c.call(ctx, patience, append(args, c.image)...)
	lines := strings.Split(out, "\n")
	return lines[len(lines)-1], err
}

func (c *client) runs(ctx context.Context, _ string) (bool, error) {
	out, err := c.call(ctx, patience, "container", "inspect", "--format", "{{.State.Running}}", c.name)
	return out == "true", err
}

// remove asks after an error whether the container or the image exists: earlier steps may or may not have left one.
func (c *client) remove(ctx context.Context) error {
	removed := func(remove, list []string) error {
		_, err := c.call(ctx, tidying, remove...)
		var impossible Impossible
		if err == nil || errors.As(err, &impossible) {
			return nil
		}
		if left, listErr := c.call(ctx, tidying, list...); listErr == nil && left == "" {
			return nil
		}
		return err
	}
	if err := removed([]string{"rm", "--force", c.name}, []string{"ps", "--all", "--quiet", "--filter", "name=^" + c.name + "$"}); err != nil {
		return err
	}
	return removed([]string{"image", "rm", "--force", c.image}, []string{"images", "--quiet", c.image})
}
