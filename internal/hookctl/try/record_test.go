package try

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestMain lets this test binary be called in a role, as hookctl is.
func TestMain(m *testing.M) {
	if IsRole(os.Args) {
		os.Exit(Role(os.Args))
	}
	status := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(status)
}

// A recorder runs in its own directory.
type recorder struct {
	*exec.Cmd
	task  task
	alive *os.File
}

// newRecorder prepares a recorder of a shell script that is called as a hook.
func newRecorder(t *testing.T, script string, args ...string) *recorder {
	t.Helper()
	r := &recorder{task: task{Path: "/bin/sh", Args: append([]string{"the-hook", "-c", script}, args...), dir: t.TempDir()}}
	alive := filepath.Join(r.task.dir, aliveFile)
	if err := unix.Mkfifo(alive, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.alive, err = os.OpenFile(alive, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.alive.Close() })
	return r
}

// ready writes the task.
func (r *recorder) ready(t *testing.T) {
	t.Helper()
	if err := r.task.write(7); err != nil {
		t.Fatal(err)
	}
	r.Cmd = exec.Command("/proc/self/exe", recordRole, filepath.Join(r.task.dir, "7"))
	r.Env = []string{}
}

// recorded returns the one call that was recorded.
func (r *recorder) recorded(t *testing.T) Call {
	t.Helper()
	calls, err := r.task.calls()
	if err != nil || len(calls) != 1 {
		t.Fatalf("recorded: %+v, %v", calls, err)
	}
	return calls[0]
}

// A hook gets its arguments and the recorder's environment, standard input and working directory. The recorder passes
// the hook's output and exit status on to the runtime.
func TestRecord(t *testing.T) {
	r := newRecorder(t, `cat; printf '%s\n' "$0" "$@"; tr '\0' '\n' </proc/$$/environ; pwd; echo warning >&2; exit 42`, "first", "", "a b")
	r.ready(t)
	r.Dir, r.Env, r.Stdin = t.TempDir(), []string{"B=2", "A=1", "=odd", "PWD=/nowhere"}, strings.NewReader("state\n")
	var stdout, stderr bytes.Buffer
	r.Stdout, r.Stderr = &stdout, &stderr
	err := r.Run()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 42 {
		t.Errorf("the recorder returns %v, the hook exits with 42", err)
	}
	want := "state\nfirst\n\na b\nB=2\nA=1\n=odd\nPWD=/nowhere\n" + r.Dir + "\n"
	if diff := cmp.Diff(want, stdout.String()); diff != "" {
		t.Errorf("standard output (-want +got):\n%s", diff)
	}
	if stderr.String() != "warning\n" {
		t.Errorf("standard error: %q", stderr.String())
	}
	c := r.recorded(t)
	if c.Stdout != stdout.String() || c.Stderr != stderr.String() || c.Result != Failed || *c.ExitStatus != 42 {
		t.Errorf("recorded: %+v", c)
	}
	if c.begin == 0 || c.end < c.begin || time.Duration(c.end-c.begin) > time.Minute {
		t.Errorf("recorded: from %d to %d", c.begin, c.end)
	}
}

