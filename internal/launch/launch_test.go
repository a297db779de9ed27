package launch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// program puts a program of that name into a directory of its own.
func program(t *testing.T, name string, mode os.FileMode) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, nil, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// itself puts a link to this program, which the test binary stands for, into a directory of its own.
func itself(t *testing.T, name string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.Symlink("/proc/self/exe", path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindName(t *testing.T) {
	const name = "oci-add-hooks-test-runtime" // none of the system's directories has it
	first, second := program(t, name, 0o755), program(t, name, 0o755)
	plain := program(t, name, 0o644)
	directory := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	self := itself(t, name)
	link := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(first, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(second))
	for _, test := range []struct {
		name string
		path []string
		want string
	}{
		{"the first of two", []string{first, second}, first},
		{"what may not be executed is passed over", []string{plain, second}, second},
		{"a directory is passed over", []string{directory, second}, second},
		{"this program is passed over", []string{self, second}, second},
		{"a link is not resolved", []string{link}, link},
		{"relative directories are passed over", []string{"./x", "x", first}, first},
	} {
		directories := []string{}
		for _, p := range test.path {
			directories = append(directories, filepath.Dir(p))
		}
		t.Setenv("PATH", strings.Join(directories, ":"))
		if got, err := Find(name); err != nil || got != test.want {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
	}
	for _, path := range []string{"", ".", ":", "relative"} {
		t.Setenv("PATH", path)
		if got, err := Find(name); err == nil || !strings.Contains(err.Error(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin nor in PATH; install it") {
			t.Errorf("PATH=%q: %q, %v", path, got, err)
		}
	}
	t.Setenv("PATH", filepath.Dir(self))
	if got, err := Find(name); err == nil || !strings.Contains(err.Error(), "nor in PATH, and the runtime "+self+" cannot be used: it is oci-add-hooks itself; install it") {
		t.Errorf("only this program has the name: %q, %v", got, err)
	}
	t.Setenv("PATH", filepath.Dir(plain))
	if got, err := Find(name); err == nil || !strings.Contains(err.Error(), "nor in PATH, and the runtime "+plain+" cannot be used: it may not be executed: access is refused (EACCES); install it") {
		t.Errorf("the only one may not be executed: %q, %v", got, err)
	}
	// The system's directories come before PATH, so that a call without PATH finds the same runtime.
	shadow := program(t, "sh", 0o755)
	t.Setenv("PATH", filepath.Dir(shadow))
	with, err := Find("sh")
	os.Unsetenv("PATH")
	if without, err2 := Find("sh"); err != nil || err2 != nil || with != without || with == shadow {
		t.Errorf("sh is %q with PATH, %q without; %v, %v", with, without, err, err2)
	}
}

func TestFindPath(t *testing.T) {
	good := program(t, "r", 0o755)
	if got, err := Find(good); err != nil || got != good {
		t.Errorf("%q, %v", got, err)
	}
	t.Chdir(filepath.Dir(good))
	if got, err := Find("./r"); err != nil || got != "./r" {
		t.Errorf("relative: %q, %v", got, err)
	}
	for path, want := range map[string]string{
		itself(t, "r"):               "it is oci-add-hooks itself",
		program(t, "r", 0o644):       "it may not be executed: access is refused (EACCES)",
		t.TempDir():                  "it is not a regular file",
		"/nowhere/at/all":            "there is nothing of that name (ENOENT)",
		program(t, "r", 0o755) + "/": "a part of the path is no directory (ENOTDIR)",
	} {
		if _, err := Find(path); err == nil || err.Error() != "the runtime "+path+" cannot be used: "+want+"; name another by --runtime-path or in the hook file" {
			t.Errorf("%s: %v; want %s", path, err, want)
		}
	}
}

// TestExecFails: a runtime that the kernel does not start is told in our words. That it starts is for the tests of the
// command.
func TestExecFails(t *testing.T) {
	path := program(t, "r", 0o755)
	if err := Exec(path, nil); err == nil || err.Error() != "the runtime "+path+" cannot be started: it is in no format that this kernel can execute (ENOEXEC); install one for this machine; a script begins with #! and its interpreter" {
		t.Errorf("%v", err)
	}
}
