package check

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/launch"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// Chain returns the runtimes that are called in turn when the oci-add-hooks at exe is called with a hook file. The last
// one is the low-level runtime. If a runtime is oci-add-hooks itself, under the name of another profile, the chain
// continues with that profile's runtime. If it is a script that calls oci-add-hooks, the chain continues with the
// runtime of that call.
//
// loop reports that the chain returns to a copy of the program with a hook file that it has passed, so that no
// low-level runtime is ever called. The last runtime is then the one that leads back. The chain ends where a hook file
// or a runtime cannot be found.
func Chain(exe, hookFile string) (runtimes []string, loop bool) {
	runtimes, loop, _ = follow(exe, hookFile)
	return runtimes, loop
}

// follow does what Chain does. If the chain ends without a low-level runtime, it returns the reason as broken.
func follow(exe, hookFile string) (runtimes []string, loop bool, broken error) {
	type call struct{ exe, hookFile, runtime string }
	var passed []call
	at := call{exe: exe, hookFile: hookFile}
	for {
		// A copy skips itself when it searches PATH for a name, so two copies can find different runtimes by the same
		// name.
		this := at
		this.exe, _ = filepath.EvalSymlinks(at.exe)
		if slices.Contains(passed, this) {
			return runtimes, true, nil
		}
		passed = append(passed, this)
		name := at.runtime
		if name == "" {
			var err error
			if name, err = hooks.ReadRuntime(at.hookFile); err != nil {
				return runtimes, false, err
			}
		}
		path, err := program.FindRuntime(at.exe, cmp.Or(name, defaultRuntime))
		switch {
		case errors.Is(err, launch.ErrSelf):
			path = name // the file may be read by another copy
		case err != nil:
			return runtimes, false, err
		}
		runtimes = append(runtimes, path)
		if program.Is(path) {
			at = call{exe: path, hookFile: profileOf(filepath.Base(path))}
			continue
		}
		next, leads, err := program.Call(proc.Below("/"), []string{path}, at.exe)
		if err != nil && !errors.Is(err, program.ErrNoArguments) || !leads {
			return runtimes, false, nil
		}
		at = call{exe: at.exe, hookFile: profileOf(next.Name), runtime: next.Runtime}
		if len(next.HookFiles) > 0 {
			at.hookFile = next.HookFiles[0]
		}
	}
}

func profileOf(name string) string { return filepath.Join(profile.Dir, name+".json") }

// defaultRuntime is the runtime of a hook file that names none.
const defaultRuntime = "runc"

// findRuntime returns the path of the runtime that a hook file uses. It notes an error if there is none or it cannot be
// executed: then no container can be started or stopped.
func (c *checker) findRuntime(root *node, name string) string {
	at := root.get("runtime")
	if name == "" {
		at, name = root.wholeFile(), defaultRuntime
	}
	path, err := program.FindRuntime(c.program, name)
	file, _ := filepath.Abs(root.file.Path) // fails only without a working directory
	chain, loop, broken := follow(c.program, file)
	problem, hint, hasHint := "", "", false
	switch {
	case loop:
		c.noteAt(Error, "loop", at, fmt.Sprintf("the runtime %s is oci-add-hooks, and leads back to a profile by way of %s: no low-level runtime is ever called",
			chain[0], strings.Join(chain, ", ")), "name the low-level runtime itself")
		return path
	case err != nil:
		problem, hint, hasHint = strings.Cut(err.Error(), "; ")
	case broken != nil:
		problem, hint, hasHint = strings.Cut(broken.Error(), "; ")
		problem = fmt.Sprintf("the runtime %s is oci-add-hooks, or calls it, and finds no low-level runtime: %s", path, problem)
	default:
		if f := (hook{}).fault(path, 0); f != nil {
			problem, hint, hasHint = fmt.Sprintf("the runtime %s %s", path, f.problem), f.hint, true
		}
	}
	if !hasHint {
		hint = "install it, or name another"
	}
	if problem != "" {
		c.noteAt(Error, "runtime", at, problem, hint)
	}
	return path
}

// features are the stages that a runtime reports to have; nil if it reports none.
type features []hooks.Stage

// stageInUse warns of a stage that the runtime does not have.
func (c *checker) stageInUse(runtime string, stage hooks.Stage, n *node) {
	if runtime == "" {
		return
	}
	has, asked := c.features[runtime]
	if !asked {
		has = Features(runtime)
		c.features[runtime] = has
	}
	if has != nil && !slices.Contains(has, stage) {
		c.note(Warning, "feature", n.file.at(n.place(), n.pointer,
			fmt.Sprintf("the runtime %s has no stage %s, to judge by its features", runtime, stage), "use another stage or another runtime"))
	}
}

// Features returns the stages that the runtime at path reports to have; nil if it reports none, or if it is not safe to
// execute.
func Features(path string) []hooks.Stage { return ask(path, askFor) }

// answering are the names of runtimes that are known to have a command `features`. Nothing else is executed: it is not
// known what another program does when called with that word.
var answering = []string{"crun", "krun", "runc", "runsc", "youki"}

// askFor is the time limit for a runtime's answer.
const askFor = 5 * time.Second

// ask asks a runtime for its features (runtime specification, features.md). A runtime that others may write to is not
// executed. The runtime gets neither this working directory nor this environment: both may be another user's.
func ask(runtime string, limit time.Duration) features {
	if !filepath.IsAbs(runtime) || !slices.Contains(answering, filepath.Base(runtime)) {
		return nil
	}
	if where, _, _ := exposed(runtime); where != "" {
		return nil
	}
	text, err := command.Bare(context.Background(), limit, runtime, "features")
	var answer struct{ Hooks features }
	if err != nil || json.Unmarshal([]byte(text), &answer) != nil {
		return nil
	}
	return answer.Hooks
}
