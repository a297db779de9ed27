package engines

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// runtimes are the low-level runtimes with which every engine is tested.
var runtimes = []string{"runc", "crun"}

// An engine is what Docker, containerd and Podman have in common in these tests.
type engine interface {
	// run returns the command that runs a container: in the background if detached, else in the foreground, and it then
	// removes the container at the end.
	run(c container, detached bool) *exec.Cmd
	// end stops and removes a container as far as possible, and returns what the engine printed.
	end(t *testing.T, c container) string
	// knows reports whether the engine has a container of that name, running or not.
	knows(t *testing.T, name string) bool
	// daemons returns the base names of the programs that run as long as the engine is up.
	daemons() []string
	// leavesShim reports whether the engine leaves a shim behind when the runtime's delete fails.
	leavesShim() bool
	// cannotAnnotate returns the reason why containers cannot have annotations, "" if they can.
	cannotAnnotate() string
}

// A container is a container that an engine runs.
type container struct {
	name        string
	profile     profile
	dir         string // mounted at its own path, writable
	unmounted   bool   // dir is not mounted, nor anything else
	annotations map[string]string
	args        []string
	stdin       string
}

// annotationOptions returns the options that annotate a container. All engines have the same.
func (c container) annotationOptions() []string {
	var options []string
	for _, key := range slices.Sorted(maps.Keys(c.annotations)) {
		options = append(options, "--annotation", key+"="+c.annotations[key])
	}
	return options
}

// runOptions returns the options for the container of `docker run` and `podman run`, which are the same.
func (c container) runOptions(detached bool) []string {
	options := []string{"--name", c.name, "--env", markEnv + "=" + c.name}
	options = append(options, c.annotationOptions()...)
	if !c.unmounted {
		options = append(options, "--volume", c.dir+":"+c.dir)
	}
	if detached {
		options = append(options, "--detach")
	} else {
		options = append(options, "--rm")
	}
	if c.stdin != "" {
		options = append(options, "--interactive")
	}
	return options
}

// suite runs the tests that apply to every engine, and the engine's own. Each case has a profile of its own. name
// distinguishes the ways in which an engine is registered.
func suite(t *testing.T, e engine, name string, more ...suiteCase) {
	runCases(t, e, name, append(cases(), more...))
}

// runCases runs only these cases.
func runCases(t *testing.T, e engine, name string, cases []suiteCase) {
	for _, rt := range runtimes {
		t.Run(rt, func(t *testing.T) {
			needRuntime(t, rt)
			for _, c := range cases {
				leaf(t, c.name, func(t *testing.T) {
					t.Parallel()
					c.test(t, e, newContainer(t, e, profileName(name, rt, c.name), rt))
				})
			}
		})
	}
	leaf(t, "nothing-left", func(t *testing.T) { wantNothingLeft(t, e.daemons()...) })
}

// A suiteCase is a test that applies to every engine.
type suiteCase struct {
	name string
	test func(t *testing.T, e engine, c container)
}

func cases() []suiteCase {
	all := []suiteCase{
		{"stages", testStages},
		{"create-to-delete", testCreateToDelete},
		{"refused", testRefused},
		{"exit-status", testExitStatus},
		{"stdin", testStdin},
		{"hooks-directories", testDirectories},
		{"hooks-directories-annotation", testDirectoriesAnnotation},
		{"hooks-directories-no-match", testDirectoriesNoMatch},
		{"sandbox-claimed", testSandboxClaimed},
		{"hooks-directories-malformed", testDirectoriesMalformed},
		{"in-use", testInUse},
		{"ps", testPs},
	}
	all = append(all, superviseCases()...)
	for _, b := range breaks {
		all = append(all, suiteCase{b.name, func(t *testing.T, e engine, c container) { testControl(t, e, c, b) }})
	}
	return all
}

// profileName returns the name of a case's profile. Docker must know all of them before it starts.
func profileName(engine, runtime, test string) string { return engine + "-" + runtime + "-" + test }

func newContainer(t *testing.T, e engine, name, runtime string) container {
	t.Helper()
	c := container{name: name, profile: newProfile(t, name, runtime), dir: scratch(t)}
	c.profile.record(t, c.dir)
	t.Cleanup(func() {
		if t.Failed() { // keep it from failing later tests
			c.profile.record(t, c.dir)
			e.end(t, c)
			kill(append(inContainer(t, c), monitors(t, c)...))
		}
	})
	return c
}

