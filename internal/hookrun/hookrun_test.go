package hookrun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// call describes a hook that a supervisor runs. The supervisor is this binary in a separate process, because Run needs
// a process without other children.
type call struct {
	Script   string // a script for sh -c
	Path     string // the program, if there is no script
	Args     []string
	Env      []string
	Limit    time.Duration
	Keep     int
	Piped    bool          // standard input passes through a pipe, and is not inherited
	Cancel   time.Duration // the time after which the context ends
	Patience time.Duration

	dir, stdin string
}

// ran is the outcome of a call.
type ran struct {
	Outcome
	Err            string
	Stdout, Stderr string
	Truncated      bool
	took           time.Duration
}

const role = "HOOKRUN_TEST_CALL"

func TestMain(m *testing.M) {
	if text := os.Getenv(role); text != "" {
		supervise(text)
		return
	}
	os.Exit(m.Run())
}

func supervise(text string) {
	var c call
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		panic(err)
	}
	ctx := context.Background()
	if c.Cancel > 0 {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, c.Cancel)
		defer cancel()
	}
	stdout, stderr := Tail{Size: c.Keep}, Tail{Size: c.Keep}
	h := Hook{Path: c.Path, Args: c.Args, Env: c.Env, Stdin: os.Stdin, Stdout: &stdout, Stderr: &stderr, Limit: c.Limit, Patience: c.Patience}
	if c.Piped {
		h.Stdin = struct{ io.Reader }{os.Stdin}
	}
	r := ran{Outcome: Run(ctx, h), Stdout: string(stdout.Bytes()), Stderr: string(stderr.Bytes()), Truncated: stdout.Truncated || stderr.Truncated}
	if r.Outcome.Err != nil {
		r.Err = r.Outcome.Err.Error()
	}
	r.Outcome.Err = nil
	json.NewEncoder(os.Stdout).Encode(r)
}

// run runs the call in a new supervisor.
func run(t *testing.T, c call) (r ran) {
	t.Helper()
	cmd := supervisor(t, c)
	begin := time.Now()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the supervisor: %v", err)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.took = time.Since(begin)
	return r
}

func supervisor(t *testing.T, c call) *exec.Cmd {
	t.Helper()
	if c.Script != "" {
		c.Path, c.Args = "/bin/sh", append([]string{"the-hook", "-c", c.Script}, c.Args...)
	}
	if c.Env == nil {
		c.Env = []string{"PATH=/usr/bin:/bin"}
	}
	if c.Keep == 0 {
		c.Keep = 8 << 10
	}
	if c.Limit == 0 {
		c.Limit = 50 * time.Second
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{role + "=" + string(text)}
	cmd.Dir = c.dir
	cmd.Stdin = strings.NewReader(c.stdin)
	cmd.Stderr = os.Stderr
	return cmd
}

// alive reports whether a process runs. It returns false for a zombie.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// A hook gets the same arguments, environment, input and working directory as without a supervisor.
func TestSurroundings(t *testing.T) {
	for _, piped := range []bool{false, true} {
		dir := t.TempDir()
		state := `{"id":"x\u0000"}` + "\n\xff" + strings.Repeat("much ", 100<<10)
		r := run(t, call{Script: `printf '%s\n' "$0" "$@"; tr '\0' '\n' </proc/$$/environ; pwd; cat >state; echo warning >&2; exit 42`,
			Args: []string{"first", "", "a b"}, Env: []string{"B=2", "A=1", "=odd", "PATH=/usr/bin:/bin"}, dir: dir, stdin: state, Piped: piped})
		want := "first\n\na b\nB=2\nA=1\n=odd\nPATH=/usr/bin:/bin\n" + dir + "\n"
		if r.Stdout != want || r.Stderr != "warning\n" || r.Result != Failed || r.Status != 42 {
			t.Errorf("%+v\nwant %q", r, want)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "state")); err != nil || string(got) != state {
			t.Errorf("standard input: %d bytes of %d, %v", len(got), len(state), err)
		}
	}
}

