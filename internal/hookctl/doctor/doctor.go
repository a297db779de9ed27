// Package doctor finds out which engines use oci-add-hooks, and diagnoses problems: with the engine's effective
// configuration, the link, the profile, the low-level runtime, and what hookctl installed.
//
// It judges the facts that package engine returns about engines and package check about hooks. It writes nothing. It
// starts a container only as a canary (package canary).
package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// Status says how bad a line is.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Warning Status = "warning" // containers start, but something is probably a mistake
	Error   Status = "error"   // containers do not start, or start without the hooks
)

// Line is the result about one thing that was examined.
type Line struct {
	Engine  string `json:"engine"`
	Config  string `json:"config"`            // the engine's main configuration file
	Runtime string `json:"runtime,omitempty"` // the name by which the engine knows it; empty for the engine as a whole
	Status  Status `json:"status"`
	About   string `json:"about"` // version, registration, link, profile, hooks, runtime, annotations, record or canary
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"` // what to do
}

// Options says what to examine.
type Options struct {
	Exe     string // the path of oci-add-hooks; empty if unknown
	Config  bool   // the engines' main configuration files were given explicitly, and must exist
	Canary  bool   // run a container with each runtime that leads to oci-add-hooks
	Runtime string // run one only with the runtime of this name; empty for all
}

// Diagnose examines engines. An interrupt of a canary is an error.
func Diagnose(ctx context.Context, sys system.System, list []engine.Engine, opts Options) ([]Line, error) {
	lines := []Line{}
	for _, e := range list {
		if _, err := os.Stat(e.Config()); err != nil && opts.Config {
			lines = append(lines, Line{Engine: e.Name(), Config: e.Config(), Status: Error, About: "registration", Message: "there is no " + e.Config(), Remedy: "correct --config"})
			continue
		}
		lines = append(lines, examine(ctx, sys, e, opts.Exe)...)
		if opts.Canary {
			more, err := canaries(ctx, sys, e, opts.Exe, opts.Runtime)
			if err != nil {
				return nil, err
			}
			lines = append(lines, more...)
		}
	}
	return lines, nil
}

// Count returns the number of errors and of warnings.
func Count(lines []Line) (errs, warnings int) {
	for _, l := range lines {
		switch l.Status {
		case Error:
			errs++
		case Warning:
			warnings++
		}
	}
	return errs, warnings
}

// examine examines an engine, and each of its runtimes that leads to the oci-add-hooks at exe or should lead there. exe
// may be empty.
func examine(ctx context.Context, sys system.System, e engine.Engine, exe string) []Line {
	x := &examination{sys: sys, engine: e, exe: exe}
	x.version(ctx)
	registered, err := e.Registered(ctx)
	if err != nil {
		x.note("", Error, "registration", err.Error(), "")
		return x.lines
	}
	for _, f := range registered.Faults {
		x.fault("", f)
	}
	if len(registered.Faults) == 0 { // the faults are more precise
		if _, err := x.engine.View(ctx); err != nil {
			x.note("", Error, "registration", err.Error(), "")
		}
	}
	found := 0
	if d := e.Daemon(); d != nil && d.Process != nil {
		if x.known, err = e.Known(ctx); err != nil {
			x.note("", Warning, "registration", err.Error(), "what "+d.Program+" itself knows of its runtimes was not looked at")
		}
	}
	for _, entry := range registered.Entries {
		if Concerns(sys, entry, exe) || x.installed(entry.Name) {
			x.entry(ctx, entry)
			found++
		} else if x.unclear(entry) {
			found++
		}
	}
	x.records(ctx, registered)
	if found == 0 {
		x.note("", OK, "registration", "no runtime leads to oci-add-hooks", "")
	}
	return x.lines
}

