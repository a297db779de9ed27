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

	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// hookProgram notes that a hook's program cannot be executed: the runtime leaves that to the low-level runtime, which
// finds out in the middle of a start.
func (c *checker) hookProgram(h hook, severity Severity) {
	path := h.path.text()
	if !filepath.IsAbs(path) || strings.Contains(path, "\x00") {
		return // which is an error of its own
	}
	note := func(kind, problem, hint string) {
		c.noteAt(severity, kind, h.path, problem, hint)
	}
	if problem, hint := unusable(path); problem != "" {
		note("program", fmt.Sprintf("the hook's program %s %s", path, problem), hint)
		return
	}
	head, err := beginning(path)
	switch line, isScript := bytes.CutPrefix(head, []byte("#!")); {
	case err != nil:
		return // who checks may not read it
	case isScript:
		line, _, _ = bytes.Cut(line, []byte("\n"))
		if problem, hint := h.script(path, string(line)); problem != "" {
			note("interpreter", "the hook is a script "+problem, hint)
		}
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		if loader, err := program.Loader(path); err == nil && loader != "" {
			if problem, _ := unusable(loader); problem != "" {
				c.warn("interpreter", h.path, fmt.Sprintf("the hook's program %s is linked for the loader %s, which %s", path, loader, problem),
					"install that system's C library, or link the program statically")
			}
		}
	case len(bytes.TrimSpace(head)) == 0:
		note("program", fmt.Sprintf("the hook's program %s is empty", path), "write it, or correct the path")
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf#!")):
		note("interpreter", fmt.Sprintf("the hook's program %s is a script with a byte order mark before its #!: the kernel does not execute it", path),
			"save it as UTF-8 without one")
	case bytes.IndexByte(head, 0) < 0: // text; what else there is, a handler of binfmt_misc(5) may execute
		note("interpreter", fmt.Sprintf("the hook's program %s is a script without #!: the kernel does not execute it", path),
			"write the interpreter into its first line, such as #!/bin/sh")
	}
}

// script returns what is wrong with a script whose first line goes on with line after its #!, and what to do.
func (h hook) script(path, line string) (problem, hint string) {
	words := strings.Fields(line)
	switch {
	case strings.HasSuffix(line, "\r"):
		return "with a carriage return behind its interpreter, which the kernel takes for a part of the name",
			"write it with the line ends of Unix: sed -i 's/\\r$//' " + path
	case len(words) == 0:
		return "without an interpreter behind its #!", "write one, such as #!/bin/sh"
	case !filepath.IsAbs(words[0]):
		return fmt.Sprintf("whose interpreter %s is looked for in the runtime's working directory", words[0]), "give its whole path, such as #!/bin/sh"
	}
	if problem, _ := unusable(words[0]); problem != "" {
		return fmt.Sprintf("whose interpreter %s %s", words[0], problem), "install it, or change the script's first line"
	}
	if filepath.Base(words[0]) != "env" {
		return "", ""
	}
	_, argument, _ := strings.Cut(line, words[0])
	program, problem := envProgram(strings.Trim(argument, " \t"))
	switch {
	case problem != "":
		return problem, "write #!" + words[0] + " -S " + strings.TrimSpace(argument)
	case program == "":
		return "", ""
	case strings.Contains(program, "/"):
		if problem, _ := unusable(program); problem != "" && filepath.IsAbs(program) {
			return fmt.Sprintf("whose interpreter %s %s", program, problem), "install it, or change the script's first line"
		}
		return "", ""
	}
	searched := h.searchPath()
	if !slices.ContainsFunc(filepath.SplitList(searched), func(dir string) bool {
		problem, _ := unusable(filepath.Join(dir, program))
		return problem == ""
	}) {
		return fmt.Sprintf("whose interpreter %s is in none of the directories %s", program, searched),
			"install it, or give the hook an env with the PATH that it needs"
	}
	return "", ""
}

// envProgram returns the program that env(1) starts, given the one argument that the kernel makes of what follows env in a
// script's first line; "" if that cannot be told. problem says that env would take all of it for one word.
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

// cutAny returns s without the first of the prefixes that it has, and reports whether it has one.
func cutAny(s string, prefixes ...string) (string, bool) {
	for _, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			return rest, true
		}
	}
	return s, false
}

// unusable says why the program at path cannot be executed, and what to do; "" if it can.
func unusable(path string) (problem, hint string) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return "cannot be found: " + report.Plain(err).Error(), "install it, or correct the path"
	case st.IsDir():
		return "is a directory", "give the path of a program"
	case !st.Mode().IsRegular():
		return "is not a regular file", "give the path of a program"
	case st.Mode()&0o111 == 0:
		return "is not executable", "chmod +x " + path
	}
	var fs unix.Statfs_t
	if unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOEXEC != 0 {
		return "lies on a file system from which nothing is executed (mounted noexec)", "install it elsewhere"
	}
	return "", ""
}

// beginning returns what the kernel reads of a program to see what it is.
func beginning(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, 256))
}

// searchPath returns the PATH that the hook will see; that of an engine is not known, and taken for a usual one.
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
