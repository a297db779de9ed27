package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hooklog"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

var program string // the path of oci-run-hook, which TestMain builds

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "oci-run-hook-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "oci-run-hook")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-X main.version=1.2.3 -X main.commit=c0ffee", "-o", program, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n%s", cmd, err, out)
		return 1
	}
	return m.Run()
}

// call is one call of the program.
type call struct {
	args   []string
	script string // the script of the hook, which is sh -c
	env    []string
	stdin  string
}

// came holds the effects of a call.
type came struct {
	status         int // 128 plus the signal if a signal ended the program
	stdout, stderr string
	records        []*hooklog.Record
	took           time.Duration
}

// aBundle is the bundle of a pod's container in containerd.
const aBundle = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/c1"

const aState = `{"ociVersion":"1.0.2","id":"c1","status":"creating","pid":77,"bundle":"` + aBundle + `","annotations":{` +
	`"io.kubernetes.cri.sandbox-namespace":"ns","io.kubernetes.cri.sandbox-name":"pod","io.kubernetes.cri.container-name":"main","secret":"x"}}`

func (c call) run(t *testing.T) (r came) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log", "hooks.jsonl")
	args := append([]string{"--log", log}, c.args...)
	if c.script != "" {
		args = append(args, "--", "/bin/sh", "the-hook", "-c", c.script)
	}
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdin = append([]string{"PATH=/usr/bin:/bin"}, c.env...), strings.NewReader(c.stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begin := time.Now()
	_ = cmd.Run()
	r.took = time.Since(begin)
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		r.status = 128 + int(ws.Signal())
	} else {
		r.status = ws.ExitStatus()
	}
	r.stdout, r.stderr = stdout.String(), stderr.String()
	torn, err := hooklog.Read(log, func(h *hooklog.Record) error { r.records = append(r.records, h); return nil })
	if err != nil || torn != 0 {
		t.Errorf("%d torn records, %v", torn, err)
	}
	return r
}

// misread matches the phrases from which engines classify a runtime's message (rule 19).
var misread = regexp.MustCompile(`(?i)no such file or directory|permission denied|operation not permitted|executable file not found|` +
	`not a directory|is a directory|open executable|does not exist|no such process|process already finished|container not running`)