// command returns the container with a shell script to run.
func (c container) command(script string) container {
	c.args = []string{"sh", "-c", script}
	return c
}

// sleeping returns a script that runs until it gets a signal to end, and then ends at once.
func sleeping(dir string) string {
	return `trap "exit 0" TERM; echo >` + dir + `/sleeping; sleep 1000 & wait`
}

// wantSleeping waits until a script of sleeping is ready for that signal.
func wantSleeping(t *testing.T, dir string) {
	t.Helper()
	eventually(t, "the container to run", func() string {
		if _, err := os.Stat(dir + "/sleeping"); err != nil {
			return err.Error()
		}
		return ""
	})
}

// wantOutput runs a container with a script that prints text. The engine must pass this on, and nothing of ours. The
// container ends when its output has arrived: when a container ends at once, dockerd loses its output in one of 500
// runs, also with runc alone.
func wantOutput(t *testing.T, e engine, c container, script, text string) {
	t.Helper()
	arrived := c.dir + "/arrived"
	call := start(t, e.run(c.command(script+"; until [ -e "+arrived+" ]; do sleep 0.05; done"), false))
	call.waitFor(t, text)
	if err := os.WriteFile(arrived, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	o := call.wait(t)
	if o.code != 0 || o.stdout != text || strings.Contains(o.stderr, "oci-add-hooks: ") || strings.Contains(o.stderr, "oci-run-hook") {
		t.Errorf("want the container's output, and nothing of ours: %v", o)
	}
	if err := os.Remove(arrived); err != nil {
		t.Fatal(err)
	}
}

func testStages(t *testing.T, e engine, c container) {
	wantOutput(t, e, c, "echo hello", "hello\n")
	wantAllStages(t, c.dir)
}

// broken is a hook file with an unknown stage.
const broken = `{
	"hooks": {
		"prestrat": [{"path": "/bin/true"}]
	}
}`

// brokenMessage returns the words that a message about it must contain.
func brokenMessage(p profile) []string {
	return []string{"oci-add-hooks: " + p.file + ":3:3: ", "prestrat"}
}

// testRefused: with a broken hook file, the engine's own output says what is wrong with it, and no container starts.
func testRefused(t *testing.T, e engine, c container) {
	c.profile.write(t, broken)
	wantRefused(t, e, c, brokenMessage(c.profile)...)
}

// wantRefused runs the container, which must fail with the given words in the engine's output.
func wantRefused(t *testing.T, e engine, c container, message ...string) {
	t.Helper()
	o := do(t, e.run(c.command("echo started >"+c.dir+"/started"), false))
	if o.code == 0 {
		t.Errorf("the engine reports success: %v", o)
	}
	for _, words := range message {
		if !strings.Contains(o.said(), words) {
			t.Errorf("the engine does not say %q: %v", words, o)
		}
	}
	if _, err := os.Stat(c.dir + "/started"); err == nil {
		t.Error("the container was started")
	}
	wantGone(t, e, c)
}

func testExitStatus(t *testing.T, e engine, c container) {
	if o := do(t, e.run(c.command("exit 42"), false)); o.code != 42 {
		t.Errorf("the container exits with 42, and the engine reports %v", o)
	}
}

func testStdin(t *testing.T, e engine, c container) {
	c.stdin = "over the wire\n"
	// The script reads one line, not to the end: ctr run never closes a container's standard input.
	wantOutput(t, e, c, `read -r line && echo "$line"`, c.stdin)
}

// wantGone waits until the engine no longer has the container, and none of its processes runs.
func wantGone(t *testing.T, e engine, c container) {
	t.Helper()
	eventually(t, "the container to be gone", func() string { return present(t, e, c) })
}

// present lists what remains of a container.
func present(t *testing.T, e engine, c container) string {
	t.Helper()
	var what []string
	if e.knows(t, c.name) {
		what = append(what, "the engine has it")
	}
	for _, p := range inContainer(t, c) {
		what = append(what, "running: "+p.String())
	}
	return strings.Join(what, "\n")
}