// examination is the examination of one engine.
type examination struct {
	sys    system.System
	engine engine.Engine
	exe    string             // the path of oci-add-hooks; empty if unknown
	known  *engine.Registered // what the running daemon reports; nil if unknown
	lines  []Line
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

// installed reports whether hookctl has installed a runtime of that name.
func (x *examination) installed(name string) bool {
	rec, _, err := registration.ReadRecord(x.sys, x.engine.Name(), name)
	return err == nil && rec != nil && rec.Config == x.engine.Config()
}

// Concerns reports whether an entry leads to oci-add-hooks, possibly by a script, leads to no file, or has the name of
// a profile.
func Concerns(sys system.System, entry engine.Entry, exe string) bool {
	path, err := engine.Lookup(entry.Path)
	if err != nil {
		return filepath.IsAbs(entry.Path) || hasProfile(sys, entry.Name)
	}
	_, leads, _ := program.Call(host, calls(path, entry), exe)
	return leads || hasProfile(sys, entry.Name)
}

// unclear notes that nobody can say whether an entry leads to oci-add-hooks, or that it leads to no program, and reports
// whether that is so.
func (x *examination) unclear(entry engine.Entry) bool {
	path, err := engine.Lookup(entry.Path)
	if err != nil {
		return false
	}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		x.note(entry.Name, Error, "link", path+" is a directory: no container of this runtime starts", "correct the path, or remove the runtime from the configuration")
		return true
	}
	if _, _, err = program.Call(host, calls(path, entry), x.exe); err != nil {
		x.note(entry.Name, Warning, "link", fmt.Sprintf("whether %s leads to oci-add-hooks is not known: %v", path, err), "")
	}
	return err != nil
}

// host opens the files of this process's root.
var host = proc.Below("/")

func calls(path string, entry engine.Entry) []string { return append([]string{path}, entry.Args...) }

// hasProfile reports whether there is a profile of that name.
func hasProfile(sys system.System, name string) bool {
	_, err := os.Stat(sys.Profile(name))
	return err == nil && profile.ValidName(name)
}

// entry examines a runtime that an engine knows.
func (x *examination) entry(ctx context.Context, entry engine.Entry) {
	for _, f := range entry.Faults {
		x.fault(entry.Name, f)
	}
	if len(entry.Faults) == 0 {
		message := "calls " + strings.Join(calls(entry.Path, entry), " ")
		if entry.Default {
			message += ", by default"
		}
		x.note(entry.Name, OK, "registration", message, "")
	}
	if known := x.known; known != nil && len(entry.Faults) == 0 {
		switch is := known.Entry(entry.Name); {
		case is == nil || is.Path != entry.Path:
			x.note(entry.Name, Warning, "registration", fmt.Sprintf("the running %s does not know it so: it has not read its configuration since", x.engine.Program()), x.engine.Reload(nil).Command)
		case entry.Default && !is.Default:
			x.note(entry.Name, Warning, "registration", fmt.Sprintf("it is not the default runtime of the running %s: that has not read its configuration since", x.engine.Program()), x.engine.Reload(nil).Command)
		}
	}
	path, err := engine.Lookup(entry.Path)
	switch {
	case entry.Path == "":
		return // a fault has been reported
	case err != nil:
		remedy := "put it there, or remove the runtime from the configuration"
		if hasProfile(x.sys, filepath.Base(entry.Path)) {
			remedy = fmt.Sprintf("hookctl profile add %s makes it again", filepath.Base(entry.Path))
		}
		x.note(entry.Name, Error, "link", entry.Path+" leads to no file: no container of this runtime starts, or can be stopped", remedy)
		return
	}
	call, leads, err := program.Call(host, calls(path, entry), x.exe)
	switch {
	case !leads && err != nil:
		x.note(entry.Name, Error, "link", fmt.Sprintf("whether %s leads to oci-add-hooks is not known: %v", path, err), "")
		return
	case !leads:
		x.note(entry.Name, Error, "link", path+" does not lead to oci-add-hooks: no hooks are added, though there is a profile of that name",
			fmt.Sprintf("let it lead there (hookctl profile add %s), or remove it", entry.Name))
		return
	case err != nil:
		x.note(entry.Name, Error, "profile", err.Error(), "correct its arguments in "+x.engine.Config()+", or in the script that has them")
		return
	}
	if !x.link(ctx, entry, path) {
		return
	}
	x.profile(entry, path, call)
}

