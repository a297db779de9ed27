package podmanhooks

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	podman "go.podman.io/common/pkg/hooks"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

// Each deviation in docs/hooks-directories.md has a test here, which shows what the library does and what this project
// does. If one fails because the library has changed, the deviation may be removed.

// files creates a hooks directory. PROGRAM in a text stands for an existing program, MISSING for a missing one.
func files(t *testing.T, nameAndText ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hooks.d")
	mkdir(t, dir)
	for i := 0; i < len(nameAndText); i += 2 {
		write(t, filepath.Join(dir, nameAndText[i]),
			strings.NewReplacer("PROGRAM", os.Args[0], "MISSING", "/no/such/program").Replace(nameAndText[i+1]))
	}
	return dir
}

// rule returns a file of version 1.0.0. The hook's second argument identifies it.
func rule(program, arg, when, stage string) string {
	return fmt.Sprintf(`{"version":"1.0.0","hook":{"path":%q,"args":["a",%q]},"when":%s,"stages":[%q]}`, program, arg, when, stage)
}

// ask returns the hooks that each of the two adds, as their second arguments in the order of the stages, or the errors.
func ask(c container, dirs ...string) (theirs, ours string) {
	told := func(a answer) string {
		if a.err != nil {
			return "error: " + a.err.Error()
		}
		var args []string
		for _, stage := range hooks.Stages() {
			for _, hook := range a.hooks[string(stage)] {
				arg := "?"
				if list, ok := hook.(map[string]any)["args"].([]any); ok && len(list) > 1 {
					arg = list[1].(string)
				}
				args = append(args, arg)
			}
		}
		return strings.Join(args, " ")
	}
	return told(podmanAnswers(dirs, []container{c})[0]), told(ourAnswers(dirs, []container{c}, new(tally))[0])
}

const alwaysTrue, neverTrue = `{"always":true}`, `{"always":false}`

var server = container{process: true, args: []string{"/usr/bin/server"}}

// expect compares an answer with the wanted one. For an error, it looks for the text after "error: ".
func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want && !(strings.HasPrefix(want, "error: ") && strings.HasPrefix(got, "error: ") && strings.Contains(got, want[len("error: "):])) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestDeviationMissingProgram(t *testing.T) {
	dir := files(t, "a.json", rule("MISSING", "a", alwaysTrue, "prestart"), "b.json", rule("PROGRAM", "b", alwaysTrue, "prestart"))
	theirs, ours := ask(server, dir)
	expect(t, "library", theirs, "b")
	expect(t, "ours", ours, `error: a.json:1:35: the hook's program /no/such/program cannot be found`)

	dir = files(t, "a.json", rule("MISSING", "a", neverTrue, "prestart"), "b.json", rule("PROGRAM", "b", alwaysTrue, "prestart"))
	theirs, ours = ask(server, dir)
	expect(t, "library, conditions that don't match", theirs, "b")
	expect(t, "ours, conditions that don't match", ours, "b")
}

// For the library, a path that cannot be looked up for another reason is an error even if the conditions do not hold.
func TestDeviationUnreachableProgram(t *testing.T) {
	dir := files(t, "a.json", rule("PROGRAM/x", "a", neverTrue, "prestart"), "b.json", rule("PROGRAM", "b", alwaysTrue, "prestart"))
	theirs, ours := ask(server, dir)
	expect(t, "library", theirs, "error: not a directory")
	expect(t, "ours", ours, "b")
}

func TestDeviationStartContainerProgram(t *testing.T) {
	dir := files(t, "a.json", rule("MISSING", "a", alwaysTrue, "startContainer"))
	theirs, ours := ask(server, dir)
	expect(t, "library", theirs, "")
	expect(t, "ours", ours, "a")
}

