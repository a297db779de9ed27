// Package canary runs a container through an engine, and proves that oci-add-hooks was in the path.
//
// The container holds only this program. While it runs, two things are examined. One is the runtime that the engine
// calls for it, which its shim or conmon names. The other is the config.json of its bundle, which must hold the
// profile's hooks: only oci-add-hooks can have put them there. That the container runs shows that its hooks have run.
// This program replaces the programs of hooks that run in the container (startContainer).
//
// The package knows how to ask each engine to run and remove a container. It does not touch the profile or the engine's
// configuration.
package canary

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
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

// Options says which runtime to prove.
type Options struct {
	Engine  engine.Engine
	Runtime string          // the name by which the engine knows it
	Link    string          // what the engine calls for it, according to its configuration
	Program string          // the path of oci-add-hooks
	Uses    profile.Profile // what oci-add-hooks adds when it is called by Link
}

// Proof is the result of a container that ran.
type Proof struct {
	Calls string // what its engine calls
	Hooks int    // the number of the profile's hooks in its config.json; 0 if none is for this container: then they prove nothing
}

// A runner runs a container through an engine.
type runner interface {
	// load loads the archive into the engine as an image.
	load(ctx context.Context, archive string) error
	// start starts a container of that image, and returns its id.
	start(ctx context.Context) (id string, err error)
	// runs reports whether the container with that id still runs.
	runs(ctx context.Context, id string) (bool, error)
	// remove removes the container and the image, if they exist. It returns at the first call that the engine does not
	// answer within tidying.
	remove(ctx context.Context) error
}

// Run runs a container, examines it, and removes it. When ctx ends, the engine has a few seconds more to start the
// container, which is then removed. If the engine does not remove it in time, or ctx ends meanwhile, the next call of
// Sweep does.
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
	r, err := newRunner(ctx, reach, opts.Runtime, dir)
	if err != nil {
		return proof, errors.Join(err, os.RemoveAll(dir))
	}
	var refused *exec.ExitError // of load: an engine that does not run has nothing to remove
	defer func() {
		tidy := ctx
		if ctx.Err() != nil { // the interrupt has been obeyed
			tidy = context.WithoutCancel(ctx)
		}
		removed := r.remove(tidy)
		if removed == nil || refused != nil {
			removed = os.RemoveAll(dir)
		} else {
			removed = fmt.Errorf("the canary %s cannot be removed now; the next call of hookctl tries again: %w", filepath.Base(dir), removed)
		}
		err = errors.Join(err, removed)
	}()
	archive := filepath.Join(dir, "image.tar")
	if err := writeImage(archive, imageOf(dir), opts.Uses); err != nil {
		return proof, err
	}
	late, cancel := after(ctx, grace)
	defer cancel()
	if err := r.load(late, archive); err != nil {
		errors.As(err, &refused)
		return proof, err
	}
	if err := ctx.Err(); err != nil {
		return proof, fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	id, err := r.start(late)
	if err != nil {
		return proof, fmt.Errorf("the container did not start: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return proof, fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	if proof, err = opts.prove(id); err != nil {
		return proof, err
	}
	if running, err := r.runs(ctx, id); err != nil || !running {
		return proof, errors.Join(errors.New("the container ended before it was removed"), err)
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

// prove examines the running container with that id.
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

// running returns the running container with that id, if its engine calls a path that matches.
func running(scan *container.Scan, id string, matches func(string) bool) (use container.Use, found bool) {
	list, _ := scan.Using(matches) // a container that cannot be examined is not this one
	for _, use := range list {
		if use.ID == id && use.Running && use.Bundle != "" {
			return use, true
		}
	}
	return use, false
}

const (
	// patience is how long a call of an engine's client may take, including the profile's hooks.
	patience = 2 * time.Minute
	// grace is how long a call may continue after an interrupt: an engine whose client ends starts the container all the
	// same.
	grace = 10 * time.Second
	// tidying is how long each call may take that removes something.
	tidying = 15 * time.Second
)

// settling is how long an engine may take until it answers or knows a new image.
const settling = 10 * time.Second

// after returns a context that ends a while after ctx.
func after(ctx context.Context, while time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(while, func() { cancel(context.Cause(ctx)) })
	})
	return late, func() { stop(); cancel(nil) }
}

// call runs an engine's client within a time limit, and returns its output without surrounding space.
func call(ctx context.Context, limit time.Duration, name string, args ...string) (string, error) {
	path, err := command.Find(name)
	if err != nil {
		return "", Impossible(fmt.Sprintf("%s, which runs the container, is not installed", name))
	}
	text, err := command.OutputWithin(ctx, limit, path, args...)
	return strings.TrimSpace(text), err
}

// Impossible is why no container can be run: something that this needs is missing. It says nothing about the runtime.
type Impossible string

func (i Impossible) Error() string { return string(i) }

// role is the first argument that makes this program the container's process. marker is a file by which this program,
// called in any other way, recognizes that it is in such a container.
const (
	role   = "canary:wait"
	marker = "/.hookctl-canary"
)

// IsRole reports whether this process runs in a canary's container. If so, the caller calls Role instead of the command
// line.
func IsRole(argv []string) bool {
	if len(argv) == 2 && argv[1] == role {
		return true
	}
	_, err := os.Lstat(marker)
	return err == nil
}

// Role waits until a signal ends the container. If none comes because hookctl was killed, it ends after a while. As a
// hook, it does nothing.
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
