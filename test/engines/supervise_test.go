package engines

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// records is the file in which supervised hooks are recorded, in the sandbox's own /var/log.
const records = "/var/log/oci-add-hooks/hooks.jsonl"

// superviseCases are the tests of supervised hooks under every engine.
func superviseCases() []suiteCase {
	return []suiteCase{
		{"supervised", testSupervised},
		{"supervised-time", testSupervisedTime},
		{"supervised-failure", testSupervisedFailure},
		{"supervised-kills-parent", testSupervisedKillsParent},
		{"supervised-ignored", testSupervisedIgnored},
		{"supervised-survivor", testSurvivor},
	}
}

// A hookRecord holds the members of a record that are read here.
type hookRecord struct {
	Time                                    time.Time
	Seconds                                 float64
	Stage, Path, Container, Profile, Result string
	Args                                    []string
	ExitStatus                              *int
	Signal, Bundle, File, Stdout, Stderr    string
	Ignored, Truncated                      bool
	PodNamespace, PodName, ContainerName    string
}

// hookRecords reads the records of a profile's hooks since its hook file was written: another test may have had a
// profile of that name.
func hookRecords(t *testing.T, p profile) []hookRecord {
	t.Helper()
	return hookRecordsIn(t, records, p)
}

func hookRecordsIn(t *testing.T, records string, p profile) (list []hookRecord) {
	t.Helper()
	written, err := os.Stat(p.file)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(records + "*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(files)
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var r hookRecord
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Errorf("%s: %v in %q", path, err, lines.Text())
			}
			if r.Profile == p.name && !r.Time.Before(written.ModTime()) {
				list = append(list, r)
			}
		}
	}
	return list
}

// supervise writes a hook file with the given member supervise, and with hooks by stage that are shell scripts.
func (p profile) supervise(t *testing.T, supervise any, scripts map[string]string) {
	t.Helper()
	hooks := map[string]any{}
	for stage, script := range scripts {
		hooks[stage] = []any{map[string]any{"path": "/bin/sh", "args": []string{"the-hook", "-c", script}}}
	}
	p.writeJSON(t, map[string]any{"runtime": p.runtime, "supervise": supervise, "hooks": hooks})
}