// A hook inherits all other attributes of the calling process, as without a supervisor.
func TestInherited(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	hooks := map[string][]string{
		"/bin/cat": {"cat", "/proc/self/limits", "/proc/self/oom_score_adj", "/proc/self/cgroup", "/proc/self/status"}, // a shell unblocks signals
		"/bin/sh":  {"sh", "-c", `[ "$(cut -d' ' -f5 /proc/$$/stat)" = $$ ] && echo leads its group; cut -d' ' -f19 /proc/$$/stat; echo /proc/self/fd/*`},
	}
	// Ids, memory and the like differ between two processes.
	same := regexp.MustCompile(`(?m)^(Max |-?\d|Sig(Blk|Ign)|Umask|Groups|Cap|NoNewPrivs|Seccomp|THP|leads|/).*`)
	inherited := func(text string) string { return strings.Join(same.FindAllString(text, -1), "\n") }
	for name, before := range map[string]string{
		"as it is":        "",
		"limits":          "ulimit -Sn 50; ulimit -St 1000; ulimit -c 0; umask 077; ",
		"limits alike":    "ulimit -n 60; ",
		"ignored signals": `trap "" HUP INT; `, // Go keeps these
		"priority":        "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			around := func(hook ...string) []string {
				args := []string{"setsid", "-w", "sh", "-c", before + `exec "$0" "$@"`}
				if name == "priority" {
					args = append(args, "nice", "-n", "5")
				}
				return append(args, hook...)
			}
			for path, args := range hooks {
				cmd := supervisor(t, call{Path: path, Args: args})
				cmd.Path, cmd.Args = "/usr/bin/setsid", around(exe)
				cmd.Env = append(cmd.Env, "PATH=/usr/bin:/bin")
				out, err := cmd.Output()
				var r ran
				if err := errors.Join(err, json.Unmarshal(out, &r)); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				plain := exec.Command("/usr/bin/setsid", around(append([]string{"setsid", "-w", path}, args[1:]...)...)[1:]...)
				alone, err := plain.Output()
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(inherited(string(alone)), inherited(r.Stdout)); diff != "" {
					t.Errorf("%s (-without +with):\n%s", path, diff)
				}
			}
		})
	}
}

