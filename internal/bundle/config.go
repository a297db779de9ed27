// Package bundle reads and changes a bundle's config.json. It reads the facts that conditions need, adds hooks without
// changing any other byte, and replaces the file atomically.
//
// It does not know which hooks are added, or why. Parsing and adding hooks are pure: bytes in, bytes out.
package bundle

import (
	"cmp"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// Config is a config.json that has been read: its bytes, and the offsets of the values that this program needs.
type Config struct {
	// Facts are the facts about the container that conditions need; empty if Read was called without facts.
	Facts hooks.Container

	file   *jsonfile.File
	root   value                  // the whole object
	hooks  value                  // the value of its member hooks
	stages map[hooks.Stage]*stage // the members of hooks

	// fault is why hooks cannot be added to this file: runtimes would refuse it, or read it differently (rule 14). It
	// does not matter if nothing is added.
	fault error
}

// value holds the offsets in the file of an object or an array, or of a null that stands for an empty one.
type value struct {
	start, end int  // end is 0 if there is no such value
	inside     int  // the offset after the opening bracket; 0 for null
	empty      bool // the object or array has no members or elements
}

func (v value) exists() bool { return v.end > 0 }
func (v value) isNull() bool { return v.inside == 0 }

// stage is the array of a stage's hooks.
type stage struct {
	value
	hooks []jsontext.Value
	last  int // the offset after the last hook
}

// Read reads the config.json at path, of the container with the given id. If facts is true, it also reads the facts
// that conditions need.
func Read(path, id string, facts bool) (*Config, error) {
	file, err := jsonfile.Read(path)
	if err != nil {
		var at *jsonfile.Error
		if errors.Is(err, unix.ENOENT) && errors.As(err, &at) {
			at.Remedy = "name the bundle's directory by --bundle, or start there"
		}
		return nil, err
	}
	return parse(file, id, facts)
}

// Lock waits until no other call of this program is replacing config.json. The caller must call Unlock.
func (c *Config) Lock() (jsonfile.Place, error) {
	place, err := c.file.Lock()
	return place, c.fail(err)
}

// Replace replaces the content of config.json, which is at place, by text, atomically. If it fails, the file is
// unchanged. The error is jsonfile.ErrChanged if the file is not the one that was read. Replace does not sync to disk,
// because a bundle does not outlive a power cut.
func (c *Config) Replace(place jsonfile.Place, text jsonfile.Text) error {
	return c.fail(place.Replace(c.file, text))
}

func (c *Config) fail(err error) error {
	if err == nil {
		return nil
	}
	remedy := cmp.Or(report.Remedy(err), "let one process at a time change it: fuser(1) shows who has it open")
	return &jsonfile.Error{Path: c.file.Path, Problem: "cannot be replaced: " + err.Error(),
		Remedy: remedy + " (the file is as it was, and no container was started)", Err: err}
}

// parse finds the offsets. It decodes escapes in the names of members. It accepts faults that do not concern this
// program: duplicate members elsewhere, and invalid UTF-8.
func parse(file *jsonfile.File, id string, facts bool) (*Config, error) {
	c := &Config{file: file, stages: map[hooks.Stage]*stage{}}
	asked := factReader{Container: hooks.Container{ID: id}}
	r := file.Lenient()
	c.root = value{inside: r.Next() + 1, empty: true}
	err := r.Object(func(name string) error {
		c.root.empty = false
		if name == "hooks" {
			return c.readHooks(r)
		}
		c.note(r.MisspeltCase(name, "hooks"))
		if facts {
			return asked.read(r, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.note(r.Finish())
	if facts {
		c.Facts = asked.container()
	}
	return c, nil
}

// note keeps the first fault.
func (c *Config) note(err error) {
	if c.fault == nil {
		c.fault = err
	}
}

// readHooks reads the value of a member "hooks".
func (c *Config) readHooks(r *jsonfile.Reader) (err error) {
	if c.hooks.exists() {
		c.note(r.Fail(`"hooks" is given twice`, "remove one of the two"))
		return nil
	}
	if r.Kind() != '{' {
		c.hooks, err = c.readNull(r, "an object", '{')
		return err
	}
	c.hooks = value{start: r.Next(), inside: r.Next() + 1, empty: true}
	err = r.Object(func(name string) error {
		c.hooks.empty = false
		for _, s := range hooks.Stages() {
			if name == string(s) {
				return c.readStage(r, s)
			}
			c.note(r.MisspeltCase(name, string(s)))
		}
		return nil
	})
	c.hooks.end = r.End()
	return err
}

// readStage reads the value of a stage.
func (c *Config) readStage(r *jsonfile.Reader, name hooks.Stage) (err error) {
	if c.stages[name] != nil {
		c.note(r.Fail(fmt.Sprintf("stage %q is given twice", name), "remove one of the two"))
		return nil
	}
	s := &stage{}
	c.stages[name] = s
	if r.Kind() != '[' {
		s.value, err = c.readNull(r, "an array", '[')
		return err
	}
	s.value = value{start: r.Next(), inside: r.Next() + 1}
	err = r.Array(func() error {
		hook, err := r.Value()
		s.hooks = append(s.hooks, hook)
		s.last = r.End()
		return err
	})
	s.empty = len(s.hooks) == 0
	s.end = r.End()
	return err
}

// readNull reads a null that stands for an empty object or array, which want names in messages. It notes a fault for
// any other value.
func (c *Config) readNull(r *jsonfile.Reader, want string, wantKind jsontext.Kind) (value, error) {
	kind := r.Kind()
	if _, err := r.Value(); err != nil {
		return value{}, err
	}
	if kind != 'n' {
		c.note(r.Fail("must be "+want+" or null", jsonfile.KindRemedy(wantKind)))
	}
	return value{start: r.Start(), end: r.End()}, nil
}
