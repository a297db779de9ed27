//go:build amd64 || arm64

package early

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/corpus"
	"github.com/awslabs/oci-add-hooks/internal/launch"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// decided returns what a call execs before Go starts: the runtime's path and arguments. It returns nil if the call is
// left to the ordinary code.
func decided(argv []string) []string {
	pointers := make([]unsafe.Pointer, len(argv)+1) // as the kernel leaves them
	for i, arg := range argv {
		pointers[i] = unsafe.Pointer(unsafe.StringData(arg + "\x00"))
	}
	c := new(call)
	if !c.decide(len(argv), unsafe.Pointer(&pointers[0])) {
		return nil
	}
	var became []string
	for i := 0; c.argv[i] != 0; i++ {
		became = append(became, strings.Clone(stringAt(unsafe.Pointer(&c.argv), i)))
	}
	runtime.KeepAlive(pointers)
	return became
}

// ordinary returns what the ordinary code execs for a call, as main does: the runtime's path and arguments. It returns
// nil if the call adds hooks, is for this program itself, or fails.
func ordinary(argv []string) []string {
	call, err := cmdline.Parse(argv)
	if err != nil || call.Kind != cmdline.PassThrough {
		return nil
	}
	uses, err := profile.Load(call)
	if err != nil {
		return nil
	}
	path, err := launch.Find(uses.Runtime)
	if err != nil {
		return nil
	}
	return append([]string{path}, call.Args...)
}

// taken reports whether a call is decided before Go starts. It fails the test if the ordinary code would exec anything
// else.
func taken(t *testing.T, argv []string) bool {
	t.Helper()
	got := decided(argv)
	if got == nil {
		return false
	}
	if want := ordinary(argv); !slices.Equal(got, want) {
		t.Errorf("%q execs %q; the ordinary code execs %q", argv, got, want)
	}
	return true
}

// profiles creates a directory with the given files and makes it the directory of the profiles. It returns its path.
func profiles(t testing.TB, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was := profile.Dir
	profile.Dir = dir
	t.Cleanup(func() { profile.Dir = was })
	return dir
}

// files are the profiles of these tests. p.json is laid out as hookctl writes one.
var files = map[string]string{
	"p.json":             "{\n\t\"runtime\": \"/bin/sh\",\n\t\"hooks\": {}\n}\n",
	"name.json":          `{"runtime": "sh", "hooks": {}}`,
	"late.json":          `{"hooks": {}, "runtime": "/bin/sh"}`,
	"none.json":          `{"hooks": {}}`,
	"gone.json":          `{"runtime": "/no/such/runtime"}`,
	"broken.json":        `{"runtime": "/bin/sh", "hooks": [`,
	"oci-add-hooks.json": `{"runtime": "/bin/sh", "hooks": {}}`,
	".p.json":            `{"runtime": "/bin/sh", "hooks": {}}`,
	"-p.json":            `{"runtime": "/bin/sh", "hooks": {}}`,
	"p q.json":           `{"runtime": "/bin/sh", "hooks": {}}`,
}