func TestResults(t *testing.T) {
	const parentEnded = "the signal was sent to its parent process"
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tt := range map[string]struct {
		call
		result Result
		status int
		signal syscall.Signal
		err    string
	}{
		"ok":                    {call: call{Script: "true"}, result: OK},
		"failed":                {call: call{Script: "exit 3"}, result: Failed, status: 3},
		"highest status":        {call: call{Script: "exit 255"}, result: Failed, status: 255},
		"signal":                {call: call{Script: "kill -SEGV $$"}, result: Failed, signal: unix.SIGSEGV},
		"in time":               {call: call{Script: "sleep 0.1", Limit: time.Minute}, result: OK},
		"timed out":             {call: call{Script: "exec sleep 1000", Limit: 200 * time.Millisecond}, result: TimedOut, signal: unix.SIGKILL},
		"interrupted":           {call: call{Script: "exec sleep 1000", Cancel: 200 * time.Millisecond}, result: Interrupted, signal: unix.SIGKILL},
		"stdin is not read":     {call: call{Script: "true", stdin: strings.Repeat("x", 1<<20), Piped: true}, result: OK},
		"closes all":            {call: call{Script: "exec <&- >&- 2>&-; sleep 0.1; exit 4"}, result: Failed, status: 4},
		"kills its own group":   {call: call{Script: "kill -KILL 0; sleep 1000"}, result: Failed, signal: unix.SIGKILL},
		"ends its parent":       {call: call{Script: `trap "exit 5" TERM; kill -TERM $PPID; while :; do sleep 0.05; done`}, result: Failed, signal: unix.SIGTERM, err: parentEnded},
		"ends parent's group":   {call: call{Script: `/bin/kill -TERM -- -$PPID; sleep 1000`}, result: Failed, signal: unix.SIGTERM, err: parentEnded},
		"kills its parent":      {call: call{Script: `kill -KILL $PPID; sleep 1000`}, result: Failed, signal: unix.SIGKILL, err: parentEnded},
		"kills parent's group":  {call: call{Script: `/bin/kill -KILL -- -$PPID; sleep 1000`}, result: Failed, signal: unix.SIGKILL, err: parentEnded},
		"kills it and exits":    {call: call{Path: "/bin/sh", Args: []string{"sh", "-c", `kill -KILL $PPID; exit 0`}}, result: Failed, signal: unix.SIGKILL, err: parentEnded},
		"child kills parent":    {call: call{Script: `sh -c "exec kill -KILL $PPID" & wait; sleep 1000`}, result: Failed, signal: unix.SIGKILL, err: parentEnded},
		"stops its parent":      {call: call{Script: `kill -STOP $PPID; exit 0`, Limit: time.Second}, result: TimedOut},
		"stops it for a while":  {call: call{Script: `kill -STOP $PPID; p=$PPID; (sleep 0.1; kill -CONT $p) & exit 3`}, result: Failed, status: 3},
		"core of its parent":    {call: call{Script: `for s in QUIT ILL TRAP ABRT BUS FPE SEGV SYS XCPU XFSZ; do kill -$s $PPID; done; exit 3`}, result: Failed, status: 3},
		"signals it harmlessly": {call: call{Script: `kill -CHLD $PPID; kill -WINCH $PPID; kill -CONT $PPID; kill -0 $PPID && exit 4`}, result: Failed, status: 4},
		"no such program":       {call: call{Path: dir + "/nix", Args: []string{"x"}}, result: NotStarted, err: "cannot be executed: nothing exists at this path (ENOENT); correct the path, or create it"},
		"not executable":        {call: call{Path: file("mode", "#!/bin/sh\n", 0o600), Args: []string{"x"}}, result: NotStarted, err: "cannot be executed: access is refused (EACCES); run: chmod +x " + dir + "/mode"},
		"without interpreter":   {call: call{Path: file("script", "true\n", 0o700), Args: []string{"x"}}, result: NotStarted, err: "cannot be executed: this kernel cannot execute its format (ENOEXEC); a script begins with #! and the path of its interpreter"},
		"carriage return":       {call: call{Path: file("crlf", "#!/bin/sh\r\n", 0o700), Args: []string{"x"}}, result: NotStarted, err: "cannot be executed: the interpreter that it names is not installed (ENOENT); see its first line"},
		"argument with a NUL":   {call: call{Path: "/bin/true", Args: []string{"x\x00y"}}, result: NotStarted, err: "cannot be executed: the kernel does not accept it (EINVAL); correct the path, or put it on another file system"},
		"argv[0]":               {call: call{Path: "/bin/sh", Args: []string{"another-name", "-c", `tr '\0' ' ' </proc/$$/cmdline | grep -q '^another-name -c '`}}, result: OK},
		"stopped, then killed":  {call: call{Script: "kill -STOP $$", Limit: 300 * time.Millisecond}, result: TimedOut, signal: unix.SIGKILL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, tt.call)
			if r.Result != tt.result || r.Status != tt.status || r.Signal != tt.signal || r.Err != tt.err {
				t.Errorf("%+v", r)
			}
			if r.End.Before(r.Begin) || time.Since(r.Begin) > time.Minute {
				t.Errorf("from %v to %v", r.Begin, r.End)
			}
		})
	}
}

// All processes that a hook has started are killed when its time is up or it fails. Each script writes the id of its
// last process, which must not run afterwards.
func TestFamilyEnds(t *testing.T) {
	const left = `setsid sh -c 'trap "" TERM HUP INT; (exec >&- 2>&- <&-; echo $$ >pid; while :; do sleep 1; done)'`
	for name, script := range map[string]string{
		"child":         `sleep 1000 & echo $! >pid; wait`,
		"ignores TERM":  `trap "" TERM; sh -c 'trap "" TERM; echo $$ >pid; while :; do sleep 1; done'`,
		"session":       left,
		"daemon":        `(` + left + ` &) ; sleep 1000`,
		"twice":         `(setsid sh -c "(` + strings.ReplaceAll(left, `"`, `\"`) + ` &)" &) ; sleep 1000`,
		"kills parent":  `(` + left + ` &) ; until [ -s pid ]; do sleep 0.01; done; kill -KILL $PPID; sleep 1000`,
		"fails, daemon": `(` + left + ` &) ; until [ -s pid ]; do sleep 0.01; done; exit 1`,
		"stopped":       `sh -c 'echo $$ >pid; kill -STOP $$' & wait`,
		"many":          `i=0; while [ $i -lt 200 ]; do setsid sleep 1000 & i=$((i+1)); done; echo $! >pid; wait`,
		"chain":         `cat >chain <<'E'` + "\n" + `echo $$ >pid; setsid sh ./chain & exit` + "\nE\n" + `sh ./chain; sleep 1000`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := run(t, call{Script: script, Limit: 3 * time.Second, dir: dir})
			want := TimedOut
			if name == "kills parent" || name == "fails, daemon" {
				want = Failed
			}
			if r.Result != want || (r.Err != "") != (name == "kills parent") {
				t.Errorf("%+v", r)
			}
			pid, err := os.ReadFile(filepath.Join(dir, "pid"))
			if err != nil || len(pid) == 0 && name != "chain" { // the chain writes the file repeatedly
				t.Fatalf("the script has not written the process id: %v", err)
			}
			if len(pid) > 0 && alive(string(pid)) {
				t.Errorf("process %s still runs", pid)
			}
			// No process of the family has that working directory.
			links, _ := filepath.Glob("/proc/[0-9]*/cwd")
			for _, link := range links {
				if at, _ := os.Readlink(link); at == dir {
					text, _ := os.ReadFile(filepath.Dir(link) + "/cmdline")
					t.Errorf("%s still runs: %q", link, text)
				}
			}
		})
	}
}

