package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// These tests show which attributes of the process survive the exec of the runtime (rule 20 of docs/design.md), and
// what else a script cannot show. Where the start of a Go program would change an attribute, a shell is the runtime.
// The call
//
//	oci-add-hooks --runtime-path /bin/sh -c SCRIPT create --bundle ...
//
// is a create that adds hooks and then runs SCRIPT.

const (
	emptyConfig = `{}`
	wantConfig  = `{"hooks":{"prestart":[{"path": "/bin/a"}]}}`
)

// bundle is a bundle's directory, with a hook file and the directory of the fake runtime's records beside it.
type bundle struct {
	testing.TB
	dir, config, hooks, notes string
}

func newBundle(t testing.TB, config string) bundle {
	t.Helper()
	top := t.TempDir()
	b := bundle{t, filepath.Join(top, "bundle"), filepath.Join(top, "bundle", "config.json"), filepath.Join(top, "hooks.json"), filepath.Join(top, "notes")}
	for _, err := range []error{
		os.Mkdir(b.dir, 0o755), os.Mkdir(b.notes, 0o755), os.WriteFile(b.config, []byte(config), 0o644),
		os.WriteFile(b.hooks, []byte(`{"hooks": {"prestart": [{"path": "/bin/a"}]}}`), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// args returns the arguments of a create with the fake runtime.
func (b bundle) args() []string {
	return []string{"--hook-config-path", b.hooks, "--runtime-path", fakeRuntime, "create", "--bundle", b.dir, "c"}
}

// shell returns the arguments of a create with a shell as the runtime, which runs script.
func (b bundle) shell(script string) []string {
	return []string{"--hook-config-path", b.hooks, "--runtime-path", "/bin/sh", "-c", script, "create", "--bundle", b.dir, "c"}
}

// command returns a command that runs the program with args, and with the environment that the fake runtime needs.
func (b bundle) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "FAKERT_RECORD="+b.notes)
	return cmd
}

// output runs cmd and returns its standard output. It fails the test if the exit status is not 0.
func (b bundle) output(cmd *exec.Cmd) string {
	b.Helper()
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			b.Fatalf("%s: %v\n%s", cmd, err, exit.Stderr)
		}
		b.Fatalf("%s: %v", cmd, err)
	}
	return string(out)
}

// note returns the named record of the fake runtime.
func (b bundle) note(name string) string {
	b.Helper()
	data, err := os.ReadFile(filepath.Join(b.notes, name))
	if err != nil {
		b.Fatal(err)
	}
	return string(data)
}

// checkSpliced fails the test if config.json is not want, or another file is in the bundle.
func (b bundle) checkSpliced(want string) {
	b.Helper()
	got, err := os.ReadFile(b.config)
	if err != nil {
		b.Fatal(err)
	}
	if string(got) != want {
		b.Errorf("config.json is %.200q", got)
	}
	entries, err := os.ReadDir(b.dir)
	if err != nil || len(entries) != 1 {
		b.Errorf("the bundle holds %v, %v", entries, err)
	}
}

func TestSameProcess(t *testing.T) {
	t.Parallel()
	b := newBundle(t, emptyConfig)
	cmd := b.command(b.args()...)
	cmd.Dir = "/"
	b.output(cmd)
	if got, want := b.note("pid"), strconv.Itoa(cmd.Process.Pid); got != want {
		t.Errorf("the runtime's pid is %s, the program's was %s", got, want)
	}
	if got := b.note("cwd"); got != "/" {
		t.Errorf("the runtime's working directory is %s", got)
	}
	b.checkSpliced(wantConfig)
}