// TestEnginesCalls: the calls that engines make do not start Go, in any way of configuring an engine.
func TestEnginesCalls(t *testing.T) {
	dir := profiles(t, files)
	calls := []string{
		// containerd's shim
		"--root /run/containerd/runc/k8s.io --log /run/b/log.json --log-format json --systemd-cgroup state ID",
		"--root /run/containerd/runc/k8s.io --log /run/b/log.json --log-format json start ID",
		"--root /run/containerd/runc/k8s.io --log /run/b/log.json --log-format json kill --all ID 9",
		"--root /run/containerd/runc/k8s.io --log /run/b/log.json --log-format json delete --force ID",
		"--root /run/containerd/runc/k8s.io --log /run/b/log.json --log-format json exec --process /tmp/p --console-socket /tmp/s --detach --pid-file /b/x.pid ID",
		"--root /run/containerd/runc/k8s.io --log /run/b/log.json --log-format json ps --format json ID",
		"--root /run/containerd/runc/k8s.io pause ID",
		"--root /run/containerd/runc/k8s.io update --resources - ID",
		// Docker, CRI-O, containerd at their start
		"features",
		"--root=/run/runc list --format=json",
		// Podman, conmon
		"--systemd-cgroup start ID",
		"--log-format=json --log /l kill ID 15",
		"--root=/run/runc --systemd-cgroup exec --process /p --pid-file /f --detach ID",
		// people
		"spec", "help", "-v", "--root /r --version", "unknown", "kill -- ID",
	}
	ways := map[string][]string{
		"a link":                         {"/usr/local/bin/p"},
		"a link to a name":               {"name"},
		"a broken file":                  {"broken"},
		"the own name":                   {"/usr/local/bin/oci-add-hooks"},
		"awslabs' options":               {"oci-add-hooks", "--hook-config-path", "/no/file", "--runtime-path", "sh"},
		"awslabs' options with a path":   {"oci-add-hooks", "--hook-config-path", "/no/file", "--runtime-path", "/bin/sh"},
		"joined options":                 {"oci-add-hooks", "--runtime-path=sh", "--hook-config-path=/no/file"},
		"the last runtime wins":          {"oci-add-hooks", "--runtime-path=/no/such", "--runtime-path", "sh"},
		"the runtime of a hook file":     {"oci-add-hooks", "--hook-config-path", dir + "/p.json"},
		"the first of several":           {"oci-add-hooks", "--hook-config-path", dir + "/p.json", "--hook-config-path", dir + "/name.json"},
		"a hook file and a directory":    {"oci-add-hooks", "--hooks-dir", "/d", "--hook-config-path", dir + "/p.json"},
		"a directory and a runtime":      {"p", "--hooks-dir", "/d", "--runtime-path", "sh"},
		"no name but a runtime":          {"", "--runtime-path", "sh"},
		"a runtime that begins with one": {"p", "--runtime-path=/bin//sh"},
	}
	for what, way := range ways {
		for _, line := range calls {
			if argv := slices.Concat(way, strings.Fields(line)); !taken(t, argv) {
				t.Errorf("by %s: %q is left to the ordinary code", what, argv)
			}
		}
	}
}

// TestLeft: the calls that are left to the ordinary code.
func TestLeft(t *testing.T) {
	dir := profiles(t, files)
	t.Chdir("/") // so that bin/sh is a file
	long := strings.Repeat("x", 600)
	for _, argv := range [][]string{
		{}, {""}, {"p"}, {"p", "--version"}, {"oci-add-hooks", "--help"},
		// calls that add hooks, or might
		{"p", "create", "ID"}, {"p", "--root", "/r", "run", "-b", "/b", "ID"}, {"p", "restore", "ID"},
		{"p", "state", "create"}, {"p", "--root", "run", "state", "ID"}, {"p", "--runtime-path", "restore", "state", "ID"},
		{"p", "exec", "ID", "create"},
		// own options with a fault, or in an ambiguous place
		{"p", "--runtime-path"}, {"p", "--runtime-path", "", "state"}, {"p", "--runtime-path=", "state"},
		{"p", "--runtime-path", "--root", "state"}, {"p", "--hook-config-path", "-", "--runtime-path", "sh", "state"},
		{"p", "--hooks-dir=", "--runtime-path", "sh", "state"}, {"p", "--hook-config-path", "", "--runtime-path", "sh", "state"},
		{"p", "--hook-config-path", "/f", "--hooks-dir"},
		{"p", "--root", "/r", "--runtime-path", "sh", "state"}, {"p", "--log", "--runtime-path=sh", "state"},
		{"p", "state", "--runtime-path", "sh"}, {"p", "exec", "ID", "--hook-config-path"}, {"p", "--hookless", "state"},
		{"p", "--runtime-paths", "sh", "state"}, {"p", "--runtime-path", "sh", "--log-path", "/l", "state"},
		// the runtime
		{"p", "--runtime-path", "./sh", "state"}, {"p", "--runtime-path", "bin/sh", "state"},
		{"p", "--runtime-path", "no-such-runtime", "state"}, {"p", "--runtime-path", "/no/such/runtime", "state"},
		{"p", "--runtime-path", "/etc/passwd", "state"}, {"p", "--runtime-path", "/bin", "state"},
		{"p", "--runtime-path", "/dev/null", "state"}, {"p", "--runtime-path", "/proc/self/exe", "state"},
		{"p", "--runtime-path", "/bin/sh/", "state"}, {"p", "--runtime-path", "..", "state"}, {"p", "--runtime-path", long, "state"},
		{"p", "--runtime-path", "/" + strings.Repeat("x", 5000), "state"},
		// the hook file
		{"", "state"}, {"/", "state"}, {"..", "state"}, {"p/", "state"}, {".p", "state"}, {"p q", "state"},
		{"-p", "state"}, {"missing", "state"}, {"late", "state"}, {"none", "state"}, {"gone", "state"}, {long, "state"},
		{"p", "--hooks-dir", "/d", "state"}, {"p", "--hook-config-path", "/no/file", "state"},
		{"p", "--hook-config-path", dir, "state"}, {"p", "--hook-config-path", dir + "/none.json", "--hook-config-path", dir + "/p.json", "state"},
	} {
		if taken(t, argv) {
			t.Errorf("%.200q is not left to the ordinary code", argv)
		}
	}
	for count, want := range map[int]bool{maxArgs: true, maxArgs + 1: false} {
		argv := slices.Concat([]string{"p", "state"}, slices.Repeat([]string{"x"}, count-2))
		if got := taken(t, argv); got != want {
			t.Errorf("with %d arguments: taken is %v", count, got)
		}
	}
}

