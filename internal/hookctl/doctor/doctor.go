// Package doctor says how an engine comes to call oci-add-hooks, and what is wrong on the way: what the engine makes of
// its configuration, the link, the profile, the low-level runtime, and what an installation by hookctl has become.
//
// It judges what package engine knows of engines and package check of hooks. It writes nothing, and starts no container.
package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/launch"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// Status says how bad a line is.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Warning Status = "warning" // containers start, and something is hardly meant
	Error   Status = "error"   // containers do not start, or start without the hooks
)

// Line is one thing that was looked at.
type Line struct {
	Engine  string `json:"engine"`
	Config  string `json:"config"`            // the engine's main configuration file
	Runtime string `json:"runtime,omitempty"` // the name by which the engine knows it; empty for the engine as a whole
	Status  Status `json:"status"`
	About   string `json:"about"` // version, registration, link, profile, hooks, runtime, annotations, record or canary
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"` // what to do
}

// Examine looks at an engine, and at each of its runtimes that leads to the oci-add-hooks at program, or should.
func Examine(ctx context.Context, sys system.System, e engine.Engine, program string) []Line {
	x := &examination{sys: sys, engine: e, program: program}
	x.version(ctx)
	registered, err := e.Registered(ctx)
	if err != nil {
		x.note("", Error, "registration", err.Error(), "")
		return x.lines
	}
	for _, f := range registered.Faults {
		x.fault("", f)
	}
	known := 0
	for _, entry := range registered.Entries {
		if Concerns(entry, program) || x.installed(entry.Name) {
			x.entry(entry)
			known++
		}
	}
	x.records(registered)
	if known == 0 {
		x.note("", OK, "registration", "no runtime leads to oci-add-hooks", "")
	}
	return x.lines
}

// examination is an engine that is looked at.
type examination struct {
	sys     system.System
	engine  engine.Engine
	program string // the path of oci-add-hooks; empty if it is not known
	lines   []Line
}

func (x *examination) note(runtime string, status Status, about, message, remedy string) {
	x.lines = append(x.lines, Line{x.engine.Name(), x.engine.Config(), runtime, status, about, message, remedy})
}

func (x *examination) fault(runtime string, f engine.Fault) {
	status := Warning
	if f.Fatal {
		status = Error
	}
	x.note(runtime, status, "registration", f.Problem, f.Remedy)
}

func (x *examination) version(ctx context.Context) {
	if version, err := engine.Version(ctx, x.engine); err != nil {
		x.note("", Warning, "version", err.Error(), "")
	} else {
		x.note("", OK, "version", version, "")
	}
}

// installed says whether hookctl has installed a runtime of that name.
func (x *examination) installed(name string) bool {
	rec, _, err := registration.ReadRecord(x.sys, x.engine.Name(), name)
	return err == nil && rec != nil && rec.Config == x.engine.Config()
}

// Concerns says whether an entry leads to oci-add-hooks, or nowhere, or has the name of a profile.
func Concerns(entry engine.Entry, program string) bool {
	path, err := engine.Lookup(entry.Path)
	if err != nil && filepath.IsAbs(entry.Path) || err == nil && isProgram(path, program) {
		return true
	}
	return hasProfile(entry.Name)
}

// hasProfile says whether there is a profile of that name.
func hasProfile(name string) bool {
	_, err := os.Stat(filepath.Join(profile.Dir, name+".json"))
	return err == nil && profile.ValidName(name)
}

// isProgram says whether a path leads to oci-add-hooks: to the one that is known, or to a file of that name.
func isProgram(path, program string) bool {
	st, err := os.Stat(path)
	if err != nil {
		return false
	}
	if known, err := os.Stat(program); err == nil && os.SameFile(st, known) {
		return true
	}
	target, err := filepath.EvalSymlinks(path)
	return err == nil && filepath.Base(target) == cmdline.Name
}

// entry looks at a runtime that an engine knows.
func (x *examination) entry(entry engine.Entry) {
	for _, f := range entry.Faults {
		x.fault(entry.Name, f)
	}
	if len(entry.Faults) == 0 {
		message := "calls " + strings.Join(append([]string{entry.Path}, entry.Args...), " ")
		if entry.Default {
			message += ", by default"
		}
		x.note(entry.Name, OK, "registration", message, "")
	}
	path, err := engine.Lookup(entry.Path)
	switch {
	case entry.Path == "":
		return // what there is to say has been said
	case err != nil:
		remedy := "put it there, or take the runtime out of the configuration"
		if hasProfile(filepath.Base(entry.Path)) {
			remedy = fmt.Sprintf("hookctl profile add %s makes it again", filepath.Base(entry.Path))
		}
		x.note(entry.Name, Error, "link", entry.Path+" leads to no file: no container of this runtime starts, or can be stopped", remedy)
		return
	case !isProgram(path, x.program):
		x.note(entry.Name, Error, "link", path+" does not lead to oci-add-hooks: no hooks are added, though there is a profile of that name",
			fmt.Sprintf("let it lead there (hookctl profile add %s), or take it out", entry.Name))
		return
	}
	message := path
	if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
		message += " -> " + target
	}
	x.note(entry.Name, OK, "link", message, "")
	x.profile(entry)
}