// argv[0] is the hook's own.
func TestRecordName(t *testing.T) {
	r := newRecorder(t, "")
	r.task.Args = []string{"another-name", "-c", `tr '\0' ' ' </proc/$$/cmdline`}
	r.ready(t)
	if out, err := r.Output(); err != nil || !strings.HasPrefix(string(out), "another-name -c ") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestRecordResults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script string
		change func(*recorder)
		result Result
		status int // of the recorder; -1 if a signal ended it
		signal string
	}{
		{name: "ok", script: "true", result: OK},
		{name: "signal", script: "kill -SEGV $$", result: Failed, status: 139, signal: "SIGSEGV"},
		{name: "hung", script: "echo begun; exec sleep 1000", result: Hung, status: 137, signal: "SIGKILL",
			change: func(r *recorder) { r.task.Limit = 200 * time.Millisecond }},
		{name: "in time", script: "sleep 0.1", result: OK, change: func(r *recorder) { r.task.Limit = time.Minute }},
		{name: "hookctl gone before", script: "exec sleep 1000", result: Interrupted, status: 137, signal: "SIGKILL",
			change: func(r *recorder) { r.alive.Close() }},
		{name: "hookctl gone", script: "exec sleep 1000", result: Interrupted, status: 137, signal: "SIGKILL",
			change: func(r *recorder) { time.AfterFunc(300*time.Millisecond, func() { r.alive.Close() }) }},
		{name: "hookctl gone, with a time of grace", script: "sleep 0.2", result: OK,
			change: func(r *recorder) { r.task.Grace = time.Minute; r.alive.Close() }},
		{name: "no such program", result: NotStarted, status: 127, change: func(r *recorder) { r.task.Path = "/nix" }},
		{name: "not executable", result: NotStarted, status: 126, change: func(r *recorder) { r.task.Path = "/etc/passwd" }},
		{name: "leaves a process", script: "sleep 1000 & echo $!", result: OK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRecorder(t, tt.script)
			if tt.change != nil {
				tt.change(r)
			}
			r.ready(t)
			begin := time.Now()
			out, _ := r.Output()
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("it took %v", took)
			}
			c := r.recorded(t)
			if c.Result != tt.result || c.Signal != tt.signal || r.ProcessState.ExitCode() != tt.status {
				t.Errorf("%+v, and the recorder returns %v", c, r.ProcessState)
			}
			if (c.Error != "") != (tt.result == NotStarted) || (c.ExitStatus == nil) != (tt.result == NotStarted || tt.signal != "") {
				t.Errorf("%+v", c)
			}
			if tt.name == "leaves a process" {
				exec.Command("kill", strings.TrimSpace(string(out))).Run()
			}
		})
	}
}

// What a hook prints is kept up to a limit. It never makes the hook wait or fills the disk.
func TestRecordMuch(t *testing.T) {
	const more = 3 * maxOutput
	for _, tt := range []struct {
		name   string
		script string
		want   int // bytes of standard output
		more   bool
		limit  time.Duration
		result Result
	}{
		{name: "just enough", script: fmt.Sprint("head -c ", maxOutput, " /dev/zero"), want: maxOutput, result: OK},
		{name: "one too many", script: fmt.Sprint("head -c ", maxOutput+1, " /dev/zero"), want: maxOutput, more: true, result: OK},
		{name: "much", script: fmt.Sprint("head -c ", more, " /dev/zero && head -c ", more, " /dev/zero >&2"), want: maxOutput, more: true, result: OK},
		{name: "without end", script: "exec yes", want: maxOutput, more: true, limit: 2 * time.Second, result: Hung},
		{name: "what is left prints without end", script: "yes & sleep 1; echo $! >&2", want: maxOutput, more: true, result: OK},
		{name: "what is left prints nothing", script: "printf x; sleep 1000 & echo $! >&2", want: 1, result: OK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRecorder(t, tt.script)
			r.task.Limit = tt.limit
			r.ready(t)
			var stdout, stderr bytes.Buffer
			r.Stdout, r.Stderr = &stdout, &stderr
			begin := time.Now()
			r.Run()
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("it took %v", took)
			}
			c := r.recorded(t)
			if len(c.Stdout) != tt.want || stdout.Len() != tt.want || c.Truncated != tt.more || c.Result != tt.result {
				t.Errorf("%d bytes recorded, %d printed, truncated %v, %s", len(c.Stdout), stdout.Len(), c.Truncated, c.Result)
			}
			files, err := filepath.Glob(r.task.dir + "/7-*/std*")
			if err != nil || len(files) != 2 {
				t.Fatalf("%q, %v", files, err)
			}
			for _, path := range files {
				if info, err := os.Stat(path); err != nil || info.Size() > maxOutput+1 {
					t.Errorf("%s: %v, %v", path, info.Size(), err)
				}
			}
			if strings.Contains(tt.script, "$!") {
				exec.Command("kill", strings.TrimSpace(c.Stderr)).Run()
			}
		})
	}
}

