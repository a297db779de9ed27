// Package podmanhooks compares this project's reading of hooks directories with that of Podman's library,
// go.podman.io/common/pkg/hooks, on the same directories and containers.
package podmanhooks

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rspec "github.com/opencontainers/runtime-spec/specs-go"
	podman "go.podman.io/common/pkg/hooks"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

var (
	seed   = flag.Uint64("seed", 1, "seed of the random directories and containers")
	trials = flag.Int("trials", 2500, "number of sets of directories to try")
	trial  = flag.Int("trial", -1, "try only this set of directories")
)

const containersEach = 20 // the number of containers tried with each set of directories

// TestSameAsPodman tries random containers on random directories with both. All programs exist when the library is
// asked, because it drops a hook with a missing program, and other errors with it. The test applies the documented
// deviations to the library's answer.
func TestSameAsPodman(t *testing.T) {
	root := t.TempDir()
	programs := filepath.Join(root, "programs")
	ghosts := filepath.Join(root, "ghosts") // programs that exist only while the library is asked
	for _, dir := range []string{programs, ghosts} {
		mkdir(t, dir)
		for i := range ghostNames {
			write(t, filepath.Join(dir, fmt.Sprint(i)), "")
		}
	}
	first, last := 0, *trials
	if *trial >= 0 {
		first, last = *trial, *trial+1
	}
	var seen tally
	for n := first; n < last && !t.Failed(); n++ {
		w := newWorld(t, rand.New(rand.NewPCG(*seed, uint64(n))), filepath.Join(root, fmt.Sprint("trial", n)), programs, ghosts)
		containers := make([]container, containersEach)
		for i := range containers {
			containers[i] = w.container()
		}
		theirs := podmanAnswers(w.dirs, containers)
		if err := os.Rename(ghosts, ghosts+".away"); err != nil {
			t.Fatal(err)
		}
		ours := ourAnswers(w.dirs, containers, &seen)
		var theirsWithout []answer
		if len(w.ghosts) > 0 {
			theirsWithout = podmanAnswers(w.dirs, containers)
		}
		if err := os.Rename(ghosts+".away", ghosts); err != nil {
			t.Fatal(err)
		}
		for i, c := range containers {
			want := w.deviate(theirs[i], c)
			problem := differ(want, ours[i])
			if problem == "" && theirsWithout != nil && w.comparable && ours[i].err == nil && !c.isSandbox() {
				// Without these programs, the answers differ only in the hooks that the library drops.
				problem = differ(theirsWithout[i], ours[i].without(w.ghosts))
			}
			if problem != "" {
				t.Errorf("-seed %d -trial %d, container %d: %s\ncontainer: %+v\n%s", *seed, n, i, problem, c, w)
				break
			}
			seen.pair(ours[i])
		}
		if err := os.RemoveAll(w.root); err != nil {
			t.Fatal(err)
		}
	}
	if *trial < 0 {
		seen.check(t)
	}
}

// answer holds the hooks for one container, as JSON values by stage, or an error.
type answer struct {
	hooks map[string][]any
	err   error
}

func differ(want, got answer) string {
	switch {
	case want.err != nil && got.err == nil:
		return fmt.Sprintf("no error; want one, as in %q\nhooks: %v", want.err, got.hooks)
	case want.err == nil && got.err != nil:
		return fmt.Sprintf("error %q; want none", got.err)
	case want.err != nil:
		return ""
	}
	if diff := cmp.Diff(want.hooks, got.hooks); diff != "" {
		return "other hooks (-Podman +ours):\n" + diff
	}
	return ""
}

// without returns the answer without the hooks of the given programs.
func (a answer) without(programs map[string]bool) answer {
	left := map[string][]any{}
	for stage, list := range a.hooks {
		for _, hook := range list {
			if !programs[hookPath(hook)] {
				left[stage] = append(left[stage], hook)
			}
		}
	}
	return answer{hooks: left, err: a.err}
}

func hookPath(hook any) string { return hook.(map[string]any)["path"].(string) }