// TestRuns shows what the runtime sees and what is recorded, for each kind of hook.
func TestRuns(t *testing.T) {
	named := []string{"--stage=createRuntime", "--profile", "gpu-hooks", "--file=/f.json", "--place=/hooks/createRuntime/1"}
	const who = "oci-run-hook: createRuntime hook /bin/sh of gpu-hooks: "
	const parentEnded = "the signal was sent to its parent process"
	for name, tt := range map[string]struct {
		call
		status int
		stderr string
		record hooklog.Record // only the members that differ between the cases
	}{
		"ok":                 {call: call{script: "echo out; echo err >&2"}, record: hooklog.Record{Result: "ok", ExitStatus: new(int), Stdout: "out\n", Stderr: "err\n"}},
		"failed":             {call: call{script: "echo out; echo no device >&2; exit 3"}, status: 3, stderr: who + "exit status 3: no device\n", record: hooklog.Record{Result: "failed", ExitStatus: ptr(3), Stdout: "out\n", Stderr: "no device\n"}},
		"failed, on stdout":  {call: call{script: "echo no device; exit 3"}, status: 3, stderr: who + "exit status 3: no device\n", record: hooklog.Record{Result: "failed", ExitStatus: ptr(3), Stdout: "no device\n"}},
		"failed, silently":   {call: call{script: "exit 255"}, status: 255, stderr: who + "exit status 255\n", record: hooklog.Record{Result: "failed", ExitStatus: ptr(255)}},
		"what engines read":  {call: call{script: "echo x: No such file or directory >&2; exit 1"}, status: 1, stderr: who + "exit status 1: x: No_such_file_or_directory\n", record: hooklog.Record{Result: "failed", ExitStatus: ptr(1), Stderr: "x: No such file or directory\n"}},
		"lines, binary":      {call: call{script: `printf 'a\nb\377\033[31m\n' >&2; exit 1`}, status: 1, stderr: who + `exit status 1: a\nb\xff\x1b[31m` + "\n", record: hooklog.Record{Result: "failed", ExitStatus: ptr(1), Stderr: "a\nb\ufffd\x1b[31m\n"}},
		"signal":             {call: call{script: "kill -SEGV $$"}, status: 128 + 11, stderr: who + "ended by SIGSEGV\n", record: hooklog.Record{Result: "failed", Signal: "SIGSEGV"}},
		"killed":             {call: call{script: "kill -KILL $$"}, status: 128 + 9, stderr: who + "ended by SIGKILL\n", record: hooklog.Record{Result: "failed", Signal: "SIGKILL"}},
		"kills its parent":   {call: call{script: "echo last words >&2; kill -KILL $PPID; sleep 1000"}, status: 128 + 9, stderr: who + "ended by SIGKILL; the signal was sent to its parent process: last words\n", record: hooklog.Record{Result: "failed", Signal: "SIGKILL", Error: parentEnded, Stderr: "last words\n"}},
		"kills its group":    {call: call{script: "/bin/kill -KILL -- -$PPID; exit 0"}, status: 128 + 9, stderr: who + "ended by SIGKILL; the signal was sent to its parent process\n", record: hooklog.Record{Result: "failed", Signal: "SIGKILL", Error: parentEnded}},
		"kills it, ignored":  {call: call{args: []string{"--failure-policy=ignore"}, script: "kill -KILL $PPID; sleep 1000"}, record: hooklog.Record{Result: "failed", Signal: "SIGKILL", Error: parentEnded, Ignored: true}},
		"timed out":          {call: call{args: []string{"--timeout=1"}, script: "echo begun; sleep 1000; exit 0"}, status: 124, stderr: who + "timed out after 1 s: begun\n", record: hooklog.Record{Result: "timed out", Signal: "SIGKILL", Stdout: "begun\n"}},
		"ignored":            {call: call{args: []string{"--failure-policy=ignore"}, script: "echo x >&2; exit 3"}, record: hooklog.Record{Result: "failed", ExitStatus: ptr(3), Ignored: true, Stderr: "x\n"}},
		"ignored, timed out": {call: call{args: []string{"--failure-policy=ignore", "--timeout=1"}, script: "sleep 1000"}, record: hooklog.Record{Result: "timed out", Signal: "SIGKILL", Ignored: true}},
		"ignored, but ok":    {call: call{args: []string{"--failure-policy=ignore"}, script: "true"}, record: hooklog.Record{Result: "ok", ExitStatus: new(int)}},
		"poststop":           {call: call{args: []string{"--stage=poststop"}, script: "exit 3"}, record: hooklog.Record{Stage: "poststop", Result: "failed", ExitStatus: ptr(3), Ignored: true}},
		"poststop, fail":     {call: call{args: []string{"--stage=poststop", "--failure-policy", "fail"}, script: "exit 3"}, status: 3, stderr: "oci-run-hook: poststop hook /bin/sh of gpu-hooks: exit status 3\n", record: hooklog.Record{Stage: "poststop", Result: "failed", ExitStatus: ptr(3)}},
		"status only":        {call: call{args: []string{"--record=status"}, script: "echo a; echo b >&2; exit 3"}, status: 3, stderr: who + "exit status 3\n", record: hooklog.Record{Result: "failed", ExitStatus: ptr(3)}},
		"descriptors closed": {call: call{script: "exec >&- 2>&- <&-; exit 5"}, status: 5, stderr: who + "exit status 5\n", record: hooklog.Record{Result: "failed", ExitStatus: ptr(5)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := tt.call
			c.args, c.stdin = append(named[:len(named):len(named)], tt.args...), aState
			got := c.run(t)
			if got.status != tt.status || got.stdout != "" || got.stderr != tt.stderr {
				t.Errorf("status %d, stdout %q, stderr %q", got.status, got.stdout, got.stderr)
			}
			if got.took > time.Minute {
				t.Errorf("it took %v", got.took)
			}
			if misread.MatchString(got.stderr) {
				t.Errorf("an engine acts on %q", got.stderr)
			}
			if len(got.records) != 1 {
				t.Fatalf("%d records", len(got.records))
			}
			want, r := tt.record, got.records[0]
			if want.Stage == "" {
				want.Stage = "createRuntime"
			}
			want.Time, want.Seconds = r.Time, r.Seconds
			want.Path, want.Args, want.Profile, want.File, want.Place = "/bin/sh", []string{"the-hook", "-c", tt.script}, "gpu-hooks", "/f.json", "/hooks/createRuntime/1"
			want.Container, want.Bundle, want.PodNamespace, want.PodName, want.ContainerName = "c1", aBundle, "ns", "pod", "main"
			if diff := cmp.Diff(&want, r); diff != "" || time.Since(r.Time).Abs() > time.Minute || r.Seconds < 0 || r.Result == "timed out" && r.Seconds < 1 || r.Seconds > 60 {
				t.Errorf("%v (-want +got):\n%s", r.Time, diff)
			}
		})
	}
}

