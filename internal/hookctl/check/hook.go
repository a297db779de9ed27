package check

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

// hook is a hook in a file.
type hook struct {
	node                     *node // the hook object; in the old format of hooks directories, the whole file
	path, args, env, timeout *node
	stages                   []hooks.Stage
	old                      bool               // the old format, which has no env and no timeout
	supervision              *hooks.Supervision // nil if it is not supervised
}

// inContainer reports whether the hook's program is in the container.
func (h hook) inContainer() bool {
	return !slices.ContainsFunc(h.stages, func(s hooks.Stage) bool { return s != hooks.StartContainer })
}

func hookOf(n *node, stages []hooks.Stage) hook {
	return hook{node: n, path: n.get("path"), args: n.get("args"), env: n.get("env"), timeout: n.get("timeout"), stages: stages}
}

// hook warns of probable mistakes in a hook. unrunnable is the severity of a program that cannot be executed.
func (c *checker) hook(h hook, unrunnable Severity) {
	if !h.inContainer() {
		c.hookProgram(h, unrunnable)
		c.exposure(h.path, h.path.text())
	}
	c.argv0(h)
	c.oddEnv(h)
	if h.supervision != nil { // the supervisor sets its timeout and environment
		c.patience(h)
		return
	}
	if h.env == nil {
		problem, hint := "no env: the hook inherits the environment that the engine gave the runtime", "give it what it needs, such as"
		if slices.Contains(h.stages, hooks.CreateContainer) {
			problem += ", with what the image set (CVE-2025-23266)"
		}
		if h.old {
			hint = `write the file in the format 1.0.0, and give the hook what it needs, such as`
		}
		c.warn("environment", h.node, problem, hint+` "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]`)
	}
	if h.timeout == nil {
		hint := `add "timeout", in seconds`
		if h.old {
			hint = "write the file in the format 1.0.0, and " + hint
		}
		c.warn("timeout", h.node, "no timeout: if the hook hangs, so does the container", hint)
	}
}

// oddEnv warns of entries of env that set no variable, or one that is already set.
func (c *checker) oddEnv(h hook) {
	var set []string
	for _, n := range h.env.elements() {
		name, _, ok := strings.Cut(n.text(), "=")
		switch {
		case !ok || name == "":
			c.warn("environment", n, fmt.Sprintf("%q sets no variable", n.text()), "write NAME=value")
		case slices.Contains(set, name):
			c.warn("environment", n, fmt.Sprintf("the variable %s is set twice: which one counts, the program decides", name), "remove one of them")
		}
		set = append(set, name)
	}
}

// argv0 warns of args whose first element does not look like the program's name. In the old format, the runtime adds argv[0].
func (c *checker) argv0(h hook) {
	if len(h.args.list()) == 0 {
		return
	}
	first := h.args.list()[0]
	path := h.path.text()
	name, want := filepath.Base(first.text()), filepath.Base(path)
	if strings.HasPrefix(name, want) || name != "" && strings.HasPrefix(want, name) { // python3 for python3.11
		return
	}
	// A program with several names, such as busybox, has them beside it. In a container they cannot be seen.
	if _, err := os.Stat(filepath.Join(filepath.Dir(path), name)); h.inContainer() || err == nil && fs.ValidPath(name) {
		return
	}
	c.warn("argv0", first, fmt.Sprintf("args seem to lack argv[0]: the program sees %q as its own name", first.text()),
		fmt.Sprintf("put the name before them: [%q, %q, ...]", want, first.text()))
}
