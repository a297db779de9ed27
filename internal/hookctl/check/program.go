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

	"github.com/awslabs/oci-add-hooks/internal/report"
)

// hookProgram notes that a hook's program cannot be executed: the runtime leaves that to the low-level runtime, which
// finds out in the middle of a start.
func (c *checker) hookProgram(h hook, severity Severity) {
	path := h.path.text()
	if !filepath.IsAbs(path) {
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
		if loader := loaderOf(path); loader != "" {
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
	name := slices.IndexFunc(words[1:], func(word string) bool { return !strings.HasPrefix(word, "-") && !strings.Contains(word, "=") })
	if name < 0 || strings.Contains(words[1:][name], "/") {
		return "", ""
	}
	program := words[1:][name]
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

// loaderOf returns the dynamic loader that a program names; "" if none is to be seen.
func loaderOf(path string) string {
	program, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer program.Close()
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			loader, err := io.ReadAll(io.LimitReader(segment.Open(), unix.PathMax))
			if err != nil {
				return ""
			}
			return string(bytes.TrimRight(loader, "\x00"))
		}
	}
	return ""
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