// podmanAnswers asks the library, as Podman does. A hook of the stage precreate, which Podman runs itself, is an error:
// no runtime can run it (TestDeviationPrecreate).
func podmanAnswers(dirs []string, containers []container) []answer {
	const precreate = "precreate"
	answers := make([]answer, len(containers))
	manager, err := podman.New(context.Background(), dirs, []string{precreate})
	for i, c := range containers {
		if err != nil {
			answers[i].err = err
			continue
		}
		config := &rspec.Spec{Annotations: c.annotations}
		if c.process {
			config.Process = &rspec.Process{Args: c.args}
		}
		own, err := manager.Hooks(config, c.annotations, len(c.bindMounts) > 0)
		if err == nil && len(own[precreate]) > 0 {
			err = errors.New("a hook of the stage precreate")
		}
		if answers[i].err = err; err != nil {
			continue
		}
		if config.Hooks == nil {
			config.Hooks = &rspec.Hooks{}
		}
		b, err := json.Marshal(config.Hooks)
		if err == nil {
			err = json.Unmarshal(b, &answers[i].hooks)
		}
		if err != nil {
			panic(err)
		}
	}
	return answers
}

// ourAnswers asks the package under test.
func ourAnswers(dirs []string, containers []container, seen *tally) []answer {
	answers := make([]answer, len(containers))
	directories, err := hooks.ReadDirectories(dirs)
	for i, c := range containers {
		if err != nil {
			answers[i].err = err
			continue
		}
		decisions, err := directories.Decide(c.facts())
		if err != nil {
			answers[i].err = err
			continue
		}
		answers[i].hooks = map[string][]any{}
		for _, d := range decisions {
			seen.decision(d)
			if !d.Added {
				continue
			}
			var hook any
			if err := json.Unmarshal(d.JSON, &hook); err != nil {
				panic(err)
			}
			for _, stage := range d.Stages {
				answers[i].hooks[string(stage)] = append(answers[i].hooks[string(stage)], hook)
			}
		}
	}
	return answers
}

// deviate applies the documented deviations to the library's answer.
func (w *world) deviate(theirs answer, c container) answer {
	switch {
	case theirs.err != nil && !w.loads:
		return theirs
	case w.refused != "":
		return answer{err: fmt.Errorf("documented: %s", w.refused)}
	case c.isSandbox():
		return answer{hooks: map[string][]any{}}
	case theirs.err != nil:
		return theirs
	}
	for stage, list := range theirs.hooks {
		for _, hook := range list {
			path := hookPath(hook)
			if w.ghosts[path] && stage != "startContainer" {
				return answer{err: fmt.Errorf("documented: the program %s is missing", path)}
			}
			if !filepath.IsAbs(path) {
				return answer{err: fmt.Errorf("documented: %s is not absolute", path)}
			}
			if timeout, given := hook.(map[string]any)["timeout"]; given && (timeout.(float64) < 1 || timeout.(float64) > math.MaxInt32) {
				return answer{err: fmt.Errorf("documented: timeout %v", timeout)}
			}
		}
	}
	return theirs
}

// tally counts the outcomes of the random directories and containers: a test that never adds a hook would show nothing.
type tally struct {
	pairs, withHooks, errors int
	reasons                  map[string]int
}

func (s *tally) pair(a answer) {
	s.pairs++
	if a.err != nil {
		s.errors++
	}
	if len(a.hooks) > 0 {
		s.withHooks++
	}
}

func (s *tally) decision(d hooks.Decision) {
	if s.reasons == nil {
		s.reasons = map[string]int{}
	}
	for _, f := range d.Reason {
		s.reasons[fmt.Sprintf("%s, holds: %t", abouts[f.About], f.Holds)]++
	}
}

var abouts = map[hooks.About]string{hooks.Always: "always", hooks.Annotation: "annotation", hooks.Command: "command",
	hooks.BindMounts: "bind mounts", hooks.Off: "off", hooks.NoProcess: "no process", hooks.NoCondition: "no condition",
	hooks.NoStage: "no stage", hooks.NoFile: "no file", hooks.Mask: "mask", hooks.Sandbox: "sandbox"}