// conmon passes descriptors from 3 on, and announces them with LISTEN_FDS and LISTEN_PID. The runtime gets exactly
// these, as if it had been called directly.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	passed := func(name string) string {
		b := newBundle(t, emptyConfig)
		cmd := b.command(b.args()...)
		cmd.Path = name
		cmd.Stdin, cmd.Stdout, cmd.Stderr = null, null, null
		cmd.ExtraFiles = []*os.File{r, w}
		cmd.Env = append(cmd.Env, "LISTEN_FDS=2", "LISTEN_PID=4711")
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
		for _, want := range []string{"LISTEN_FDS=2", "LISTEN_PID=4711"} {
			if !slices.Contains(strings.Split(b.note("environ"), "\x00"), want) {
				t.Errorf("%s did not arrive", want)
			}
		}
		return b.note("fds")
	}
	pipe, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", r.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	want := passed(fakeRuntime)
	if both := fmt.Sprintf("\n3 %s\n4 %s\n", pipe, pipe); !strings.Contains(want, both) {
		t.Fatalf("called directly, the runtime has %q, without %q", want, both)
	}
	if got := passed(program); got != want {
		t.Errorf("the runtime has %q; called directly it has %q", got, want)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	b := newBundle(t, emptyConfig)
	env := []string{"FAKERT_RECORD=" + b.notes, "Z=last", "A=first", "EMPTY=", "no equals sign", "=empty name", "LINE=a\nb",
		"BYTES=\xff\xfe", "SPACE= x ", "GODEBUG=x=y", "GOMAXPROCS=1", "LONG=" + strings.Repeat("x", 100_000)}
	process, err := os.StartProcess(program, append([]string{program}, b.args()...), &os.ProcAttr{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	if state, err := process.Wait(); err != nil || !state.Success() {
		t.Fatal(state, err)
	}
	if got := strings.Split(strings.TrimSuffix(b.note("environ"), "\x00"), "\x00"); !slices.Equal(got, env) {
		t.Errorf("the runtime's environment is\n%.500q", got)
	}
}

// Go does not keep duplicate variables: it passes on only the first, which is the one that getenv finds.
func TestEnvironmentWithDuplicates(t *testing.T) {
	t.Parallel()
	b := newBundle(t, emptyConfig)
	notes := "FAKERT_RECORD=" + b.notes
	process, err := os.StartProcess(program, append([]string{program}, b.args()...), &os.ProcAttr{Env: []string{notes, "A=1", "B=2", "A=3"}})
	if err != nil {
		t.Fatal(err)
	}
	if state, err := process.Wait(); err != nil || !state.Success() {
		t.Fatal(state, err)
	}
	if got, want := b.note("environ"), notes+"\x00A=1\x00B=2\x00"; got != want {
		t.Errorf("the runtime's environment is %q, not %q", got, want)
	}
}

// Arguments are bytes: they may be empty or invalid UTF-8.
func TestArguments(t *testing.T) {
	t.Parallel()
	b := newBundle(t, emptyConfig)
	odd := []string{"", "\xff", "a\nb", "--x=\xfe", " ", strings.Repeat("y", 100_000)}
	b.output(b.command(append(b.args(), odd...)...))
	want := append([]string{fakeRuntime, "create", "--bundle", b.dir, "c"}, odd...)
	if got := strings.Split(strings.TrimSuffix(b.note("argv"), "\x00"), "\x00"); !slices.Equal(got, want) {
		t.Errorf("the runtime's arguments are\n%.500q", got)
	}
}

func TestStandardInput(t *testing.T) {
	t.Parallel()
	b := newBundle(t, emptyConfig)
	cmd := b.command(b.args()...)
	cmd.Env = append(cmd.Env, "FAKERT_STDIN=1")
	input := bytes.Repeat([]byte("\x00\xffline\n"), 50_000)
	cmd.Stdin = bytes.NewReader(input)
	b.output(cmd)
	if b.note("stdin") != string(input) {
		t.Error("the runtime's standard input is not the program's")
	}
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	for _, status := range []int{0, 1, 2, 126, 127, 128, 137, 255} {
		b := newBundle(t, emptyConfig)
		cmd := b.command(b.shell(fmt.Sprintf("exit %d", status))...)
		if err := cmd.Run(); cmd.ProcessState.ExitCode() != status {
			t.Errorf("exit status %d became %v", status, err)
		}
	}
	b := newBundle(t, emptyConfig)
	cmd := b.command(b.shell("kill -KILL $$")...)
	err := cmd.Run()
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != syscall.SIGKILL {
		t.Errorf("the runtime was killed by a signal, but the program's status is %v", err)
	}
}

// A signal sent to the process that the engine started reaches the runtime.
func TestSignals(t *testing.T) {
	t.Parallel()
	b := newBundle(t, emptyConfig)
	cmd := b.command(b.shell(`trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.02; done`)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make([]byte, len("ready\n"))
	if _, err := out.Read(ready); err != nil || string(ready) != "ready\n" {
		t.Fatalf("%q, %v", ready, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, len("term\n"))
	if _, err := out.Read(said); err != nil || string(said) != "term\n" {
		t.Errorf("the runtime printed %q, %v", said, err)
	}
	if cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("%v", cmd.ProcessState)
	}
}

// Signals that the caller ignores stay ignored (nohup, a background job of a shell).
func TestIgnoredSignals(t *testing.T) {
	t.Parallel()
	b := newBundle(t, emptyConfig)
	cmd := b.command(append([]string{"-c", `trap '' HUP INT TSTP TTIN TTOU; exec "$0" "$@"`, program},
		b.shell("while read name mask; do case $name in SigIgn:) echo $mask;; esac; done </proc/$$/status")...)...)
	cmd.Path = "/bin/sh"
	mask, err := strconv.ParseUint(strings.TrimSpace(b.output(cmd)), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU} {
		if mask&(1<<(s-1)) == 0 {
			t.Errorf("signal %v is no longer ignored", s)
		}
	}
}

// No other signal is ignored or blocked.
func TestNoSignalIgnoredOrBlocked(t *testing.T) {
	t.Parallel()
	script := "while read name mask; do case $name in SigIgn:|SigBlk:) echo $mask;; esac; done </proc/$$/status"
	direct, err := exec.Command("/bin/sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	b := newBundle(t, emptyConfig)
	got := strings.Fields(b.output(b.command(b.shell(script)...)))
	for i, before := range strings.Fields(string(direct)) {
		was, _ := strconv.ParseUint(before, 16, 64)
		is, err := strconv.ParseUint(got[i], 16, 64)
		if more := is &^ was; err != nil || more != 0 {
			t.Errorf("signal %d is ignored or blocked in the runtime (%s, was %s), %v", bits.TrailingZeros64(more)+1, got[i], before, err)
		}
	}
}

// Go raises the soft limit of open files when a program starts. Only syscall.Exec restores it.
func TestOpenFilesLimit(t *testing.T) {
	t.Parallel()
	b := newBundle(t, emptyConfig)
	cmd := b.command(append([]string{"-c", `ulimit -Sn 1000; exec "$0" "$@"`, program}, b.shell("ulimit -Sn; ulimit -Hn")...)...)
	cmd.Path = "/bin/sh"
	var hard unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &hard); err != nil {
		t.Fatal(err)
	}
	if hard.Max <= 1000 {
		t.Skipf("needs a hard limit of open files above 1000; it is %d", hard.Max)
	}
	if got, want := b.output(cmd), fmt.Sprintf("1000\n%d\n", hard.Max); got != want {
		t.Errorf("the runtime's limits are %q, not %q", got, want)
	}
}

// go-runc and conmon set the parent-death signal, so that a runtime dies with them. The signal belongs to a thread: a
// Go program that execs from another thread than the first loses it. Reading a large file makes Go change threads.
func TestParentDeathSignal(t *testing.T) {
	t.Parallel()
	const calls, at = 300, 2
	config := `{"annotations": {"long": "` + strings.Repeat(`\u00e9x`, 1<<17) + `"}}`
	want := `{"hooks":{"prestart":[{"path": "/bin/a"}]},` + config[1:]
	var wg sync.WaitGroup
	for range at {
		wg.Go(func() {
			// The kernel sends the signal when the thread that started the process ends.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			b := newBundle(t, config)
			lost := 0
			for range calls / at {
				if err := errors.Join(os.RemoveAll(b.notes), os.Mkdir(b.notes, 0o755), os.WriteFile(b.config, []byte(config), 0o644)); err != nil {
					t.Error(err)
					return
				}
				cmd := b.command(b.args()...)
				cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
					return
				}
				if got := b.note("pdeathsig"); got != "9" {
					lost++
				}
			}
			if lost > 0 {
				t.Errorf("%d of %d runtimes lost the parent-death signal", lost, calls/at)
			}
			b.checkSpliced(want)
		})
	}
	wg.Wait()
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for i := range 200 {
		config := fmt.Sprintf(`{"id": %d}`, i)
		b := newBundle(t, config)
		wg.Go(func() {
			if out, err := b.command(b.args()...).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			b.checkSpliced(`{"hooks":{"prestart":[{"path": "/bin/a"}]},` + config[1:])
		})
	}
	wg.Wait()
}

// No engine creates a container twice at once. If one did, config.json would be complete and hold the hooks once.
func TestManyAtOnceOnOneBundle(t *testing.T) {
	t.Parallel()
	b := newBundle(t, emptyConfig)
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if out, err := b.command(b.shell(":")...).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	b.checkSpliced(wantConfig)
}

// If many calls add a different hook to one bundle at once, every runtime finds its hook in config.json.
func TestManyHookFilesOnOneBundle(t *testing.T) {
	t.Parallel()
	b := newBundle(t, emptyConfig)
	var wg sync.WaitGroup
	for i := range 50 {
		path := filepath.Join(filepath.Dir(b.hooks), fmt.Sprintf("hooks-%d.json", i))
		if err := os.WriteFile(path, fmt.Appendf(nil, `{"hooks": {"prestart": [{"path": "/bin/hook-%d."}]}}`, i), 0o644); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			c := b
			c.hooks = path
			if out, err := c.command(c.shell(fmt.Sprintf("grep -qF /bin/hook-%d. %s", i, b.config))...).CombinedOutput(); err != nil {
				t.Errorf("%d: %v: %s", i, err, out)
			}
		})
	}
	wg.Wait()
	if text, err := os.ReadFile(b.config); err != nil || strings.Count(string(text), "/bin/hook-") != 50 {
		t.Errorf("%s, %v", text, err)
	}
}

