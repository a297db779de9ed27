package program

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// Known returns the links NAME to program that are known, and the one that would be beside it.
func Known(program, name string) []string {
	return append(LinksTo(program, name), filepath.Join(filepath.Dir(program), name))
}

// Uses returns what reports whether a word of an engine's call is one of links, leads to one, or has the call use the
// profile of its name. A name alone, which is looked up in a PATH that is not known, is taken for the link.
func Uses(sys system.System, links []string) func(word string) bool {
	return func(word string) bool {
		return slices.ContainsFunc(links, func(link string) bool { return uses(sys, word, link) })
	}
}

func uses(sys system.System, word, link string) bool {
	name := filepath.Base(link)
	if !filepath.IsAbs(word) {
		return filepath.Base(word) == name
	}
	called := filepath.Base(word) == name && (LeadsTo(word, link) || Is(word)) // by another link, and the same name
	return called || sameEntry(word, sys.Profile(name)) || name != cmdline.Name && leadsOver(word, link)
}

// Calls returns what reports whether a word of an engine's call is the oci-add-hooks at program, or leads to it.
func Calls(program string) func(word string) bool {
	return func(word string) bool {
		if !filepath.IsAbs(word) {
			name := filepath.Base(word)
			return name == cmdline.Name || len(LinksTo(program, name)) > 0
		}
		return leadsOver(word, program) || LeadsTo(word, program)
	}
}

// Is reports whether a path leads to oci-add-hooks, be it another copy than the one that hookctl found.
func Is(path string) bool {
	end, err := filepath.EvalSymlinks(path)
	return err == nil && filepath.Base(end) == cmdline.Name
}

// leadsOver reports whether path is link, or a link to it, or a link to such a link. What link leads to does not matter: it
// may have been removed.
func leadsOver(path, link string) bool {
	for range 40 { // as many as the kernel follows
		if sameEntry(path, link) {
			return true
		}
		target, err := os.Readlink(path)
		if err != nil {
			return false
		}
		if !filepath.IsAbs(target) {
			dir, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				return false
			}
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return false
}

// sameEntry reports whether two paths are the same name in the same directory. Nothing of that name need be there.
func sameEntry(a, b string) bool {
	return filepath.Clean(a) == filepath.Clean(b) ||
		filepath.Base(a) == filepath.Base(b) && LeadsTo(filepath.Dir(a), filepath.Dir(b))
}

// Words returns the paths and names that there are in an engine's call of its runtime, in the scripts that it calls, and in
// those that they call. The paths are those of files. With an error, some words may be missing.
func Words(files proc.Files, call []string) (words []string, err error) {
	for _, arg := range call {
		words = append(words, arg)
		if _, value, ok := strings.Cut(arg, "="); ok {
			words = append(words, value)
		}
	}
	var unread []error
	next := words
	for range 2 { // dockerd's script for a runtime with arguments, and one by a person that it calls
		var found []string
		for _, word := range next {
			text, err := readScript(files, word)
			if err != nil {
				unread = append(unread, err)
			}
			found = append(found, strings.FieldsFunc(text, betweenWords)...)
		}
		words, next = append(words, found...), found
	}
	return words, errors.Join(unread...)
}

// Call returns the call of oci-add-hooks that an engine's call of its runtime leads to, be it by the scripts that Words
// looks through, as if it created a container. It reports false if the engine's call leads to another program. exe is the
// oci-add-hooks that is known; it may be empty.
func Call(files proc.Files, call []string, exe string) (cmdline.Call, bool, error) {
	lines := [][]string{call}
	var unread []error
	for range 3 {
		var scripts []string
		for _, line := range lines {
			for i, word := range line {
				if isProgram(word, exe) {
					// An option of the runtime's comes first, as in an engine's calls: it is no value of ours.
					call, err := cmdline.Parse(slices.Concat(line[i:], []string{"--debug=false", "create"}))
					return call, true, errors.Join(append(unread, err)...)
				}
			}
			scripts = append(scripts, line...)
		}
		lines = nil
		for _, path := range scripts {
			text, err := readScript(files, path)
			if err != nil {
				unread = append(unread, err)
			}
			lines = append(lines, commands(text)...)
		}
	}
	return cmdline.Call{}, false, errors.Join(unread...)
}

func isProgram(word, exe string) bool {
	if !filepath.IsAbs(word) {
		return word == filepath.Base(word) && word != "" && (word == cmdline.Name || exe != "" && len(LinksTo(exe, word)) > 0)
	}
	return Is(word) || exe != "" && LeadsTo(word, exe)
}

// assignment is a command of a script that sets a variable, and does nothing else.
var assignment = regexp.MustCompile(`^\s*(?:export\s+|readonly\s+)?(\w+)=(?:"([^"]*)"|'([^']*)'|\(([^)]*)\)|([^\s"'()]*))\s*$`)

// commands returns the words of each command of a script, with the values of variables that it has set before.
func commands(script string) (list [][]string) {
	variables := map[string]string{}
	script = strings.ReplaceAll(script, "\\\n", " ")
	for command := range strings.FieldsFuncSeq(script, func(r rune) bool { return r == '\n' || r == ';' }) {
		command = os.Expand(command, func(name string) string {
			name, otherwise, has := strings.Cut(strings.TrimSuffix(name, "[@]"), ":-")
			if value, set := variables[name]; set {
				return value
			}
			if has {
				return otherwise
			}
			return "$" + name
		})
		if m := assignment.FindStringSubmatch(command); m != nil {
			variables[m[1]] = m[2] + m[3] + m[4] + m[5]
			continue
		}
		list = append(list, arguments(command))
	}
	return list
}

// unquote removes quotation marks: one may stand within a word, as in --option="value".
var unquote = strings.NewReplacer(`"`, "", "'", "")

// arguments returns the words of a line of a script, without what it passes on from its own arguments.
func arguments(line string) (words []string) {
	if strings.HasPrefix(strings.TrimSpace(line), "#") {
		return nil
	}
	for _, word := range strings.FieldsFunc(unquote.Replace(line), func(r rune) bool { return r != '=' && betweenWords(r) }) {
		name, value, isAssignment := strings.Cut(word, "=")
		switch {
		case strings.HasPrefix(word, "$"):
		case isAssignment && !strings.HasPrefix(name, "-"):
			words = append(words, value)
		default:
			words = append(words, word)
		}
	}
	return words
}

// betweenWords reports whether a character of a script stands between words. A path that holds such a character is not
// understood.
func betweenWords(r rune) bool { return strings.ContainsRune(" \t\n\"'`=;&|()<>{}", r) }

// maxScript is the size in bytes of the longest script that is looked through.
const maxScript = 64 << 10

// readScript returns the text of a file if it is a script.
func readScript(files proc.Files, path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", nil
	}
	file, err := files.Open(path)
	switch {
	case proc.Gone(err), errors.Is(err, unix.ENOTDIR), errors.Is(err, proc.ErrNotRegular):
		return "", nil
	case err != nil:
		return "", err
	}
	defer file.Close()
	text := make([]byte, maxScript+1)
	n, err := io.ReadFull(file, text[:2])
	if err == nil && !bytes.Equal(text[:2], []byte("#!")) {
		return "", nil
	}
	if err == nil {
		var more int
		more, err = io.ReadFull(file, text[2:])
		n += more
	}
	switch {
	case err == nil:
		return "", fmt.Errorf("%s is longer than the scripts that are looked through (%d KiB)", file.Name(), maxScript>>10)
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return "", fmt.Errorf("%s cannot be read: %w", file.Name(), report.Plain(err))
	}
	return string(text[:n]), nil
}