// TestHookFiles: which hook files can be read before Go starts.
func TestHookFiles(t *testing.T) {
	dir := profiles(t, nil)
	const text = `{"runtime": "/bin/sh"}`
	spaces := func(count int) string { return strings.Repeat(" ", count) }
	for text, want := range map[string]bool{
		`{"runtime": "/bin/sh"}`:                                 true,
		`{"runtime":"sh"}`:                                       true,
		" \t\r\n{ \t\r\n\"runtime\" \n:\t\"sh\" , \"x\":":        true,
		`{"runtime": "/bin/sh"`:                                  true,
		`{"runtime": "/bin/sh" and so on`:                        true,
		`{"runtime": "/bin/sh", "runtime": "/bin/true"}`:         true,
		spaces(4096-len(text)+1) + text:                          true, // the quotation mark is the last byte in the buffer
		spaces(4096-len(text)+2) + text:                          false,
		spaces(4096) + text:                                      false,
		``:                                                       false,
		`{}`:                                                     false,
		`{"runtime": "/bin/sh`:                                   false,
		`{"runtime": ""}`:                                        false,
		`{"runtime": null}`:                                      false,
		`{"runtime": ["/bin/sh"]}`:                               false,
		`{"runtime": "bin/sh"}`:                                  false,
		`{"runtime": "./sh"}`:                                    false,
		`{"runtime": "/bin\/sh"}`:                                false,
		`{"runtime": "/bin/s\u0068"}`:                            false,
		"{\"runtime\": \"/bin/\xff\"}":                           false,
		"{\"runtime\": \"/bin/sh\x00\"}":                         false,
		"{\"runtime\": \"/bin/\tsh\"}":                           false,
		`{"Runtime": "/bin/sh"}`:                                 false,
		`{"runtimes": "/bin/sh"}`:                                false,
		`{"r\u0075ntime": "/bin/sh"}`:                            false,
		`{"runtime" "/bin/sh"}`:                                  false,
		`{"runtime": : "/bin/sh"}`:                               false,
		`{"hooks": {}, "runtime": "sh"}`:                         false,
		`["runtime", "/bin/sh"]`:                                 false,
		"\ufeff{\"runtime\": \"/bin/sh\"}":                       false,
		`{"runtime": "` + strings.Repeat("/", 5000) + `bin/sh"}`: false,
		`{"runtime": "` + strings.Repeat("/", 3000) + `bin/sh"}`: true,
	} {
		if err := os.WriteFile(filepath.Join(dir, "p.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := taken(t, []string{"p", "state", "ID"}); got != want {
			t.Errorf("%.100q: taken is %v", text, got)
		}
	}
	// The decoded value of these differs from their bytes, or they are invalid JSON.
	for _, odd := range []string{`\u0068`, `\n`, "\t", "\x7f", "\xff", "é"} {
		runtime := filepath.Join(dir, odd)
		if err := errors.Join(os.WriteFile(runtime, nil, 0o755), os.WriteFile(dir+"/p.json", []byte(`{"runtime": "`+runtime+`"}`), 0o644)); err != nil {
			t.Fatal(err)
		}
		if taken(t, []string{"p", "state", "ID"}) {
			t.Errorf("a path with %q is taken", odd)
		}
	}
}

// TestOddHookFiles: a hook file that is not a regular file, is world-writable, or is too large is left to the ordinary
// code. The test also shows that reading it does not block.
func TestOddHookFiles(t *testing.T) {
	const text = `{"runtime": "/bin/sh", "hooks": {}}`
	for what, make := range map[string]func(path string) error{
		"missing":     func(string) error { return nil },
		"a directory": func(path string) error { return os.Mkdir(path, 0o755) },
		"a FIFO":      func(path string) error { return unix.Mkfifo(path, 0o644) },
		"a FIFO that holds one": func(path string) error {
			if err := unix.Mkfifo(path, 0o644); err != nil {
				return err
			}
			fifo, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			t.Cleanup(func() { fifo.Close() })
			_, err = fifo.WriteString(text)
			return err
		},
		"a device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"anyone's": func(path string) error {
			return errors.Join(os.WriteFile(path, []byte(text), 0o644), os.Chmod(path, 0o646))
		},
		"too large": func(path string) error {
			return errors.Join(os.WriteFile(path, []byte(text), 0o644), os.Truncate(path, 64<<20+1))
		},
	} {
		dir := profiles(t, nil)
		if err := make(filepath.Join(dir, "p.json")); err != nil {
			t.Fatal(err)
		}
		if taken(t, []string{"p", "state", "ID"}) {
			t.Errorf("%s: it is taken", what)
		}
	}
	dir := profiles(t, map[string]string{"q.json": text})
	if err := errors.Join(os.Symlink("q.json", dir+"/p.json"), os.Truncate(dir+"/q.json", 64<<20)); err != nil {
		t.Fatal(err)
	}
	if !taken(t, []string{"p", "state", "ID"}) {
		t.Error("a link to a file of 64 MiB is left to the ordinary code")
	}
}