// A process that a hook leaves running after a success continues to run. It blocks nothing, and is not killed when it
// prints.
func TestSurvivors(t *testing.T) {
	for name, tt := range map[string]struct{ script, stdout string }{
		"sleeps":             {`sleep 60 & echo $! >pid`, ""},
		"prints":             {`sh -c 'sleep 0.5; trap "echo TERM >>pipe" PIPE; echo out; echo err >&2; echo printed >done; sleep 60' & echo $! >pid; printf said`, "said"},
		"prints much":        {`sh -c 'sleep 0.5; head -c 300000 /dev/zero 2>/dev/null; echo printed >done; sleep 60' & echo $! >pid; printf said`, "said"},
		"prints without end": {`sh -c 'while :; do echo y 2>/dev/null; done' & echo $! >pid; sleep 0.2; echo last`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := run(t, call{Script: tt.script, Limit: 50 * time.Second, dir: dir})
			if r.Result != OK || r.took > 20*time.Second || tt.stdout != "" && r.Stdout != tt.stdout {
				t.Errorf("%+v", r)
			}
			text, err := os.ReadFile(filepath.Join(dir, "pid"))
			if err != nil {
				t.Fatal(err)
			}
			pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
			defer unix.Kill(pid, unix.SIGKILL)
			if strings.Contains(tt.script, ">done") {
				eventually(t, "the survivor to print", func() bool { _, err := os.Stat(filepath.Join(dir, "done")); return err == nil })
			}
			if name == "prints without end" {
				time.Sleep(200 * time.Millisecond)
			}
			if !alive(string(text)) {
				t.Error("the process that the hook left running has ended")
			}
		})
	}
}

// The end of a hook's output of any size is kept, in little memory.
func TestOutput(t *testing.T) {
	for name, tt := range map[string]struct {
		script    string
		stdout    int
		truncated bool
		last      string
	}{
		"nothing":      {"", 0, false, ""},
		"just enough":  {"head -c 8191 /dev/zero; printf x", 8192, false, "\x00x"},
		"one too many": {"head -c 8192 /dev/zero; printf x", 8192, true, "\x00x"},
		"300 MiB":      {"head -c 157286400 /dev/zero >&2; head -c 157286400 /dev/zero; printf end", 8192, true, "\x00end"},
		"binary":       {"head -c 100000 /dev/urandom | tr '\\200-\\277' x; printf '\\377\\000'", 8192, true, "\xff\x00"},
		"a character":  {"i=0; while [ $i -lt 5000 ]; do printf 'é'; i=$((i+1)); done; printf x", 8191, true, "éx"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := tt.script
			if script == "" {
				script = ":"
			}
			r := run(t, call{Script: script})
			// In JSON, an invalid byte becomes three bytes.
			if r.Result != OK || r.Truncated != tt.truncated || !strings.HasSuffix(r.Stdout, strings.ToValidUTF8(tt.last, "\ufffd")) {
				t.Errorf("%v, truncated %v, %.50q", r.Result, r.Truncated, r.Stdout)
			}
			if name != "binary" && len(r.Stdout) != tt.stdout {
				t.Errorf("%d bytes kept, want %d", len(r.Stdout), tt.stdout)
			}
		})
	}
}