// A path through /proc to a bundle in another mount namespace means that bundle, not the one with the same path in this
// namespace.
func TestOtherMountNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a file system")
	}
	b := newBundle(t, emptyConfig)
	other := exec.Command("unshare", "--mount", "--propagation=private", "sh", "-c",
		`mount -t tmpfs none "$0" && echo '{"other":1}' >"$0/real.json" && ln -s real.json "$0/config.json" && echo && exec sleep 60`, b.dir)
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	there := fmt.Sprintf("/proc/%d/root%s", other.Process.Pid, b.dir)
	b.output(b.command("--hook-config-path", b.hooks, "--runtime-path", fakeRuntime, "create", "--bundle", there, "c"))
	for path, want := range map[string]string{
		b.config: emptyConfig, there + "/config.json": `{"hooks":{"prestart":[{"path": "/bin/a"}]},"other":1}` + "\n",
	} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
	if link, err := os.Readlink(there + "/config.json"); err != nil || link != "real.json" {
		t.Errorf("the link is %q, %v", link, err)
	}
}

// The working directory may have been removed, and descriptors 0 to 2 closed.
func TestOddSurroundings(t *testing.T) {
	t.Parallel()
	b := newBundle(t, emptyConfig)
	gone := filepath.Join(t.TempDir(), "gone")
	cmd := b.command(append([]string{"-c", `mkdir "$GONE"; cd "$GONE"; rmdir "$GONE"; exec "$0" "$@"`, program}, b.args()...)...)
	cmd.Path = "/bin/sh"
	cmd.Env = append(cmd.Env, "GONE="+gone)
	b.output(cmd)
	b.checkSpliced(wantConfig)

	b = newBundle(t, emptyConfig)
	cmd = b.command(append([]string{"-c", `exec "$0" "$@" <&- >&- 2>&-`, program}, b.args()...)...)
	cmd.Path = "/bin/sh"
	b.output(cmd)
	b.checkSpliced(wantConfig)
}

