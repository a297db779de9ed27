package hooks

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// hooksDir creates a hooks directory with files of the given names and texts. PROGRAM in a text stands for an existing
// program.
func hooksDir(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "PROGRAM", os.Args[0])), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// always returns a file whose hook is added to every container. arg identifies the hook.
func always(arg string) string {
	return fmt.Sprintf(`{"version": "1.0.0", "hook": {"path": "PROGRAM", "args": ["a", %q]}, "when": {"always": true}, "stages": ["poststop"]}`, arg)
}

// decide returns a line for each decision: file, whether it is added, reason.
func decide(t *testing.T, c Container, dirs ...string) ([]string, error) {
	t.Helper()
	d, err := ReadDirectories(dirs)
	if err != nil {
		return nil, err
	}
	decisions, err := d.Decide(c)
	var lines []string
	for _, n := range decisions {
		if n.Added != (n.JSON != nil) {
			t.Errorf("%s: added %t, hook %s", n.File, n.Added, n.JSON)
		}
		verb := "no "
		if n.Added {
			verb = "yes"
		}
		lines = append(lines, fmt.Sprintf("%s %s: %s", verb, n.File, n.Reason))
	}
	return lines, err
}

func expectLines(t *testing.T, got []string, err error, want ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func TestOrderAndMasks(t *testing.T) {
	root := t.TempDir()
	low := hooksDir(t, root+"/low", map[string]string{"20-b.json": always("1"), "10-a.json": always("2"), "B.json": always("3"),
		"Z.json": always("4"), "c.json": always("5"), "d.json": always("11"), "D.json": always("12"), "README": "x", "xjson": "x", "x.json.bak": "x", "y.JSON": "x", ".json": always("6")})
	high := hooksDir(t, root+"/high", map[string]string{"D.json": always("13"), "20-b.json": strings.ReplaceAll(always("7"), "true", "false"), "é.json": always("8"), "É.json": always("9")})
	missing := hooksDir(t, root+"/top", map[string]string{"Z.json": strings.ReplaceAll(strings.ReplaceAll(always("10"), "PROGRAM", "/no/such"), "always", "hasBindMounts")})
	if err := os.Symlink("nowhere", high+"/c.json"); err != nil {
		t.Fatal(err)
	}
	// If a directory is named twice, its last place counts.
	got, err := decide(t, Container{}, missing, DefaultDir, low, high+"/", missing, OverrideDir+"-none/../hooks.d-none/../hooks.d/")
	if len(got) > 15 {
		t.Skip("needs a machine without hooks in " + DefaultDir + " and " + OverrideDir)
	}
	expectLines(t, got, err,
		"yes "+low+"/.json: always",
		"yes "+low+"/10-a.json: always",
		"no  "+low+"/20-b.json: masked by "+high+"/20-b.json",
		"no  "+high+"/20-b.json: always is false, which holds for no container",
		"yes "+low+"/B.json: always",
		"yes "+low+"/c.json: always", // a dangling link masks nothing
		"no  "+high+"/c.json: the name leads to no file",
		"no  "+low+"/D.json: masked by "+high+"/D.json", // d.json is a different name
		"yes "+high+"/D.json: always",
		"yes "+low+"/d.json: always",
		"no  "+low+"/Z.json: masked by "+missing+"/Z.json", // even though its program is missing
		"no  "+missing+"/Z.json: no bind mounts",
		"yes "+high+"/É.json: always", // names that differ only in case are sorted by bytes
		"yes "+high+"/é.json: always",
	)
}

// A decision holds the hook and its stages.
func TestDecision(t *testing.T) {
	dir := hooksDir(t, t.TempDir(), map[string]string{
		"a.json": strings.ReplaceAll(always("x"), `"poststop"`, `"prestart", "poststop"`),
		"b.json": strings.ReplaceAll(always("x"), `"poststop"`, ``),
	})
	d, err := ReadDirectories([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Decide(Container{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := got[0], got[1]
	if a.File != dir+"/a.json" || a.Path != os.Args[0] || stageList(a.Stages) != "createRuntime poststop" || !a.Added ||
		string(a.JSON) != fmt.Sprintf(`{"path":"%s","args":["a", "x"]}`, os.Args[0]) {
		t.Errorf("%+v, JSON %s", a, a.JSON)
	}
	if b.Added || b.JSON != nil || b.Reason.String() != "no stage is given" {
		t.Errorf("%+v", b)
	}
}

func TestSandbox(t *testing.T) {
	root := t.TempDir()
	low := hooksDir(t, root+"/low", map[string]string{"a.json": always("1"), "b.json": always("2")})
	high := hooksDir(t, root+"/high", map[string]string{"a.json": strings.ReplaceAll(always("3"), "PROGRAM", "/no/such")})
	for mark, id := range map[string]string{"io.kubernetes.cri.container-type": "io.kubernetes.cri.sandbox-id",
		"io.kubernetes.cri-o.ContainerType": "io.kubernetes.cri-o.SandboxID"} {
		got, err := decide(t, Container{ID: "c", Annotations: map[string]string{mark: "sandbox", id: "c"}}, low, high)
		expectLines(t, got, err, "no  "+low+"/a.json: masked by "+high+"/a.json", "no  "+high+"/a.json: sandbox", "no  "+low+"/b.json: sandbox")
		got, err = decide(t, Container{Annotations: map[string]string{mark: "container"}}, low)
		expectLines(t, got, err, "yes "+low+"/a.json: always", "yes "+low+"/b.json: always")
	}
}

// TestMarks tests rule 22: which annotations mark a sandbox.
func TestMarks(t *testing.T) {
	const kind, id, crioKind, crioID = "io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id",
		"io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID"
	for _, tt := range []struct {
		annotations map[string]string
		want        bool
	}{
		{map[string]string{kind: "sandbox", id: "c"}, true},
		{map[string]string{crioKind: "sandbox", crioID: "c"}, true},
		{map[string]string{kind: "sandbox", id: "c", crioKind: "sandbox", crioID: "c"}, true},
		{nil, false},
		{map[string]string{kind: "sandbox"}, false},
		{map[string]string{crioKind: "sandbox"}, false},
		{map[string]string{kind: "sandbox", crioKind: "sandbox"}, false},
		{map[string]string{kind: "sandbox", id: ""}, false},
		{map[string]string{kind: "sandbox", id: "other"}, false},
		{map[string]string{kind: "sandbox", crioID: "c"}, false}, // the id of the other engine
		{map[string]string{id: "c"}, false},
		{map[string]string{kind: "Sandbox", id: "c"}, false},
		{map[string]string{kind: "container", id: "c"}, false},
		{map[string]string{kind: "container", id: "c", crioKind: "sandbox", crioID: "c"}, false},
		{map[string]string{kind: "sandbox", id: "c", crioKind: "container", crioID: "c"}, false},
		{map[string]string{kind: "sandbox", id: "c", crioKind: "container"}, false},
		{map[string]string{kind: "sandbox", id: "c", crioKind: "sandbox", crioID: "other"}, false},
	} {
		if got := (Container{ID: "c", Annotations: tt.annotations}).IsSandbox(); got != tt.want {
			t.Errorf("%v: %t", tt.annotations, got)
		}
	}
	if (Container{Annotations: map[string]string{kind: "sandbox", id: ""}}).IsSandbox() {
		t.Error("a container without an id is a sandbox")
	}
}

// TestRefusedWhenAdded: these are errors only if the hook must be added.
func TestRefusedWhenAdded(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"missing program", `{"version": "1.0.0", "hook": {"path": "/no/such"}, "when": {"hasBindMounts": true}, "stages": ["poststop", "startContainer"]}`,
			`:1:39: the hook's program /no/such cannot be found: nothing exists at this path (ENOENT) (/hook/path); install it, or correct the path`},
		{"missing program of 0.1.0", `{"hook": "/no/such", "hasbindmounts": true, "stages": ["prestart"]}`,
			`:1:10: the hook's program /no/such cannot be found: nothing exists at this path (ENOENT) (/hook); install it, or correct the path`},
		{"program below a file", `{"hook": "PROGRAM/x", "hasbindmounts": true, "stages": ["prestart"]}`,
			`:1:10: the hook's program PROGRAM/x cannot be found: a part of the path is a file (ENOTDIR) (/hook); install it, or correct the path`},
		{"relative path", `{"version": "1.0.0", "hook": {"path": "bin/x"}, "when": {"hasBindMounts": true}, "stages": ["poststop"]}`,
			`:1:39: the hook's path "bin/x" is not absolute (/hook/path); give its whole path`},
		{"relative path at startContainer", `{"version": "1.0.0", "hook": {"path": "bin/x"}, "when": {"hasBindMounts": true}, "stages": ["startContainer"]}`,
			`:1:39: the hook's path "bin/x" is not absolute (/hook/path); give its whole path`},
		{"timeout 0", `{"version": "1.0.0", "hook": {"path": "PROGRAM", "timeout": 0}, "when": {"hasBindMounts": true}, "stages": ["poststop"]}`,
			`the timeout is not an integer of at least 1 (/hook/timeout); give seconds in digits alone, 2147483647 at most`},
		{"Podman's own stage", `{"version": "1.0.0", "hook": {"path": "PROGRAM"}, "when": {"hasBindMounts": true}, "stages": ["poststop", "precreate"]}`,
			`stage "precreate" is Podman's own: Podman runs the hook before it calls the runtime, and takes config.json from the hook's output; ` +
				`no runtime has this stage (/stages/1); keep the hook where Podman alone reads it`},
		{"Podman's own stage alone", `{"hook": "PROGRAM", "hasbindmounts": true, "stage": ["precreate"]}`,
			`no runtime has this stage (/stage/0); keep the hook where Podman alone reads it`},
		{"negative timeout", `{"version": "1.0.0", "hook": {"path": "PROGRAM", "timeout": -5}, "when": {"hasBindMounts": true}, "stages": ["poststop"]}`,
			`the timeout is not an integer of at least 1 (/hook/timeout); give seconds in digits alone, 2147483647 at most`},
		{"no command", `{"version": "1.0.0", "hook": {"path": "PROGRAM"}, "when": {"hasBindMounts": true, "commands": ["x"]}, "stages": ["poststop"]}`,
			`the container's command is asked for, and process.args in its config.json is empty (/when/commands); give the container a command, or ask for something else`},
		{"no command, 0.1.0", `{"hook": "PROGRAM", "annotations": [], "cmd": ["x"], "stages": ["poststop"]}`,
			`the container's command is asked for, and process.args in its config.json is empty (/cmd); give the container a command, or ask for something else`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := hooksDir(t, t.TempDir(), map[string]string{"a.json": tt.file})
			want := strings.ReplaceAll(tt.want, "PROGRAM", os.Args[0])
			_, err := decide(t, Container{HasProcess: true, BindMounts: []string{"/x"}}, dir)
			if err == nil || !strings.HasPrefix(err.Error(), dir+"/a.json:1:") || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("error %v\nwant %s", err, want)
			}
			got, err := decide(t, Container{Annotations: map[string]string{}}, dir) // no process: nothing matches
			if err != nil || !strings.HasPrefix(got[0], "no ") {
				t.Errorf("where the conditions don't match: %q, %v", got, err)
			}
		})
	}
}

// The path of a hook that runs only at startContainer is a path in the container.
func TestStartContainerProgram(t *testing.T) {
	dir := hooksDir(t, t.TempDir(), map[string]string{"a.json": `{"version": "1.0.0", "hook": {"path": "/no/such"}, "when": {"always": true}, "stages": ["startContainer"]}`})
	got, err := decide(t, Container{}, dir)
	expectLines(t, got, err, "yes "+dir+"/a.json: always")
}

func TestWritableByAnyone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: such a file is refused to root only")
	}
	dir := hooksDir(t, t.TempDir(), map[string]string{"a.json": strings.ReplaceAll(always("x"), "always", "hasBindMounts")})
	if err := os.Chmod(dir+"/a.json", 0o646); err != nil {
		t.Fatal(err)
	}
	if _, err := decide(t, Container{}, dir); err != nil {
		t.Errorf("where the conditions don't match: %v", err)
	}
	_, err := decide(t, Container{BindMounts: []string{"/x"}}, dir)
	if err == nil || !strings.HasPrefix(err.Error(), dir+"/a.json: anyone may write to it") {
		t.Errorf("error %v", err)
	}
}

