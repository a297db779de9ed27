package change

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// listing returns all that lies below a directory: for each path what it is, its mode and its text.
func listing(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		var text []byte
		switch {
		case st.Mode().IsRegular():
			text, err = os.ReadFile(path)
		case st.Mode().Type() == fs.ModeSymlink:
			var target string
			target, err = os.Readlink(path)
			text = []byte(target)
		}
		all[path] = fmt.Sprintf("%v %s", st.Mode(), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantListing(t *testing.T, what, root string, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, listing(t, root)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// machine returns a machine with some files, and changes of each kind to it.
func machine(t *testing.T) (sys system.System, files []File) {
	t.Helper()
	root := t.TempDir()
	at := func(path string) string { return filepath.Join(root, path) }
	for _, dir := range []string{"etc/engine/conf.d", "bin", "etc/real"} {
		if err := os.MkdirAll(at(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]fs.FileMode{"etc/engine/conf.d/old": 0o640, "etc/engine/main": 0o600, "etc/real/linked": 0o644, "bin/program": 0o766} {
		if err := errors.Join(os.WriteFile(at(path), []byte("before"), 0o600), os.Chmod(at(path), mode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("../real/linked", at("etc/engine/linked")), os.Symlink("elsewhere", at("bin/link")),
		os.Symlink("gone", at("bin/old")), unix.Mkfifo(at("bin/fifo"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return system.System{Root: root, State: at("state")}, []File{
		{Path: at("state/engine/record"), After: []byte("{}"), Mode: 0o600},
		{Path: at("new/deep/file"), After: []byte("after"), Mode: 0o644},
		{Path: at("etc/engine/conf.d/new"), After: []byte("after"), Mode: 0o644},
		{Path: at("etc/engine/conf.d/old"), Before: []byte("before")},
		{Path: at("etc/engine/main"), Before: []byte("before"), After: []byte("after")},
		{Path: at("etc/engine/linked"), Before: []byte("before"), After: []byte{}},
		{Path: at("etc/engine/same"), Mode: 0o644},
		Link(at("bin/new"), "", "program"),
		Link(at("bin/link"), "elsewhere", "program"),
		Link(at("bin/old"), "gone", ""),
		{Path: at("bin/fifo"), Before: []byte{}, Mode: fs.ModeNamedPipe | 0o600},
		{Path: at("bin/fifo"), After: []byte("after"), Mode: 0o755},
		{Path: at("bin/program"), Before: []byte("before"), After: []byte("after"), Mode: 0o755, Own: true},
	}
}

func TestApplyAndUndo(t *testing.T) {
	t.Parallel()
	sys, files := machine(t)
	before := listing(t, sys.Root)
	done := Begin(sys)
	if err := done.Apply(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	after := listing(t, sys.Root)
	for path, want := range map[string]string{
		"state/engine/record": "-rw------- {}", "new/deep/file": "-rw-r--r-- after", "etc/engine/conf.d/new": "-rw-r--r-- after",
		"etc/engine/main": "-rw------- after", "etc/real/linked": "-rw-r--r-- ", "etc/engine/linked": "Lrwxrwxrwx ../real/linked",
		"bin/new": "Lrwxrwxrwx program", "bin/link": "Lrwxrwxrwx program", "bin/fifo": "-rwxr-xr-x after", "bin/program": "-rwxr-xr-x after",
		"new/deep":              "drwxr-xr-x ",
		"etc/engine/conf.d/old": "", "bin/old": "", "etc/engine/same": "",
	} {
		if got := after[filepath.Join(sys.Root, path)]; got != want {
			t.Errorf("%s: %q, not %q", path, got, want)
		}
	}
	if err := done.Undo(); err != nil {
		t.Fatal(err)
	}
	wantListing(t, "undone", sys.Root, before)
	if err := done.Undo(); err != nil {
		t.Errorf("undone twice: %v", err)
	}
}

// Directories that were made are remembered from one call to the next, and go when they are empty; others stay.
func TestDirectories(t *testing.T) {
	t.Parallel()
	sys, _ := machine(t)
	before := listing(t, sys.Root)
	for _, dir := range []string{"made/deep", "etc/engine/conf.d", "state/docker"} {
		f := File{Path: filepath.Join(sys.Root, dir, "file"), After: []byte("x"), Mode: 0o644}
		if err := Make(t.Context(), sys, []File{f}); err != nil {
			t.Fatal(err)
		}
	}
	made := listing(t, sys.Root)
	for _, dir := range []string{"state/docker", "etc/engine/conf.d", "made/deep"} {
		f := File{Path: filepath.Join(sys.Root, dir, "file"), Before: []byte("x"), Mode: 0o644}
		done := Begin(sys)
		if err := done.Apply(t.Context(), []File{f}); err != nil {
			t.Fatal(err)
		}
		if dir == "state/docker" { // undone, they are remembered again
			if err := done.Undo(); err != nil {
				t.Fatal(err)
			}
			wantListing(t, "removed and undone", sys.Root, made)
			if err := done.Apply(t.Context(), []File{f}); err != nil {
				t.Fatal(err)
			}
		}
		if err := done.Keep(); err != nil {
			t.Fatal(err)
		}
	}
	wantListing(t, "taken back", sys.Root, before)
}

// The third file cannot be changed, for another reason each time: what came before it is as it was.
func TestFailures(t *testing.T) {
	t.Parallel()
	for what, third := range map[string]func(root string) File{
		"was changed in between; try again": func(root string) File {
			return File{Path: filepath.Join(root, "etc/engine/main"), Before: []byte("other"), After: []byte("x")}
		},
		"bin/link was changed in between": func(root string) File { return Link(filepath.Join(root, "bin/link"), "", "program") },
		"bin/fifo was changed in between": func(root string) File { return Link(filepath.Join(root, "bin/fifo"), "x", "") },
		"bin/old cannot be changed": func(root string) File { // a link that leads nowhere
			return File{Path: filepath.Join(root, "bin/old"), After: []byte("x"), Mode: 0o644}
		},
		"/bin/old cannot be made: the name is taken (EEXIST); is it a link that leads nowhere? Then remove it": func(root string) File {
			return File{Path: filepath.Join(root, "bin/old/file"), After: []byte("x"), Mode: 0o644}
		},
		"is not a regular file": func(root string) File { return File{Path: filepath.Join(root, "bin"), Before: []byte("x")} },
	} {
		sys, files := machine(t)
		before := listing(t, sys.Root)
		err := Begin(sys).Apply(t.Context(), append(files[:2:2], third(sys.Root)))
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want %q: %v", what, err)
		}
		wantListing(t, what, sys.Root, before)
	}
}

// What happens to ctx between two files undoes the first.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	sys, files := machine(t)
	before := listing(t, sys.Root)
	for n := range len(files) - 1 {
		err := Begin(sys).Apply(&ending{t.Context(), n}, files)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%d: %v", n, err)
		}
		wantListing(t, fmt.Sprint("interrupted after ", n), sys.Root, before)
	}
}

// ending is a context that ends once it has been asked n times.
type ending struct {
	context.Context
	n int
}

func (e *ending) Err() error {
	if e.n--; e.n < 0 {
		return context.Canceled
	}
	return nil
}

// A change that nobody has kept is undone by the next call, whatever belongs to it; one that was kept is not.
func TestNotKept(t *testing.T) {
	t.Parallel()
	sys, files := machine(t)
	before := listing(t, sys.Root)
	c := Begin(sys)
	main := filepath.Join(sys.Root, "etc/engine/main")
	again := File{Path: main, Before: []byte("after"), After: []byte("after all")}
	failing := File{Path: filepath.Join(sys.Root, "bin"), Before: []byte("x")}
	if err := errors.Join(c.Apply(t.Context(), files), c.Advise("restart it"), c.Apply(t.Context(), []File{again})); err != nil {
		t.Fatal(err)
	}
	after := listing(t, sys.Root)
	if err := c.Apply(t.Context(), []File{{Path: filepath.Join(sys.Root, "bin/other"), After: []byte("x"), Mode: 0o644}, failing}); err == nil {
		t.Error("a directory is a file")
	}
	wantListing(t, "a later part failed", sys.Root, after)
	note, err := Recover(sys)
	if err != nil || !strings.HasSuffix(note, "and it was undone; restart it") {
		t.Errorf("%q, %v", note, err)
	}
	wantListing(t, "not kept", sys.Root, before)

	c = Begin(sys)
	if err := errors.Join(c.Apply(t.Context(), files), c.Apply(t.Context(), []File{again}), c.Undo()); err != nil {
		t.Fatal(err)
	}
	wantListing(t, "undone", sys.Root, before)
	if err := errors.Join(c.Apply(t.Context(), files), c.Apply(t.Context(), []File{again}), c.Keep(), c.Undo()); err != nil {
		t.Fatal(err)
	}
	kept := listing(t, sys.Root)
	if note, err := Recover(sys); err != nil || note != "" {
		t.Errorf("kept: %q, %v", note, err)
	}
	wantListing(t, "kept", sys.Root, kept)
}

// An engine may read each file of a directory, whatever its name: while files of it change, no other name is seen there.
func TestNothingBeside(t *testing.T) {
	t.Parallel()
	sys, files := machine(t)
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, dir := range []string{"etc/engine/conf.d", "bin", "etc/real"} {
		if _, err := unix.InotifyAddWatch(fd, filepath.Join(sys.Root, dir), unix.IN_CREATE|unix.IN_MOVED_TO); err != nil {
			t.Fatal(err)
		}
	}
	done := Begin(sys)
	if err := done.Apply(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	if err := done.Undo(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	n, err := unix.Read(fd, b)
	if err != nil {
		t.Fatal(err)
	}
	if seen := string(b[:n]); strings.Contains(seen, "hookctl") || !strings.Contains(seen, "linked") || !strings.Contains(seen, "fifo") {
		t.Errorf("seen: %q", seen)
	}
}

// A call is killed at any moment: the next one finds all of its changes or, once it has undone what was half done, none.
func TestKilled(t *testing.T) {
	t.Parallel()
	sys, _ := machine(t)
	there, back := thereAndBack(sys.Root)
	before := listing(t, sys.Root)
	if err := Make(t.Context(), sys, there); err != nil {
		t.Fatal(err)
	}
	after := listing(t, sys.Root)
	if err := Make(t.Context(), sys, back); err != nil {
		t.Fatal(err)
	}
	outcomes := map[bool]int{}
	for range 100 {
		child := exec.Command(os.Args[0])
		child.Env = []string{role + "=" + sys.Root}
		stdout, err := child.StdoutPipe()
		if err == nil {
			err = child.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _ = stdout.Read(make([]byte, 1)) // it begins
		time.Sleep(rand.N(8 * time.Millisecond))
		_ = child.Process.Kill()
		if err := child.Wait(); err == nil || child.ProcessState.ExitCode() >= 0 {
			t.Fatalf("the child was not killed: %v", err)
		}
		if _, err := Recover(sys); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(sys.State) // as the lock's release does, if it is empty
		got := listing(t, sys.Root)
		isAfter := cmp.Equal(got, after)
		if outcomes[isAfter]++; !isAfter {
			wantListing(t, "killed", sys.Root, before)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d times as before, %d times as after", outcomes[false], outcomes[true])
}

// role names the variable by which this program is the child that TestKilled kills: its value is the machine's root.
const role = "CHANGE_TEST_ROOT"

func TestMain(m *testing.M) {
	root := os.Getenv(role)
	if root == "" {
		os.Exit(m.Run())
	}
	sys := system.System{Root: root, State: filepath.Join(root, "state")}
	there, back := thereAndBack(root)
	fmt.Println("begun")
	for {
		for _, files := range [][]File{there, back} {
			if err := Make(context.Background(), sys, files); err != nil && !strings.Contains(err.Error(), "changed in between") { // as the last one left it
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}
}

// thereAndBack returns changes of a machine, and those that take them back.
func thereAndBack(root string) (there, back []File) {
	at := func(path string) string { return filepath.Join(root, path) }
	there = []File{
		{Path: at("state/engine/record"), After: []byte("{}"), Mode: 0o600},
		{Path: at("new/deep/file"), After: []byte("after"), Mode: 0o644},
		{Path: at("etc/engine/conf.d/new"), After: []byte("after"), Mode: 0o644},
		{Path: at("etc/engine/linked"), Before: []byte("before"), After: []byte("after")},
		Link(at("bin/link"), "elsewhere", "program"),
		Link(at("bin/new"), "", "program"),
	}
	for _, f := range slices.Backward(there) {
		f.Before, f.After = f.After, f.Before
		back = append(back, f)
	}
	return there, back
}