func TestDeviationMaskWithMissingProgram(t *testing.T) {
	low := files(t, "a.json", rule("PROGRAM", "low", alwaysTrue, "prestart"))
	high := files(t, "a.json", rule("MISSING", "high", `{"hasBindMounts":true}`, "prestart"))
	theirs, ours := ask(server, low, high)
	expect(t, "library", theirs, "low")
	expect(t, "ours", ours, "")
}

// After a missing program, the library drops the other errors about a directory.
func TestDeviationSwallowedErrors(t *testing.T) {
	const bad = `{"version":`
	dir := files(t, "a.json", rule("MISSING", "a", neverTrue, "prestart"), "b.json", bad, "c.json", rule("PROGRAM", "c", alwaysTrue, "prestart"))
	theirs, ours := ask(server, dir)
	expect(t, "library", theirs, "c")
	expect(t, "ours", ours, "error: b.json:1:12: not valid JSON")

	dir = files(t, "a.json", bad, "b.json", rule("MISSING", "a", neverTrue, "prestart"))
	theirs, _ = ask(server, dir)
	expect(t, "library, in the other order", theirs, "error: ")

	dir = files(t, "a.json", rule("MISSING", "a", neverTrue, "prestart"))
	mkdir(t, filepath.Join(dir, "b.json"))
	theirs, ours = ask(server, dir)
	expect(t, "library, a directory", theirs, "")
	expect(t, "ours, a directory", ours, "error: b.json: is not a regular file")
}

func TestDeviationMissingDirectory(t *testing.T) {
	dir := files(t, "a.json", rule("PROGRAM", "a", alwaysTrue, "prestart"))
	theirs, ours := ask(server, dir, dir+"-none")
	expect(t, "library", theirs, "a")
	expect(t, "ours", ours, "error: hooks.d-none: the hooks directory cannot be read")
	for _, conventional := range []string{hooks.DefaultDir, hooks.OverrideDir} {
		if _, err := os.Stat(conventional); err == nil {
			t.Logf("%s is there: not tried", conventional)
			continue
		}
		theirs, ours = ask(server, dir, conventional)
		expect(t, "library, "+conventional, theirs, "a")
		expect(t, "ours, "+conventional, ours, "a")
	}
}

// For names that differ only in case, the order of the library changes from one call to the next.
func TestDeviationNamesDifferingInCase(t *testing.T) {
	dir := files(t, "a.json", rule("PROGRAM", "a", alwaysTrue, "prestart"), "A.json", rule("PROGRAM", "A", alwaysTrue, "prestart"))
	var met []string
	for range 200 {
		theirs, ours := ask(server, dir)
		expect(t, "ours", ours, "A a")
		if !slices.Contains(met, theirs) {
			met = append(met, theirs)
		}
	}
	slices.Sort(met)
	if !slices.Equal(met, []string{"A a", "a A"}) {
		t.Errorf("the library's orders: %q", met)
	}
}