// TestReadDirectoriesErrors: these are errors for every container.
func TestReadDirectoriesErrors(t *testing.T) {
	root := t.TempDir()
	good := hooksDir(t, root+"/good", map[string]string{"a.json": always("x"), "b.json": always("x")})
	bad := hooksDir(t, root+"/bad", map[string]string{"a.json": "{\n  x", "0.json": strings.ReplaceAll(always("x"), "PROGRAM", "/no/such")})
	directory := hooksDir(t, root+"/directory", nil)
	hooksDir(t, directory+"/a.json", nil)
	for _, tt := range []struct {
		dirs []string
		want string
	}{
		{[]string{good, root + "/none"}, root + "/none: the hooks directory cannot be read: nothing exists at this path (ENOENT); create it, or remove it from hooksDirs and --hooks-dir"},
		{[]string{good + "/a.json"}, good + "/a.json: the hooks directory cannot be read: a part of the path is a file (ENOTDIR); create it, or remove it from hooksDirs and --hooks-dir"},
		{[]string{bad, good}, bad + "/a.json:2:3: not valid JSON: "}, // an error, although it is masked
		{[]string{good, bad}, bad + "/a.json:2:3: not valid JSON: "},
		{[]string{directory}, directory + "/a.json: is not a regular file"},
	} {
		_, err := ReadDirectories(tt.dirs)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q: error %v\nwant %s", tt.dirs, err, tt.want)
		}
	}
	if d, err := ReadDirectories(nil); err != nil {
		t.Errorf("no directories: %v, %v", d, err)
	}
}

// TestDirectoryRefused: for root, a world-writable directory is an error, with any content. A file that is not a
// directory is an error without waiting, even if it is a FIFO.
func TestDirectoryRefused(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadDirectories([]string{fifo}); err == nil || err.Error() != fifo+": the hooks directory cannot be read: "+
		"a part of the path is a file (ENOTDIR); create it, or remove it from hooksDirs and --hooks-dir" {
		t.Errorf("a FIFO: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: others may write their own directories as they like")
	}
	for mode, want := range map[os.FileMode]bool{0o755: false, 0o775: false, 0o757: true, 0o777 | os.ModeSticky: true} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadDirectories([]string{dir}); (err != nil) != want || want && !strings.HasSuffix(err.Error(), "chmod o-w "+dir) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}