// A program may be started without argv[0].
func TestNoName(t *testing.T) {
	t.Parallel()
	for _, argv := range [][]string{{}, {""}, {"/"}, {".."}} {
		cmd := exec.Command(program)
		cmd.Args = argv
		if len(argv) == 0 {
			cmd.Args = []string{""} // the kernel replaces an empty argv by this
		}
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "which is not a valid profile name") && !strings.Contains(string(out), "called without a name") {
			t.Errorf("%q: %v, %q", argv, err, out)
		}
		if err := checkMessage(string(out)); err != nil {
			t.Errorf("%q: %v", argv, err)
		}
	}
}

// Temporary files that a killed process left, even with the same pid, do not prevent a call.
func TestLeftoverTemporaryFile(t *testing.T) {
	t.Parallel()
	b := newBundle(t, emptyConfig)
	cmd := b.command(append([]string{"-c", `cd "$BUNDLE"; : >.config.json.$$-0.tmp; : >.config.json.$$-1.tmp; exec "$0" "$@"`, program}, b.args()...)...)
	cmd.Path = "/bin/sh"
	cmd.Env = append(cmd.Env, "BUNDLE="+b.dir)
	b.output(cmd)
	entries, err := os.ReadDir(b.dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("the bundle holds %v, %v", entries, err)
	}
	for _, e := range entries[:2] {
		if err := os.Remove(filepath.Join(b.dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	b.checkSpliced(wantConfig)
}

// TestStandardErrorIsABrokenPipe: even if an engine has closed its end of standard error, the program exits with status
// 1 and is not killed by SIGPIPE, and the log has the error.
func TestStandardErrorIsABrokenPipe(t *testing.T) {
	t.Parallel()
	b := newBundle(t, emptyConfig)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	log := filepath.Join(b.notes, "log")
	cmd := b.command("--log", log, "--log-format", "json", "--hook-config-path", "/no/such/file", "create", "--bundle", b.dir, "c")
	cmd.Stderr = w
	err = cmd.Run()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v, not exit status 1", err)
	}
	level, message, _, err := parseLogLine("json", b.note("log"))
	if err != nil || level != "error" || !strings.Contains(message, "/no/such/file") {
		t.Errorf("the log has %q, %v", b.note("log"), err)
	}
}

func TestOwnerKept(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a file to another user")
	}
	b := newBundle(t, emptyConfig)
	if err := errors.Join(os.Chown(b.config, 1234, 4321), os.Chmod(b.config, 0o640)); err != nil {
		t.Fatal(err)
	}
	b.output(b.command(b.args()...))
	b.checkSpliced(wantConfig)
	var st unix.Stat_t
	if err := unix.Stat(b.config, &st); err != nil || st.Uid != 1234 || st.Gid != 4321 || st.Mode&0o7777 != 0o640 {
		t.Errorf("owner %d:%d, mode %o, %v", st.Uid, st.Gid, st.Mode, err)
	}
}

// posixACL returns a POSIX ACL in the format of the kernel's extended attribute. It has the permissions of owner,
// group, mask and others, and of the user with the id uid.
func posixACL(owner, uid, user, group, mask, other int) []byte {
	acl := binary.LittleEndian.AppendUint32(nil, 2) // the version
	for _, entry := range [][3]int{{1, owner, -1}, {2, user, uid}, {4, group, -1}, {0x10, mask, -1}, {0x20, other, -1}} {
		acl = binary.LittleEndian.AppendUint16(acl, uint16(entry[0]))
		acl = binary.LittleEndian.AppendUint16(acl, uint16(entry[1]))
		acl = binary.LittleEndian.AppendUint32(acl, uint32(entry[2]))
	}
	return acl
}

func setAttribute(t *testing.T, path, name string, value []byte) {
	t.Helper()
	switch err := unix.Setxattr(path, name, value, 0); err {
	case nil:
	case unix.EOPNOTSUPP, unix.EPERM:
		t.Skipf("needs a file system, below %s, and a user that may set the extended attribute %s: %v", os.TempDir(), name, err)
	default:
		t.Fatal(err)
	}
}

func attributes(t *testing.T, path string) map[string]string {
	t.Helper()
	buf := make([]byte, 1<<16)
	n, err := unix.Listxattr(path, buf)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		value := make([]byte, 1<<16)
		if name != "" {
			m, err := unix.Getxattr(path, name, value)
			if err != nil {
				t.Fatal(err)
			}
			values[name] = string(value[:m])
		}
	}
	return values
}

