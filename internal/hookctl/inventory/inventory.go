// Package inventory compares the hooks that containers have with those that their profiles add (rule 29).
//
// The config.json of a container says which hooks it has. The profile that created it follows only from what its engine
// calls for it, never from a name. The runtime's plan says which hooks the profile adds. So nothing is guessed: a
// container that a person started with runc has no such witness, and is compared with a profile only on demand.
//
// It does not know how containers are found, nor how the result is shown.
package inventory

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/bundle"
	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/history"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/inject"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// State is the result of comparing a container's hooks with its profile.
type State string

// The states.
const (
	Complete State = "complete" // it has all hooks that the profile adds today
	Changed  State = "changed"  // it has others, for example those of an older version of the profile
	Missing  State = "missing"  // it has none of the profile's
	None     State = "none"     // it does not go through oci-add-hooks
	Unknown  State = "unknown"  // it cannot be determined; Entry.Reason says why
)

// Entry is a container with its hooks, and the result of the comparison.
type Entry struct {
	ID       string                           `json:"id"`
	Name     string                           `json:"name"`
	Image    string                           `json:"image,omitempty"`
	Engine   string                           `json:"engine"`
	Bundle   string                           `json:"bundle"` // empty if there is none
	Running  bool                             `json:"running"`
	Profile  string                           `json:"profile"` // empty if it goes through none, or through an unknown one
	State    State                            `json:"state"`
	Reason   string                           `json:"reason,omitempty"` // why the state is unknown, or that of a sandbox none
	Hooks    map[hooks.Stage][]jsontext.Value `json:"hooks"`            // as in config.json, each stage's in their order
	Problems []string                         `json:"problems"`

	Through bool `json:"-"` // it goes through oci-add-hooks, according to what its engine calls
	Read    bool `json:"-"` // config.json could be read, so Hooks is complete

	// From has the file that each hook comes from, by the hook's place in Hooks, as far as it can be determined.
	From map[Place]string `json:"-"`
}

// Place is a hook's place in config.json.
type Place struct {
	Stage hooks.Stage
	Index int
}

// Options selects what to compare.
type Options struct {
	Exe      string   // the path of oci-add-hooks; empty if unknown
	Profiles []string // only containers of these profiles; those without a witness are compared with these
	Expect   string   // the profile that containers should go through; empty for none
}

// Inventory compares containers with profiles.
type Inventory struct {
	sys    system.System
	opts   Options
	loaded map[string]loaded // by the arguments that select it
}

// loaded is a profile that has been read.
type loaded struct {
	uses profile.Profile
	dirs *hooks.Directories
	err  error
}

// New returns an inventory of a system.
func New(sys system.System, opts Options) *Inventory {
	return &Inventory{sys, opts, map[string]loaded{}}
}

// List returns the entries of those containers in found that the options select.
func (v *Inventory) List(found []container.Container) []Entry {
	list := []Entry{}
	for _, c := range found {
		if e := v.Entry(c); v.wanted(e) {
			list = append(list, e)
		}
	}
	return list
}

func (v *Inventory) wanted(e Entry) bool {
	return len(v.opts.Profiles) == 0 || slices.Contains(v.opts.Profiles, e.Profile) || v.opts.Expect != "" && len(e.Problems) > 0 ||
		e.Profile == "" && e.State == Unknown // it may be one of these
}

// Entry compares a container with the profile that it goes through.
func (v *Inventory) Entry(c container.Container) Entry { return v.entry(c, v.witness(c)) }

// Compare compares a container with what a call adds, independent of what its engine called for it.
func (v *Inventory) Compare(c container.Container, call cmdline.Call) Entry {
	return v.entry(c, witness{known: true, through: true, call: call, name: Name(call)})
}

// Call returns the call of oci-add-hooks that created a container. It returns false if none did, or none is known.
func (v *Inventory) Call(c container.Container) (cmdline.Call, bool, error) {
	w := v.witness(c)
	return w.call, w.through, w.err
}