// Members must have the exact spelling, occur once, and have no null in a list and only valid UTF-8. The library
// accepts all of these files.
func TestDeviationMembers(t *testing.T) {
	for name, text := range map[string]string{
		"letter case":         `{"version":"1.0.0","hook":{"path":"PROGRAM","Args":["a","x"]},"when":{"always":true},"stages":["prestart"]}`,
		"letter case, 0.1.0":  `{"hook":"PROGRAM","arguments":["x"],"hasBindMounts":true,"annotations":["x"],"cmds":["server"],"stages":["prestart"]}`,
		"twice":               `{"version":"1.0.0","hook":{"path":"PROGRAM","args":["b"],"args":["a","x"]},"when":{"always":true},"stages":["prestart"]}`,
		"twice, an unknown":   `{"version":"1.0.0","x":1,"x":1,"hook":{"path":"PROGRAM","args":["a","x"]},"when":{"always":true},"stages":["prestart"]}`,
		"null for a command":  `{"version":"1.0.0","hook":{"path":"PROGRAM","args":["a","x"]},"when":{"commands":[null]},"stages":["prestart"]}`,
		"null for an arg":     `{"version":"1.0.0","hook":{"path":"PROGRAM","args":["a","x",null]},"when":{"always":true},"stages":["prestart"]}`,
		"invalid UTF-8":       `{"version":"1.0.0","hook":{"path":"PROGRAM","args":["a","x"],"env":["` + "\xff" + `"]},"when":{"always":true},"stages":["prestart"]}`,
		"half a surrogate":    `{"version":"1.0.0","hook":{"path":"PROGRAM","args":["a","x"],"env":["\ud800"]},"when":{"always":true},"stages":["prestart"]}`,
		"unknown, surrogates": `{"version":"1.0.0","x":"\udc00","hook":{"path":"PROGRAM","args":["a","x"]},"when":{"always":true},"stages":["prestart"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			theirs, ours := ask(server, files(t, "a.json", text))
			expect(t, "library", theirs, "x")
			expect(t, "ours", ours, "error: hooks.d/a.json:1:")
		})
	}
	t.Run("null for an annotation", func(t *testing.T) {
		c := server
		c.annotations = map[string]string{"k": "v"}
		theirs, ours := ask(c, files(t, "a.json", rule("PROGRAM", "x", `{"annotations":{"k":null}}`, "prestart")))
		expect(t, "library", theirs, "x")
		expect(t, "ours", ours, "error: hooks.d/a.json:1:")
	})
}

// Rule 16 for hooks that must be added: a hook that no runtime accepts is an error here.
func TestDeviationHookThatCannotBeAdded(t *testing.T) {
	for name, text := range map[string]string{
		"relative path":      `{"version":"1.0.0","hook":{"path":"deviations_test.go","args":["a","x"]},"when":{"hasBindMounts":true},"stages":["prestart"]}`,
		"timeout 0":          `{"version":"1.0.0","hook":{"path":"PROGRAM","args":["a","x"],"timeout":0},"when":{"hasBindMounts":true},"stages":["prestart"]}`,
		"timeout -1":         `{"version":"1.0.0","hook":{"path":"PROGRAM","args":["a","x"],"timeout":-1},"when":{"hasBindMounts":true},"stages":["prestart"]}`,
		"timeout of 33 bits": `{"version":"1.0.0","hook":{"path":"PROGRAM","args":["a","x"],"timeout":4294967296},"when":{"hasBindMounts":true},"stages":["prestart"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := files(t, "a.json", text)
			mounts := server
			mounts.bindMounts = []string{"/data"}
			theirs, ours := ask(mounts, dir)
			expect(t, "library", theirs, "x")
			expect(t, "ours", ours, "error: hooks.d/a.json:1:")
			theirs, ours = ask(server, dir)
			expect(t, "library, conditions that don't match", theirs, "")
			expect(t, "ours, conditions that don't match", ours, "")
		})
	}
}

func TestDeviationWritableByAnyone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: such a file is refused to root only")
	}
	dir := files(t, "a.json", rule("PROGRAM", "a", alwaysTrue, "prestart"))
	if err := os.Chmod(filepath.Join(dir, "a.json"), 0o666); err != nil {
		t.Fatal(err)
	}
	theirs, ours := ask(server, dir)
	expect(t, "library", theirs, "a")
	expect(t, "ours", ours, "error: anyone may write to it")
}

func TestDeviationSandbox(t *testing.T) {
	c := server
	c.annotations = map[string]string{sandboxMark: "sandbox", sandboxID: "c"}
	theirs, ours := ask(c, files(t, "a.json", rule("PROGRAM", "a", alwaysTrue, "prestart")))
	expect(t, "library", theirs, "a")
	expect(t, "ours", ours, "")
}