// testSupervised: all stages run, those outside the container supervised. Each hook has the container's state, exactly
// the environment of a supervised hook, and a record.
func testSupervised(t *testing.T, e engine, c container) {
	path := recorder(t, c.dir)
	hooks := map[string]any{}
	for _, stage := range stages {
		hooks[stage] = []any{hook(path, stage)}
	}
	hooks["createRuntime"] = append(hooks["createRuntime"].([]any),
		map[string]any{"path": "/usr/bin/env", "args": []string{"env"}})
	c.profile.writeJSON(t, map[string]any{"runtime": c.profile.runtime, "supervise": true, "hooks": hooks})
	wantOutput(t, e, c, "echo hello", "hello\n")
	wantAllStages(t, c.dir)
	var got []hookRecord
	eventually(t, "the record of poststop", func() string {
		if got = hookRecords(t, c.profile); len(got) != 6 {
			return fmt.Sprintf("%d records: %+v", len(got), got)
		}
		return ""
	})
	id := got[0].Container
	var ran []string
	for _, r := range got {
		if r.Result != "ok" || r.ExitStatus == nil || *r.ExitStatus != 0 || r.Container != id || id == "" || r.File != c.profile.file || r.Bundle == "" {
			t.Errorf("%+v", r)
		}
		ran = append(ran, r.Stage)
		if r.Path != "/usr/bin/env" {
			continue
		}
		env := strings.Split(strings.TrimSpace(r.Stdout), "\n")
		env = slices.DeleteFunc(env, func(e string) bool { return strings.HasPrefix(e, "OCI_CONTAINER_PID=") })
		want := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "OCI_CONTAINER_ID=" + id,
			"OCI_CONTAINER_BUNDLE=" + r.Bundle, "OCI_CONTAINER_STATUS=" + recorded(t, c.dir)[1].State.Status, "OCI_HOOK_STAGE=createRuntime"}
		if diff := cmp.Diff(want, env); diff != "" {
			t.Errorf("the environment (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff([]string{"prestart", "createRuntime", "createRuntime", "createContainer", "poststart", "poststop"}, ran); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// shows returns the words that the engine shows of a failed hook: crun shows nothing that a hook prints.
func (p profile) shows(message string) []string {
	if strings.Contains(p.runtime, "crun") {
		return nil
	}
	return []string{message}
}

// wantEnded checks that the hook has written that many process ids to the file pids, and that none of the processes
// remains.
func (c container) wantEnded(t *testing.T, many int) {
	t.Helper()
	pids, err := os.ReadFile(c.dir + "/pids")
	if err != nil || len(strings.Fields(string(pids))) != many {
		t.Fatalf("the hook's processes: %q, %v", pids, err)
	}
	for _, pid := range strings.Fields(string(pids)) {
		if n, _ := strconv.Atoi(pid); syscall.Kill(n, 0) == nil {
			t.Errorf("process %s of the hook lives on", pid)
		}
	}
}

// testSupervisedTime: a hook that exceeds its time ends with everything that it has started, and no container starts.
func testSupervisedTime(t *testing.T, e engine, c container) {
	const script = `echo $$ >DIR/pids; setsid sh -c 'trap "" TERM; echo $$ >>DIR/pids; sleep 1000; sleep 1000' & sleep 1000; exit 0`
	c.profile.supervise(t, map[string]any{"timeout": 1}, map[string]string{"createRuntime": strings.ReplaceAll(script, "DIR", c.dir)})
	wantRefused(t, e, c, c.profile.shows("oci-run-hook: createRuntime hook /bin/sh of "+c.profile.name+": timed out after 1 s")...)
	c.wantEnded(t, 2)
	got := hookRecords(t, c.profile)
	if len(got) != 1 || got[0].Result != "timed out" || got[0].Signal != "SIGKILL" || got[0].Ignored || got[0].Seconds < 1 || got[0].Seconds > 100 {
		t.Errorf("%+v", got)
	}
}

// testSupervisedFailure: the engine's own message names the failed hook and contains its output, without words that an
// engine acts on.
func testSupervisedFailure(t *testing.T, e engine, c container) {
	c.profile.supervise(t, true, map[string]string{"createRuntime": "echo no device: Permission denied >&2; exit 3"})
	wantRefused(t, e, c, c.profile.shows("oci-run-hook: createRuntime hook /bin/sh of "+c.profile.name+": exit status 3: no device: Permission_denied")...)
	got := hookRecords(t, c.profile)
	if len(got) != 1 || got[0].Result != "failed" || *got[0].ExitStatus != 3 || got[0].Stderr != "no device: Permission denied\n" {
		t.Errorf("%+v", got)
	}
}

// testSupervisedKillsParent: a hook that kills its parent's process group with SIGKILL is named in the engine's
// message, ends with everything that it has started, and is recorded.
func testSupervisedKillsParent(t *testing.T, e engine, c container) {
	const script = `echo $$ >DIR/pids; setsid sh -c 'echo $$ >>DIR/pids; sleep 1000; sleep 1000' & until [ $(wc -l <DIR/pids) = 2 ]; do sleep 0.01; done
		echo last words >&2; kill -KILL -$PPID; sleep 1000`
	c.profile.supervise(t, true, map[string]string{"createRuntime": strings.ReplaceAll(script, "DIR", c.dir)})
	wantRefused(t, e, c, c.profile.shows("oci-run-hook: createRuntime hook /bin/sh of "+c.profile.name+": ended by SIGKILL; the signal was sent to its parent process: last words")...)
	c.wantEnded(t, 2)
	got := hookRecords(t, c.profile)
	if len(got) != 1 || got[0].Result != "failed" || got[0].Signal != "SIGKILL" || got[0].Stderr != "last words\n" {
		t.Errorf("%+v", got)
	}
}

// testSupervisedIgnored: an ignored failure does not keep the container from starting. It is ignored by policy, for
// this container, or at poststop. Annotations by which a user claims that the container is another pod's do not name that
// pod in the records.
func testSupervisedIgnored(t *testing.T, e engine, c container) {
	when := map[string]any{"always": true}
	if e.cannotAnnotate() == "" {
		c.annotations = map[string]string{
			"com.example.namespace":               "kube-system",
			"io.kubernetes.cri.sandbox-namespace": "kube-system", "io.kubernetes.cri.sandbox-name": "claimed", "io.kubernetes.cri.container-name": "claimed",
			"io.kubernetes.pod.namespace": "kube-system", "io.kubernetes.pod.name": "claimed", "io.kubernetes.container.name": "claimed",
			"io.kubernetes.cri-o.ContainerType": "container",
		}
		when = map[string]any{"annotations": map[string]string{"^com\\.example\\.namespace$": "^kube-"}}
	}
	hook := func(supervise any) map[string]any {
		return map[string]any{"path": "/bin/sh", "args": []string{"sh", "-c", "exit 3"}, "supervise": supervise}
	}
	c.profile.writeJSON(t, map[string]any{"runtime": c.profile.runtime, "supervise": map[string]any{"record": "status"}, "hooks": map[string]any{
		"createRuntime":   []any{hook(map[string]any{"failurePolicy": "ignore"})},
		"createContainer": []any{hook(map[string]any{"ignoreFailureWhen": when})},
		"poststop":        []any{hook(nil), hook(true), map[string]any{"path": "/nix"}},
	}})
	wantOutput(t, e, c, "echo hello", "hello\n")
	var ran []string
	eventually(t, "the records of poststop", func() string {
		ran = nil
		for _, r := range hookRecords(t, c.profile) {
			ran = append(ran, fmt.Sprintf("%s %s %v", r.Stage, r.Result, r.Ignored))
			if r.PodName == "claimed" || r.ContainerName == "claimed" {
				t.Errorf("a claim is believed: %+v", r)
			}
		}
		if len(ran) < 5 {
			return fmt.Sprint(ran)
		}
		return ""
	})
	want := []string{"createRuntime failed true", "createContainer failed true", "poststop failed true", "poststop failed true", "poststop not started true"}
	if diff := cmp.Diff(want, ran); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// testSurvivor: processes that a successful hook leaves behind run on, and delay neither the container's start nor its
// end. Under Podman the test checks while the container still runs: conmon is a subreaper, and at the container's end
// it waits for all of its children, with or without a supervisor, before it calls Podman's exit command.
func testSurvivor(t *testing.T, e engine, c container) {
	c.profile.supervise(t, map[string]any{"timeout": 100}, map[string]string{
		"createRuntime": "(while :; do echo still here; sleep 0.05; done) & echo $! >" + c.dir + "/pid; exit 0",
	})
	if _, conmon := e.(podman); conmon {
		ok(t, e.run(c.command(sleeping(c.dir)), true))
		defer e.end(t, c)
	} else {
		ok(t, e.run(c.command("true"), false))
	}
	text, err := os.ReadFile(c.dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("what the hook left running: %v", err)
	}
	if got := hookRecords(t, c.profile); len(got) != 1 || got[0].Result != "ok" || got[0].Seconds > 90 {
		t.Errorf("%+v", got)
	}
}

// testPodSupervised: a pod's namespace selects that a failure is ignored. The records name the pod.
func testPodSupervised(t *testing.T, k kubelet, c container) {
	fails := map[string]any{"path": "/bin/sh", "args": []string{"sh", "-c", "exit 3"}}
	c.profile.writeJSON(t, map[string]any{
		"runtime": c.profile.runtime, "skipSandboxes": true,
		"supervise": map[string]any{"ignoreFailureWhen": map[string]any{
			"annotations": map[string]string{"^io\\.kubernetes\\.cri\\.sandbox-namespace$": "^default$"},
		}},
		"hooks": map[string]any{"createRuntime": []any{fails}},
	})
	_, id := k.runPod(t, c)
	got := hookRecords(t, c.profile)
	if len(got) != 1 || got[0].Container != id || !got[0].Ignored || got[0].PodNamespace != "default" || got[0].PodName != c.name || got[0].ContainerName != c.name {
		t.Errorf("%+v", got)
	}
}

// testSupervisedRootless: a user's hooks are recorded among the user's own files.
func testSupervisedRootless(t *testing.T, e engine, c container) {
	c.profile.supervise(t, true, map[string]string{"createRuntime": "true", "createContainer": "true", "poststop": "exit 3"})
	wantOutput(t, e, c, "echo hello", "hello\n")
	path := e.(podman).dir + "/.local/state/oci-add-hooks/hooks.jsonl"
	eventually(t, "the record of poststop", func() string {
		var ran []string
		for _, r := range hookRecordsIn(t, path, c.profile) {
			ran = append(ran, fmt.Sprintf("%s %s", r.Stage, r.Result))
		}
		if got := strings.Join(ran, ", "); got != "createRuntime ok, createContainer ok, poststop failed" {
			return got
		}
		return ""
	})
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}

// testSupervisedOutput: neither the supervisor nor the runtime keeps all that a hook prints in memory.
func testSupervisedOutput(t *testing.T, b bundle) {
	b.command(t, "true")
	b.profile.supervise(t, true, map[string]string{"prestart": "head -c 314572800 /dev/zero; grep VmHWM /proc/$PPID/status; exit 1"})
	cmd := b.call("run", "--bundle", b.dir, b.id)
	if o := do(t, cmd); o.code == 0 || len(o.said()) > 64<<10 {
		t.Errorf("%d bytes of output, exit status %d", len(o.said()), o.code)
	}
	if kib := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss; kib > 100<<10 {
		t.Errorf("the runtime took %d KiB", kib)
	}
	got := hookRecords(t, b.profile)
	if len(got) != 1 || !got[0].Truncated || len(got[0].Stdout) != 8<<10 {
		t.Fatalf("%d records, or not the end of the output", len(got))
	}
	_, line, _ := strings.Cut(got[0].Stdout, "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(line)[0])
	if err != nil || kib > 8<<10 {
		t.Errorf("the supervisor took %d KiB, %v", kib, err)
	}
}

// testSupervisedByHand: a supervisor that was added to a hook manually in config.json is started by the runtime like any
// hook.
func testSupervisedByHand(t *testing.T, b bundle) {
	b.command(t, "true")
	b.profile.writeJSON(t, map[string]any{"runtime": b.profile.runtime, "hooks": map[string]any{"createRuntime": []any{map[string]any{
		"path": bin + "/oci-run-hook", "env": []string{},
		"args": []string{"oci-run-hook", "--stage", "createRuntime", "--profile", b.profile.name, "--", "/bin/sh", "sh", "-c", "/bin/echo $OCI_CONTAINER_ID"},
	}}}})
	ok(t, b.call("run", "--bundle", b.dir, b.id))
	if got := hookRecords(t, b.profile); len(got) != 1 || got[0].Result != "ok" || got[0].Stdout != b.id+"\n" {
		t.Errorf("%+v", got)
	}
}

// testSupervisedFiles: crun appends what hooks print to the files that two annotations of the container name. The message of
// the supervisor is there, and what the hook prints is in the record alone.
func testSupervisedFiles(t *testing.T, b bundle) {
	b.command(t, "true")
	var config map[string]any
	if err := json.Unmarshal(b.config(t), &config); err != nil {
		t.Fatal(err)
	}
	config["annotations"] = map[string]string{"run.oci.hooks.stdout": b.dir + "/stdout", "run.oci.hooks.stderr": b.dir + "/stderr"}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.dir+"/config.json", text, 0o644); err != nil {
		t.Fatal(err)
	}
	b.profile.supervise(t, true, map[string]string{"createRuntime": "echo out; echo no device >&2; exit 3"})
	if o := do(t, b.call("run", "--bundle", b.dir, b.id)); o.code == 0 {
		t.Errorf("%v", o)
	}
	stdout, _ := os.ReadFile(b.dir + "/stdout")
	stderr, _ := os.ReadFile(b.dir + "/stderr")
	want := ""
	if strings.Contains(b.profile.runtime, "crun") {
		want = "oci-run-hook: createRuntime hook /bin/sh of " + b.profile.name + ": exit status 3: no device\n"
	}
	if string(stdout) != "" || string(stderr) != want {
		t.Errorf("standard output %q, standard error %q, want %q", stdout, stderr, want)
	}
	if got := hookRecords(t, b.profile); len(got) != 1 || got[0].Stdout != "out\n" || got[0].Stderr != "no device\n" {
		t.Errorf("%+v", got)
	}
}

// testSupervisorReplaced: an upgrade replaces the program by rename, also while a hook runs.
func testSupervisorReplaced(t *testing.T, b bundle) {
	own := scratch(t)
	for _, name := range []string{"oci-add-hooks", "oci-run-hook"} {
		ok(t, exec.Command("cp", bin+"/"+name, own+"/"+name))
	}
	b.command(t, "true")
	b.profile.supervise(t, true, map[string]string{
		"createRuntime": "cp " + own + "/oci-run-hook " + own + "/new && mv " + own + "/new " + own + "/oci-run-hook && echo replaced",
		"poststop":      "echo after",
	})
	cmd := exec.Command(own+"/oci-add-hooks", "--hook-config-path", b.profile.file, "--root", b.dir+"/state", "run", "--bundle", b.dir, b.id)
	ok(t, cmd)
	got := hookRecords(t, b.profile)
	if len(got) != 2 || got[0].Stdout != "replaced\n" || got[1].Stdout != "after\n" {
		t.Errorf("%+v", got)
	}
}

// testPodmanByHand: a supervisor that was added manually to a hook that Podman itself adds. It names the hook where it
// fails.
func testPodmanByHand(t *testing.T, e engine, c container) {
	p, bare, dir := e.(podman), c, scratch(t)
	p.global = append(p.global[:len(p.global):len(p.global)], "--hooks-dir", dir)
	bare.profile.link = c.profile.runtime
	for script, want := range map[string]string{"echo done": "", "echo no device >&2; exit 3": "exit status 3: no device"} {
		writeRule(t, dir, "10-by-hand.json", fmt.Sprintf(`{
			"version": "1.0.0",
			"hook": {
				"path": %q,
				"args": ["oci-run-hook", "--stage", "createRuntime", "--profile", %q, "--timeout", "10", "--", "/bin/sh", "sh", "-c", %q],
				"env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
			},
			"when": {"always": true},
			"stages": ["createRuntime"]
		}`, bin+"/oci-run-hook", c.profile.name, script))
		o := do(t, p.run(bare.command("true"), false))
		shown := c.profile.shows("oci-run-hook: createRuntime hook /bin/sh of " + c.profile.name + ": " + want)
		if (o.code == 0) != (want == "") || want != "" && len(shown) > 0 && !strings.Contains(o.said(), shown[0]) {
			t.Errorf("%s: %v", script, o)
		}
	}
	var ran []string
	for _, r := range hookRecords(t, c.profile) {
		ran = append(ran, r.Result)
	}
	slices.Sort(ran)
	if diff := cmp.Diff([]string{"failed", "ok"}, ran); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// testPodmanByHandWhole: the same from create to delete, with a hook at poststop.
func testPodmanByHandWhole(t *testing.T, e engine, c container) {
	p, dir, path := e.(podman), c.dir+"/hooks.d", recorder(t, c.dir)
	p.global = append(p.global[:len(p.global):len(p.global)], "--hooks-dir", dir)
	for stage, hook := range map[string]string{
		"createRuntime": fmt.Sprintf(`{"path": %q, "args": ["hook", "created"]}`, path),
		"poststop": fmt.Sprintf(`{"path": %q, "args": ["oci-run-hook", "--stage", "poststop", "--profile", %q, "--", %q, "hook", "deleted"]}`,
			bin+"/oci-run-hook", c.profile.name, path),
	} {
		writeRule(t, dir, stage+".json", fmt.Sprintf(`{"version": "1.0.0", "hook": %s, "when": {"always": true}, "stages": [%q]}`, hook, stage))
	}
	c.profile.link = c.profile.runtime
	runWhole(t, p, c, "created", "deleted")
	if got := hookRecords(t, c.profile); len(got) != 1 || got[0].Stage != "poststop" || got[0].Result != "ok" {
		t.Errorf("%+v", got)
	}
}
