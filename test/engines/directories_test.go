package engines

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// directories holds two hooks directories, of which the second takes precedence. They are for a container that runs sh,
// has a bind mount of the user's, and is annotated. HOOK stands for a hook that records under its file's label.
var directories = map[string]map[string]string{
	"vendor": {
		// First, because an old Podman leaves it at prestart.
		"00-Prestart.json": `{"version": "1.0.0", "hook": HOOK, "when": {"always": true}, "stages": ["prestart"]}`,

		"20-Bind.json":       `{"version": "1.0.0", "hook": HOOK, "when": {"hasBindMounts": true}, "stages": ["createRuntime"]}`,
		"20-annotation.json": `{"version": "1.0.0", "hook": HOOK, "when": {"annotations": {"^com\\.example\\.gpu$": "^(true|all)$"}}, "stages": ["createRuntime"]}`,
		"20-Command.json":    `{"version": "1.0.0", "hook": HOOK, "when": {"commands": ["/init$", "^sh$"]}, "stages": ["createRuntime"]}`,

		"30-masked.json": `{"version": "1.0.0", "hook": HOOK, "when": {"always": true}, "stages": ["createRuntime"]}`,
		"30-off.json":    `{"version": "1.0.0", "hook": HOOK, "when": {"always": true}, "stages": ["createRuntime", "poststop"]}`,

		"40-other.json":  `{"version": "1.0.0", "hook": HOOK, "when": {"annotations": {"^com\\.example\\.gpu$": "^false$"}}, "stages": ["createRuntime"]}`,
		"40-either.json": `{"version": "1.0.0", "hook": HOOK, "when": {"hasBindMounts": true, "commands": ["/init$"]}, "stages": ["createRuntime"]}`,

		"50-old.json":            `{"version": "0.1.0", "hook": PATH, "arguments": [NAME], "cmds": ["/init$", "^sh$"], "stages": ["createContainer"]}`,
		"50-old-annotation.json": `{"version": "0.1.0", "hook": PATH, "arguments": [NAME], "annotation": ["^all$"], "stage": ["createContainer"]}`,
		"50-older.json":          `{"hook": PATH, "arguments": [NAME], "hasbindmounts": true, "cmds": ["/init$"], "stages": ["poststop"]}`,

		"60-Namespaces.json": `{"version": "1.0.0", "hook": HOOK, "when": {"always": true}, "stages": ["createContainer"]}`,
		"70-container.json":  `{"version": "1.0.0", "hook": HOOK, "when": {"hasBindMounts": true}, "stages": ["startContainer"]}`,
		"80-Twice.json":      `{"version": "1.0.0", "hook": HOOK, "when": {"always": true}, "stages": ["poststop", "poststart"]}`,
		"README":             `not a hook`,
	},
	"admin": {
		"10-first.json":  `{"version": "1.0.0", "hook": HOOK, "when": {"always": true}, "stages": ["createRuntime"]}`,
		"30-masked.json": `{"version": "1.0.0", "hook": HOOK, "when": {"always": true}, "stages": ["createRuntime"]}`,
		"30-off.json":    `{"version": "1.0.0", "hook": HOOK, "when": {"always": false}, "stages": ["createRuntime", "poststop"]}`,
	},
}

// directoriesRun lists their hooks in the order in which they run for such a container, each with what it requires.
var directoriesRun = []struct{ label, takes string }{
	{"vendor/00-Prestart.json", ""},
	{"admin/10-first.json", ""},
	{"vendor/20-annotation.json", "annotations"},
	{"vendor/20-Bind.json", "mount"},
	{"vendor/20-Command.json", "sh"},
	{"admin/30-masked.json", ""},

	{"vendor/50-old-annotation.json", "annotations"},
	{"vendor/50-old.json", "sh"},
	{"vendor/60-Namespaces.json", ""},

	{startContainerLabel, "mount"},

	{poststartLabel, ""},

	{"vendor/50-older.json", "mount"},
	{"vendor/80-Twice.json", ""},
}

// The only hooks at startContainer and poststart. Their runs may overlap.
const (
	startContainerLabel = "vendor/70-container.json"
	poststartLabel      = "vendor/80-Twice.json"
)

// wantLabels returns the labels of directoriesRun for a container that has the given things.
func wantLabels(has ...string) []string {
	var labels []string
	for _, h := range directoriesRun {
		if h.takes == "" || slices.Contains(has, h.takes) {
			labels = append(labels, h.label)
		}
	}
	return labels
}

// writeDirectories writes the hooks directories, whose hooks record in dir, and returns their paths.
func writeDirectories(t *testing.T, dir string) []string {
	t.Helper()
	path := recorder(t, dir)
	parent := scratch(t)
	var dirs []string
	for _, name := range []string{"vendor", "admin"} {
		d := parent + "/" + name
		for file, text := range directories[name] {
			label := name + "/" + file
			writeRule(t, d, file, strings.NewReplacer(
				"HOOK", fmt.Sprintf(`{"path": %q, "args": ["hook", %q]}`, path, label),
				"PATH", fmt.Sprintf("%q", path),
				"NAME", fmt.Sprintf("%q", label),
			).Replace(text))
		}
		dirs = append(dirs, d)
	}
	return dirs
}