// Podman asks the library for the stage precreate too, and runs such hooks before it calls the runtime. CRI-O does not,
// and then the library refuses the file and the directory. A runtime cannot run such a hook. If the conditions hold,
// the container is refused; if they do not, Podman would not run the hook either.
func TestDeviationPrecreate(t *testing.T) {
	for _, stages := range []string{`"precreate"`, `"poststop","precreate"`} {
		file := func(when string) string {
			return files(t, "a.json", `{"version":"1.0.0","hook":{"path":"PROGRAM","args":["a","a"]},"when":`+when+`,"stages":[`+stages+`]}`,
				"b.json", rule("PROGRAM", "b", alwaysTrue, "prestart"))
		}
		dir := file(alwaysTrue)
		manager, err := podman.New(t.Context(), []string{dir}, []string{"precreate"})
		if err != nil {
			t.Fatal(err)
		}
		config := &rspec.Spec{Hooks: &rspec.Hooks{}}
		if own, err := manager.Hooks(config, nil, false); err != nil || len(own["precreate"]) != 1 || len(config.Hooks.CreateRuntime) != 1 {
			t.Errorf("library for Podman: %v, %+v, %v", own, config.Hooks, err)
		}
		_, ours := ask(server, dir)
		expect(t, "ours", ours, `error: stage "precreate" is Podman's own`)
		never := file(neverTrue)
		_, ours = ask(server, never)
		expect(t, "ours, conditions that don't match", ours, "b")
		for _, dir := range []string{dir, never} {
			if _, err := podman.New(t.Context(), []string{dir}, nil); err == nil || !strings.Contains(err.Error(), `unknown stage "precreate"`) {
				t.Errorf("library for CRI-O: %v", err)
			}
		}
	}
}

// If the library differs from its manual page, this project does what the library does.
func TestLibraryOverManual(t *testing.T) {
	annotated := server
	annotated.annotations = map[string]string{"com.example.gpu": "true"}
	for _, tt := range []struct {
		name, text string
		c          container
		want       string
	}{
		{"prestart is injected as createRuntime", rule("PROGRAM", "x", alwaysTrue, "prestart"), server, "x"},
		{"expressions are Go's, not POSIX's", rule("PROGRAM", "x", `{"commands":["^\\S+\\bserver$"]}`, "poststop"), server, "x"},
		{"no condition at all matches nothing", rule("PROGRAM", "x", `{}`, "poststop"), server, ""},
		{"always: false is not the same as absent", rule("PROGRAM", "x", `{"always":false,"commands":["server"]}`, "poststop"), server, ""},
		{"an empty list of annotations, 0.1.0, matches any", `{"hook":"PROGRAM","arguments":["x"],"annotations":[],"stages":["poststop"]}`, annotated, "x"},
		{"an empty list of annotations, 0.1.0, matches none of none", `{"hook":"PROGRAM","arguments":["x"],"annotations":[],"stages":["poststop"]}`, server, ""},
		{"annotations of 0.1.0 are joined before they are read", `{"hook":"PROGRAM","arguments":["x"],"annotations":["(tr","ue)"],"stages":["poststop"]}`, annotated, "x"},
		{"commands are passed over without a process", rule("PROGRAM", "x", `{"always":true,"commands":["y"]}`, "poststop"), container{}, "x"},
		{"precreate is Podman's own", rule("PROGRAM", "x", alwaysTrue, "precreate"), server, "error: precreate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			theirs, ours := ask(tt.c, files(t, "a.json", tt.text))
			expect(t, "library", theirs, tt.want)
			expect(t, "ours", ours, tt.want)
		})
	}
}

// Both skip a dangling link, which masks nothing.
func TestLinkThatLeadsNowhere(t *testing.T) {
	low := files(t, "a.json", rule("PROGRAM", "low", alwaysTrue, "prestart"))
	high := files(t)
	if err := os.Symlink("nowhere", filepath.Join(high, "a.json")); err != nil {
		t.Fatal(err)
	}
	theirs, ours := ask(server, low, high)
	expect(t, "library", theirs, "low")
	expect(t, "ours", ours, "low")
}