// check fails if a kind of outcome is too rare.
func (s *tally) check(t *testing.T) {
	t.Helper()
	share := func(n int) float64 { return float64(n) / float64(max(s.pairs, 1)) }
	t.Logf("%d pairs; hooks added in %.0f %%, errors in %.0f %%; reasons: %v", s.pairs, 100*share(s.withHooks),
		100*share(s.errors), s.reasons)
	if share(s.withHooks) < 0.25 {
		t.Errorf("hooks were added in %.2f of the pairs only", share(s.withHooks))
	}
	if share(s.errors) < 0.05 || share(s.errors) > 0.40 {
		t.Errorf("%.2f of the pairs ended in an error", share(s.errors))
	}
	for _, reason := range []string{"always, holds: true", "annotation, holds: true", "annotation, holds: false",
		"command, holds: true", "command, holds: false", "bind mounts, holds: true", "bind mounts, holds: false",
		"off, holds: false", "no process, holds: false", "no condition, holds: false", "no stage, holds: false",
		"no file, holds: false", "mask, holds: false", "sandbox, holds: false"} {
		if s.reasons[reason] < s.pairs/200 {
			t.Errorf("reason %q occurred only %d times", reason, s.reasons[reason])
		}
	}
}

// container holds the facts about a container that both get.
type container struct {
	annotations map[string]string
	process     bool
	args        []string
	bindMounts  []string
}

func (c container) facts() hooks.Container {
	return hooks.Container{ID: "c", Annotations: c.annotations, HasProcess: c.process, Args: c.args, BindMounts: c.bindMounts}
}

func (c container) isSandbox() bool {
	return c.annotations[sandboxMark] == "sandbox" && c.annotations[sandboxID] == "c"
}

const (
	sandboxMark = "io.kubernetes.cri.container-type"
	sandboxID   = "io.kubernetes.cri.sandbox-id"
)

// world is a random set of directories, with the facts about it.
type world struct {
	*rand.Rand
	t                *testing.T
	root             string
	programs, absent string
	dirs             []string
	spelling         map[string]string // of file names, by their lower case
	ghosts           map[string]bool   // programs that will be missing
	written          map[string]string // the texts of files by path, for the message
	ghostFiles       map[string]int    // the number of files with a missing program, by base name
	files            map[string]int    // the number of all files, by base name
	loads            bool              // the library reads it without an error
	refused          string            // why this project refuses to read it and the library does not
	comparable       bool              // missing programs mask nothing
}

func newWorld(t *testing.T, r *rand.Rand, root, programs, ghosts string) *world {
	w := &world{Rand: r, t: t, root: root, programs: programs, absent: ghosts, spelling: map[string]string{},
		ghosts: map[string]bool{}, written: map[string]string{}, ghostFiles: map[string]int{}, files: map[string]int{}}
	mkdir(t, root)
	for i := range 1 + w.IntN(4) {
		dir := filepath.Join(root, fmt.Sprint("dir", i))
		w.dirs = append(w.dirs, dir)
		if w.chance(0.02) {
			w.refused = "a directory is missing"
			continue
		}
		mkdir(t, dir)
		if w.chance(0.05) {
			continue // empty
		}
		for range w.IntN(7) {
			w.add(dir, w.rule())
		}
	}
	if w.chance(0.03) {
		w.dirs = append(w.dirs, hooks.OverrideDir+"/") // may be missing; its content is the same for both
	}
	if w.chance(0.05) {
		w.dirs = append(w.dirs, w.dirs[0]) // twice
	}
	if fault := w.Float64(); fault < 0.06 && w.refused == "" {
		w.add(w.dirs[0], w.malformed())
	} else if fault < 0.08 && w.refused == "" {
		if w.add(w.dirs[0], w.deviating()) {
			w.refused = "an invalid file that the library accepts"
		}
	}
	_, err := podman.New(context.Background(), w.dirs, nil)
	w.loads = err == nil
	w.comparable = true
	for name := range w.ghostFiles {
		w.comparable = w.comparable && w.files[name] == 1
	}
	return w
}

func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "directories: %q\nmissing: %v\n", w.dirs, w.ghosts)
	for path, text := range w.written {
		fmt.Fprintf(&b, "%s: %s\n", path, text)
	}
	return b.String()
}

func (w *world) chance(p float64) bool { return w.Float64() < p }

func pick[T any](w *world, from ...T) T { return from[w.IntN(len(from))] }

