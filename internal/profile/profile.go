// Package profile decides which hook files, hooks directories and low-level runtime a call uses. The call's options
// name them, or else the profile that has the name under which the program was called.
//
// It knows nothing about config.json or about what is done with the hooks.
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

// Dir is the directory of the profiles: the profile NAME is the hook file NAME.json in it. Tests set it with the
// linker.
var Dir = "/etc/oci-add-hooks"

// defaultRuntime is the low-level runtime if nothing names one.
const defaultRuntime = "runc"

// Profile is what a call uses.
type Profile struct {
	Runtime string        // a name or a path
	Files   []*hooks.File // in the order in which their hooks are prepended
	Dirs    []string      // hooks directories, in increasing precedence: first those that Files name

	// Program is the path of the oci-add-hooks that adds the hooks; "" for this program. The supervisor is in its
	// directory.
	Program string
}

// NamedBy returns the hook file that names the hooks directory Dirs[i]. It returns nil if an option names it.
func (p Profile) NamedBy(i int) *hooks.File {
	for _, f := range p.Files {
		if i < len(f.Dirs) {
			return f
		}
		i -= len(f.Dirs)
	}
	return nil
}

// Load returns what call uses. If call adds hooks, Load reads and checks its hook files completely. Any other call
// needs only the runtime with which the container was created, and needs it even if a hook file has become invalid
// since. So Load then returns the runtime of the first hook file that names one, and reads nothing else. If an option
// names the runtime, it reads no file.
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

// readFiles reads and checks hook files. It returns an error if two of them name different runtimes.
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
		return nil, fmt.Errorf("called as %q, which is not a valid profile name (a letter or digit, then letters, digits, '.', '_' and '-'); "+
			"call it through a link with a valid name, or give it --hook-config-path FILE", call.Name)
	}
	return []string{filepath.Join(Dir, call.Name+".json")}, nil
}

// ValidName reports whether name is a valid profile name: a letter or digit, then letters, digits, '.', '_' and '-'.
// Such a name cannot lead out of Dir. The function keeps the rules of package early, which calls it before Go's runtime
// starts.
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

// explain sets the remedy of an error about a missing hook file. If an option names the file, the remedy may be an
// absolute path. Otherwise the remedy says why the program looks for the file.
func explain(err error, call cmdline.Call) error {
	var at *jsonfile.Error
	switch {
	case !errors.Is(err, unix.ENOENT) || !errors.As(err, &at):
	case call.Slip != "" && len(call.HookFiles) == 0:
		return fmt.Errorf("%s is not an option of this program, so the hooks come from %s, which is missing; "+
			"write --hook-config-path FILE, --hooks-dir DIR or --runtime-path RUNTIME", call.Slip, at.Path)
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