func ptr(n int) *int { return &n }

// Whoever starts a container by Docker, Podman or ctr can write the annotations of a pod. They name none in the record
// if the bundle is not that of an engine of Kubernetes.
func TestPodClaimed(t *testing.T) {
	for _, bundle := range []string{"/b", strings.Replace(aBundle, "k8s.io", "moby", 1), strings.Replace(aBundle, "c1", "c2", 1)} {
		got := call{script: "exit 0", stdin: strings.Replace(aState, aBundle, bundle, 1)}.run(t)
		if r := got.records[0]; r.Bundle != bundle || r.Container != "c1" || r.PodNamespace != "" || r.PodName != "" || r.ContainerName != "" {
			t.Errorf("%s: %+v", bundle, r)
		}
	}
}

// A hook gets the input and environment that the runtime passes, and OCI_ variables, so that it need not parse the
// state.
func TestSurroundings(t *testing.T) {
	const script = `tr '\0' '\n' </proc/$$/environ; cat`
	for name, tt := range map[string]struct {
		stdin, env string
		args       []string
	}{
		"state":        {aState, "OCI_CONTAINER_ID=c1\nOCI_CONTAINER_PID=77\nOCI_CONTAINER_BUNDLE=" + aBundle + "\nOCI_CONTAINER_STATUS=creating\nOCI_HOOK_STAGE=prestart\n", []string{"--stage", "prestart"}},
		"line feed":    {aState + "\n", "OCI_CONTAINER_ID=c1\nOCI_CONTAINER_PID=77\nOCI_CONTAINER_BUNDLE=" + aBundle + "\nOCI_CONTAINER_STATUS=creating\n", nil},
		"no process":   {`{"id":"x","pid":0,"status":"stopped"}`, "OCI_CONTAINER_ID=x\nOCI_CONTAINER_STATUS=stopped\n", nil},
		"nothing":      {"", "", nil},
		"no JSON":      {"hello", "", nil},
		"another type": {`{"id":5}`, "", nil},
		"NUL":          {`{"id":"a\u0000b","bundle":"/b"}`, "OCI_CONTAINER_BUNDLE=/b\n", nil},
		"large":        {aState[:len(aState)-1] + `,"x":"` + strings.Repeat("y", 500<<10) + `"}`, "OCI_CONTAINER_ID=c1\nOCI_CONTAINER_PID=77\nOCI_CONTAINER_BUNDLE=" + aBundle + "\nOCI_CONTAINER_STATUS=creating\n", nil},
		"too large":    {aState[:len(aState)-1] + `,"x":"` + strings.Repeat("y", 3<<20) + `"}`, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "out")
			// A variable about another container is removed from the environment.
			got := call{args: tt.args, script: "{ " + script + "; } >" + out, env: []string{"OCI_CONTAINER_ID=other", "A=1"}, stdin: tt.stdin}.run(t)
			text, err := os.ReadFile(out)
			if want := "PATH=/usr/bin:/bin\nA=1\n" + tt.env + tt.stdin; err != nil || string(text) != want || got.status != 0 {
				t.Errorf("status %d, %d bytes, want %d: %.300q, want %.300q", got.status, len(text), len(want), text, want)
			}
		})
	}
}

