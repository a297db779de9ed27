package check

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/launch"
)

// findRuntime gives the path of the runtime that a hook file uses, and warns if there is none.
func (c *checker) findRuntime(root *node, name string) string {
	at := root.get("runtime")
	if name == "" {
		at, name = root.wholeFile(), "runc"
	}
	program := c.program
	if program == "" {
		program = "/proc/self/exe"
	}
	path, err := launch.FindFor(program, name)
	if err != nil {
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
		has = ask(runtime)
		c.features[runtime] = has
	}
	if has != nil && !slices.Contains(has, stage) {
		c.note(Warning, "feature", n.file.At(n.place(), n.pointer,
			fmt.Sprintf("the runtime %s has no stage %s, to judge by its features", runtime, stage), "use another stage or another runtime"))
	}
}

// ask asks a runtime for its features (runtime specification, features.md). One that others may write to is not
// executed.
func ask(runtime string) features {
	if where, _, _ := exposed(runtime); where != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, runtime, "features").Output()
	var answer struct{ Hooks features }
	if err != nil || json.Unmarshal(out, &answer) != nil {
		return nil
	}
	return answer.Hooks
}