// A runtime that ends a hook ends the recorder. The hook ends with it, and its output is recorded.
func TestRecorderKilled(t *testing.T) {
	r := newRecorder(t, "echo $$; exec sleep 1000")
	r.ready(t)
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	pid := ""
	eventually(t, "the hook to print", func() bool {
		calls, _ := r.task.calls()
		if len(calls) == 1 {
			pid = strings.TrimSpace(calls[0].Stdout)
		}
		return pid != ""
	})
	r.Process.Kill()
	r.Wait()
	if c := r.recorded(t); c.Result != Killed || c.ExitStatus != nil {
		t.Errorf("recorded: %+v", c)
	}
	eventually(t, "the hook to end", func() bool {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Files in the directory may come from the container: links are not followed out of it, and nothing waits for a FIFO.
func TestCalls(t *testing.T) {
	const began, ended = `{"time": 5}`, `{"time": 9, "status": 0}`
	for _, tt := range []struct {
		name  string
		files map[string]string
		make  func(dir string) error
		want  []Call
	}{
		{name: "no call"},
		{name: "killed before it began", files: map[string]string{"7-1/stdout": ""}},
		{name: "another's", files: map[string]string{"77-1/begin": began, "1/begin": began}},
		{name: "one", files: map[string]string{"7-1/begin": began, "7-1/end": ended, "7-1/stdout": "out", "7-1/stderr": "err"},
			want: []Call{{Result: OK, begin: 5, end: 9, ExitStatus: ptr(0), Stdout: "out", Stderr: "err"}}},
		{name: "two", files: map[string]string{"7-1/begin": began, "7-1/end": ended, "7-2/begin": `{"time": 6}`},
			want: []Call{{Result: OK, begin: 5, end: 9, ExitStatus: ptr(0)}, {Result: Killed, begin: 6}}},
		{name: "garbage", files: map[string]string{"7-1/begin": "}", "7-2/begin": began, "7-2/end": "{"},
			want: []Call{{Result: Killed, begin: 5}}},
		{name: "much", files: map[string]string{"7-1/begin": began, "7-1/end": ended, "7-1/stdout": strings.Repeat("x", maxOutput+1)},
			want: []Call{{Result: OK, begin: 5, end: 9, ExitStatus: ptr(0), Stdout: strings.Repeat("x", maxOutput), Truncated: true}}},
		{name: "just enough", files: map[string]string{"7-1/begin": began, "7-1/end": ended, "7-1/stderr": strings.Repeat("x", maxOutput)},
			want: []Call{{Result: OK, begin: 5, end: 9, ExitStatus: ptr(0), Stderr: strings.Repeat("x", maxOutput)}}},
		{name: "a link out", files: map[string]string{"7-1/begin": began, "7-1/end": ended},
			make: func(dir string) error { return os.Symlink("/etc/passwd", dir+"/7-1/stdout") },
			want: []Call{{Result: OK, begin: 5, end: 9, ExitStatus: ptr(0)}}},
		{name: "a FIFO", files: map[string]string{"7-1/begin": began, "7-1/end": ended},
			make: func(dir string) error { return unix.Mkfifo(dir+"/7-1/stdout", 0o600) },
			want: []Call{{Result: OK, begin: 5, end: 9, ExitStatus: ptr(0)}}},
		{name: "a directory", files: map[string]string{"7-1/begin": began, "7-1/end/x": ""},
			want: []Call{{Result: Killed, begin: 5}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			task := task{dir: t.TempDir(), name: "7"}
			for name, text := range tt.files {
				path := filepath.Join(task.dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if tt.make != nil {
				if err := tt.make(task.dir); err != nil {
					t.Fatal(err)
				}
			}
			got, err := task.calls()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(Call{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRoles(t *testing.T) {
	for _, tt := range []struct {
		argv []string
		want bool
	}{
		{[]string{"hookctl", "try"}, false},
		{[]string{"hookctl"}, false},
		{nil, false},
		{[]string{"hookctl", recordRole, "x"}, true},
	} {
		if got := IsRole(tt.argv); got != tt.want {
			t.Errorf("%q: %v", tt.argv, got)
		}
	}
	out, err := exec.Command("/proc/self/exe", "try:nix").CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).ExitStatus() != 1 {
		t.Errorf("an unknown role: %v, %s", err, out)
	}
}

func TestMountsBelow(t *testing.T) {
	const mountinfo = `22 1 8:1 / / rw,relatime - ext4 /dev/vda rw
30 22 0:5 / /tmp/hookctl-try-1 rw - tmpfs tmpfs rw
31 22 0:5 / /tmp/hookctl-try-12/x rw - tmpfs tmpfs rw
32 30 0:5 / /tmp/hookctl-try-1/a\040b rw shared:1 - tmpfs tmpfs rw
33 32 0:5 / /tmp/hookctl-try-1/a\040b/c rw - tmpfs tmpfs rw
`
	got := mountsBelow("/tmp/hookctl-try-1", mountinfo)
	if diff := cmp.Diff([]string{"/tmp/hookctl-try-1", "/tmp/hookctl-try-1/a b", "/tmp/hookctl-try-1/a b/c"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