// If standard input stays open, a hook starts as soon as the state is complete. Without a state, the wait is limited.
func TestStdinStaysOpen(t *testing.T) {
	for state, want := range map[string]string{
		aState: "",
		"":     "oci-run-hook: hook /bin/sh: not started: after 1 s, standard input has neither ended nor held the container's state\n",
	} {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer write.Close()
		write.WriteString(state)
		cmd := exec.Command(program, "--timeout=1", "--log", filepath.Join(t.TempDir(), "log/hooks.jsonl"), "--", "/bin/sh", "sh", "-c", "exit 0")
		cmd.Stdin = read
		out, err := cmd.CombinedOutput()
		if string(out) != want || (err == nil) != (want == "") {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// The limit and the record count from the hook's start, so a hook does not lose time if the runtime writes the state
// late. But the hook never gets so much time that the runtime would end the supervisor.
func TestLateState(t *testing.T) {
	for limit, tt := range map[string]struct{ late, least, most time.Duration }{
		"1": {500 * time.Millisecond, time.Second, 50 * time.Second},
		"4": {3500 * time.Millisecond, 0, 3900 * time.Millisecond},
	} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer read.Close()
			time.AfterFunc(tt.late, func() { write.WriteString(aState); write.Close() })
			log := filepath.Join(t.TempDir(), "log/hooks.jsonl")
			cmd := exec.Command(program, "--timeout", limit, "--log", log, "--", "/bin/sleep", "sleep", "1000")
			cmd.Stdin = read
			_ = cmd.Run()
			var records []*hooklog.Record
			if _, err := hooklog.Read(log, func(r *hooklog.Record) error { records = append(records, r); return nil }); err != nil || len(records) != 1 {
				t.Fatalf("%d records, %v", len(records), err)
			}
			took := time.Duration(records[0].Seconds * float64(time.Second))
			if records[0].Result != "timed out" || took < tt.least || took > tt.most {
				t.Errorf("%s after %v", records[0].Result, took)
			}
		})
	}
}

// TestDescriptors: a hook, and a process that it leaves running, inherits only descriptors 0 to 2 of the supervisor's
// caller.
func TestDescriptors(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(program, "--log", filepath.Join(t.TempDir(), "log/hooks.jsonl"), "--", "/bin/sh", "sh", "-c",
		"[ ! -e /proc/self/fd/3 ] || exit 9; sleep 60 >/dev/null 2>&1 </dev/null & echo $! >"+t.TempDir()+"/pid")
	cmd.Stdin = strings.NewReader("{}")
	cmd.ExtraFiles = []*os.File{w}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	w.Close()
	if n, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a process has the pipe open: %d, %v", n, err)
	}
}