// link notes where a runtime's path leads, and reports whether it leads to this program.
func (x *examination) link(ctx context.Context, entry engine.Entry, path string) bool {
	message, target := path, path
	if program.Is(path) || program.LeadsTo(path, x.exe) {
		if end, err := filepath.EvalSymlinks(path); err == nil && end != path {
			message, target = path+" -> "+end, end
		}
	} else {
		words, _ := program.Words(host, calls(path, entry)) // Call has found the program in spite of an error
		for _, word := range words {
			if found, err := engine.Lookup(word); err == nil && program.Is(found) {
				target = found
				break
			}
		}
		message = path + ", which calls " + target
	}
	if x.exe == "" || !program.LeadsTo(target, x.exe) {
		if err := isThis(ctx, target); err != nil {
			x.note(entry.Name, Error, "link", message+": "+err.Error(), "let it lead to this oci-add-hooks, or remove it")
			return false
		}
	}
	x.note(entry.Name, OK, "link", message, "")
	return true
}

// isThis returns an error if a program called oci-add-hooks is not this project's.
func isThis(ctx context.Context, path string) error {
	end, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	text, err := command.OutputWithin(ctx, 5*time.Second, end, "--version")
	if err != nil {
		return fmt.Errorf("it does not say that it is this program: %w", err)
	}
	first, rest, _ := strings.Cut(text, "\n") // what cmd/oci-add-hooks prints, and dockerd parses
	if !strings.HasPrefix(first, cmdline.Name+" version ") || !strings.HasPrefix(rest, "commit: ") || !strings.Contains(rest, "\nspec: ") {
		return fmt.Errorf("it is another program of that name, to judge by its --version: %q", first)
	}
	return nil
}

// Uses returns what a call of the oci-add-hooks at exe adds to a container, the paths of the hook files and directories
// that it reads, and the low-level runtime's path.
func Uses(call cmdline.Call, exe string) (uses profile.Profile, sources []string, runtime string, err error) {
	if uses, err = profile.Load(call); err != nil {
		return uses, nil, "", err
	}
	for _, f := range uses.Files {
		sources = append(sources, f.Path)
	}
	sources = append(sources, call.HooksDirs...)
	runtime, err = program.FindRuntime(exe, uses.Runtime)
	return uses, sources, runtime, err
}

// OfEntry returns what a container gets from a runtime that an engine knows, as Uses does.
func OfEntry(entry engine.Entry, exe string) (uses profile.Profile, err error) {
	path, err := engine.Lookup(entry.Path)
	if err != nil {
		return uses, err
	}
	call, leads, err := program.Call(host, calls(path, entry), exe)
	if err == nil && !leads {
		err = fmt.Errorf("%s does not lead to oci-add-hooks", path)
	}
	if err == nil {
		uses, _, _, err = Uses(call, exe)
	}
	return uses, err
}