// TestFind: find looks a name up as launch does, and skips this program. If it finds something that cannot be executed,
// it leaves the call to launch.
func TestFind(t *testing.T) {
	const name = "oci-add-hooks-test-runtime" // it is in none of the system's directories
	directory := func(place func(path string) error) string {
		dir := t.TempDir()
		if err := place(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	program := func(path string) error { return os.WriteFile(path, nil, 0o755) }
	empty := t.TempDir()
	first, second := directory(program), directory(program)
	plain := directory(func(path string) error { return os.WriteFile(path, nil, 0o644) })
	subdirectory := directory(func(path string) error { return os.Mkdir(path, 0o755) })
	itself := directory(func(path string) error { return os.Symlink("/proc/self/exe", path) })
	link := directory(func(path string) error { return os.Symlink(first+"/"+name, path) })
	nowhere := directory(func(path string) error { return os.Symlink("nowhere", path) })
	loop := directory(func(path string) error { return os.Symlink(name, path) })
	for _, test := range []struct {
		directories []string
		want        string // "" if it is left to launch
	}{
		{[]string{first, second}, first},
		{[]string{empty, second, first}, second},
		{[]string{empty + "/none", nowhere, second}, second},
		{[]string{itself, second}, second},
		{[]string{link}, link},
		{[]string{plain, second}, ""},
		{[]string{subdirectory, second}, ""},
		{[]string{loop, second}, ""},
		{[]string{first + "/" + name, second}, ""},
		{[]string{"/" + strings.Repeat("x", 600), second}, ""},
		{[]string{itself}, ""},
		{[]string{empty}, ""},
	} {
		list := strings.Join(test.directories, ":")
		c := new(call)
		found := [1]uintptr{c.find(name, list)}
		if test.want == "" {
			if found[0] != 0 {
				t.Errorf("%s: the runtime is found", list)
			}
			continue
		}
		if found[0] == 0 {
			t.Errorf("%s: it is left to launch", list)
			continue
		}
		t.Setenv("PATH", list)
		want, err := launch.Find(name)
		if got := stringAt(unsafe.Pointer(&found), 0); got != want || err != nil || filepath.Dir(got) != test.want {
			t.Errorf("%s: found %s; launch finds %s, %v", list, got, want, err)
		}
		runtime.KeepAlive(c)
	}
}

// TestDirectories: whatever lies in the directories that are searched for a name, find leaves the call to launch, or
// finds what launch finds.
func TestDirectories(t *testing.T) {
	const name = "oci-add-hooks-test-runtime" // it is in none of the system's directories
	top := t.TempDir()
	if err := os.WriteFile(top+"/target", nil, 0o755); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]func(path string) error{
		"nothing": func(string) error { return nil },
		"program": func(path string) error { return os.WriteFile(path, nil, 0o755) },
		"plain":   func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"setuid": func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o755), os.Chmod(path, 0o755|os.ModeSetuid))
		},
		"subdirectory": func(path string) error { return os.Mkdir(path, 0o755) },
		"fifo":         func(path string) error { return unix.Mkfifo(path, 0o755) },
		"device":       func(path string) error { return os.Symlink("/dev/null", path) },
		"itself":       func(path string) error { return os.Symlink("/proc/self/exe", path) },
		"link":         func(path string) error { return os.Symlink("../target", path) },
		"nowhere":      func(path string) error { return os.Symlink("nowhere", path) },
		"loop":         func(path string) error { return os.Symlink(name, path) },
	}
	directories := []string{"", "relative", top + "/missing", top + "/target", top + "/" + strings.Repeat("x", 600)}
	for kind, place := range kinds {
		dir := filepath.Join(top, kind)
		if err := errors.Join(os.Mkdir(dir, 0o755), place(filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
		directories = append(directories, dir)
	}
	found := 0
	for _, first := range directories {
		for _, second := range directories {
			for _, third := range directories {
				list := first + ":" + second + ":" + third
				c := new(call)
				path := [1]uintptr{c.find(name, list)}
				if path[0] == 0 {
					continue
				}
				found++
				got := strings.Clone(stringAt(unsafe.Pointer(&path), 0))
				runtime.KeepAlive(c)
				t.Setenv("PATH", list)
				if want, err := launch.Find(name); got != want {
					t.Fatalf("%s: found %s; launch finds %s, %v", list, got, want, err)
				}
			}
		}
	}
	if found < 300 {
		t.Errorf("the runtime was found in only %d lists", found)
	}
}

// TestGainedRights tests gainedRights with auxiliary vectors.
func TestGainedRights(t *testing.T) {
	for _, test := range []struct {
		vector []uintptr
		want   bool
	}{
		{[]uintptr{6, 4096, 23, 0, 31, 77, 0, 0}, false},
		{[]uintptr{6, 4096, 23, 1, 31, 77, 0, 0}, true},
		{[]uintptr{6, 23, 0, 0, 23, 0}, true}, // no AT_SECURE before the end
		{[]uintptr{0, 0}, true},
	} {
		if got := gainedRights(unsafe.Pointer(&test.vector[0])); got != test.want {
			t.Errorf("%v: %v", test.vector, got)
		}
	}
}

// TestRandomCalls tests random calls, made of words that have a meaning on some command line.
func TestRandomCalls(t *testing.T) {
	dir := profiles(t, files)
	words := []string{"--root", "--root=/r", "/r", "--log", "--log-format", "json", "--debug", "--systemd-cgroup", "-", "--", "", "ID",
		"state", "kill", "exec", "start", "features", "create", "run", "restore", "-h", "--help", "--version", "--log-path", "--log-path=/l",
		"--strace-syscalls", "--criu", "--rootless", "=", "-x", "--hook", "--hooks-dirs", "--runtime-path-x"}
	own := []string{"--runtime-path", "--runtime-path=sh", "--runtime-path=/bin/sh", "--runtime-path=", "--runtime-path=-x", "--runtime-path=x/y",
		"--hook-config-path", "--hook-config-path=" + dir + "/p.json", "--hook-config-path=" + dir + "/late.json", "--hooks-dir", "--hooks-dir=/d",
		dir + "/p.json", dir + "/gone.json", "sh", "/bin/true", "true", "no-such-runtime"}
	names := []string{"p", "name", "late", "none", "gone", "broken", "oci-add-hooks", "missing", "", "/usr/bin/p", "a/", ".p"}
	random := rand.New(rand.NewPCG(12, 12))
	pick := func(from []string) string { return from[random.IntN(len(from))] }
	count := 0
	for range 30_000 {
		argv := []string{pick(names)}
		for range random.IntN(4) {
			argv = append(argv, pick(own))
		}
		for range random.IntN(5) {
			argv = append(argv, pick(words))
		}
		if random.IntN(5) == 0 {
			argv = append(argv, pick(own), pick(words))
		}
		if taken(t, argv) {
			count++
		}
		if t.Failed() {
			break
		}
	}
	if count < 1000 {
		t.Errorf("only %d calls were taken", count)
	}
}

// FuzzCalls: for any name and arguments, a call is left to the ordinary code, or execs what the ordinary code would exec.
func FuzzCalls(f *testing.F) {
	dir := profiles(f, files)
	// Each own option in each form and place, and each condition on the rest.
	for _, line := range []string{
		"p\nstate\nID", "/usr/local/bin/p\nkill\nID\n9", "name\nps\nID", "oci-add-hooks\nstate\nID", "late\nstate\nID", "none\nstate\nID",
		"gone\nstate", "broken\nstate", "missing\nstate", ".p\nstate", "-p\nstate", "p q\nstate", "a/\nstate", "\nstate", "\n--runtime-path\nsh\nstate", "p", "",
		"p\n--version", "p\n--help", "oci-add-hooks\n--version", "oci-add-hooks\n--help", "p\n--version\nstate",
		"p\n--runtime-path\nsh\nstate\nID", "p\n--runtime-path=/bin/sh\nstate", "p\n--runtime-path=\nstate", "p\n--runtime-path\n\nstate", "p\n--runtime-path",
		"p\n--runtime-path\n--root\nstate", "p\n--runtime-path=-x\nstate", "p\n--runtime-path=./sh\nstate", "p\n--runtime-path=no-such\nstate", "p\n--runtime-path=..\nstate",
		"p\n--runtime-path=no-such\n--runtime-path=sh\nstate", "p\n--runtime-path=/proc/self/exe\nstate", "p\n--runtime-path=/etc/passwd\nstate", "p\n--runtime-path=/bin\nstate",
		"missing\n--hook-config-path\n" + dir + "/p.json\n--root\n/r\nkill\nID", "missing\n--hook-config-path=" + dir + "/p.json\nstate",
		"p\n--hook-config-path=" + dir + "/none.json\n--hook-config-path=" + dir + "/p.json\nstate", "p\n--hook-config-path=" + dir + "\nstate", "p\n--hook-config-path=\nstate",
		"p\n--hooks-dir\n/d\nstate", "p\n--hooks-dir=/d\n--runtime-path=sh\nstate", "p\n--hooks-dir=/d\n--hook-config-path=" + dir + "/p.json\nstate", "p\n--hooks-dir=\nstate",
		"p\n--root\n/r\n--runtime-path\nsh\nstate", "p\n--log\n--runtime-path=sh\nstate", "p\nstate\n--runtime-path=sh", "p\n--runtime-paths\nsh\nstate", "p\n--log-path=/l\nstate",
		"p\n--root\ncreate\nstate", "p\nexec\nID\nrun", "p\n--runtime-path\nrestore\nstate", "p\ncreate\n--bundle\n/b\nID",
		"p" + strings.Repeat("\nstate", maxArgs-1), "p" + strings.Repeat("\nstate", maxArgs),
	} {
		f.Add(line)
	}
	corpus.AddCalls(f)
	f.Fuzz(func(t *testing.T, line string) {
		argv := strings.Split(strings.ReplaceAll(line, "\x00", ""), "\n")
		taken(t, argv)
		for _, name := range []string{"p", "oci-add-hooks"} {
			taken(t, append([]string{name}, argv...))
		}
	})
}

// FuzzHookFile: for any content of a hook file, a call is left to the ordinary code, or execs what that would exec.
func FuzzHookFile(f *testing.F) {
	dir := profiles(f, files)
	for _, text := range files {
		f.Add([]byte(text))
	}
	corpus.AddJSON(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, "p.json"), text, 0o644); err != nil {
			t.Fatal(err)
		}
		taken(t, []string{"p", "state", "ID"})
	})
}
