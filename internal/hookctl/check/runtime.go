package check

import (
	"cmp"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/launch"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// Chain returns the runtimes by which calls of the oci-add-hooks at exe with a hook file come to the low-level
// runtime. A runtime that is oci-add-hooks itself, under the name of another profile, leads on to that profile's. loop
// reports that the chain comes back to a copy of the program with a profile that it has passed, so that no low-level runtime is ever called; the last
// runtime is then the one that leads back. The chain ends where a hook file or a runtime cannot be found.
func Chain(exe, hookFile string) (runtimes []string, loop bool) {
	type call struct{ exe, hookFile string }
	var passed []call
	for {
		// Each copy passes over itself where it looks a name up, and so finds another runtime than its like.
		this := call{hookFile: hookFile}
		this.exe, _ = filepath.EvalSymlinks(exe)
		if slices.Contains(passed, this) {
			return runtimes, true
		}
		name, err := hooks.ReadRuntime(hookFile)
		if err != nil {
			return runtimes, false
		}
		path, err := program.FindRuntime(exe, cmp.Or(name, defaultRuntime))
		switch {
		case errors.Is(err, launch.ErrSelf):
			path = name // it may be another copy that reads this file
		case err != nil:
			return runtimes, false
		}
		runtimes, passed = append(runtimes, path), append(passed, this)
		if !isThisProgram(path) {
			return runtimes, false
		}
		exe, hookFile = path, filepath.Join(profile.Dir, filepath.Base(path)+".json")
	}
}

// isThisProgram reports whether an executable is oci-add-hooks, of whatever version, by its name or by what Go notes in it.
func isThisProgram(path string) bool {
	if program.Is(path) {
		return true
	}
	info, err := buildinfo.ReadFile(path)
	return err == nil && info.Path == "github.com/awslabs/oci-add-hooks/cmd/oci-add-hooks"
}

// defaultRuntime is the runtime of a hook file that names none.
const defaultRuntime = "runc"

// findRuntime returns the path of the runtime that a hook file uses, and warns if there is none.
func (c *checker) findRuntime(root *node, name string) string {
	at := root.get("runtime")
	if name == "" {
		at, name = root.wholeFile(), defaultRuntime
	}
	path, err := program.FindRuntime(c.program, name)
	file, _ := filepath.Abs(root.file.Path) // fails without a working directory alone
	switch chain, loop := Chain(c.program, file); {
	case loop:
		c.noteAt(Error, "loop", at, fmt.Sprintf("the runtime %s is oci-add-hooks, and leads back to a profile by way of %s: no low-level runtime is ever called",
			chain[0], strings.Join(chain, ", ")), "name the low-level runtime itself")
	case err != nil:
		problem, hint, found := strings.Cut(err.Error(), "; ")
		if !found {
			hint = "install it, or name another"
		}
		c.warn("runtime", at, problem, hint)
	}
	return path
}

// features are the stages that a runtime has; nil if it doesn't say.
type features []hooks.Stage

// stageInUse warns of a stage that the runtime doesn't have.
func (c *checker) stageInUse(runtime string, stage hooks.Stage, n *node) {
	if runtime == "" {
		return
	}
	has, asked := c.features[runtime]
	if !asked {
		has = ask(runtime, askFor)
		c.features[runtime] = has
	}
	if has != nil && !slices.Contains(has, stage) {
		c.note(Warning, "feature", n.file.at(n.place(), n.pointer,
			fmt.Sprintf("the runtime %s has no stage %s, to judge by its features", runtime, stage), "use another stage or another runtime"))
	}
}

// Features returns the stages that the runtime at path has; nil if it doesn't say. What is not safe to ask is not asked.
func Features(path string) []hooks.Stage { return ask(path, askFor) }

// answering are the names of runtimes that are known to have a command `features`. Nothing else is executed: what another
// program makes of that word, nobody knows.
var answering = []string{"crun", "krun", "runc", "runsc", "youki"}

// askFor is how long a runtime may take to answer, and mostAnswered the size in bytes of the longest answer.
const (
	askFor       = 5 * time.Second
	mostAnswered = 1 << 20
)

// ask asks a runtime for its features (runtime specification, features.md). One that others may write to is not
// executed. It finds neither this directory nor this environment: both may be another user's.
func ask(runtime string, limit time.Duration) features {
	if !filepath.IsAbs(runtime) || !slices.Contains(answering, filepath.Base(runtime)) {
		return nil
	}
	if where, _, _ := exposed(runtime); where != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var out limited
	cmd := exec.CommandContext(ctx, runtime, "features")
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + launch.SystemPath}
	cmd.Stdout = &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that its children can be ended with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for children that keep its output open
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // they are of no use to anyone
	}
	var answer struct{ Hooks features }
	if err != nil || json.Unmarshal(out.text, &answer) != nil {
		return nil
	}
	return answer.Hooks
}

// limited keeps what is written to it, as long as that is not too much.
type limited struct{ text []byte }

func (l *limited) Write(p []byte) (int, error) {
	if len(l.text)+len(p) > mostAnswered {
		return 0, errors.New("the answer is too long")
	}
	l.text = append(l.text, p...)
	return len(p), nil
}