// The supervisor's memory does not grow with the hook's output.
func TestMemory(t *testing.T) {
	peak := filepath.Join(t.TempDir(), "peak")
	got := call{script: "head -c 157286400 /dev/zero >&2; head -c 157286400 /dev/zero; sed -n 's/ kB$//; s/^VmHWM:[^0-9]*//p' /proc/$(sed -n 's/^PPid:.//p' /proc/$PPID/status)/status >" + peak + "; printf end; exit 1"}.run(t)
	text, err := os.ReadFile(peak)
	kib, atoiErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || atoiErr != nil || got.status != 1 || kib < 1<<10 || kib > 8<<10 {
		t.Errorf("status %d, %s KiB, %v", got.status, text, err)
	}
	t.Logf("the supervisor used %d KiB", kib)
	if r := got.records[0]; len(r.Stdout) != 8<<10 || !strings.HasSuffix(r.Stdout, "\x00end") || len(r.Stderr) != 8<<10 || !r.Truncated {
		t.Errorf("%d and %d bytes recorded, truncated %v", len(r.Stdout), len(r.Stderr), r.Truncated)
	}
	if len(got.stderr) > 5<<10 {
		t.Errorf("a message of %d bytes", len(got.stderr))
	}
}

// A record that cannot be written is reported, and fails no container.
func TestNoRecord(t *testing.T) {
	for script, want := range map[string]string{
		"exit 0": "oci-run-hook: no record of hook /bin/sh: /proc/nix cannot be created: nothing exists at this path (ENOENT)\n",
		"exit 3": "oci-run-hook: no record of hook /bin/sh: /proc/nix cannot be created: nothing exists at this path (ENOENT)\noci-run-hook: hook /bin/sh: exit status 3\n",
	} {
		got := call{args: []string{"--log=/proc/nix/hooks.jsonl"}, script: script}.run(t)
		if fmt.Sprint("exit ", got.status) != script || got.stderr != want {
			t.Errorf("%s: %d, %s", script, got.status, got.stderr)
		}
	}
}