func (v *Inventory) entry(c container.Container, w witness) Entry {
	e := Entry{ID: c.ID, Name: c.Name, Image: c.Image, Engine: c.Engine, Bundle: c.Bundle, Running: c.Running,
		Hooks: map[hooks.Stage][]jsontext.Value{}, Problems: []string{}, From: map[Place]string{}}
	e.Profile, e.Through = w.name, w.through
	path, done, err := c.Config()
	if err == nil {
		defer done()
		err = e.read(path)
	}
	e.Read = err == nil
	switch {
	case c.Dropped:
		e.Profile, e.Through = "", false
		e.State, e.Reason = None, "a pod's sandbox whose infra container CRI-O has dropped: no runtime is called for it"
		return e
	case w.err != nil:
		e.fail(w.err)
	case c.Bundle == "" && w.through: // the next start reads the profile
		e.State, e.Reason = Unknown, "it does not run, and its engine keeps no config.json for it"
		if c.Running { // the process that watches it names no bundle, as conmon-rs
			e.Reason = "the process that watches it does not say where its bundle is"
		}
		if err := v.loadFor(c, w.call).err; err != nil {
			e.fail(err)
		}
	case c.Bundle == "" && !w.known:
		e.State, e.Reason = Unknown, "it has not been started, and nothing says which program will be called for it"
		return e
	case w.known && !w.through:
		e.State = None
	case errors.Is(err, container.ErrLater):
		e.State, e.Reason = Unknown, err.Error()
	case proc.Gone(err) && staysAlive(c):
		e.fail(fmt.Errorf("it runs, and its config.json is gone from %s", c.Bundle))
	case proc.Gone(err) && !c.Running:
		e.State, e.Reason = Unknown, "it has ended, and its config.json is gone"
	case proc.Gone(err):
		e.State, e.Reason = Unknown, "it has no config.json: it is being created, or deleted"
	case err != nil:
		e.fail(err)
	case w.through:
		e.compare(v.loadFor(c, w.call).plan(path, c.ID))
	case len(v.opts.Profiles) == 0:
		e.State, e.Reason = Unknown, "nothing says which program was called for it; --profile NAME compares it with a profile"
	default:
		e.closest(v, path)
	}
	if v.opts.Expect != "" && e.Profile != v.opts.Expect {
		v.expect(&e, path, err)
	}
	return e
}

// staysAlive reports whether a container without a config.json goes on running. The conmon of a container that has just
// been removed ends a moment later.
func staysAlive(c container.Container) bool {
	const attempts = 20
	for range attempts {
		if !c.Alive() {
			return false
		}
		time.Sleep(50 * time.Millisecond)
	}
	return true
}

// fail sets the state unknown, and adds the error to the problems.
func (e *Entry) fail(err error) {
	e.State, e.Reason = Unknown, err.Error()
	e.Problems = append(e.Problems, err.Error())
}

// read reads the hooks that config.json has.
func (e *Entry) read(path string) error {
	config, err := bundle.Read(path, e.ID, false)
	if err != nil {
		return err
	}
	for _, stage := range hooks.Stages() {
		list, err := config.Hooks(stage)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			e.Hooks[stage] = list
		}
	}
	return nil
}

// witness is what an engine calls for a container.
type witness struct {
	known   bool // whether it is known what the engine calls
	through bool // whether that leads to oci-add-hooks
	call    cmdline.Call
	name    string // the profile's name
	err     error  // why it cannot be determined where the call leads
}

func (v *Inventory) witness(c container.Container) (w witness) {
	words, files, known := c.Call()
	if !known {
		w.known = c.HasShim() // a shim other than runc's, which calls no runtime
		return w
	}
	w.known = true
	call, through, err := program.Call(files, words, v.opts.Exe)
	if err != nil {
		w.err = err
		return w
	}
	if !through {
		if filepath.IsAbs(words[0]) {
			if file, err := files.Open(words[0]); err == nil {
				_ = file.Close()
			} else if proc.Gone(err) {
				w.err = fmt.Errorf("its engine calls %s, which is gone; %s", words[0], cannot(c))
			}
		}
		return w
	}
	w.through, w.call, w.name = true, call, Name(call)
	return w
}

// cannot returns what an engine can no longer do with a container whose runtime is missing.
func cannot(c container.Container) string {
	if c.Running {
		return "until it is restored, the container cannot be stopped"
	}
	return "until it is restored, the container cannot be started"
}

// Name returns the name of the profile that a call uses: that of its link, or of its hook file (rule 28).
func Name(call cmdline.Call) string {
	switch {
	case len(call.HookFiles) > 0:
		return strings.TrimSuffix(filepath.Base(call.HookFiles[0]), ".json")
	case len(call.HooksDirs) > 0:
		return filepath.Base(call.HooksDirs[0])
	}
	return call.Name
}

// load returns what a call uses, and reads it once.
func (v *Inventory) load(call cmdline.Call) loaded {
	call = v.explicit(call)
	call.Kind = cmdline.AddHooks
	key := strings.Join(slices.Concat(call.HookFiles, []string{""}, call.HooksDirs), "\x00")
	known, ok := v.loaded[key]
	if !ok {
		if known.uses, known.err = profile.Load(call); known.err == nil {
			known.uses.Program = v.opts.Exe
			known.dirs, known.err = hooks.ReadDirectories(known.uses.Dirs)
		}
		v.loaded[key] = known
	}
	return known
}

