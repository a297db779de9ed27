package engines

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRuntime calls the program as an engine or a person calls a runtime.
func TestRuntime(t *testing.T) {
	need(t)
	for _, rt := range runtimes {
		t.Run(rt, func(t *testing.T) {
			need(t, rt)
			for _, c := range []struct {
				name string
				test func(t *testing.T, b bundle)
			}{
				{"create-start-kill-delete", testLifecycle},
				{"with-arguments", testArguments},
				{"called-as-the-runtime", testCalledAsRuntime},
				{"run", testRun},
				{"refused", testRefusedDirectly},
				{"without-PATH", testWithoutPath},
				{"supervised-output", testSupervisedOutput},
				{"supervised-by-hand", testSupervisedByHand},
				{"supervised-files", testSupervisedFiles},
				{"supervisor-replaced", testSupervisorReplaced},
				{"ps", testPsAlone},
			} {
				leaf(t, c.name, func(t *testing.T) {
					t.Parallel()
					c.test(t, newBundle(t, rt, profileName("direct", rt, c.name)))
				})
			}
			for _, c := range breaks {
				leaf(t, c.name, func(t *testing.T) {
					t.Parallel()
					testControlDirectly(t, newBundle(t, rt, profileName("direct", rt, c.name)), c)
				})
			}
		})
	}
	leaf(t, "nothing-left", func(t *testing.T) { wantNothingLeft(t) })
}

// A bundle is a container in a directory of its own, which the container mounts at the same path, with a profile whose
// hooks record there.
type bundle struct {
	dir     string // holds config.json, log, pid and the runtime's state
	id      string
	profile profile
}

func newBundle(t testing.TB, runtime, name string) bundle {
	t.Helper()
	b := bundle{scratch(t), name, newProfile(t, name, runtime)}
	b.profile.record(t, b.dir)
	spec := exec.Command(runtime, "spec")
	spec.Dir = b.dir
	ok(t, spec)
	t.Cleanup(func() { do(t, exec.Command(runtime, "--root", b.dir+"/state", "delete", "--force", b.id)) })
	return b
}