// Uses gives what the oci-add-hooks at program adds to a container of a runtime, the paths of the hook files and directories,
// and the low-level runtime's path.
func Uses(entry engine.Entry, program string) (uses profile.Profile, sources []string, runtime string, err error) {
	path, err := engine.Lookup(entry.Path)
	if err != nil {
		return uses, nil, "", err
	}
	call, err := cmdline.Parse(slices.Concat([]string{path}, entry.Args, []string{"create"}))
	if err != nil {
		return uses, nil, "", err
	}
	if uses, err = profile.Load(call); err != nil {
		return uses, nil, "", err
	}
	for _, f := range uses.Files {
		sources = append(sources, f.Path)
	}
	sources = append(sources, call.HooksDirs...)
	if program == "" {
		program = path
	}
	runtime, err = launch.FindFor(program, uses.Runtime)
	return uses, sources, runtime, err
}

// profile looks at the profile that a link chooses.
func (x *examination) profile(entry engine.Entry) {
	uses, sources, runtime, err := Uses(entry, x.program)
	if len(sources) == 0 && err != nil {
		x.note(entry.Name, Error, "profile", err.Error(), "hookctl check says more")
		return
	}
	result := check.Files(x.program, sources)
	warnings := 0
	for _, f := range result.Findings {
		place := f.File
		if f.Line > 0 {
			place += fmt.Sprintf(":%d:%d", f.Line, f.Column)
		}
		switch {
		case f.Severity == check.Error:
			x.note(entry.Name, Error, "profile", place+": "+f.Problem, f.Hint)
		case f.Kind == "feature":
			x.note(entry.Name, Warning, "hooks", place+": "+f.Problem, f.Hint)
		case f.Kind != "runtime": // which is looked at below
			warnings++
		}
	}
	if errs, _ := result.Count(); errs == 0 {
		x.note(entry.Name, OK, "profile", strings.Join(sources, ", "), "")
	}
	if warnings > 0 {
		x.note(entry.Name, Warning, "profile", fmt.Sprintf("hookctl check warns of it (%d)", warnings), "hookctl check "+strings.Join(sources, " "))
	}
	if err != nil {
		problem, remedy, found := strings.Cut(err.Error(), "; ")
		if !found {
			remedy = "install it, or name another in the profile"
		}
		x.note(entry.Name, Error, "runtime", problem, remedy)
		return
	}
	x.note(entry.Name, OK, "runtime", runtime+", "+features(check.Features(runtime)), "")
	if entry.PodAnnotations != nil {
		x.annotations(entry, uses.Dirs)
		x.sandboxes(entry, uses.Files)
	}
}

// sandboxes warns of hooks whose program a pod's sandbox would have to have.
func (x *examination) sandboxes(entry engine.Entry, files []*hooks.File) {
	for _, f := range files {
		for _, h := range f.Hooks {
			if h.Stage == hooks.StartContainer && !f.SkipSandboxes {
				x.note(entry.Name, Warning, "hooks", fmt.Sprintf("%s adds the startContainer hook %s to the sandboxes of pods too, whose image hardly has it: no pod starts then", f.Path, h.Path),
					`write "skipSandboxes": true`)
			}
		}
	}
}

func features(stages []hooks.Stage) string {
	var has []string
	for _, stage := range hooks.Stages() {
		if slices.Contains(stages, stage) {
			has = append(has, string(stage))
		}
	}
	switch {
	case stages == nil:
		return "which does not say what hooks it runs"
	case len(has) == len(hooks.Stages()):
		return "which runs hooks of all stages"
	}
	return "which runs hooks of the stages " + strings.Join(has, ", ")
}

// records looks at what hookctl has installed.
func (x *examination) records(registered *engine.Registered) {
	records, err := registration.Records(x.sys, x.engine)
	if err != nil {
		x.note("", Error, "record", err.Error(), "")
		return
	}
	for _, rec := range records {
		name := rec.Name
		again := fmt.Sprintf("hookctl install %s --profile %s puts it there again, hookctl uninstall forgets it", x.engine.Name(), name)
		i := slices.IndexFunc(registered.Entries, func(e engine.Entry) bool { return e.Name == name && len(e.Faults) == 0 })
		if i < 0 {
			i = slices.IndexFunc(registered.Entries, func(e engine.Entry) bool { return e.Name == name })
		}
		switch {
		case i < 0:
			x.note(name, Error, "record", "hookctl has installed it, and the configuration does not have it any more", again)
		case registered.Entries[i].Path != rec.Link:
			x.note(name, Error, "record", fmt.Sprintf("hookctl has installed it as %s, and now it is %s", rec.Link, registered.Entries[i].Path), again)
		}
		edited, err := registration.Edited(x.sys, x.engine, rec)
		if err != nil {
			x.note(name, Error, "record", err.Error(), "")
			continue
		}
		for _, path := range edited {
			x.note(name, Warning, "record", path+" was edited since hookctl installed it",
				"nothing has to be done: hookctl uninstall takes its own part out and leaves the rest")
		}
		if i >= 0 && len(edited) == 0 && registered.Entries[i].Path == rec.Link {
			x.note(name, OK, "record", "all is as hookctl has installed it", "")
		}
	}
}