// explicit returns a call that names its hook files explicitly.
func (v *Inventory) explicit(call cmdline.Call) cmdline.Call {
	if len(call.HookFiles)+len(call.HooksDirs) == 0 {
		call.HookFiles = []string{v.sys.Profile(call.Name)}
	}
	return call
}

// loadFor returns what the call that created a container uses. If not even the runtime is known, which the engine's
// other calls need (rule 9), the error says so.
func (v *Inventory) loadFor(c container.Container, call cmdline.Call) loaded {
	l := v.load(call)
	if l.err == nil {
		return l
	}
	// This project's oci-add-hooks starts no container without a profile.
	if call.Name == cmdline.Name && len(call.HookFiles)+len(call.HooksDirs) == 0 {
		if _, err := os.Lstat(v.sys.Profile(call.Name)); proc.Gone(err) {
			l.err = fmt.Errorf("its engine calls a program %s without a profile: it is another program of that name, or the profile was removed: %w", call.Name, l.err)
			return l
		}
	}
	call = v.explicit(call)
	call.Kind = cmdline.PassThrough
	if _, err := profile.Load(call); err != nil {
		l.err = fmt.Errorf("%w; %s", l.err, cannot(c))
	}
	return l
}

// Load returns what a call uses.
func (v *Inventory) Load(call cmdline.Call) (profile.Profile, error) {
	known := v.load(call)
	return known.uses, known.err
}

func named(name string) cmdline.Call { return cmdline.Call{Name: name} }

// plan returns what the profile would add to a container's config.json.
func (l loaded) plan(path, id string) (*inject.Plan, error) {
	if l.err != nil {
		return nil, l.err
	}
	return inject.MakeWith(l.uses, l.dirs, path, id)
}

// compare sets the state from the plan of what the container's profile would add today.
func (e *Entry) compare(plan *inject.Plan, err error) {
	if err != nil {
		e.fail(err)
		return
	}
	e.judge(e.match(plan))
}

// judge sets the state from a comparison, and adds the problems.
func (e *Entry) judge(c comparison) {
	switch {
	case len(c.lacks) == 0:
		e.State = Complete
	case c.has > 0 || len(c.others) > 0:
		e.State = Changed
		e.Problems = append(e.Problems, c.lacks...)
		for _, place := range c.others {
			e.Problems = append(e.Problems, fmt.Sprintf("%s has %s, which the profile does not add today", place.Stage, e.Path(place)))
		}
	default:
		e.State = Missing
		e.Problems = append(e.Problems, fmt.Sprintf("it has none of the hooks of %s", e.Profile))
	}
}

// closest compares a container that has no witness with the selected profiles, and keeps the closest one.
func (e *Entry) closest(v *Inventory, path string) {
	order := []State{Complete, Changed, Missing, Unknown}
	var best *Entry
	for _, name := range v.opts.Profiles {
		tried := *e
		tried.Profile, tried.From, tried.Problems = name, map[Place]string{}, []string{}
		plan, err := v.load(named(name)).plan(path, e.ID)
		if err != nil {
			tried.fail(err)
		} else {
			c := tried.match(plan)
			c.others = nil // they may come from elsewhere
			tried.judge(c)
		}
		if best == nil || slices.Index(order, tried.State) < slices.Index(order, best.State) {
			best = &tried
		}
	}
	*e = *best
}

// expect notes a problem if a container should have gone through the expected profile, and did not.
func (v *Inventory) expect(e *Entry, path string, unread error) {
	expected := v.load(named(v.opts.Expect))
	if expected.err != nil {
		e.Problems = append(e.Problems, expected.err.Error())
		return
	}
	lacks := 0
	if e.Bundle == "" { // conditions cannot be evaluated
		for _, f := range expected.uses.Files {
			lacks += len(f.Hooks)
		}
	} else {
		if unread != nil {
			if e.State == None && !proc.Gone(unread) { // otherwise it is already a problem, or is none
				e.Problems = append(e.Problems, unread.Error())
			}
			return
		}
		plan, err := expected.plan(path, e.ID)
		if err != nil {
			e.Problems = append(e.Problems, err.Error())
			return
		}
		for _, d := range plan.Decisions {
			if d.Verdict == inject.Added {
				lacks++
			}
		}
	}
	if lacks > 0 {
		e.Problems = append(e.Problems, fmt.Sprintf("it should have gone through %s, whose hooks it lacks", v.opts.Expect))
	}
}

// comparison is the difference between a container's hooks and a plan.
type comparison struct {
	has    int      // how many of the plan's hooks there are, in today's form or an earlier one
	lacks  []string // a text for each hook of the plan that is missing or differs from today's form
	others []Place  // hooks from neither the plan nor an engine
}