// The records of a user who is not root are below XDG_STATE_HOME or HOME by default, as the help says.
func TestDefaultRecords(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: becomes another user")
	}
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir), filepath.Dir(program)} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for want, env := range map[string][]string{
		"a/oci-add-hooks/hooks.jsonl":              {"XDG_STATE_HOME=" + dir + "/a", "HOME=" + dir + "/b"},
		"b/.local/state/oci-add-hooks/hooks.jsonl": {"HOME=" + dir + "/b"},
		"c/.local/state/oci-add-hooks/hooks.jsonl": {"XDG_STATE_HOME=relative", "HOME=" + dir + "/c"},
		"": {},
	} {
		cmd := exec.Command(program, "--", "/bin/true", "true")
		cmd.Env = env
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if want == "" {
			if err != nil || string(out) != "oci-run-hook: no record of hook /bin/true: no directory for the records is known; set XDG_STATE_HOME or HOME\n" {
				t.Errorf("%v: %s", err, out)
			}
			continue
		}
		if err != nil || len(out) != 0 {
			t.Errorf("%v: %s", err, out)
		}
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, want), &st); err != nil || st.Uid != 65534 || st.Mode&0o777 != 0o600 {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestNotStarted(t *testing.T) {
	for path, tt := range map[string]struct {
		status int
		why    string
	}{
		"/nix":        {127, "cannot be executed: nothing exists at this path (ENOENT); correct the path, or create it"},
		"/etc/passwd": {126, "cannot be executed: access is refused (EACCES); run: chmod +x /etc/passwd"},
		"/etc":        {126, "cannot be executed: access is refused (EACCES); a directory is there: give the path of a program"},
	} {
		got := call{args: []string{"--", path, "x"}}.run(t)
		if got.status != tt.status || got.stderr != "oci-run-hook: hook "+path+": "+tt.why+"\n" {
			t.Errorf("%s: %d, %s", path, got.status, got.stderr)
		}
		if r := got.records[0]; r.Result != "not started" || r.Error != tt.why || r.ExitStatus != nil {
			t.Errorf("%+v", r)
		}
	}
	got := call{args: []string{"--failure-policy=ignore", "--", "/nix", "x"}}.run(t)
	if got.status != 0 || got.stderr != "" || !got.records[0].Ignored {
		t.Errorf("ignored: %d, %s", got.status, got.stderr)
	}
}

// TestUsage: a usage error has a message and its own exit status, and no record.
func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                          "no hook is given; use: oci-run-hook [OPTION]... -- PATH ARGV0 [ARG]...",
		"--":                        "no hook is given; use: oci-run-hook [OPTION]... -- PATH ARGV0 [ARG]...",
		"-- true":                   `the hook's path "true" is not absolute; give its whole path`,
		"/bin/true":                 `unknown option "/bin/true"; options come before --, the hook after it (see oci-run-hook --help)`,
		"--nix -- /bin/true":        `unknown option "--nix"; options come before --, the hook after it (see oci-run-hook --help)`,
		"--timeout":                 "option --timeout has no value; see oci-run-hook --help",
		"--timeout -- /bin/true":    "option --timeout has no value; see oci-run-hook --help",
		"--timeout=0 --":            `option --timeout has the value "0"; give whole seconds, from 1 to 2147483647`,
		"--timeout 5s --":           `option --timeout has the value "5s"; give whole seconds, from 1 to 2147483647`,
		"--timeout 2147483648 --":   `option --timeout has the value "2147483648"; give whole seconds, from 1 to 2147483647`,
		"--failure-policy=never --": `option --failure-policy has the value "never"; use fail or ignore`,
		"--record=all --":           `option --record has the value "all"; use output or status`,
		"--profile= --":             "option --profile has an empty value; give it one, or omit the option",
		"--stage= --":               `option --stage has the value ""; use prestart, createRuntime, createContainer, startContainer, poststart or poststop`,
		"--stage poststopp --":      `option --stage has the value "poststopp"; use prestart, createRuntime, createContainer, startContainer, poststart or poststop`,
		"--log log --":              `option --log has the value "log", which is not an absolute path; give the whole path`,
	} {
		got := call{args: strings.Fields(args)}.run(t)
		if got.status != 125 || got.stderr != "oci-run-hook: "+want+"\n" || len(got.records) != 0 {
			t.Errorf("%s: %d, %s", args, got.status, got.stderr)
		}
	}
	// argv[0] may be omitted.
	if got := (call{args: []string{"--", "/bin/true"}}).run(t); got.status != 0 || got.stderr != "" || got.records[0].Args[0] != "/bin/true" {
		t.Errorf("%+v", got)
	}
	for option, want := range map[string]string{"--help": help, "--version": "oci-run-hook version 1.2.3\ncommit: c0ffee\n"} {
		out, err := exec.Command(program, option).Output()
		if err != nil || string(out) != want {
			t.Errorf("%s: %v, %s", option, err, out)
		}
	}
}

func TestStages(t *testing.T) {
	var want []string
	for _, s := range hooks.Stages() {
		want = append(want, string(s))
	}
	if diff := cmp.Diff(want, stages); diff != "" {
		t.Errorf("(-hooks +here):\n%s", diff)
	}
}

// FuzzParse: for any arguments, parse returns a complete hook or an error.
func FuzzParse(f *testing.F) {
	f.Add("--timeout=1 -- /bin/true true")
	f.Add("--stage x --log=/l --record status --failure-policy ignore -- /bin/true")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parse(strings.Split(text, " "))
		if err == nil && !o.help && !o.version && (!filepath.IsAbs(o.path) || len(o.args) == 0 || o.limit < time.Second) {
			t.Errorf("%+v", o)
		}
	})
}

// FuzzState: any standard input can be read, and only a state is read as a state.
func FuzzState(f *testing.F) {
	f.Add([]byte(aState))
	f.Add([]byte(`{"annotations":null,"pid":-1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseState(text)
		if err != nil && !reflect.DeepEqual(s, state{}) {
			t.Errorf("%+v, %v", s, err)
		}
		for _, e := range s.environment(nil, "") {
			if strings.Contains(e, "\x00") {
				t.Errorf("%q", e)
			}
		}
	})
}