// add writes a file with a random name. It reports whether the file is now a file of the hooks directory.
func (w *world) add(dir, text string) bool {
	name := w.fileName()
	path := filepath.Join(dir, name)
	for strings.HasSuffix(name, ".json") && w.files[name] > 0 && w.chance(0.3) { // fewer masks than chance would give
		name = w.fileName()
		path = filepath.Join(dir, name)
	}
	if _, err := os.Lstat(path); err == nil {
		return false
	}
	switch {
	case w.chance(0.02):
		if err := os.Symlink(filepath.Join(w.root, "nowhere"), path); err != nil {
			w.t.Fatal(err)
		}
		return false
	case w.chance(0.02):
		target := path + ".target"
		write(w.t, target, text)
		if err := os.Symlink(target, path); err != nil {
			w.t.Fatal(err)
		}
	default:
		write(w.t, path, text)
	}
	w.written[path] = text
	if !strings.HasSuffix(name, ".json") {
		return false
	}
	w.files[name]++
	if strings.Contains(text, w.absent) {
		w.ghostFiles[name]++
	}
	return true
}

// fileName returns the name of a file. No world has names that differ only in case, because the library reads them in
// no fixed order.
func (w *world) fileName() string {
	name := pick(w, "10-gpu", "10-GPU", "20-Net", "20-net", "B-upper", "a-lower", "Z", "ärger", "Ärger", "_x", "~y", ".hidden",
		"30", "3", "", "50-K", "50-k", "ſ", "[x]", "x.json", "99 space")
	folded := strings.ToLower(name)
	if was, used := w.spelling[folded]; used {
		name = was
	}
	w.spelling[folded] = name
	if w.chance(0.07) {
		return name + pick(w, ".JSON", ".json.bak", "", ".jsonx", ".txt", "-json")
	}
	return name + ".json"
}

const ghostNames = 64 // the number of existing programs, and of programs that will be missing

func (w *world) program() string {
	switch p := w.Float64(); {
	case p < 0.04:
		path := filepath.Join(w.absent, fmt.Sprint(w.IntN(ghostNames)))
		w.ghosts[path] = true
		return path
	case p < 0.05:
		return "differential_test.go" // it exists, but the path is not absolute
	}
	return filepath.Join(w.programs, fmt.Sprint(w.IntN(ghostNames)))
}