// Held reports a process that a hook leaves running with the hook's output open, for every result of the hook. It does
// not report a process that has closed the output.
func TestHeld(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		limit        time.Duration
		result       Result
		held         bool
	}{
		{"in the background", "sleep 20 & exit 0", time.Minute, OK, true},
		{"standard error alone", "sleep 20 >/dev/null & exit 0", time.Minute, OK, true},
		{"after a failure", "sleep 20 & exit 3", time.Minute, Failed, true},
		{"when the time is up", "sleep 20; exit 0", 300 * time.Millisecond, TimedOut, true},
		{"printing when the time is up", "yes; exit 0", 300 * time.Millisecond, TimedOut, true},
		{"the hook alone, when its time is up", "exec sleep 20", 300 * time.Millisecond, TimedOut, false},
		{"with its output elsewhere", "sleep 20 >/dev/null 2>&1 & exit 0", time.Minute, OK, false},
		{"for a moment", "(sleep 0.1; echo last) & exit 0", time.Minute, OK, false},
		{"nothing", "exit 0", time.Minute, OK, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, call{Script: tt.script, Limit: tt.limit, Patience: time.Second, Keep: 100})
			if r.Result != tt.result || r.Held != tt.held {
				t.Errorf("%+v", r)
			}
			if r.Stderr != "" { // no write of the hook's has failed
				t.Errorf("standard error: %q", r.Stderr)
			}
			if tt.name == "for a moment" && r.Stdout != "last\n" {
				t.Errorf("standard output: %q", r.Stdout)
			}
		})
	}
}

// FuzzTail: a Tail keeps the end of the text, for pieces of any size.
func FuzzTail(f *testing.F) {
	f.Add([]byte("some text"), 4, uint8(3))
	f.Add([]byte("ééé"), 3, uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, size int, step uint8) {
		if size < 0 || size > 100 || step == 0 {
			return
		}
		tail := Tail{Size: size}
		for rest := text; len(rest) > 0; {
			n := min(int(step), len(rest))
			if got, err := tail.Write(rest[:n]); got != n || err != nil {
				t.Fatal(got, err)
			}
			rest = rest[n:]
		}
		want := text[max(0, len(text)-size):]
		if got := tail.Bytes(); !bytes.HasSuffix(want, got) || len(want)-len(got) > 2 || tail.Truncated != (len(text) > size) || !tail.Truncated && len(got) != len(text) {
			t.Errorf("%q of %q, truncated %v", got, text, tail.Truncated)
		}
	})
}

// If the supervisor is killed, the hook is killed too.
func TestSupervisorKilled(t *testing.T) {
	dir := t.TempDir()
	cmd := supervisor(t, call{Script: "echo $$ >pid; exec sleep 1000", dir: dir})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid []byte
	eventually(t, "the hook to begin", func() bool { pid, _ = os.ReadFile(filepath.Join(dir, "pid")); return len(pid) > 0 })
	cmd.Process.Kill()
	cmd.Wait()
	eventually(t, "the hook to end", func() bool { return !alive(string(pid)) })
}

// In a container's PID namespace, /proc may be the host's (createContainer), the container's, another one's, or
// missing.
func TestNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: creates PID namespaces")
	}
	const script = `(setsid sh -c 'echo begun >begun; while :; do sleep 1; done' &); sleep 1000`
	for name, tt := range map[string]struct{ before, err string }{
		"the host's":  {before: "", err: `^$`},
		"its own":     {before: "mount -t proc proc /proc && ", err: `^$`},
		"none":        {before: "mount -t tmpfs none /proc && ", err: `^its descendants outside its process group cannot be found and still run: nothing exists at this path \(ENOENT\)$`},
		"another one": {before: "unshare --pid --fork mount -t proc proc /proc && ", err: `^its descendants outside .*\(ENOENT\)$`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cmd := supervisor(t, call{Script: script, Limit: time.Second, dir: dir})
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Path, cmd.Args = "/usr/bin/unshare", []string{"unshare", "--pid", "--mount", "--fork", "sh", "-c", tt.before + `"$0"; s=$?; exit $s`, exe}
			cmd.Env = append(cmd.Env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
			out, err := cmd.Output()
			var r ran
			if err == nil {
				err = json.Unmarshal(out, &r)
			}
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if r.Result != TimedOut || !regexp.MustCompile(tt.err).MatchString(r.Err) {
				t.Errorf("%+v", r)
			}
			if _, err := os.Stat(filepath.Join(dir, "begun")); err != nil {
				t.Error(err)
			}
		})
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

func ExampleTail() {
	t := Tail{Size: 4}
	fmt.Fprint(&t, "no device")
	fmt.Printf("%s %v\n", t.Bytes(), t.Truncated)
	// Output: vice true
}
