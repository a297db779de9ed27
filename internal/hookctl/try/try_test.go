package try

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/inject"
	"github.com/awslabs/oci-add-hooks/internal/profile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// These tests run hookctl as it is built for users, under the installed runtimes.

// hookctl builds the program once, and returns its path.
var hookctl = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hookctl-built-")
	if err != nil {
		return "", err
	}
	built = dir
	if err := os.Chmod(dir, 0o755); err != nil { // for somebody who is not root
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", dir, "../../../cmd/hookctl", "../../../cmd/oci-run-hook")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building hookctl: %w\n%s", err, out)
	}
	return filepath.Join(dir, "hookctl"), nil
})

// built is the directory of that program, which is removed at the end.
var built string

// A trial is a call of hookctl try with its own temporary directory.
type trial struct {
	*exec.Cmd
	temp           string // its TMPDIR
	stdout, stderr bytes.Buffer
}

// newTrial prepares a call as this user.
func newTrial(t *testing.T, args ...string) *trial {
	t.Helper()
	program, err := hookctl()
	if err != nil {
		t.Fatal(err)
	}
	tr := &trial{temp: t.TempDir()}
	tr.Cmd = exec.Command(program, append([]string{"try"}, args...)...)
	tr.Cmd.Stdout, tr.Cmd.Stderr = &tr.stdout, &tr.stderr
	tr.Env = append(os.Environ(), "TMPDIR="+tr.temp, "XDG_RUNTIME_DIR="+tr.temp)
	t.Cleanup(func() { // if the test failed too early
		if tr.Process != nil && tr.ProcessState == nil {
			tr.Process.Signal(unix.SIGTERM)
			tr.Wait()
		}
	})
	return tr
}

// run runs it, and returns its exit status. Nothing may be left behind.
func (tr *trial) run(t *testing.T) int {
	t.Helper()
	if err := tr.Start(); err != nil {
		t.Fatal(err)
	}
	return tr.finish(t)
}

func (tr *trial) finish(t *testing.T) int {
	t.Helper()
	timer := time.AfterFunc(2*time.Minute, func() { tr.Process.Kill() })
	tr.Wait()
	if !timer.Stop() {
		t.Error("hookctl did not end within 2 minutes, and was killed")
	}
	tr.wantNothingLeft(t)
	return tr.ProcessState.ExitCode()
}

var idPattern = regexp.MustCompile(`hookctl-try-[0-9]+`)

// wantNothingLeft checks that no file, process, mount or cgroup of the container is left.
func (tr *trial) wantNothingLeft(t *testing.T) {
	t.Helper()
	if left, err := os.ReadDir(tr.temp); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary directory: %v, %v", left, err)
	}
	for _, p := range processes(t, func(cmdline string) bool { return strings.Contains(cmdline, tr.temp) }) {
		t.Errorf("left running: %s", p)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), tr.temp) {
		t.Errorf("left mounted: %s, %v", mounts, err)
	}
	id := idPattern.FindString(tr.stdout.String())
	if id == "" {
		return // no hook printed it
	}
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if strings.Contains(path, id) {
			t.Errorf("left: %s", path)
			return fs.SkipDir
		}
		return nil
	})
}

// processes returns the command lines of processes that match.
func processes(t *testing.T, match func(cmdline string) bool) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		text, _ := os.ReadFile(path)
		if cmdline := strings.ReplaceAll(string(text), "\x00", " "); match(cmdline) {
			found = append(found, path+": "+cmdline)
		}
	}
	return found
}

// report runs it with --json, and returns the report and the exit status.
func (tr *trial) report(t *testing.T) (r Report, status int) {
	t.Helper()
	tr.Args = slices.Insert(tr.Args, 2, "--json")
	status = tr.run(t)
	if err := json.Unmarshal(tr.stdout.Bytes(), &r); err != nil || tr.stderr.Len() > 0 {
		t.Fatalf("status %d, %v\n%s%s", status, err, &tr.stdout, &tr.stderr)
	}
	if (status == 0) != (len(r.Problems) == 0) || status > 1 {
		t.Errorf("status %d, problems %q", status, r.Problems)
	}
	return r, status
}

// under runs a test under each runtime. args are hookctl's arguments that select the runtime.
func under(t *testing.T, test func(t *testing.T, args []string)) {
	for _, name := range []string{"runc", "crun"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, needRuntime(t, name))
		})
	}
}

// needRuntime returns hookctl's arguments that select a runtime, or skips the test. On a host with hybrid cgroups, crun
// is called in a mount namespace that has only cgroup2, and told not to manage cgroups.
func needRuntime(t *testing.T, name string) []string {
	t.Helper()
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return needNamespaces(t, []string{"--runtime", name})
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("skipped: %s is not installed (apt-get install %s)", name, name)
	}
	args := needNamespaces(t, []string{"--runtime", name})
	if _, err := os.Stat("/sys/fs/cgroup/unified"); err != nil || name != "crun" {
		return args
	}
	if os.Geteuid() != 0 {
		t.Skip("skipped: crun refuses hybrid cgroups, and without root it cannot be shown others")
	}
	shim := script(t, `exec unshare --mount sh -c 'mount -t cgroup2 none /sys/fs/cgroup && exec `+path+` "$@"' crun "$@"`)
	return []string{"--runtime", shim, "--runtime-arg=--cgroup-manager=disabled"}
}

// needNamespaces skips the test where containers cannot be created.
func needNamespaces(t *testing.T, args []string) []string {
	t.Helper()
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr = userNamespace(os.Geteuid(), os.Getegid())
	}
	if err := cmd.Run(); err != nil {
		t.Skipf("skipped: no namespaces can be made here (%v): use sudo, or allow user namespaces", err)
	}
	return args
}

func userNamespace(uid, gid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: gid, Size: 1}},
	}
}

// script writes a shell script and returns its path.
func script(t *testing.T, text string) string {
	t.Helper()
	return file(t, "script", "#!/bin/sh\n"+text+"\n", 0o755)
}

