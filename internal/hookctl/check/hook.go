package check

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// hook is a hook as it stands in a file.
type hook struct {
	node                     *node // the hook object; in the old format of hooks directories the whole file
	path, args, env, timeout *node
	stages                   []hooks.Stage
	old                      bool               // the old format: env and timeout cannot be given
	supervision              *hooks.Supervision // nil if it is not supervised
}

func hookOf(n *node, stages []hooks.Stage) hook {
	return hook{node: n, path: n.get("path"), args: n.get("args"), env: n.get("env"), timeout: n.get("timeout"), stages: stages}
}

// hook warns of what is hardly meant in a hook.
func (c *checker) hook(h hook) {
	inContainer := !slices.ContainsFunc(h.stages, func(s hooks.Stage) bool { return s != hooks.StartContainer })
	if !inContainer {
		c.hookProgram(h)
		c.exposure(h.path, h.path.text())
	}
	c.argv0(h)
	if h.supervision != nil { // which has bounds and an environment of its own
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

// hookProgram warns of a hook that cannot be executed.
func (c *checker) hookProgram(h hook) {
	path := h.path.text()
	problem, hint := unusable(path)
	if problem != "" {
		c.warn("program", h.path, fmt.Sprintf("the hook's program %s %s", path, problem), hint)
		return
	}
	interpreter := interpreterOf(path, h.searchPath())
	if interpreter == "" {
		return
	}
	if problem, _ := unusable(interpreter); problem != "" {
		c.warn("interpreter", h.path, fmt.Sprintf("the hook is a script whose interpreter %s %s", interpreter, problem),
			"install it, or change the script's first line")
	}
}

// unusable says why the program at path cannot be executed, and what to do; "" if it can.
func unusable(path string) (problem, hint string) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return "cannot be found: " + report.Plain(err).Error(), "install it, or correct the path"
	case st.IsDir():
		return "is a folder", "give the path of a program"
	case !st.Mode().IsRegular():
		return "is not a regular file", "give the path of a program"
	case st.Mode()&0o111 == 0:
		return "is not executable", "chmod +x " + path
	}
	return "", ""
}

// searchPath gives the PATH that the hook will see.
func (h hook) searchPath() string {
	if h.env == nil {
		return os.Getenv("PATH")
	}
	for _, variable := range h.env.list() {
		if value, ok := strings.CutPrefix(variable.text(), "PATH="); ok {
			return value
		}
	}
	return "/bin:/usr/bin" // execvp's own
}

// interpreterOf gives the interpreter that a script's first line names, "" if the program is no script. Of env(1) it
// gives the program that this would look for in searchPath.
func interpreterOf(path, searchPath string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	head, err := io.ReadAll(io.LimitReader(file, 256)) // the kernel reads no more
	if err != nil || !bytes.HasPrefix(head, []byte("#!")) {
		return ""
	}
	line, _, _ := bytes.Cut(head[2:], []byte("\n"))
	words := strings.Fields(string(line))
	if len(words) == 0 {
		return ""
	}
	if filepath.Base(words[0]) != "env" {
		return words[0]
	}
	for _, word := range words[1:] {
		if !strings.HasPrefix(word, "-") && !strings.Contains(word, "=") {
			return lookUp(word, searchPath)
		}
	}
	return words[0]
}

// lookUp gives the path of the program called name, or name if there is none.
func lookUp(name, searchPath string) string {
	for _, folder := range filepath.SplitList(searchPath) {
		path := filepath.Join(folder, name)
		if problem, _ := unusable(path); problem == "" {
			return path
		}
	}
	return name
}

// argv0 warns of args whose first doesn't look like the program's name. In the old format argv[0] is put before them.
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
	// A program that goes by several names, such as busybox, has them beside it.
	if _, err := os.Stat(filepath.Join(filepath.Dir(path), name)); err == nil && fs.ValidPath(name) {
		return
	}
	c.warn("argv0", first, fmt.Sprintf("args seem to lack argv[0]: the program sees %q as its own name", first.text()),
		fmt.Sprintf("put the name before them: [%q, %q, ...]", want, first.text()))
}
