// Package profiles knows the profiles of a system: their names, their content, and the changes that add or remove one.
//
// It plans, and changes nothing itself. It does not know who uses a profile: before its caller carries out a plan that
// takes a link or a runtime away from containers, it makes sure that none needs them.
package profiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/profile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// Profile is a profile of the system.
type Profile struct {
	Name      string              `json:"name"`
	File      string              `json:"file"`
	Links     []string            `json:"links"`
	Runtime   string              `json:"runtime,omitempty"`
	Hooks     map[hooks.Stage]int `json:"hooks"` // how many at each stage that has any
	HooksDirs []string            `json:"hooksDirs"`
	Error     string              `json:"error,omitempty"` // why the runtime refuses the profile
}

// Names returns the names of the existing profiles.
func Names(sys system.System) (names []string, err error) {
	entries, err := os.ReadDir(sys.Profiles)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && profile.ValidName(name) {
			names = append(names, name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the profiles in %s cannot be read: %w", sys.Profiles, report.Plain(err))
	}
	return names, nil
}

// None returns the error about a profile that does not exist.
func None(sys system.System, name string) error {
	remedy := "see hookctl profile list, or make it with hookctl profile add " + name
	if short, ok := strings.CutSuffix(name, ".json"); ok {
		remedy = fmt.Sprintf("did you mean %q?", short)
	}
	return fmt.Errorf("there is no profile %s (%s); %s", name, sys.Profile(name), remedy)
}

// Exists returns an error if the file of a profile does not exist.
func Exists(sys system.System, name string) error {
	path := sys.Profile(name)
	_, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return None(sys, name)
	case err != nil:
		return fmt.Errorf("%s cannot be examined: %w; %s", path, report.Plain(err), report.Remedy(err))
	}
	return nil
}

// List returns the existing profiles. exe is the path of oci-add-hooks; empty if unknown.
func List(sys system.System, exe string) ([]Profile, error) {
	names, err := Names(sys)
	if err != nil {
		return nil, err
	}
	list := []Profile{}
	for _, name := range names {
		p := Profile{Name: name, File: sys.Profile(name), Links: program.LinksTo(exe, name), Hooks: map[hooks.Stage]int{}, HooksDirs: []string{}}
		uses, err := profile.Load(cmdline.Call{Kind: cmdline.AddHooks, HookFiles: []string{p.File}})
		if err != nil {
			p.Error = err.Error()
			list = append(list, p)
			continue
		}
		p.Runtime = uses.Runtime
		if _, err := program.FindRuntime(exe, uses.Runtime); err != nil {
			p.Error = err.Error()
		}
		for _, h := range uses.Files[0].Hooks {
			p.Hooks[h.Stage]++
		}
		p.HooksDirs = append(p.HooksDirs, uses.Dirs...)
		list = append(list, p)
	}
	for _, name := range bare(exe, names) {
		list = append(list, Profile{Name: name, File: sys.Profile(name), Links: program.LinksTo(exe, name), Hooks: map[hooks.Stage]int{}, HooksDirs: []string{},
			Error: "there is no " + sys.Profile(name) + ": a container by this link does not start, nor can it be stopped; hookctl profile add " + name + " makes it"})
	}
	return list, nil
}

// bare returns the names of the links beside the oci-add-hooks at exe for which no profile exists.
func bare(exe string, names []string) (list []string) {
	entries, _ := os.ReadDir(filepath.Dir(exe)) // an unreadable directory counts as empty
	for _, e := range entries {
		name := e.Name()
		if exe != "" && e.Type() == fs.ModeSymlink && name != cmdline.Name && profile.ValidName(name) && !slices.Contains(names, name) && program.LeadsTo(Link(exe, name), exe) {
			list = append(list, name)
		}
	}
	return list
}

// Missing returns an error if neither a profile nor a link of a name exists.
func Missing(sys system.System, exe, name string) error {
	if _, err := os.Lstat(sys.Profile(name)); errors.Is(err, fs.ErrNotExist) && len(program.LinksTo(exe, name)) == 0 {
		return None(sys, name)
	}
	return nil
}

// Ready returns the link of a profile, if an engine may call it: it leads to the oci-add-hooks at exe, and containers
// can start by the profile, which force does not require. It returns the findings about the profile also with an error.
func Ready(sys system.System, exe, name string, force bool) (link string, findings []check.Finding, err error) {
	if err := Exists(sys, name); err != nil {
		return "", nil, err
	}
	if link = Link(exe, name); !program.LeadsTo(link, exe) {
		return "", nil, fmt.Errorf("%s is not a link to %s: make it with hookctl profile add %s, or give its directory with --bin-dir", link, exe, name)
	}
	findings = check.Files(exe, []string{sys.Profile(name)}).Findings
	if err := Judge(findings, name+" is not installed", "installs it all the same", force); err != nil {
		return "", findings, err
	}
	return link, nil, nil
}