func file(t *testing.T, name, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// sh returns a hook that runs a shell script.
func sh(text string, more ...string) string {
	args, _ := json.Marshal([]string{"sh", "-c", text})
	return fmt.Sprintf(`{"path": "/bin/sh", "args": %s%s}`, args, strings.Join(append([]string{""}, more...), ", "))
}

// hookFile writes a hook file. Its arguments are stages and their hooks in turn.
func hookFile(t *testing.T, stagesAndHooks ...string) string {
	t.Helper()
	var members []string
	for pair := range slices.Chunk(stagesAndHooks, 2) {
		members = append(members, fmt.Sprintf("%q: [%s]", pair[0], pair[1]))
	}
	return file(t, "hooks.json", `{"hooks": {`+strings.Join(members, ", ")+`}}`, 0o644)
}

func stages(calls []Call) (names []string) {
	for _, c := range calls {
		names = append(names, string(c.Stage)+" "+string(c.Result))
	}
	return names
}

// wantExample checks a report about the example, in which each hook prints its state.
func wantExample(t *testing.T, r Report) {
	t.Helper()
	ran := stages(r.Hooks)
	slices.Sort(ran)
	want := []string{"createContainer ok", "createRuntime ok", "poststart ok", "poststop ok", "prestart ok", "startContainer ok"}
	if diff := cmp.Diff(want, ran); diff != "" || len(r.Problems) > 0 {
		t.Fatalf("(-want +got):\n%s\n%q", diff, r.Problems)
	}
	if r.Hooks[0].Stage != hooks.Prestart || r.Hooks[1].Stage != hooks.CreateRuntime || r.Hooks[5].Stage != hooks.Poststop {
		t.Errorf("not in the order in which they ran: %q", stages(r.Hooks))
	}
	last := 0.0
	for _, c := range r.Hooks {
		network := "the runtime's network"
		if c.Stage == hooks.CreateContainer || c.Stage == hooks.StartContainer {
			network = "the container's network"
		}
		if !strings.HasPrefix(c.Stdout, "The container is ") || !strings.Contains(c.Stdout, network) {
			t.Errorf("%s: %q", c.Stage, c.Stdout)
		}
		// Times are the system clock's, which may be set in the meantime: no exact comparison.
		if *c.Start < last || *c.Took <= 0 || *c.Start+*c.Took > r.Seconds+0.001 {
			t.Errorf("%s: at %v for %v, of %v", c.Stage, *c.Start, *c.Took, r.Seconds)
		}
		last = *c.Start
	}
	if r.Hooks[5].Stderr == "" {
		t.Error("what the poststop hook printed to standard error is not shown")
	}
	if p := r.Process; p.Result != OK || p.Stdout != "The container runs.\n" || *p.Start > *r.Hooks[5].Start {
		t.Errorf("the container's process: %+v", p)
	}
}

func TestExample(t *testing.T) {
	under(t, func(t *testing.T, args []string) {
		r, _ := newTrial(t, args...).report(t)
		wantExample(t, r)
		if r.Rootless != (os.Geteuid() != 0) {
			t.Errorf("rootless: %v", r.Rootless)
		}
	})
}

// The same as a user who is not root: as nobody, if the tests run as root.
func TestRootless(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	tr := newTrial(t, args...)
	if os.Geteuid() == 0 {
		const nobody = 65534
		temp, err := os.MkdirTemp("", "hookctl-nobody-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(temp) })
		if err := os.Chown(temp, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		tr.temp = temp
		tr.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + temp, "TMPDIR=" + temp, "XDG_RUNTIME_DIR=" + temp}
		tr.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}

		probe := exec.Command("unshare", "--user", "true")
		probe.SysProcAttr = tr.SysProcAttr
		if out, err := probe.CombinedOutput(); err != nil {
			t.Skipf("skipped: user namespaces are not for everybody here: %v, %s", err, out)
		}
	}
	r, _ := tr.report(t)
	wantExample(t, r)
	if !r.Rootless {
		t.Error("this is said not to be rootless")
	}
}

// The hooks of several files run in the order of the files. Those of a hooks directory whose conditions hold for the
// tried command run after them.
func TestFiles(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	dir := t.TempDir()
	for name, command := range map[string]string{"1.json": ".*busybox$", "2.json": "^/other$"} {
		text := fmt.Sprintf(`{"version": "1.0.0", "hook": {"path": "/bin/echo", "args": ["echo", %q]}, "when": {"commands": [%q]}, "stages": ["poststop"]}`, name, command)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a, b := hookFile(t, "poststop", sh("echo a")), hookFile(t, "poststop", sh("echo b"))
	r, _ := newTrial(t, append(args, a, b, "--hooks-dir", dir, "--rootfs", rootfs(t), "--", "/bin/busybox", "true")...).report(t)
	var got []string
	for _, c := range r.Hooks {
		got = append(got, c.File+" "+c.Stdout)
	}
	if diff := cmp.Diff([]string{a + " a\n", b + " b\n", dir + "/1.json 1.json\n"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(r.NotAdded) != 1 || r.NotAdded[0].File != dir+"/2.json" || r.NotAdded[0].Path != "/bin/echo" || r.NotAdded[0].Reason == "" {
		t.Errorf("not added: %+v", r.NotAdded)
	}
	if len(r.Problems) > 0 {
		t.Errorf("problems: %q", r.Problems)
	}
}

// A directory's conditions see the annotations, mounts and command of the options, although the command is not
// executed.
func TestConditions(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	dir, data := t.TempDir(), t.TempDir()
	for name, when := range map[string]string{
		"annotation": `"annotations": {"^com.example.gpu$": "^a,b=c$"}`,
		"command":    `"commands": ["^/opt/nowhere/python$"]`,
		"mount":      `"hasBindMounts": true`,
	} {
		text := fmt.Sprintf(`{"version": "1.0.0", "hook": {"path": "/bin/echo", "args": ["echo", %q]}, "when": {%s}, "stages": ["poststop"]}`, name, when)
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ more, want []string }{
		{nil, nil},
		{[]string{"--annotation", "com.example.gpu=a,b=c"}, []string{"annotation\n"}},
		{[]string{"--mount", data + ":/srv/data/x:ro"}, []string{"mount\n"}},
		{[]string{"--", "/opt/nowhere/python", "-V"}, []string{"command\n"}},
		{[]string{"--mount=" + data + ":/data", "--annotation=com.example.gpu=a,b=c", "--", "/opt/nowhere/python"}, []string{"annotation\n", "command\n", "mount\n"}},
	} {
		r, _ := newTrial(t, slices.Concat(args, []string{"--hooks-dir", dir}, tt.more)...).report(t)
		var got []string
		for _, c := range r.Hooks {
			got = append(got, c.Stdout)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || len(r.Problems) > 0 || len(r.NotAdded) != 3-len(tt.want) {
			t.Errorf("%q (-want +got):\n%s\nproblems %q, not added %+v", tt.more, diff, r.Problems, r.NotAdded)
		}
		if r.Process.Stdout != "The container runs.\n" || (len(r.Notes) > 0) != slices.Contains(tt.more, "--") {
			t.Errorf("%q: %+v, notes %q", tt.more, r.Process, r.Notes)
		}
	}
}

// Mounts are in the container as requested. The root file system does not change: mount points that were created are
// removed.
func TestMounts(t *testing.T) {
	under(t, func(t *testing.T, args []string) {
		dir, data := rootfs(t), t.TempDir()
		if err := os.WriteFile(data+"/file", []byte("data\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		mounts := []string{"--mount", data + ":/srv/data", "--mount", data + "/file:/one:ro", "--mount", data + ":/bin/../ro/a/b:ro"}
		if args[1] == "runc" { // crun creates nothing below a link
			if err := os.Symlink("/bin", dir+"/link"); err != nil {
				t.Fatal(err)
			}
			mounts = append(mounts, "--mount", data+":/link/new")
		}
		before := tree(t, dir)
		command := `cat /srv/data/file /one; >/srv/data/new; echo x 2>/dev/null >/ro/a/b/new || echo read-only; rm /srv/data/new`
		args = slices.Concat(args, []string{hookFile(t, "poststop", sh("true")), "--rootfs", dir}, mounts, []string{"--", "/bin/busybox", "sh", "-c", command})
		r, _ := newTrial(t, args...).report(t)
		if r.Process.Stdout != "data\ndata\nread-only\n" || r.Process.Result != OK {
			t.Errorf("%+v\n%q", r.Process, r.Problems)
		}
		if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
			t.Errorf("the root file system (-before +after):\n%s", diff)
		}
	})
}

// tree returns all paths below a directory.
func tree(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// rootfs creates a root file system that holds only busybox.
func rootfs(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil || WantStatic(path) != nil {
		t.Skip("skipped: there is no static busybox (apt-get install busybox-static)")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/bin/busybox", text, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A command runs in another root file system: its result is shown, and the directory does not change.
func TestRootfs(t *testing.T) {
	under(t, func(t *testing.T, args []string) {
		dir := rootfs(t)
		hook := `{"path": "/bin/busybox", "args": ["busybox", "env"], "env": ["X=1"]}`
		command := `echo "$1"; ls /; pwd; touch /new 2>/dev/null || echo read-only; exit 5`
		args = append(args, hookFile(t, "startContainer", hook), "--rootfs", dir, "--", "busybox", "sh", "-c", command, "sh", "an argument")
		r, status := newTrial(t, args...).report(t)
		if want := "an argument\nbin\ndev\nproc\n/\nread-only\n"; r.Process.Stdout != want || r.Process.ExitStatus == nil || *r.Process.ExitStatus != 5 || status != 1 {
			t.Errorf("%+v", r)
		}
		if len(r.Hooks) != 1 || r.Hooks[0].Stdout != "X=1\n" {
			t.Errorf("the startContainer hook has another environment: %+v", r.Hooks)
		}
		if want := []string{"the container's process busybox failed: exit 5"}; !slices.Equal(r.Problems, want) {
			t.Errorf("problems: %q", r.Problems)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 1 {
			t.Errorf("left in the root file system: %v, %v", left, err)
		}
	})
}

// Under the recorder, a hook gets the same as from the runtime directly: arguments, environment, working directory and
// the container's state.
func TestSameAsWithout(t *testing.T) {
	args := needRuntime(t, "runc")
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root")
	}
	runc, err := Options{Runtime: args[1]}.findRuntime(profile.Profile{Runtime: args[1]})
	if err != nil {
		t.Fatal(err)
	}
	said := filepath.Join(t.TempDir(), "said")
	tell := func(stage string, more ...string) string {
		return sh(`{ echo "`+stage+` $0 $*"; env | sort; pwd; cat; echo; } >>`+said, more...)
	}
	path := hookFile(t, "createRuntime", tell("createRuntime"), "createContainer", tell("createContainer", `"env": ["A=1", "B=x y"]`), "poststop", tell("poststop", `"timeout": 10`))
	env := []string{"PATH=" + os.Getenv("PATH"), "FOO=bar"}

	tr := newTrial(t, append(args, path)...)
	tr.Env = append(env, "TMPDIR="+tr.temp)
	if status := tr.run(t); status != 0 {
		t.Fatalf("status %d\n%s%s", status, &tr.stdout, &tr.stderr)
	}
	with := read(t, said)
	os.Remove(said)

	// The same container without recorders.
	id := fmt.Sprint("hookctl-try-", os.Getpid())
	temp := filepath.Join(t.TempDir(), id)
	if err := os.MkdirAll(temp+"/bundle/rootfs", 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := hookctl()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(program, temp+"/bundle/rootfs/hookctl"); err != nil {
		t.Fatal(err)
	}
	config := temp + "/bundle/config.json"
	if err := newConfig(temp+"/bundle/rootfs", Options{}, []string{"/hookctl", "--version"}).write(config); err != nil {
		t.Fatal(err)
	}
	f, err := hooks.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := inject.Make(profile.Profile{Files: []*hooks.File{f}}, config, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.CarryOut(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // if the test failed too early
		exec.Command(runc, "--root", temp+"/state", "delete", "--force", id).Run()
	})
	for _, args := range [][]string{
		{"create", "--bundle", temp + "/bundle", id}, {"start", id}, {"delete", "--force", id},
	} {
		cmd := exec.Command(runc, append([]string{"--root", temp + "/state"}, args...)...)
		cmd.Env = append(env, "TMPDIR="+tr.temp)
		if args[0] == "delete" {
			eventually(t, "the container to end", func() bool {
				out, err := exec.Command(runc, "--root", temp+"/state", "state", id).Output()
				if err != nil {
					t.Fatal(err)
				}
				return strings.Contains(string(out), `"status": "stopped"`)
			})
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
	}
	same := func(s string) string { // replaces what must differ
		s = regexp.MustCompile(`/[^ "]*/hookctl-try-[0-9]+`).ReplaceAllString(s, "TEMP")
		s = regexp.MustCompile(`"pid":[0-9]{2,}`).ReplaceAllString(s, `"pid":N`)
		return idPattern.ReplaceAllString(s, "ID")
	}
	if diff := cmp.Diff(same(read(t, said)), same(with)); diff != "" {
		t.Errorf("(-without recorder +with):\n%s", diff)
	}
	for _, part := range []string{"createRuntime sh", "FOO=bar", "createContainer sh", "B=x y", "poststop sh", `"status":"stopped"`} {
		if !strings.Contains(with, part) {
			t.Errorf("%q is not in\n%s", part, with)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A failing hook is reported with the runtime's message. What was never called for that is no problem of its own.
func TestFailingHook(t *testing.T) {
	under(t, func(t *testing.T, args []string) {
		path := hookFile(t, "createRuntime", sh("cat; echo cannot >&2; exit 3"), "startContainer", `{"path": "/nix"}`)
		r, status := newTrial(t, append(args, path)...).report(t)
		want := []string{"createRuntime failed", "startContainer never called"}
		if got := stages(r.Hooks); !slices.Equal(got, want) || status != 1 || r.Process.Result != NeverCalled {
			t.Errorf("%q, status %d, %+v", got, status, r.Process)
		}
		if r.Hooks[0].Stderr != "cannot\n" || *r.Hooks[0].ExitStatus != 3 {
			t.Errorf("%+v", r.Hooks[0])
		}
		wantProblems(t, r, `^the createRuntime hook /bin/sh \(`+path+`\) failed: exit 3$`,
			` create: .*(exit status 3.*cannot|exit code: 3)`)
	})
}

// wantProblems checks that there are these problems, each a regular expression, and no others.
func wantProblems(t *testing.T, r Report, want ...string) {
	t.Helper()
	if len(r.Problems) != len(want) {
		t.Errorf("problems: %q", r.Problems)
		return
	}
	for i, w := range want {
		if !regexp.MustCompile(w).MatchString(r.Problems[i]) {
			t.Errorf("problem %q, want %q", r.Problems[i], w)
		}
	}
}

// A hook that hangs is ended, with the processes that it started. That it would delay the start is reported too.
func TestHangingHook(t *testing.T) {
	under(t, func(t *testing.T, args []string) {
		sleep := fmt.Sprintf("sleep 4321.%d", time.Now().UnixNano()) // known among those of other tests
		path := hookFile(t, "createRuntime", sh("echo begun; "+sleep+"; true"), "poststop", sh("true"))
		r, _ := newTrial(t, append(args, path, "--timeout", "1s")...).report(t)
		if c := r.Hooks[0]; c.Result != Hung || c.Stdout != "begun\n" || *c.Took < 0.9 || *c.Took > 60 || !c.Held {
			t.Errorf("%+v", c)
		}
		hook := "the createRuntime hook /bin/sh (" + path + ")"
		if !strings.HasPrefix(r.Problems[0], hook+" left something running that keeps its output open") || r.Problems[1] != hook+" hung: it was ended after 1s (--timeout)" {
			t.Errorf("problems: %q", r.Problems)
		}
		if left := processes(t, func(c string) bool { return strings.Contains(c, sleep) }); len(left) > 0 {
			t.Errorf("left running: %q", left)
		}
	})
}

// A hook whose child keeps its output open delays the start, although the hook has succeeded. That is a problem; a
// child with another output is not. The runtime itself does not wait.
func TestHeldOutput(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	path := hookFile(t, "createRuntime", sh("sleep 4331 & exit 0", `"timeout": 5`), "poststart", sh("sleep 4332 >/dev/null 2>&1 & exit 0"))
	r, status := newTrial(t, append(args, path)...).report(t)
	if status != 1 || !r.Hooks[0].Held || r.Hooks[0].Result != OK || r.Hooks[1].Held || r.Hooks[1].Result != OK || *r.Hooks[0].Took > 4 {
		t.Errorf("status %d, %+v", status, r.Hooks)
	}
	wantProblems(t, r, "^the createRuntime hook /bin/sh .* left something running that keeps its output open: runc goes on only when that has ended")
	if len(r.Notes) != 2 {
		t.Errorf("notes: %q", r.Notes)
	}
}

// The output of a hook that prints without end is discarded beyond a limit.
func TestHookPrintsMuch(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	tr := newTrial(t, append(args, hookFile(t, "createRuntime", sh("exec yes")), "--timeout", "2s")...)
	stop, most := make(chan struct{}), make(chan int64)
	go func() {
		largest := int64(0)
		for {
			select {
			case <-stop:
				most <- largest
				return
			case <-time.After(50 * time.Millisecond):
			}
			files, _ := filepath.Glob(tr.temp + "/hookctl-try-*/*/*/std*")
			for _, path := range files {
				if info, err := os.Stat(path); err == nil {
					largest = max(largest, info.Size())
				}
			}
		}
	}()
	r, _ := tr.report(t)
	close(stop)
	if size := <-most; size == 0 || size > maxOutput+1 {
		t.Errorf("it was kept in a file of %d bytes", size)
	}
	if c := r.Hooks[0]; c.Result != Hung || !c.Truncated || len(c.Stdout) != maxOutput || !strings.HasPrefix(c.Stdout, "y\ny\n") {
		t.Errorf("%s, truncated %v, %d bytes", c.Result, c.Truncated, len(c.Stdout))
	}
}

// TMPDIR may be a relative path.
func TestRelativeTemp(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	tr := newTrial(t, append(args, hookFile(t, "poststop", sh("cat")))...)
	tr.Dir, tr.Env = tr.temp, append(tr.Env, "TMPDIR=.")
	if status := tr.run(t); status != 0 {
		t.Errorf("status %d\n%s%s", status, &tr.stdout, &tr.stderr)
	}
}

// A hook whose own timeout passes is ended as the runtime does it: only its first process. Processes that this started
// may delay the start.
func TestHookTimeout(t *testing.T) {
	under(t, func(t *testing.T, args []string) {
		path := hookFile(t, "createRuntime", sh("echo begun; exec sleep 4322", `"timeout": 2`))
		r, _ := newTrial(t, append(args, path)...).report(t)
		if c := r.Hooks[0]; c.Result != TimedOut || c.Stdout != "begun\n" || *c.Took < 1.9 || c.Held {
			t.Errorf("%+v", c)
		}
		if r.Problems[0] != "the createRuntime hook /bin/sh ("+path+") timed out after 2 s" {
			t.Errorf("problems: %q", r.Problems)
		}
		path = hookFile(t, "createRuntime", sh("sleep 4333; exit 0", `"timeout": 1`))
		r, _ = newTrial(t, append(args, path)...).report(t)
		if c := r.Hooks[0]; c.Result != TimedOut || !c.Held || *c.Took > 5 {
			t.Errorf("%+v", c)
		}
	})
}

// A command that hangs is ended too.
func TestHangingCommand(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	path := hookFile(t, "poststop", sh("cat"))
	r, _ := newTrial(t, append(args, path, "--timeout", "2s", "--rootfs", rootfs(t), "--", "/bin/busybox", "sleep", "4323")...).report(t)
	if r.Process.Result != Hung || r.Hooks[0].Result != OK {
		t.Errorf("%+v", r)
	}
	wantProblems(t, r, "the container's process /bin/busybox hung")
}

// A runtime that does not know a stage is reported, if nothing else is wrong.
func TestNeverCalled(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	runtime := script(t, `for a; do test ! -e "$a/config.json" || sed -i 's/"startContainer"/"unknown"/' "$a/config.json"; done
exec `+args[1]+` "$@"`)
	path := hookFile(t, "startContainer", `{"path": "/nix"}`)
	r, _ := newTrial(t, path, "--runtime", runtime).report(t)
	if r.Process.Result != OK {
		t.Errorf("%+v", r.Process)
	}
	wantProblems(t, r, `the startContainer hook /nix \(`+path+`\) was never called$`)
}

// A program that succeeds without creating a container is no runtime, and that is the only problem.
func TestNoRuntime(t *testing.T) {
	t.Parallel()
	for _, runtime := range []string{"/bin/true", script(t, `case "$*" in *" create "*) echo 5x >"$(echo "$*" | sed 's/.*--pid-file \([^ ]*\).*/\1/')";; esac`)} {
		r, status := newTrial(t, "--runtime", runtime).report(t)
		if status != 1 || len(r.Hooks) != 6 || r.Hooks[0].Result != NeverCalled {
			t.Errorf("status %d, %+v", status, r.Hooks)
		}
		wantProblems(t, r, "^"+runtime+" is no OCI runtime: its create succeeded, but wrote no process id to the file of --pid-file; name another by --runtime$")
	}
}

// If the temporary directory cannot be used, the message says why, and what it must have.
func TestTemporary(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: mounting needs root")
	}
	mounted := func(options string) string {
		dir := t.TempDir()
		if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
			t.Skip("no file system can be mounted: ", err)
		}
		t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
		flags := map[string]uintptr{"ro": unix.MS_RDONLY, "noexec": unix.MS_NOEXEC}[options]
		data := options
		if flags != 0 {
			data = ""
		}
		if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT|flags, data); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for temp, why := range map[string]string{
		"/nope":            "nothing exists at this path (ENOENT)",
		"/etc/passwd":      "a part of the path is a file (ENOTDIR)",
		mounted("size=4m"): "the file system is full (ENOSPC)",
		mounted("noexec"):  "it is mounted noexec",
		mounted("ro"):      "the file system is read-only (EROFS)",
	} {
		tr := newTrial(t)
		tr.Env = append(tr.Env, "TMPDIR="+temp)
		want := "hookctl: no container can be tried in " + temp + ": " + why + "; set TMPDIR to a directory with "
		if status := tr.run(t); status != 1 || !strings.HasPrefix(tr.stderr.String(), want) || strings.Count(tr.stderr.String(), "\n") != 1 {
			t.Errorf("status %d, %q, want %q", status, tr.stderr.String(), want)
		}
		if left, _ := os.ReadDir(temp); len(left) > 0 {
			t.Errorf("%s: left %v", temp, left)
		}
	}
}

// A runtime that hangs is killed, and the container that it has created is deleted.
func TestHangingRuntime(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	runtime := script(t, `PATH=$PATH:/usr/sbin:/sbin
case "$*" in *" create "*) `+args[1]+` "$@" || exit; sleep 4324;; *) exec `+args[1]+` "$@";; esac`)
	path := hookFile(t, "createRuntime", sh("cat"))
	r, _ := newTrial(t, path, "--runtime", runtime, "--timeout", "2s").report(t)
	wantProblems(t, r, "^script create did not end and was killed$")
}

// Orphans of a runtime are reaped while the runtime waits for their end, as gVisor's delete does for the sandbox.
func TestOrphan(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	pid := filepath.Join(t.TempDir(), "pid")
	runtime := script(t, `PATH=$PATH:/usr/sbin:/sbin
case "$*" in
*" create "*) sh -c 'sleep 0.2 >/dev/null 2>&1 & echo $! >'`+pid+`;;
*" delete "*) for i in $(seq 200); do kill -0 $(cat `+pid+`) 2>/dev/null || break; sleep 0.1; done; test $i -lt 200 || exit 1;;
esac
exec `+args[1]+` "$@"`)
	r, _ := newTrial(t, hookFile(t, "poststop", sh("true")), "--runtime", runtime).report(t)
	wantProblems(t, r)
}

// Arguments for the runtime come before its command. The runtime's message about them is reported.
func TestRuntimeArgs(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	r, _ := newTrial(t, append(args, hookFile(t, "poststop", sh("true")), "--runtime-arg=--nix")...).report(t)
	if !slices.ContainsFunc(r.Problems, func(p string) bool { return strings.HasPrefix(p, "runc create: ") && strings.Contains(p, "nix") }) {
		t.Errorf("problems: %q", r.Problems)
	}
}

// A child that hookctl already had when it was executed is left alone.
func TestOthers(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	tr := newTrial(t, append(args, hookFile(t, "poststop", sh("true")))...)
	pid := filepath.Join(t.TempDir(), "pid")
	tr.Args = slices.Concat([]string{"sh", "-c", `sleep 4329 >/dev/null 2>&1 & echo $! >"$0"; exec "$@"`, pid, tr.Path}, tr.Args[1:])
	tr.Path = "/bin/sh"
	if status := tr.run(t); status != 0 || !strings.HasPrefix(tr.stdout.String(), "STAGE ") {
		t.Errorf("status %d\n%s%s", status, &tr.stdout, &tr.stderr)
	}
	if out, err := exec.Command("kill", strings.TrimSpace(read(t, pid))).CombinedOutput(); err != nil {
		t.Errorf("it has ended: %v, %s", err, out)
	}
}

// A file system that a hook leaves mounted in the container's root file system is unmounted, and its files are not
// removed.
func TestMountLeft(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	if os.Geteuid() != 0 {
		t.Skip("skipped: mounting needs root")
	}
	precious := t.TempDir()
	if err := os.WriteFile(precious+"/file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	path := hookFile(t, "prestart", sh("mkdir rootfs/mnt && mount --bind "+precious+" rootfs/mnt"))
	r, _ := newTrial(t, append(args, path)...).report(t)
	if _, err := os.Stat(precious + "/file"); err != nil {
		t.Fatal(err)
	}
	if len(r.Notes) == 0 || !strings.Contains(r.Notes[0], "left something mounted at ") || len(r.Problems) > 0 {
		t.Errorf("%+v", r)
	}
}

// If hookctl is interrupted while a hook hangs, it ends the hook, runs poststop hooks, deletes the container and
// reports.
func TestInterrupted(t *testing.T) {
	under(t, func(t *testing.T, args []string) {
		for _, stage := range []string{"prestart", "createContainer", "poststart", "poststop"} {
			for _, sig := range []os.Signal{unix.SIGINT, unix.SIGTERM} {
				t.Run(fmt.Sprint(stage, " ", sig), func(t *testing.T) {
					begun := filepath.Join(t.TempDir(), "begun")
					path := hookFile(t, stage, sh("cat; >"+begun+"; exec sleep 4325"))
					tr := newTrial(t, append(args, path)...)
					if err := tr.Start(); err != nil {
						t.Fatal(err)
					}
					eventually(t, "the hook", func() bool { _, err := os.Stat(begun); return err == nil })
					pid := initPid(t, tr.temp)
					tr.Process.Signal(sig)
					if status := tr.finish(t); status != 1 {
						t.Errorf("status %d", status)
					}
					for _, part := range []string{"problem: the " + stage + " hook", "was running when it was interrupted\n"} {
						if !strings.Contains(tr.stdout.String(), part) {
							t.Errorf("%q is not in\n%s%s", part, &tr.stdout, &tr.stderr)
						}
					}
					if idPattern.FindString(tr.stdout.String()) == "" {
						t.Errorf("the state that the hook printed is not shown:\n%s", &tr.stdout)
					}
					if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); pid > 1 && err == nil {
						t.Errorf("the container's process %d is still there", pid)
					}
				})
			}
		}
	})
}

// It does the same while the container's command runs.
func TestInterruptedCommand(t *testing.T) {
	under(t, func(t *testing.T, args []string) {
		path := hookFile(t, "poststop", sh("cat"))
		tr := newTrial(t, append(args, path, "--rootfs", rootfs(t), "--", "/bin/busybox", "sleep", "4330")...)
		if err := tr.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the command", func() bool {
			begun, _ := filepath.Glob(tr.temp + "/hookctl-try-*/inside/*/begin")
			return len(begun) > 0
		})
		tr.Process.Signal(unix.SIGINT)
		if status := tr.finish(t); status != 1 || !strings.Contains(tr.stdout.String(), "the container's process /bin/busybox was running when it was interrupted\n") {
			t.Errorf("status %d\n%s%s", status, &tr.stdout, &tr.stderr)
		}
		if !strings.Contains(tr.stdout.String(), `"stopped"`) {
			t.Errorf("the poststop hook did not run:\n%s", &tr.stdout)
		}
	})
}

// initPid returns the pid of the container's process from the state that a hook printed; 0 if the runtime does not pass
// it to hooks.
func initPid(t *testing.T, temp string) int {
	t.Helper()
	var state struct{ Pid int }
	eventually(t, "the state to be recorded", func() bool {
		files, _ := filepath.Glob(temp + "/hookctl-try-*/outside/*/stdout")
		return len(files) == 1 && json.Unmarshal([]byte(read(t, files[0])), &state) == nil
	})
	return state.Pid
}

// Poststop hooks run after an interruption too, because they undo what others did.
func TestInterruptedPoststop(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	begun, undone := filepath.Join(t.TempDir(), "begun"), filepath.Join(t.TempDir(), "undone")
	path := hookFile(t, "createRuntime", sh(">"+begun+"; exec sleep 4326"), "poststop", sh("sleep 0.3; >"+undone))
	tr := newTrial(t, append(args, path)...)
	if err := tr.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the hook", func() bool { _, err := os.Stat(begun); return err == nil })
	tr.Process.Signal(unix.SIGINT)
	if status := tr.finish(t); status != 1 {
		t.Errorf("status %d\n%s", status, &tr.stdout)
	}
	if _, err := os.Stat(undone); err != nil {
		t.Errorf("the poststop hook did not run: %v\n%s", err, &tr.stdout)
	}
}

// A killed hookctl removes nothing, but the processes that it started end.
func TestKilled(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	begun := filepath.Join(t.TempDir(), "begun")
	tr := newTrial(t, append(args, hookFile(t, "createRuntime", sh("cat; >"+begun+"; exec sleep 4327")))...)
	if err := tr.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the hook", func() bool { _, err := os.Stat(begun); return err == nil })
	pid := initPid(t, tr.temp)
	tr.Process.Kill()
	tr.Wait()
	eventually(t, "all to end", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return (err != nil || strings.Contains(string(stat), ") Z ")) &&
			len(processes(t, func(c string) bool { return strings.Contains(c, tr.temp) || strings.Contains(c, "sleep 4327") })) == 0
	})
}

// A supervised hook is run by its supervisor, within its limits. The report shows the hook itself: its output, its
// result, and a failure that is ignored. None of that gets into the records of real containers.
func TestSupervised(t *testing.T) {
	under(t, func(t *testing.T, args []string) {
		path := file(t, "hooks.json", `{"supervise": {"timeout": 1}, "hooks": {
			"createRuntime": [`+sh("echo good; sleep 4350 & exit 0")+`, `+sh("echo bad >&2; exit 3", `"supervise": {"failurePolicy": "ignore"}`)+`],
			"poststop": [`+sh("echo begun; sleep 4351; true")+`]}}`, 0o644)
		r, status := newTrial(t, append(args, path)...).report(t)
		if want := []string{"createRuntime ok", "createRuntime failed", "poststop timed out"}; !slices.Equal(stages(r.Hooks), want) || status != 0 {
			t.Fatalf("%q, status %d, problems %q", stages(r.Hooks), status, r.Problems)
		}
		good, bad, late := r.Hooks[0], r.Hooks[1], r.Hooks[2]
		if good.Path != "/bin/sh" || good.Args[0] != "sh" || good.File != path || good.Stdout != "good\n" || good.Held || good.Ignored {
			t.Errorf("%+v", good)
		}
		if !bad.Ignored || *bad.ExitStatus != 3 || bad.Stderr != "bad\n" || !late.Ignored || late.Stdout != "begun\n" || *late.Took > 20 {
			t.Errorf("%+v\n%+v", bad, late)
		}
		if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "failed: exit 3; its failure policy is to ignore that") ||
			!strings.Contains(notes, "timed out after 1 s; its failure policy") {
			t.Errorf("notes: %q", r.Notes)
		}
		if records, err := report.Records(); err != nil {
			t.Error(err)
		} else if text, _ := os.ReadFile(records); bytes.Contains(text, []byte(path)) {
			t.Errorf("it is in %s", records)
		}
	})
}

// If hookctl is killed at any moment, the next call removes what it left: its directory, cgroups, mounts, a process
// that a hook left, and mount points in the root file system. It does not touch a try that lives, or a directory that
// only looks like a try's.
func TestSweep(t *testing.T) {
	args := needRuntime(t, "runc")
	if os.Geteuid() != 0 {
		t.Skip("skipped: mounting needs root")
	}
	for i, moment := range []string{"/try.json", "/state/*", "/outside/0-*/begin", "/outside/1-*/begin", "/inside/3-*/begin"} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			dir := rootfs(t)
			undone := filepath.Join(t.TempDir(), "undone")
			path := hookFile(t,
				"prestart", sh(fmt.Sprintf("setsid sleep 434%d >/dev/null 2>&1 & mkdir mnt && mount -t tmpfs none mnt && sleep 0.2", i)),
				"createRuntime", sh("sleep 0.2"), "poststop", sh(">"+undone))
			killed := newTrial(t, slices.Concat(args, []string{path, "--rootfs", dir, "--", "/bin/busybox", "sh", "-c", "echo; exec sleep 4349"})...)
			if err := killed.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, moment, func() bool {
				paths, _ := filepath.Glob(killed.temp + "/hookctl-try-*" + moment)
				return len(paths) > 0
			})
			id := filepath.Base(only(t, killed.temp+"/hookctl-try-*"))
			killed.Process.Kill()
			killed.Wait()

			like := filepath.Join(killed.temp, "hookctl-try-1")
			if err := os.Mkdir(like, 0o700); err != nil {
				t.Fatal(err)
			}
			next := newTrial(t, append(args, hookFile(t, "poststop", sh("cat")))...)
			next.temp, next.Env = killed.temp, killed.Env
			if err := next.Start(); err != nil {
				t.Fatal(err)
			}
			next.Wait()
			if text := next.stdout.String(); next.ProcessState.ExitCode() != 0 || !strings.Contains(text, "note: a try that was killed had left "+killed.temp+"/"+id+", which was removed") {
				t.Errorf("%v\n%s%s", next.ProcessState, &next.stdout, &next.stderr)
			}
			if err := os.Remove(like); err != nil {
				t.Error(err)
			}
			next.wantNothingLeft(t)
			next.stdout.WriteString(id)
			next.wantNothingLeft(t)
			if diff := cmp.Diff([]string{dir, dir + "/bin", dir + "/bin/busybox"}, tree(t, dir)); diff != "" {
				t.Errorf("the root file system (-want +got):\n%s", diff)
			}
			for _, p := range processes(t, func(c string) bool { return strings.HasPrefix(c, fmt.Sprintf("sleep 434%d ", i)) }) {
				t.Errorf("left running: %s", p)
			}
		})
	}
	t.Run("alive", func(t *testing.T) {
		t.Parallel()
		begun, end := filepath.Join(t.TempDir(), "begun"), filepath.Join(t.TempDir(), "end")
		alive := newTrial(t, append(args, hookFile(t, "createRuntime", sh(">"+begun+"; until test -e "+end+"; do sleep 0.05; done")))...)
		if err := alive.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the hook", func() bool { _, err := os.Stat(begun); return err == nil })
		next := newTrial(t, append(args, hookFile(t, "poststop", sh("true")))...)
		next.Env = alive.Env
		if err := next.Run(); err != nil {
			t.Errorf("%v\n%s%s", err, &next.stdout, &next.stderr)
		}
		if err := os.WriteFile(end, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if status := alive.finish(t); status != 0 {
			t.Errorf("status %d\n%s%s", status, &alive.stdout, &alive.stderr)
		}
	})
}

// only returns the one path that matches a pattern.
func only(t *testing.T, pattern string) string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) != 1 {
		t.Fatalf("%s: %q, %v", pattern, paths, err)
	}
	return paths[0]
}

// A terminal is one end of a pseudo-terminal. On the other end runs hookctl, as in a terminal window.
type terminal struct {
	*trial
	screen *os.File
	lock   sync.Mutex // for text
	text   bytes.Buffer
	shown  chan struct{} // closed when all is read
}

func (term *terminal) Write(text []byte) (int, error) {
	term.lock.Lock()
	defer term.lock.Unlock()
	return term.text.Write(text)
}

// sofar returns the output so far.
func (term *terminal) sofar() string {
	term.lock.Lock()
	defer term.lock.Unlock()
	return strings.ReplaceAll(term.text.String(), "\r\n", "\n")
}

func onTerminal(t *testing.T, width int, tr *trial) *terminal {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("skipped: no pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: uint16(width)}); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile("/dev/pts/"+strconv.Itoa(int(n)), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	term := &terminal{trial: tr, screen: screen, shown: make(chan struct{})}
	tr.Stdin, tr.Cmd.Stdout, tr.Cmd.Stderr = tty, tty, tty
	tr.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	tr.Env = append(tr.Env, "TERM=xterm", "NO_COLOR=")
	if err := tr.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		io.Copy(term, screen) // until the other end is closed: EIO
		close(term.shown)
	}()
	return term
}

// finish waits for the end and returns the output.
func (term *terminal) finish(t *testing.T) string {
	t.Helper()
	term.trial.finish(t)
	<-term.shown
	return term.sofar()
}

var escape = regexp.MustCompile("\x1b\\[[0-9]*m")

// On a terminal there are colours, and the time line has the terminal's width.
func TestTerminal(t *testing.T) {
	args := needRuntime(t, "runc")
	for _, tt := range []struct {
		width   int
		env     string
		colours bool
	}{
		{80, "", true},
		{120, "", true},
		{60, "", true},
		{80, "NO_COLOR=1", false},
		{80, "TERM=dumb", false},
	} {
		t.Run(fmt.Sprint(tt.width, tt.env), func(t *testing.T) {
			t.Parallel()
			tr := newTrial(t, args...)
			term := onTerminalWith(t, tt.width, tr, tt.env)
			text := term.finish(t)
			if escape.MatchString(text) != tt.colours {
				t.Errorf("colours: %q", text)
			}
			if tt.colours && (!strings.Contains(text, "\x1b[32m  ") || !strings.Contains(text, "\x1b[1mSTAGE ")) {
				t.Errorf("the bars should be green, the head bold: %q", text)
			}
			table, _, _ := strings.Cut(escape.ReplaceAllString(onScreen(text), ""), "\n\n")
			all := strings.Split(table, "\n")
			if len(all) != 8 {
				t.Fatalf("%d lines:\n%s", len(all), table)
			}
			widest := 0
			for i, l := range all {
				widest = max(widest, utf8.RuneCountInString(l))
				if i > 0 && strings.Contains(l, "━") != (tt.width >= 80) {
					t.Errorf("bar or no bar: %s", l)
				}
				if i > 0 && len(regexp.MustCompile(`[0-9] m?s `).FindAllString(l, -1)) != 2 {
					t.Errorf("no numbers: %s", l)
				}
			}
			if widest > tt.width || tt.width >= 80 && widest != tt.width {
				t.Errorf("the widest line has %d characters, the terminal %d:\n%s", widest, tt.width, table)
			}
			if !strings.Contains(text, "\nfine: ") && !strings.Contains(text, "fine:\x1b[0m ") {
				t.Errorf("it does not say that all is fine:\n%s", text)
			}
		})
	}
}

// onScreen returns the text that remains on the screen after lines were drawn over.
func onScreen(text string) string {
	parts := regexp.MustCompile("\x1b\\[[0-9]+A\r\x1b\\[J").Split(text, -1)
	return parts[len(parts)-1]
}

// On a terminal, a hook is shown while it runs: this one ends only after it has been seen. Elsewhere nothing is drawn
// over.
func TestProgress(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	seen := filepath.Join(t.TempDir(), "seen")
	path := hookFile(t, "createRuntime", sh("until test -e "+seen+"; do sleep 0.05; done"), "poststop", sh("true"))
	term := onTerminal(t, 80, newTrial(t, append(args, path)...))
	eventually(t, "the hook to be shown", func() bool {
		return regexp.MustCompile(`createRuntime .* ms .* running`).MatchString(escape.ReplaceAllString(term.sofar(), ""))
	})
	if err := os.WriteFile(seen, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	text := term.finish(t)
	if left := onScreen(text); strings.Contains(left, "running") || strings.Count(left, "createRuntime") != 1 || !strings.Contains(left, "fine:") {
		t.Errorf("%q", left)
	}
	tr := newTrial(t, append(args, path)...)
	if status := tr.run(t); status != 0 || strings.Contains(tr.stdout.String(), "\x1b") {
		t.Errorf("status %d, %q", status, &tr.stdout)
	}
}

func onTerminalWith(t *testing.T, width int, tr *trial, env string) *terminal {
	t.Helper()
	if env != "" {
		tr.Args[0], tr.Path = "env", "/usr/bin/env"
		tr.Args = append([]string{"env", env, mustBuild(t)}, tr.Args[1:]...)
	}
	return onTerminal(t, width, tr)
}

func mustBuild(t *testing.T) string {
	t.Helper()
	program, err := hookctl()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// Ctrl-C on the terminal.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	args := needRuntime(t, "runc")
	begun := filepath.Join(t.TempDir(), "begun")
	path := hookFile(t, "createRuntime", sh("cat; >"+begun+"; exec sleep 4328"))
	term := onTerminal(t, 80, newTrial(t, append(args, path)...))
	eventually(t, "the hook", func() bool { _, err := os.Stat(begun); return err == nil })
	if _, err := term.screen.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	text := term.finish(t)
	// The signal must reach only hookctl: otherwise the recorder would die of it and record nothing.
	if words := strings.Join(strings.Fields(text), " "); !strings.Contains(words, "was running when it was interrupted ") || !strings.Contains(text, "\x1b[31mproblem:\x1b[0m interrupted\n") || term.ProcessState.ExitCode() != 1 {
		t.Errorf("%v\n%s", term.ProcessState, text)
	}
	if n := len(processes(t, func(c string) bool { return strings.Contains(c, "sleep 4328") })); n > 0 {
		t.Errorf("%d hooks are left running", n)
	}
}

// Wrong usage, and errors before the container is tried.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--rootfs", "/"}, 2, "--rootfs DIR needs a command to run in it"},
		{[]string{"--annotation", "x"}, 2, `--annotation "x": give KEY=VALUE`},
		{[]string{"--annotation", "=x"}, 2, `--annotation "=x": give KEY=VALUE`},
		{[]string{"--mount", "/a"}, 2, `--mount "/a": give SOURCE:DESTINATION`},
		{[]string{"--mount", "/a:b"}, 2, `--mount "/a:b": give SOURCE:DESTINATION`},
		{[]string{"--mount", "/a:/b:rw"}, 2, `--mount "/a:/b:rw": give SOURCE:DESTINATION`},
		{[]string{"--mount", "/nix:/b"}, 1, "--mount /nix: nothing exists at this path (ENOENT)"},
		{[]string{"--mount", "/tmp:/dev/hookctl/x"}, 1, "--mount /dev/hookctl/x: hookctl's own files are there"},
		{[]string{"--mount", "/tmp:/"}, 1, "--mount /: give another root file system by --rootfs"},
		{[]string{"/nix.json"}, 1, "/nix.json: cannot be opened"},
		{[]string{"--runtime", "nix"}, 1, "; install it, or name another\n"},
		{[]string{"--runtime-path", "/nix"}, 1, "; name another\n"},
		{[]string{"--hooks-dir", "/nix"}, 1, "/nix: the hooks directory cannot be read"},
	} {
		tr := newTrial(t, tt.args...)
		if status := tr.run(t); status != tt.status || tr.stdout.Len() > 0 || !strings.Contains(tr.stderr.String(), tt.says) {
			t.Errorf("%q: status %d, %s%s", tt.args, status, &tr.stdout, &tr.stderr)
		}
	}
}

// A program that needs shared libraries cannot run in the container.
func TestDynamic(t *testing.T) {
	if err := WantStatic("/bin/sh"); err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("%v", err)
	}
	if err := WantStatic("/etc/passwd"); err == nil {
		t.Error("not a program")
	} else if errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