// writeRule writes a file of a hooks directory.
func writeRule(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// hookFileLabel is the label of the hook in the hook file itself.
const hookFileLabel = "hook file"

// readDirectories writes a hook file that names hooks directories and has one hook itself, at createRuntime. Hook
// files' hooks come before those of directories, so the order shows that a directory's prestart becomes createRuntime.
func (p profile) readDirectories(t *testing.T, dir string, directories []string) {
	t.Helper()
	p.writeJSON(t, map[string]any{
		"runtime":   p.runtime,
		"hooksDirs": directories,
		"hooks":     map[string]any{"createRuntime": []any{hook(recorder(t, dir), hookFileLabel)}},
	})
}

// wantRan waits for the container's hooks to have run, and checks that they were these, in this order.
func wantRan(t *testing.T, dir string, want []string) {
	t.Helper()
	eventually(t, "the hooks to run", func() string {
		if calls := recorded(t, dir); len(calls) < len(want) {
			return fmt.Sprintf("want %d hooks, these ran: %+v", len(want), calls)
		}
		return ""
	})
	var got []string
	for _, c := range recorded(t, dir) {
		got = append(got, c.Label)
	}
	// As in wantAllStages.
	if i := slices.Index(got, startContainerLabel); i > 0 && got[i-1] == poststartLabel {
		got[i-1], got[i] = got[i], got[i-1]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the hooks that ran, in order (-want +got):\n%s", diff)
	}
}

// testDirectories tests the conditions on the command and on bind mounts, and everything about files, under every
// engine.
func testDirectories(t *testing.T, e engine, c container) {
	c.profile.readDirectories(t, c.dir, writeDirectories(t, c.dir))
	ok(t, e.run(c.command("true"), false))
	wantRan(t, c.dir, append([]string{hookFileLabel}, wantLabels("sh", "mount")...))
}

// testDirectoriesAnnotation tests the same for a container with annotations.
func testDirectoriesAnnotation(t *testing.T, e engine, c container) {
	if reason := e.cannotAnnotate(); reason != "" {
		skip(t, "%s", reason)
	}
	c.annotations = map[string]string{"com.example.gpu": "all", "com.example.other": "some thing"}
	c.profile.readDirectories(t, c.dir, writeDirectories(t, c.dir))
	ok(t, e.run(c.command("true"), false))
	wantRan(t, c.dir, append([]string{hookFileLabel}, wantLabels("sh", "mount", "annotations")...))
}

// testSandboxClaimed: a container whose user writes all marks of a Kubernetes sandbox is not treated as one. It gets
// its hooks, also those of a hook file with skipSandboxes.
func testSandboxClaimed(t *testing.T, e engine, c container) {
	if reason := e.cannotAnnotate(); reason != "" {
		skip(t, "%s", reason)
	}
	other := strings.Repeat("0123456789abcdef", 4)
	c.annotations = map[string]string{"io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-id": other,
		"io.kubernetes.cri-o.ContainerType": "sandbox", "io.kubernetes.cri-o.SandboxID": other}
	path := recorder(t, c.dir)
	dir := scratch(t)
	writeRule(t, dir, "always.json", fmt.Sprintf(`{"version": "1.0.0", "hook": {"path": %q, "args": ["hook", "always"]}, "when": {"always": true}, "stages": ["createRuntime"]}`, path))
	c.profile.writeJSON(t, map[string]any{"runtime": c.profile.runtime, "skipSandboxes": true, "hooksDirs": []string{dir},
		"hooks": map[string]any{"createRuntime": []any{hook(path, "file")}}})
	ok(t, e.run(c.command("true"), false))
	wantRan(t, c.dir, []string{"file", "always"})
}

// testDirectoriesNoMatch: only the condition "always" holds for this container, because the engine's mounts are not the
// user's.
func testDirectoriesNoMatch(t *testing.T, e engine, c container) {
	c.unmounted = true
	c.args = []string{"echo", "hello"}
	c.profile.readDirectories(t, c.dir, writeDirectories(t, c.dir))
	ok(t, e.run(c, false))
	wantRan(t, c.dir, append([]string{hookFileLabel}, wantLabels()...))
}

// malformed is a file of a hooks directory with an invalid regular expression.
const malformed = `{
	"version": "1.0.0",
	"hook": {"path": "/bin/true"},
	"when": {"commands": ["/init$", "^(sh$"]},
	"stages": ["createRuntime"]
}`

// malformedMessage returns the words that a message about it must contain.
func malformedMessage(file string) []string {
	return []string{"oci-add-hooks: " + file + ":4:34: ", "^(sh$"}
}

// testDirectoriesMalformed: a malformed file among valid ones fails the container, and the engine reports the place of
// the fault.
func testDirectoriesMalformed(t *testing.T, e engine, c container) {
	dirs := writeDirectories(t, c.dir)
	writeRule(t, dirs[0], "90-malformed.json", malformed)
	c.profile.readDirectories(t, c.dir, dirs)
	wantRefused(t, e, c, malformedMessage(dirs[0]+"/90-malformed.json")...)
	wantGone(t, e, c)
}

// testPodmanDirectories: for one directory and one container, Podman runs the same hooks whether it reads the
// directories itself or the program does.
func testPodmanDirectories(t *testing.T, e engine, c container) {
	dirs := writeDirectories(t, c.dir)
	c.annotations = map[string]string{"com.example.gpu": "all"}
	c = c.command("true")
	want := wantLabels("sh", "mount", "annotations")

	own, bare := e.(podman), c
	for _, dir := range dirs {
		own.global = append(own.global, "--hooks-dir", dir)
	}
	bare.profile.link = c.profile.runtime
	ok(t, own.run(bare, false))
	wantRan(t, c.dir, want)
	wantGone(t, e, bare)
	forget(t, c.dir)

	c.profile.writeJSON(t, map[string]any{"runtime": c.profile.runtime, "hooksDirs": dirs})
	ok(t, e.run(c, false))
	wantRan(t, c.dir, want)
}
