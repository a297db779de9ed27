// Package canary runs a container through an engine, and proves that oci-add-hooks was in the path.
//
// The container holds this program alone. While it runs, two things are looked at: what the engine calls for it, which its
// shim or conmon tells, and the config.json of its bundle, which has to hold the profile's hooks: nobody else can have put
// them there. That it runs says that its hooks have run; in the place of those whose program lies in the container
// (startContainer) this program stands.
//
// It knows how each engine is asked to run a container, and to remove it; the profile and the configuration of the engine
// are not touched.
package canary

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/inject"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// Options is what to try.
type Options struct {
	Engine  engine.Engine
	Runtime string          // the name by which the engine knows it
	Link    string          // what the engine calls for it, by its configuration
	Program string          // the path of oci-add-hooks
	Uses    profile.Profile // what oci-add-hooks adds then
}

// Proof is what a container has shown.
type Proof struct {
	Calls string // what its engine calls
	Hooks int    // how many hooks of the profile its config.json holds; 0 if none is for this container, so that they prove nothing
}

// A runner runs a container through an engine.
type runner interface {
	// load makes an image of the archive known to the engine.
	load(archive string) error
	// start starts a container of that image, and gives its id.
	start() (id string, err error)
	// runs reports whether it runs still.
	runs(id string) (bool, error)
	// remove removes the container and the image, as far as they are there.
	remove() error
}

// Run runs a container, and removes it. When ctx ends, it does so at once.
func Run(ctx context.Context, opts Options) (proof Proof, err error) {
	reach, err := opts.Engine.Reach(ctx, opts.Runtime)
	if err != nil {
		return proof, Impossible(err.Error())
	}
	dir, unlock, err := begin(reach)
	if err != nil {
		return proof, err
	}
	defer unlock()
	defer os.RemoveAll(dir)
	image := imageOf(dir)
	r, err := newRunner(ctx, reach, opts.Runtime, dir)
	if err != nil {
		return proof, err
	}
	archive := filepath.Join(dir, "image.tar")
	if err := writeImage(archive, image, opts.Uses); err != nil {
		return proof, err
	}
	defer func() { err = errors.Join(err, r.remove()) }()
	if err := r.load(archive); err != nil {
		return proof, err
	}
	if err := ctx.Err(); err != nil {
		return proof, fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	id, err := r.start()
	if err != nil {
		return proof, fmt.Errorf("the container did not start: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return proof, fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	if proof, err = opts.prove(id); err != nil {
		return proof, err
	}
	if running, err := r.runs(id); err != nil || !running {
		return proof, errors.Join(errors.New("the container has ended by itself"), err)
	}
	return proof, nil
}

func newRunner(ctx context.Context, reach *engine.Reach, runtime, dir string) (runner, error) {
	if reach.CRI != nil {
		return newContainerd(ctx, reach.CRI, runtime, filepath.Base(dir), imageOf(dir))
	}
	return newClient(reach.Client, dir, imageOf(dir))
}

// imageOf returns the name of the image of the canary whose directory is dir.
func imageOf(dir string) string { return "localhost/" + filepath.Base(dir) + ":latest" }

// prove looks at the running container with that id.
func (o Options) prove(id string) (proof Proof, err error) {
	leads := func(word string) bool {
		path, err := engine.Lookup(word)
		return err == nil && filepath.Base(word) == filepath.Base(o.Link) && program.LeadsTo(path, o.Program)
	}
	scan := container.Look(system.Host())
	use, found := running(scan, id, leads)
	if !found {
		if use, found = running(scan, id, func(string) bool { return true }); !found {
			return proof, fmt.Errorf("the container %s is not found on this system: does the engine run on another one?", id)
		}
		if use.By == o.Link {
			return proof, fmt.Errorf("oci-add-hooks was not in the path: the container ran, and its engine calls %s, which does not lead there", use.By)
		}
		return proof, fmt.Errorf("oci-add-hooks was not in the path: the container ran, and its engine calls %s, not %s; "+
			"it may have yet to read its configuration", use.By, o.Link)
	}
	proof.Calls = use.Call()
	o.Uses.Program = o.Program
	plan, err := inject.Make(o.Uses, filepath.Join(use.Bundle, "config.json"), id)
	if err != nil {
		return proof, err
	}
	for _, d := range plan.Decisions {
		switch d.Verdict {
		case inject.AlreadyThere:
			proof.Hooks++
		case inject.Added:
			return proof, fmt.Errorf("oci-add-hooks was not in the path: the container ran without the %s hook %s of %s", d.Stage, d.Path, d.File)
		}
	}
	return proof, nil
}

// running returns the container with that id that runs and whose engine calls what matches says.
func running(scan *container.Scan, id string, matches func(string) bool) (use container.Use, found bool) {
	list, _ := scan.Using(matches) // what could not be examined is not this one
	for _, use := range list {
		if use.ID == id && use.Running && use.Bundle != "" {
			return use, true
		}
	}
	return use, false
}

// patience is how long a call of an engine's client may take: hooks of the profile run meanwhile.
const patience = 2 * time.Minute

// settling is how long an engine may take until it knows what it has been told.
const settling = 10 * time.Second

// call runs an engine's client. An interrupt is not for it: what has begun comes to its end, and is removed then.
func call(name string, args ...string) (string, error) {
	path, err := command.Find(name)
	if err != nil {
		return "", Impossible(fmt.Sprintf("%s, by which a container is run, is not installed", name))
	}
	text, err := command.OutputWithin(context.Background(), patience, path, args...)
	return strings.TrimSpace(text), err
}

// Impossible is why no container can be run: something that it takes is not there, and nothing is known of the runtime.
type Impossible string

func (i Impossible) Error() string { return string(i) }

// role is the first argument with which this program is the container's process, and marker a file that tells it, called
// in any other way, that it is in such a container.
const (
	role   = "canary:wait"
	marker = "/.hookctl-canary"
)

// IsRole reports whether this process runs in a canary's container. Role then takes the place of the command line.
func IsRole(argv []string) bool {
	if len(argv) == 2 && argv[1] == role {
		return true
	}
	_, err := os.Lstat(marker)
	return err == nil
}

// Role waits until the container is ended. If nobody does that, since hookctl was killed, it ends by itself. As a hook, it
// does nothing.
func Role(argv []string) {
	if len(argv) != 2 || argv[1] != role {
		return
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGTERM, unix.SIGINT)
	select {
	case <-ended:
	case <-time.After(2 * patience):
	}
}
