package launch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// program writes a file with the given name and mode into a new directory, and returns its path.
func program(t *testing.T, name string, mode os.FileMode) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, nil, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// itself creates a link to this program, here the test binary, in a new directory, and returns its path.
func itself(t *testing.T, name string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.Symlink("/proc/self/exe", path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindName(t *testing.T) {
	const name = "oci-add-hooks-test-runtime" // it is in none of the system's directories
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
		{"a file that is not executable is skipped", []string{plain, second}, second},
		{"a directory is skipped", []string{directory, second}, second},
		{"this program is skipped", []string{self, second}, second},
		{"a link is not resolved", []string{link}, link},
		{"relative directories are skipped", []string{"./x", "x", first}, first},
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
		"/nowhere/at/all":            "nothing exists at this path (ENOENT)",
		program(t, "r", 0o755) + "/": "a part of the path is a file (ENOTDIR)",
	} {
		if _, err := Find(path); err == nil || err.Error() != "the runtime "+path+" cannot be used: "+want+"; name another by --runtime-path or in the hook file" {
			t.Errorf("%s: %v; want %s", path, err, want)
		}
	}
}

// TestExecFails: Exec reports in the program's own words that the kernel does not start a runtime. The command's tests
// show that it starts one.
func TestExecFails(t *testing.T) {
	path := program(t, "r", 0o755)
	if err := Exec(path, nil); err == nil || err.Error() != "the runtime "+path+" cannot be started: this kernel cannot execute its format (ENOEXEC); install one for this machine; a script begins with #! and its interpreter" {
		t.Errorf("%v", err)
	}
}
