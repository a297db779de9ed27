package check

import (
	"bytes"
	"cmp"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// hookProgram notes if a hook's program cannot be executed. The runtime does not check that, and the low-level runtime
// finds it out only in the middle of a start.
func (c *checker) hookProgram(h hook, severity Severity) {
	path := h.path.text()
	if !filepath.IsAbs(path) || strings.Contains(path, "\x00") {
		return // this is reported as a separate error
	}
	if _, err := os.Stat(path); err != nil {
		problem, hint := hooks.ProgramMissing(path, err)
		c.noteAt(severity, "program", h.path, problem, hint)
		return
	}
	f := unusable(path)
	if f == nil {
		f = h.fault(path, 0)
	}
	if f != nil {
		c.noteAt(severity, f.kind, h.path, fmt.Sprintf("the hook's program %s %s", path, f.problem), f.hint)
	}
}

// A fault is why the kernel does not execute a file.
type fault struct {
	kind    string // of the finding
	problem string // continues a sentence that begins with the file's name
	hint    string
	isText  bool // it is a script without #!, which a shell would execute
}

// unfit returns a fault of the file itself.
func unfit(problem, hint string) *fault { return &fault{kind: "program", problem: problem, hint: hint} }

// uninterpreted returns a fault of what executes the file: a script's interpreter, or a program's loader.
func uninterpreted(problem, hint string) *fault {
	return &fault{kind: "interpreter", problem: problem, hint: hint}
}

// maxInterpreters is how many interpreters the kernel follows from a script (execve(2)). readByKernel is how many bytes
// of a file it reads to recognize the format.
const (
	maxInterpreters = 5
	readByKernel    = 256
)

// fault returns why the kernel does not execute the file at path, whose mode allows it; nil if it finds no reason.
// scripts is the number of scripts that led to this interpreter.
func (h hook) fault(path string, scripts int) *fault {
	file, err := os.Open(path)
	if err != nil {
		return nil // this user may not read it
	}
	defer file.Close()
	head, err := io.ReadAll(io.LimitReader(file, readByKernel))
	if err != nil || isHandled(path, head) {
		return nil
	}
	line, isScript := bytes.CutPrefix(head, []byte("#!"))
	switch {
	case isScript && scripts >= maxInterpreters:
		return uninterpreted("is itself a script: the kernel follows no more of them", "name an interpreter that is not a script")
	case isScript:
		return h.scriptFault(path, line, scripts)
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		return elfFault(file)
	case len(bytes.TrimSpace(head)) == 0:
		return unfit("is empty", "write it, or correct the path")
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf#!")):
		return uninterpreted("is a script with a byte order mark before its #!: the kernel does not execute it", "save it as UTF-8 without one")
	case bytes.IndexByte(head, 0) < 0:
		f := uninterpreted("is a script without #!: the kernel does not execute it", "write the interpreter into its first line, such as #!/bin/sh")
		f.isText = true
		return f
	}
	return unfit("is in no format that this kernel executes", "install one for this machine")
}

// scriptFault returns the fault of a script that begins with #! and then line; nil if it finds none.
func (h hook) scriptFault(path string, line []byte, scripts int) *fault {
	first, _, isWhole := bytes.Cut(line, []byte("\n"))
	words := strings.Fields(string(first))
	wrong := func(problem, hint string) *fault { return uninterpreted("is a script "+problem, hint) }
	switch {
	case bytes.HasSuffix(first, []byte("\r")):
		return wrong("with a carriage return after its interpreter, which the kernel takes as part of the name",
			"write it with the line ends of Unix: sed -i 's/\\r$//' "+path)
	case len(words) == 0:
		return wrong("without an interpreter after its #!", "write one, such as #!/bin/sh")
	case !isWhole && len("#!")+len(line) == readByKernel && strings.HasSuffix(string(first), words[0]):
		return wrong(fmt.Sprintf("whose interpreter ends beyond the %d bytes that the kernel reads", readByKernel), "give it a shorter path, by a link")
	case !filepath.IsAbs(words[0]):
		return wrong(fmt.Sprintf("whose interpreter %s is looked for in the runtime's working directory", words[0]), "give its whole path, such as #!/bin/sh")
	}
	// interpreter returns the fault of a program that executes the script.
	interpreter := func(program string, scripts int) *fault {
		f := unusable(program)
		if f != nil {
			f.hint = "install it, or change the script's first line"
		} else {
			f = h.fault(program, scripts)
		}
		if f != nil {
			f.kind, f.problem = "interpreter", fmt.Sprintf("is a script whose interpreter %s %s", program, f.problem)
		}
		return f
	}
	if f := interpreter(words[0], scripts+1); f != nil {
		f.isText = false
		return f
	}
	if filepath.Base(words[0]) != "env" {
		return nil
	}
	_, argument, _ := strings.Cut(string(first), words[0])
	program, problem := envProgram(strings.Trim(argument, " \t"))
	switch searched := h.searchPath(); {
	case problem != "":
		return wrong(problem, "write #!"+words[0]+" -S "+strings.TrimSpace(argument))
	case program == "":
		return nil
	case !strings.Contains(program, "/"):
		found := slices.DeleteFunc(filepath.SplitList(searched), func(dir string) bool { return unusable(filepath.Join(dir, program)) != nil })
		if len(found) == 0 {
			return wrong(fmt.Sprintf("whose interpreter %s is in none of the directories %s", program, searched), "install it, or give the hook an env with the PATH that it needs")
		}
		program = filepath.Join(found[0], program)
	case !filepath.IsAbs(program):
		return nil
	}
	if f := interpreter(program, 0); f != nil && !f.isText { // env passes such a script to a shell
		return f
	}
	return nil
}

// envProgram returns the program that env(1) starts; "" if it cannot find out. argument is everything after env in a
// script's first line, which the kernel passes as one argument. problem is not empty if env would take all of it as one
// word.
func envProgram(argument string) (program, problem string) {
	words, split := cutAny(argument, "-S", "-vS", "--split-string=", "--split-string ")
	switch {
	case !split && strings.ContainsAny(argument, " \t"):
		return "", fmt.Sprintf("whose interpreter env gets %q as one word", argument)
	case !split && (strings.HasPrefix(argument, "-") || strings.Contains(argument, "=")), strings.ContainsAny(words, `\'"$#`):
		return "", ""
	}
	rest := strings.Fields(words)
	for i := 0; i < len(rest); i++ {
		switch word := rest[i]; {
		case slices.Contains([]string{"-u", "--unset", "-C", "--chdir", "-a", "--argv0"}, word):
			i++ // its value
		case !strings.HasPrefix(word, "-") && !strings.Contains(word, "="):
			return word, ""
		}
	}
	return "", ""
}

// cutAny returns s without the first of prefixes that it begins with, and reports whether there is one.
func cutAny(s string, prefixes ...string) (string, bool) {
	for _, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			return rest, true
		}
	}
	return s, false
}

// unusable returns why the file at path cannot be executed regardless of its content; nil if there is no reason.
func unusable(path string) *fault {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return unfit("cannot be found: "+report.Plain(err).Error(), "install it, or correct the path")
	case st.IsDir():
		return unfit("is a directory", "give the path of a program")
	case !st.Mode().IsRegular():
		return unfit("is not a regular file", "give the path of a program")
	case st.Mode()&0o111 == 0:
		return unfit("is not executable", "chmod +x "+path)
	}
	var fs unix.Statfs_t
	if unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOEXEC != 0 {
		return unfit("lies on a file system from which nothing is executed (mounted noexec)", "install it elsewhere")
	}
	return nil
}

// searchPath returns the PATH that the hook will see. Without env, it is the engine's, which is not known; searchPath
// assumes this process's, or a usual one.
func (h hook) searchPath() string {
	if h.env == nil {
		return cmp.Or(os.Getenv("PATH"), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	for _, variable := range h.env.list() {
		if value, ok := strings.CutPrefix(variable.text(), "PATH="); ok {
			return value
		}
	}
	return "/bin:/usr/bin" // execvp's own
}
