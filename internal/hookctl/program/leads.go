package program

import (
	"cmp"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// Known returns the known links NAME to program, and the path of the one beside it, which may not exist.
func Known(program, name string) []string {
	return append(LinksTo(program, name), filepath.Join(filepath.Dir(program), name))
}

// Uses returns a function that reports whether a word of an engine's call is one of links, leads to one, or makes the
// call use the profile of that name. A name without a path, which is looked up in an unknown PATH, counts as the link.
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
	called := filepath.Base(word) == name && (LeadsTo(word, link) || Is(word) && !isOther(word)) // through another link of the same name
	return called || sameEntry(word, sys.Profile(name)) || name != cmdline.Name && leadsOver(word, link)
}

// Calls returns a function that reports whether a word of an engine's call is the oci-add-hooks at program, or leads to
// it.
func Calls(program string) func(word string) bool {
	return func(word string) bool {
		if !filepath.IsAbs(word) {
			name := filepath.Base(word)
			return name == cmdline.Name || len(LinksTo(program, name)) > 0
		}
		return leadsOver(word, program) || LeadsTo(word, program)
	}
}

// Is reports whether a path leads to oci-add-hooks, including copies other than the one that hookctl found, of any
// name.
func Is(path string) bool {
	end, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	if filepath.Base(end) == cmdline.Name {
		return true
	}
	info, err := buildinfo.ReadFile(end)
	return err == nil && filepath.Base(info.Path) == cmdline.Name
}

// isOther reports whether a program is certainly not this project's oci-add-hooks, in spite of its name: Go built it from
// another package, or did not build it at all. A script is another program too: it leads to what it calls. The program is
// not executed to find out.
func isOther(path string) bool {
	if info, err := buildinfo.ReadFile(path); err == nil {
		return info.Path != mainPackage && strings.Contains(info.Path, "/") // else it was built from files
	}
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	start := make([]byte, 2)
	_, err = file.ReadAt(start, 0)
	if err == nil && string(start) == "#!" {
		return true
	}
	_, err = ReadELF(file)
	return err == nil
}

// mainPackage is the package of oci-add-hooks, which Go records in the program.
const mainPackage = "github.com/awslabs/oci-add-hooks/cmd/oci-add-hooks"

// leadsOver reports whether path is link, or a link to it, directly or through other links. The target of link does not
// matter: it may have been removed.
func leadsOver(path, link string) bool {
	for range 40 { // the kernel's limit
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

// sameEntry reports whether two paths are the same name in the same directory. The name need not exist.
func sameEntry(a, b string) bool {
	return filepath.Clean(a) == filepath.Clean(b) ||
		filepath.Base(a) == filepath.Base(b) && LeadsTo(filepath.Dir(a), filepath.Dir(b))
}

// Words returns the paths and names in an engine's call of its runtime, in the scripts that it calls, and in those that
// they call. The paths are paths in files. An error lists what cannot be followed, and so may lead anywhere.
func Words(files proc.Files, call []string) (words []string, err error) {
	f := follow(files, call)
	for _, c := range f.commands {
		words = append(words, c.words...)
		for _, more := range []string{c.path, c.as} {
			if more != "" {
				words = append(words, more)
			}
		}
	}
	for _, word := range append(slices.Clone(words), f.words...) { // an option's value, a list of paths, or text for a shell
		words = append(words, word)
		words = append(words, strings.FieldsFunc(word, betweenWords)...)
	}
	return words, f.err()
}

// ErrNoArguments is wrapped by an error of Call about a script that leads to oci-add-hooks, but does not pass on how it is
// called.
var ErrNoArguments = errors.New("passes no arguments on, so that no container starts")

// Call returns the call of oci-add-hooks that an engine's call of its runtime leads to, also through scripts, as if it
// created a container. It returns false if the engine's call leads to another program, as far as it can be followed.
// exe is the path of the known oci-add-hooks, and may be empty. Relative paths stay relative unless their directory is
// known. It is an error if no script passes its arguments on.
func Call(files proc.Files, call []string, exe string) (cmdline.Call, bool, error) {
	f := follow(files, call)
	without := func(c command) int { return min(len(c.place), 1) }
	slices.SortStableFunc(f.commands, func(a, b command) int { return without(a) - without(b) })
	for _, c := range f.commands {
		for i, word := range c.words {
			if !isProgram(word, exe) && (i > 0 || !isProgram(c.path, exe)) {
				continue
			}
			// An option of the runtime comes first, as in an engine's calls.
			argv := slices.Concat(c.words[i:], []string{"--debug=false", "create"})
			if i == 0 {
				argv[0] = cmp.Or(c.as, argv[0])
			}
			call, err := cmdline.Parse(argv)
			if c.place != "" {
				err = fmt.Errorf("%s %w", c.place, ErrNoArguments)
			}
			if c.dir != "" {
				for _, paths := range [][]string{call.HookFiles, call.HooksDirs} {
					for i, path := range paths {
						if !filepath.IsAbs(path) {
							paths[i] = filepath.Join(c.dir, path)
						}
					}
				}
			}
			return call, true, err
		}
	}
	return cmdline.Call{}, false, f.err()
}

func isProgram(word, exe string) bool {
	if !filepath.IsAbs(word) {
		return word == filepath.Base(word) && word != "" && (word == cmdline.Name || exe != "" && len(LinksTo(exe, word)) > 0)
	}
	return Is(word) || exe != "" && LeadsTo(word, exe)
}
