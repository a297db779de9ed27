// Package profile decides which hook files, which hooks directories and which low-level runtime a call uses: those that
// its options name, or those of the profile that is called as the program was.
//
// It does not know config.json, nor what becomes of the hooks.
package profile

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// Dir is the directory in which a profile NAME is the hook file NAME.json. Tests set it when they build the program.
var Dir = "/etc/oci-add-hooks"

// defaultRuntime is the low-level runtime where nothing names one.
const defaultRuntime = "runc"

// Profile is what a call uses.
type Profile struct {
	Runtime string        // a name or a path
	Files   []*hooks.File // in the order in which their hooks are prepended
	Dirs    []string      // hooks directories, in increasing precedence: those that Files name, then others

	// Program is the path of the oci-add-hooks that adds the hooks, beside which the supervisor lies; "" for this program.
	Program string
}

// NamedBy returns the hook file that names the hooks directory Dirs[i]; nil if an option does.
func (p Profile) NamedBy(i int) *hooks.File {
	for _, f := range p.Files {
		if i < len(f.Dirs) {
			return f
		}
		i -= len(f.Dirs)
	}
	return nil
}

// Load returns what call uses. If it adds hooks, its hook files are read and checked whole. For any other call, the
// runtime is all that there is to the profile: it must be the one that the container was created with, and be found
// even if the rest of a hook file has been broken since. So hook files are then read for that name alone, the first that
// has one, and not at all if an option gives it.
func Load(call cmdline.Call) (Profile, error) {
	p := Profile{Runtime: call.Runtime}
	if call.Kind != cmdline.AddHooks && p.Runtime != "" {
		return p, nil
	}
	paths, err := hookFiles(call)
	if err != nil {
		return p, err
	}
	if call.Kind == cmdline.AddHooks {
		err = p.readFiles(paths)
		p.Dirs = append(p.Dirs, call.HooksDirs...)
	} else {
		for i := 0; p.Runtime == "" && i < len(paths) && err == nil; i++ {
			p.Runtime, err = hooks.ReadRuntime(paths[i])
		}
	}
	if p.Runtime == "" {
		p.Runtime = defaultRuntime
	}
	return p, explain(err, call)
}

// readFiles reads hook files whole. Of several, none may name another runtime than the rest.
func (p *Profile) readFiles(paths []string) error {
	var named *hooks.File // the file that names the runtime
	for _, path := range paths {
		file, err := hooks.ReadFile(path)
		if err != nil {
			return err
		}
		if file.Runtime != "" {
			if named != nil && named.Runtime != file.Runtime {
				return &jsonfile.Error{Path: file.Path,
					Problem: fmt.Sprintf("names the runtime %q, but %s names %q", file.Runtime, named.Path, named.Runtime),
					Remedy:  "let one of them name it"}
			}
			named = file
		}
		p.Files = append(p.Files, file)
		p.Dirs = append(p.Dirs, file.Dirs...)
	}
	if p.Runtime == "" && named != nil {
		p.Runtime = named.Runtime
	}
	return nil
}

// hookFiles returns the paths of a call's hook files: those of its options, else its profile's.
func hookFiles(call cmdline.Call) ([]string, error) {
	if len(call.HookFiles) > 0 || len(call.HooksDirs) > 0 {
		return call.HookFiles, nil
	}
	if call.Name == "" {
		return nil, errors.New("called without a name, by which a profile is chosen; call it by a link with a profile's name, or give it --hook-config-path FILE")
	}
	if !ValidName(call.Name) {
		return nil, fmt.Errorf("called as %q, which is no name for a profile (a letter or digit, then letters, digits, '.', '_' and '-'); "+
			"call it by a link with such a name, or give it --hook-config-path FILE", call.Name)
	}
	return []string{filepath.Join(Dir, call.Name+".json")}, nil
}

// ValidName reports whether name is one for a profile: a letter or digit, then letters, digits, '.', '_' and '-', nothing
// that could lead out of Dir. It keeps the rules of package early, which calls it before Go's runtime has started.
//
//go:nosplit
func ValidName(name string) bool {
	for i := range len(name) {
		c := name[i]
		alphanumeric := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alphanumeric && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return name != ""
}

// explain adds to the error about a hook file that is missing why it was looked for, if no option named it, or where.
func explain(err error, call cmdline.Call) error {
	var at *jsonfile.Error
	switch {
	case !errors.Is(err, unix.ENOENT) || !errors.As(err, &at):
	case call.Slip != "" && len(call.HookFiles) == 0:
		at.Remedy = fmt.Sprintf("%s is not an option of this program: write --hook-config-path FILE, --hooks-dir DIR or --runtime-path RUNTIME", call.Slip)
	case len(call.HookFiles) > 0:
		at.Remedy = cmp.Or(jsonfile.RelativeRemedy(at.Path), at.Remedy)
	default:
		at.Remedy = fmt.Sprintf("called as %q and without --hook-config-path, the program takes its hooks from there: write that file, or give the option", call.Name)
		if call.Name == cmdline.Name {
			at.Remedy += " (oci-add-hooks --help says more)"
		}
	}
	return err
}