// object returns a JSON object with the members in random order and with random white space. It omits a member without
// a value.
func (w *world) object(members ...[2]string) string {
	w.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	space := pick(w, "", " ", "\n\t")
	var list []string
	for _, m := range members {
		if m[1] != "" {
			list = append(list, space+quote(m[0])+space+":"+space+m[1])
		}
	}
	return "{" + strings.Join(list, ",") + space + "}"
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// maybe returns the value with the probability p, else nothing or null.
func (w *world) maybe(p float64, value func() string) string {
	switch {
	case w.chance(p):
		return value()
	case w.chance(0.1):
		return "null"
	}
	return ""
}

func (w *world) list(most int, element func() string) string {
	var list []string
	for range w.IntN(most + 1) {
		list = append(list, element())
	}
	return "[" + pick(w, "", " ") + strings.Join(list, pick(w, ",", ", ")) + "]"
}

func (w *world) text() string {
	return quote(pick(w, "", "a", "--flag", "K=V", "<&>", "ü", "\u2028", "a b", `"`))
}

func (w *world) texts() string { return w.list(3, w.text) }

func (w *world) stages() string {
	if w.chance(0.03) {
		return "[]"
	}
	var list []string
	for range 1 + w.IntN(2) {
		list = append(list, quote(string(pick(w, hooks.Stages()...))))
	}
	if w.chance(0.1) {
		list = append(list, list[0]) // twice
	}
	return "[" + strings.Join(list, ",") + "]"
}

func (w *world) boolean(yes float64) func() string {
	return func() string { return fmt.Sprint(w.chance(yes)) }
}

func (w *world) unknown() [2]string {
	return [2]string{pick(w, "comment", "x", "", "extra"), w.maybe(0.1, func() string { return pick(w, "1", `{"a":[]}`, `"hook"`) })}
}

func (w *world) rule() string {
	if w.chance(0.3) {
		return w.rule010()
	}
	return w.rule100()
}

func (w *world) rule100() string {
	timeout := w.maybe(0.3, func() string { return fmt.Sprint(1 + w.IntN(60)) })
	if w.chance(0.01) {
		timeout = pick(w, "0", "-1", "-0", "2147483648")
	}
	hook := w.object([2]string{"path", quote(w.program())}, [2]string{"args", w.maybe(0.5, w.texts)},
		[2]string{"env", w.maybe(0.3, w.texts)}, [2]string{"timeout", timeout}, w.unknown())
	one := w.IntN(4) // mostly few conditions, because all of them must hold
	p := func(n int) float64 {
		if n == one {
			return 0.8
		}
		return 0.12
	}
	when := w.object([2]string{"always", w.maybe(p(0), w.boolean(0.9))},
		[2]string{"annotations", w.maybe(p(1), func() string {
			members := map[string]string{}
			for range w.IntN(3) {
				members[w.expression(keys)] = w.expression(values)
			}
			var list [][2]string
			for k, v := range members {
				list = append(list, [2]string{k, quote(v)})
			}
			return w.object(list...)
		})},
		[2]string{"commands", w.maybe(p(2), func() string { return w.list(3, func() string { return quote(w.expression(commands)) }) })},
		[2]string{"hasBindMounts", w.maybe(p(3), w.boolean(0.9))}, w.unknown())
	if w.chance(0.03) {
		when = pick(w, "", "null", "{}")
	}
	return w.object([2]string{"version", `"1.0.0"`}, [2]string{"hook", hook}, [2]string{"when", when},
		[2]string{"stages", w.stages()}, w.unknown(), [2]string{pick(w, "cmds", "stage", "hasbindmounts"), w.maybe(0.02, w.texts)})
}

func (w *world) rule010() string {
	either := func(a, b string) string { return pick(w, a, b) }
	return w.object([2]string{"version", pick(w, "", `"0.1.0"`, `""`, "null")}, [2]string{"hook", quote(w.program())},
		[2]string{"arguments", w.maybe(0.4, w.texts)}, [2]string{either("stages", "stage"), w.stages()},
		[2]string{either("cmds", "cmd"), w.maybe(0.55, func() string {
			return w.list(3, func() string { return quote(w.expression(commands)) })
		})},
		[2]string{either("annotations", "annotation"), w.maybe(0.55, func() string {
			return w.list(3, func() string { return quote(w.expression(values)) })
		})},
		[2]string{"hasbindmounts", w.maybe(0.4, w.boolean(0.8))}, w.unknown(),
		[2]string{"when", w.maybe(0.05, w.texts)})
}

var (
	keys     = []string{"com.example.gpu", "com.example.net", "io.example/a-b", "org.opencontainers.image.title", "x", "Überschrift", ""}
	values   = []string{"true", "false", "1", "fluid-dynamics", "a,b", "", "two\nlines", "ja: ü", "$x^"}
	commands = []string{"/bin/sh", "/sbin/init", "/usr/lib/systemd/systemd", "sleep", "sh", "", "./run.sh", "/bin/[", "/bin/täst"}
)

// expression returns a valid expression that is related to one of the texts.
func (w *world) expression(texts []string) string {
	text := pick(w, texts...)
	part := text
	if len(text) > 0 {
		from := w.IntN(len(text))
		part = strings.ToValidUTF8(text[from:from+w.IntN(len(text)-from+1)], "")
	}
	escaped, escapedPart := escape(text), escape(part)
	return pick(w, "^"+escaped+"$", "^"+escaped+"$", escaped, escapedPart, "^"+escapedPart, escapedPart+"$", ".*"+escapedPart+"$",
		".*"+escapedPart+".*", "^.*"+escapedPart+".*$", "^("+escaped+"|none)$", "none|"+escaped, "^"+escapedPart+"|none$", "(?i)"+
			strings.ToUpper(escaped), "^"+escapedPart+".*", ".*", ".", "", "^$", "^", "$", "[a-z]+", `\.`, `^\S+$`, `\Q`+part+`\E`,
		"(?s)^.*"+escapedPart, "|", "a||b", "(|)", `x*`, "x.*y", `\/bin\/sh`, "x{0}", ".*.*", "^"+escapedPart+".*$", `\bsh\b`, "none", "no such",
		"^^"+escapedPart, escapedPart+"$x", "x$|"+escapedPart, escapedPart+"+", "s{1}", "true?", ".*?"+escapedPart, "^"+escapedPart+"\n")
}

func escape(text string) string {
	return strings.NewReplacer(`.`, `\.`, `[`, `\[`, `$`, `\$`, `^`, `\^`).Replace(text)
}

// malformed returns an invalid file that both refuse.
func (w *world) malformed() string {
	path := quote(filepath.Join(w.programs, "0"))
	good := `{"version":"1.0.0","hook":{"path":` + path + `},"when":{"always":true},"stages":["prestart"]}`
	with := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	return pick(w, "", "null", "[]", "{", "{}", good+"x", good+good, good[:len(good)-1], with(`"1.0.0"`, `"2.0.0"`), with(`"1.0.0"`, `1`),
		with(`"prestart"`, `"preStart"`), with(`"prestart"`, `""`), with(`["prestart"]`, `"prestart"`), with(`["prestart"]`, `null`),
		with(`,"stages":["prestart"]`, ""), with(path, `""`), with(path, `null`), with(path, `7`), with(`{"path":`+path+`}`, path),
		with(path, path+`,"timeout":"5"`), with(path, path+`,"timeout":1.5`), with(path, path+`,"timeout":1e1`),
		with(path, path+`,"timeout":99999999999999999999`), with(path, path+`,"args":"a"`), with(path, path+`,"args":["a",1]`),
		with(path, path+`,"env":{}`), with(`true`, `"true"`), with(`true`, `1`), with(`"always"`, `"hasBindMounts":0,"always"`),
		with(`"always"`, `"commands":["("],"always"`), with(`"always"`, `"commands":"x","always"`), with(`"always"`, `"commands":["a","b**"],"always"`),
		with(`"always"`, `"annotations":{"(":"x"},"always"`), with(`"always"`, `"annotations":{"x":"[a"},"always"`),
		with(`"always"`, `"annotations":["x"],"always"`), with(`"always"`, `"annotations":{"x":1},"always"`), with(`{"always":true}`, `true`),
		`{"hook":`+path+`,"stage":["prestart"],"stages":["prestart"]}`, `{"hook":`+path+`}`, `{"hook":null,"stages":["prestart"]}`,
		`{"hook":`+path+`,"stages":["prestart"],"cmd":["a"],"cmds":[]}`, `{"hook":`+path+`,"stages":["prestart"],"annotation":[],"annotations":["a"]}`,
		`{"hook":{"path":`+path+`},"stages":["prestart"]}`, `{"hook":`+path+`,"stages":["prestart"],"cmd":["a|("]}`,
		`{"hook":"","stages":["prestart"]}`, `{"hook":`+path+`,"stages":["prestart"],"annotation":["\\"]}`,
		`{"hook":`+path+`,"stages":["prestart"],"annotation":[")","("]}`, `{"hook":`+path+`,"stages":["prestart"],"arguments":"x"}`,
		`{"hook":`+path+`,"stages":["precreate"]}`)
}

// deviating returns a file that the library accepts and this project refuses. deviations_test.go has a test for each
// kind.
func (w *world) deviating() string {
	path := quote(filepath.Join(w.programs, "0"))
	return pick(w, `{"Version":"1.0.0","hook":{"path":`+path+`},"stages":[]}`, `{"version":"1.0.0","hook":{"path":`+path+`,"PATH":`+path+`},"stages":[]}`,
		`{"hook":`+path+`,"stages":[],"hasBindMounts":true}`, `{"hook":`+path+`,"stages":[],"stages":[]}`,
		`{"hook":`+path+`,"stages":[],"cmds":[null]}`, `{"hook":`+path+`,"stages":[],"cmds":["`+"\xff"+`"]}`)
}

func (w *world) container() container {
	c := container{annotations: map[string]string{}}
	for range w.IntN(6) {
		c.annotations[pick(w, keys...)] = pick(w, values...)
	}
	if w.chance(0.05) {
		c.annotations[sandboxMark], c.annotations[sandboxID] = pick(w, "sandbox", "sandbox", "container"), pick(w, "c", "c", "other")
	}
	if c.process = w.chance(0.92); c.process && w.chance(0.95) {
		c.args = append(c.args, pick(w, commands...))
		for range w.IntN(3) {
			c.args = append(c.args, pick(w, commands...))
		}
	}
	for range w.IntN(3) {
		c.bindMounts = append(c.bindMounts, pick(w, "/data", "/srv/x"))
	}
	return c
}

func mkdir(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