// match compares the hooks with a plan, and records where they come from.
func (e *Entry) match(plan *inject.Plan) (c comparison) {
	taken := map[Place]bool{}
	take := func(d inject.Decision) (Place, bool) {
		for i := range e.Hooks[d.Stage] {
			if place := (Place{d.Stage, i}); !taken[place] && e.Path(place) == d.Path {
				taken[place] = true
				return place, true
			}
		}
		return Place{}, false
	}
	for _, d := range plan.Decisions {
		if d.Verdict == inject.AlreadyThere {
			place, _ := take(d)
			e.From[place] = d.File
			c.has++
		}
	}
	for _, d := range plan.Decisions {
		if d.Verdict != inject.Added {
			continue
		}
		if _, there := take(d); there {
			c.has++
			c.lacks = append(c.lacks, fmt.Sprintf("%s has %s, but not as %s adds it today", d.Stage, d.Path, d.File))
		} else {
			c.lacks = append(c.lacks, fmt.Sprintf("%s lacks %s, which %s adds today", d.Stage, d.Path, d.File))
		}
	}
	for _, stage := range hooks.Stages() {
		for i := range e.Hooks[stage] {
			if place := (Place{stage, i}); !taken[place] && !e.isEngines(place) {
				c.others = append(c.others, place)
			}
		}
	}
	return c
}

// hook holds the members of a hook object that are read here.
type hook struct {
	Path string   `json:"path"`
	Args []string `json:"args"`
}

func (e *Entry) hook(p Place) (h hook) {
	// A hook that cannot be parsed has no path, and matches nothing.
	_ = json.Unmarshal(e.Hooks[p.Stage][p.Index], &h)
	return h
}

// Path returns the path of a hook's program.
func (e *Entry) Path(p Place) string {
	path, _ := e.hook(p).program()
	return path
}

// program returns the path of the hook's program, and the file that defines the hook; empty if the hook does not say. A
// supervised hook does: `oci-run-hook ... --file=FILE ... -- PATH ARGV...`.
func (h hook) program() (path, file string) {
	i := slices.Index(h.Args, "--")
	if filepath.Base(h.Path) != inject.Supervisor || i < 0 || i+1 == len(h.Args) {
		return h.Path, ""
	}
	for _, option := range h.Args[:i] {
		if value, ok := strings.CutPrefix(option, "--file="); ok {
			file = value
		}
	}
	return h.Args[i+1], file
}

// ByEngine stands for the file of a hook that the engine itself adds.
const ByEngine = "the engine"

// Each calls f for each hook, in the order of the stages and of each stage's hooks. file is empty if unknown.
func (e *Entry) Each(f func(place Place, path, file string)) {
	for _, stage := range hooks.Stages() {
		for i := range e.Hooks[stage] {
			place := Place{stage, i}
			path, file := e.hook(place).program()
			if file = cmp.Or(e.From[place], file); file == "" && e.isEngines(place) {
				file = ByEngine
			}
			f(place, path, file)
		}
	}
}

// isEngines reports whether an engine added the hook to its own container: Docker's `libnetwork-setkey` (before version
// 28), or nerdctl's `internal oci-hook`.
func (e *Entry) isEngines(p Place) bool {
	args := e.hook(p).Args
	return len(args) > 0 && args[0] == "libnetwork-setkey" || slices.Contains(args, "oci-hook") && slices.Contains(args, "internal")
}

// Title returns the name of a container, else its id, shortened.
func (e Entry) Title() string { return cmp.Or(e.Name, e.ShortID()) }

// Whole returns the name of a container, if it has one, and its id.
func (e Entry) Whole() string {
	return container.Container{ID: e.ID, Name: e.Name}.Title()
}

// ShortID returns the first 12 digits of an id of 64 hexadecimal digits, as engines shorten it. Any other id is
// returned whole.
func (e Entry) ShortID() string {
	const short, long = 12, 64
	if len(e.ID) == long && strings.Trim(e.ID, "0123456789abcdef") == "" {
		return e.ID[:short]
	}
	return e.ID
}

// IsWrong reports whether a container has problems.
func (e Entry) IsWrong() bool { return len(e.Problems) > 0 }

// Count returns the number of entries for each profile and state, in that order. Entries without a known profile have
// the profile "".
func Count(list []Entry) (counts []history.Containers) {
	for _, e := range list {
		i := slices.IndexFunc(counts, func(c history.Containers) bool { return c.Profile == e.Profile && c.State == string(e.State) })
		if i < 0 {
			i = len(counts)
			counts = append(counts, history.Containers{Profile: e.Profile, State: string(e.State)})
		}
		counts[i].Count++
	}
	slices.SortFunc(counts, func(a, b history.Containers) int {
		return cmp.Or(cmp.Compare(a.Profile, b.Profile), cmp.Compare(a.State, b.State))
	})
	return counts
}
