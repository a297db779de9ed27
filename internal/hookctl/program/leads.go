package program

import (
	"debug/buildinfo"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
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

// Is reports whether a path leads to oci-add-hooks, be it another copy than the one that hookctl found, of any name.
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
// those that they call. The paths are those of files. An error says what cannot be followed: it may lead anywhere.
func Words(files proc.Files, call []string) (words []string, err error) {
	f := follow(files, call)
	for _, c := range f.commands {
		words = append(words, c.words...)
		if c.path != "" {
			words = append(words, c.path)
		}
	}
	for _, word := range append(slices.Clone(words), f.words...) { // an option's value, a list of paths, a text for a shell
		words = append(words, word)
		words = append(words, strings.FieldsFunc(word, betweenWords)...)
	}
	return words, f.err()
}

// Call returns the call of oci-add-hooks that an engine's call of its runtime leads to, be it through scripts, as if it created
// a container. It reports false if the engine's call leads to another program, as far as it can be followed. exe is the
// oci-add-hooks that is known; it may be empty. Relative paths stay so unless the directory is known to which they are.
func Call(files proc.Files, call []string, exe string) (cmdline.Call, bool, error) {
	f := follow(files, call)
	for _, c := range f.commands {
		for i, word := range c.words {
			if !isProgram(word, exe) && (i > 0 || !isProgram(c.path, exe)) {
				continue
			}
			// An option of the runtime's comes first, as in an engine's calls: it is no value of ours.
			call, err := cmdline.Parse(slices.Concat(c.words[i:], []string{"--debug=false", "create"}))
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