func TestAttributesKept(t *testing.T) {
	t.Parallel()
	for name, value := range map[string][]byte{
		"user.note":               []byte("a\x00b"),
		"user.empty":              {},
		"trusted.note":            []byte("t"),
		"security.selinux":        []byte("system_u:object_r:container_file_t:s0\x00"),
		"system.posix_acl_access": posixACL(6, 1234, 4, 4, 6, 0),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBundle(t, emptyConfig)
			setAttribute(t, b.config, name, value)
			want := attributes(t, b.config)
			mode := modeOf(t, b.config)
			b.output(b.command(b.args()...))
			b.checkSpliced(wantConfig)
			if got := attributes(t, b.config); got[name] != string(value) || len(got) != len(want) {
				t.Errorf("the attributes are %q, were %q", got, want)
			}
			if got := modeOf(t, b.config); got != mode {
				t.Errorf("the mode is %o, was %o", got, mode)
			}
		})
	}
}

// The new file does not get the directory's default ACL.
func TestNoACLGained(t *testing.T) {
	t.Parallel()
	b := newBundle(t, emptyConfig)
	setAttribute(t, b.dir, "system.posix_acl_default", posixACL(7, 1234, 6, 5, 7, 5))
	b.output(b.command(b.args()...))
	b.checkSpliced(wantConfig)
	if got, ok := attributes(t, b.config)["system.posix_acl_access"]; ok {
		t.Errorf("the new file has an ACL: %q", got)
	}
	if got := modeOf(t, b.config); got != 0o644 {
		t.Errorf("the mode is %o", got)
	}
}

func modeOf(t *testing.T, path string) uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Mode & 0o7777
}