// profile examines the profile that a call selects.
func (x *examination) profile(entry engine.Entry, path string, call cmdline.Call) {
	for _, path := range slices.Concat(call.HookFiles, call.HooksDirs) {
		if !filepath.IsAbs(path) {
			x.note(entry.Name, Error, "profile", path+" is relative: it is looked for in the directory in which the engine calls its runtime, a container's bundle", "give the whole path")
			return
		}
	}
	uses, sources, runtime, err := Uses(call, x.exe)
	if len(sources) == 0 && err != nil {
		x.note(entry.Name, Error, "profile", err.Error(), "hookctl check says more")
		return
	}
	result := check.Files(x.exe, sources)
	warnings := 0
	for _, f := range result.Findings {
		place := f.File
		if f.Line > 0 {
			place += fmt.Sprintf(":%d:%d", f.Line, f.Column)
		}
		switch {
		case f.Kind == "runtime" || f.Kind == "loop": // reported below
		case f.Severity == check.Error:
			x.note(entry.Name, Error, "profile", place+": "+f.Problem, f.Hint)
		case f.Kind == "feature":
			x.note(entry.Name, Warning, "hooks", place+": "+f.Problem, f.Hint)
		default:
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
	chain, first, file := []string{path}, path, sources[0]
	if call.Runtime != "" { // it overrides the hook file's
		chain, first, file = append(chain, runtime), runtime, x.sys.Profile(filepath.Base(runtime))
	}
	if more, loop := check.Chain(first, file); loop {
		x.note(entry.Name, Error, "runtime", "it never reaches a low-level runtime: "+strings.Join(append(chain, more...), " calls "), "name a runtime in one of these profiles")
		return
	}
	x.note(entry.Name, OK, "runtime", runtime+", "+features(check.Features(runtime)), "")
	x.features(entry, runtime)
	if entry.PodAnnotations != nil {
		x.annotations(entry, uses.Dirs)
		x.sandboxes(entry, uses.Files)
	}
}

// features warns of features that the engine knows of the low-level runtime, but not of the entry that leads to it. The
// engine may not have asked the entry yet, and does not use the features then.
func (x *examination) features(entry engine.Entry, runtime string) {
	if x.known == nil || x.known.Entry(entry.Name) == nil {
		return
	}
	has := x.known.Entry(entry.Name).Features
	for _, other := range x.known.Entries {
		path, err := engine.Lookup(other.Path)
		if err != nil || !program.LeadsTo(path, runtime) {
			continue
		}
		for _, feature := range other.Features {
			if !slices.Contains(has, feature) {
				x.note(entry.Name, Warning, "features", fmt.Sprintf("%s does not know that it has %s, as %s has: containers do without", x.engine.Name(), feature, other.Name),
					"restart "+x.engine.Program()+", which asks for features when it starts")
			}
		}
	}
}

// sandboxes warns of hooks whose program would have to be in a pod's sandbox image.
func (x *examination) sandboxes(entry engine.Entry, files []*hooks.File) {
	for _, f := range files {
		for _, h := range f.Hooks {
			if h.Stage == hooks.StartContainer && !f.SkipSandboxes {
				x.note(entry.Name, Warning, "hooks", fmt.Sprintf("%s adds the startContainer hook %s to the sandboxes of pods too, whose image probably does not have it: then no pod starts", f.Path, h.Path),
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

// records examines what hookctl installed.
func (x *examination) records(ctx context.Context, registered *engine.Registered) {
	records, err := registration.Records(x.sys, x.engine)
	if err != nil {
		x.note("", Error, "record", err.Error(), "")
		return
	}
	for _, rec := range records {
		name := rec.Name
		again := fmt.Sprintf("hookctl install %s --profile %s adds it again, hookctl uninstall removes the record", x.engine.Name(), name)
		i := slices.IndexFunc(registered.Entries, func(e engine.Entry) bool { return e.Name == name && len(e.Faults) == 0 })
		if i < 0 {
			i = slices.IndexFunc(registered.Entries, func(e engine.Entry) bool { return e.Name == name })
		}
		switch {
		case i < 0:
			x.note(name, Error, "record", "hookctl has installed it, but the configuration no longer has it", again)
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
				"nothing has to be done: hookctl uninstall removes its own part and keeps the rest")
		}
		if x.overridden(ctx, rec) {
			continue
		}
		if i >= 0 && len(edited) == 0 && registered.Entries[i].Path == rec.Link {
			x.note(name, OK, "record", "all is as hookctl has installed it", "")
		}
	}
}

// overridden notes that another file overrides the default runtime that hookctl set, and reports whether one does.
func (x *examination) overridden(ctx context.Context, rec *registration.Record) bool {
	now, err := x.engine.View(ctx)
	if err != nil || now.Default() == rec.Name {
		return false // an error has been noted
	}
	for _, f := range rec.Files {
		text, err := change.Read(f.Path)
		if err != nil || text == nil {
			continue
		}
		tree, err := engine.Tree(f.Path, text)
		if view := (&engine.View{Tree: tree, Standard: now.Standard}); err == nil && view.Default() == rec.Name {
			x.note(rec.Name, Warning, "record", fmt.Sprintf("%s makes it the default runtime, but that is %s: another file says so%s", f.Path, now.Default(), now.NamingDefault()),
				"remove one of the two settings")
			return true
		}
	}
	return false
}