// command sets what the container runs.
func (b bundle) command(t testing.TB, script string) {
	t.Helper()
	var config map[string]any
	if err := json.Unmarshal(b.config(t), &config); err != nil {
		t.Fatal(err)
	}
	process := config["process"].(map[string]any)
	process["terminal"] = false
	process["args"] = []string{"sh", "-c", script}
	config["root"] = map[string]any{"path": rootfs}
	config["linux"].(map[string]any)["cgroupsPath"] = cgroup + "/" + b.id
	config["mounts"] = append(config["mounts"].([]any), map[string]any{
		"destination": b.dir, "source": b.dir, "type": "bind", "options": []string{"rbind", "rw"},
	})
	text, err := json.MarshalIndent(config, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.dir+"/config.json", text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (b bundle) config(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(b.dir + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// call returns a call of the profile link, with the global options that containerd's shim passes.
func (b bundle) call(args ...string) *exec.Cmd {
	global := []string{"--root", b.dir + "/state", "--log", b.dir + "/log", "--log-format", "json"}
	return exec.Command(b.profile.link, append(global, args...)...)
}

// create returns the shim's call of create.
func (b bundle) create() *exec.Cmd {
	return b.call("create", "--bundle", b.dir, "--pid-file", b.dir+"/pid", b.id)
}

// wantEnded waits until the container's process, whose pid create has written, has ended.
func (b bundle) wantEnded(t *testing.T) {
	t.Helper()
	pid, err := os.ReadFile(b.dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the container to end", func() string {
		status, _ := os.ReadFile("/proc/" + string(pid) + "/status")
		return string(status)
	})
}

func testLifecycle(t *testing.T, b bundle) {
	b.command(t, sleeping(b.dir))
	quiet(t, b, b.create())
	quiet(t, b, b.call("start", b.id))
	wantSleeping(t, b.dir)
	var state struct{ Status string }
	if o := ok(t, b.call("state", b.id)); json.Unmarshal([]byte(o.stdout), &state) != nil || state.Status != "running" {
		t.Errorf("the state of the running container: %v", o)
	}
	b.wantListed(t, b.id)
	quiet(t, b, b.call("kill", b.id, "TERM"))
	b.wantEnded(t)
	quiet(t, b, b.call("delete", b.id))
	wantAllStages(t, b.dir)
	b.wantListed(t)
}

// wantListed checks that the low-level runtime lists exactly these containers.
func (b bundle) wantListed(t *testing.T, want ...string) {
	t.Helper()
	got := strings.Fields(ok(t, exec.Command(b.profile.runtime, "--root", b.dir+"/state", "list", "--quiet")).stdout)
	if !slices.Equal(got, want) {
		t.Errorf("the runtime lists %q, not %q", got, want)
	}
}

// testArguments passes the hook file, a hooks directory and the runtime as options, as dockerd or a person does.
func testArguments(t *testing.T, b bundle) {
	path, dir := recorder(t, b.dir), scratch(t)
	writeRule(t, dir, "10-deleted.json", fmt.Sprintf(`{"version": "1.0.0", "hook": {"path": %q, "args": ["hook", "directory"]},
		"when": {"always": true}, "stages": ["poststop"]}`, path))
	b.profile.writeJSON(t, map[string]any{"runtime": "no-such-runtime", "hooks": map[string]any{
		"createRuntime": []any{hook(path, "created")}, "poststop": []any{hook(path, "deleted")}}})
	b.whole(t, program, "--hook-config-path", b.profile.file, "--hooks-dir", dir, "--runtime-path", b.profile.runtime)
	wantRan(t, b.dir, []string{"created", "deleted", "directory"})
}

// testCalledAsRuntime: the link has the low-level runtime's name, and precedes the runtime in PATH.
func testCalledAsRuntime(t *testing.T, b bundle) {
	dir := scratch(t)
	if err := os.Symlink(program, dir+"/"+b.profile.runtime); err != nil {
		t.Fatal(err)
	}
	hooks, err := os.ReadFile(b.profile.file)
	if err != nil {
		t.Fatal(err)
	}
	profile{file: profiles + "/" + b.profile.runtime + ".json"}.write(t, string(hooks))
	b.whole(t, "env", "PATH="+dir+":"+os.Getenv("PATH"), b.profile.runtime)
	wantAllStages(t, b.dir)
}

// whole runs a container from create to delete, with a command in place of the runtime.
func (b bundle) whole(t *testing.T, command ...string) {
	t.Helper()
	b.command(t, sleeping(b.dir))
	call := func(args ...string) *exec.Cmd {
		all := slices.Concat(command, []string{"--root", b.dir + "/state"}, args)
		return exec.Command(all[0], all[1:]...)
	}
	ok(t, call("create", "--bundle", b.dir, "--pid-file", b.dir+"/pid", b.id))
	ok(t, call("start", b.id))
	wantSleeping(t, b.dir)
	b.wantListed(t, b.id)
	ok(t, call("kill", b.id, "TERM"))
	b.wantEnded(t)
	ok(t, call("delete", b.id))
	b.wantListed(t)
}

// quiet runs a call that must succeed and print nothing, neither to the caller nor into the log.
func quiet(t *testing.T, b bundle, cmd *exec.Cmd) {
	t.Helper()
	o := ok(t, cmd)
	if log, _ := os.ReadFile(b.dir + "/log"); o.said() != "" || len(log) > 0 {
		t.Errorf("%v: %v\nlog: %s", cmd.Args, o, log)
	}
}

// testRun: a person runs a container in the current directory.
func testRun(t *testing.T, b bundle) {
	b.command(t, `read -r line && echo "heard $line"; exit 42`)
	cmd := exec.Command(b.profile.link, "--root", b.dir+"/state", "run", b.id)
	cmd.Dir = b.dir
	cmd.Stdin = strings.NewReader("hello\n")
	if o := do(t, cmd); o.code != 42 || o.stdout != "heard hello\n" {
		t.Errorf("want the output hello and exit status 42: %v", o)
	}
	wantAllStages(t, b.dir)
	b.wantListed(t)
}

// testRefusedDirectly: a broken hook file causes one message, in the log for engines and on stderr for people. No
// container is created, and the bundle is untouched.
func testRefusedDirectly(t *testing.T, b bundle) {
	b.command(t, "echo started >"+b.dir+"/started")
	b.profile.write(t, broken)
	before := b.config(t)
	o := do(t, b.create())
	if o.code != 1 || o.stdout != "" {
		t.Errorf("want exit status 1 and nothing on stdout: %v", o)
	}
	message := strings.TrimSuffix(o.stderr, "\n")
	for _, words := range brokenMessage(b.profile) {
		if !strings.Contains(message, words) {
			t.Errorf("stderr does not say %q: %v", words, o)
		}
	}
	var line struct {
		Level, Msg string
		Time       time.Time
	}
	log, err := os.ReadFile(b.dir + "/log")
	if err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal(log, &line); err != nil || line.Level != "error" || line.Msg != message || line.Time.IsZero() {
		t.Errorf("the log should hold one line of level error with the message on stderr: %s", log)
	}
	if !bytes.Equal(before, b.config(t)) {
		t.Errorf("config.json was changed:\n%s", b.config(t))
	}
	if o := do(t, exec.Command(b.profile.runtime, "--root", b.dir+"/state", "state", b.id)); o.code == 0 {
		t.Errorf("a container exists: %v", o)
	}
	if _, err := os.Stat(b.dir + "/started"); err == nil {
		t.Error("the container was started")
	}
}

// testWithoutPath: Podman passes the user's PATH to create, and no PATH to start, kill and delete. All must find the
// same runtime.
func testWithoutPath(t *testing.T, b bundle) {
	b.command(t, sleeping(b.dir))
	create := b.create()
	create.Env = []string{"PATH=" + decoy(t, b.profile.runtime) + ":" + os.Getenv("PATH")}
	quiet(t, b, create)
	for _, args := range [][]string{{"start", b.id}, {"kill", b.id, "KILL"}} {
		cmd := b.call(args...)
		cmd.Env = []string{}
		quiet(t, b, cmd)
	}
	b.wantEnded(t)
	cmd := b.call("delete", b.id)
	cmd.Env = []string{}
	quiet(t, b, cmd)
	wantAllStages(t, b.dir)
}

// decoy makes a directory with another runtime of that name, which fails.
func decoy(t *testing.T, runtime string) string {
	t.Helper()
	dir := scratch(t)
	if err := install(strings.NewReader("#!/bin/sh\necho >&2 a runtime for some calls only\nexit 1\n"), dir+"/"+runtime); err != nil {
		t.Fatal(err)
	}
	return dir
}

func testControlDirectly(t *testing.T, b bundle, how breakage) {
	b.command(t, sleeping(b.dir))
	ok(t, b.create())
	ok(t, b.call("start", b.id))
	wantSleeping(t, b.dir)

	how.do(t, b.profile)
	o := do(t, b.call("kill", b.id, "KILL"))
	if o.code != 0 {
		if how.harmless || !strings.HasPrefix(o.stderr, "oci-add-hooks: "+b.profile.file) {
			t.Fatalf("the container was not killed: %v", o)
		}
		b.profile.record(t, b.dir)
		ok(t, b.call("kill", b.id, "KILL"))
	}
	b.wantEnded(t)
	ok(t, b.call("delete", b.id))
}
