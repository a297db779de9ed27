package program

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// TestUses: anything that leads to a link uses it, and anything that calls the program by the profile's name uses the
// profile. What leads to the same program through another link uses neither.
func TestUses(t *testing.T) {
	root := t.TempDir()
	sys := system.System{Profiles: filepath.Join(root, "profiles")}
	t.Setenv("PATH", filepath.Join(root, "bin"))
	for _, dir := range []string{"bin", "opt", "sbin", "profiles", "copy"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"bin/oci-add-hooks", "copy/oci-add-hooks", "sbin/runc", "profiles/gpu.json"} {
		if err := os.WriteFile(filepath.Join(root, path), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"bin/gpu":       "oci-add-hooks",
		"bin/other":     "oci-add-hooks",
		"bin/runc":      "oci-add-hooks", // hides another one
		"usr":           "bin",
		"opt/chain":     "../usr/gpu",
		"opt/long":      filepath.Join(root, "opt/chain"),
		"opt/gpu":       "../bin/oci-add-hooks",
		"copy/gpu":      "oci-add-hooks",
		"sbin/gpu":      "runc",
		"opt/to-gone":   "../bin/gone",
		"opt/broken":    "nowhere",
		"opt/loop":      "loop",
		"opt/otherwise": "../bin/other",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	links := map[string]string{"g": "bin/gpu", "u": "usr/gpu", "o": "bin/other", "r": "bin/runc", "x": "bin/gone", "p": "bin/oci-add-hooks"}
	for word, want := range map[string]string{ // a letter for each link that the word uses
		"bin/gpu":            "gu",
		"usr/gpu":            "gu",
		"bin/../bin/gpu":     "gu",
		"opt/chain":          "gu",
		"opt/long":           "gu",
		"opt/gpu":            "gu", // reads the same profile
		"copy/gpu":           "gu", // another copy of the program does too
		"sbin/gpu":           "",
		"profiles/gpu.json":  "gu",
		"bin/other":          "o",
		"opt/otherwise":      "o",
		"bin/runc":           "r",
		"sbin/runc":          "",
		"bin/gone":           "x",
		"usr/gone":           "x",
		"opt/to-gone":        "x",
		"bin/oci-add-hooks":  "p",
		"copy/oci-add-hooks": "p",
		"opt/broken":         "",
		"opt/loop":           "",
		"nowhere/gpu":        "",
	} {
		wantUses(t, sys, root, filepath.Join(root, word), links, want)
	}
	for word, want := range map[string]string{"gpu": "gu", "./gpu": "gu", "runc": "r", "oci-add-hooks": "p", "gpux": "", "": ""} {
		wantUses(t, sys, root, word, links, want)
	}

	program := filepath.Join(root, "bin/oci-add-hooks")
	for word, want := range map[string]bool{"bin/gpu": true, "opt/long": true, "opt/gpu": true, "usr/oci-add-hooks": true, "bin/oci-add-hooks": true,
		"sbin/runc": false, "sbin/gpu": false, "copy/gpu": false, "opt/broken": false, "profiles/gpu.json": false} {
		if got := Calls(program)(filepath.Join(root, word)); got != want {
			t.Errorf("%s calls the program: %v", word, got)
		}
	}
	for word, want := range map[string]bool{"gpu": true, "oci-add-hooks": true, "runc": true, "crun": false} {
		if got := Calls(program)(word); got != want {
			t.Errorf("%s calls the program: %v", word, got)
		}
	}
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if !Calls(program)(filepath.Join(root, "bin/gpu")) {
		t.Error("a removed link to the program is not known")
	}
}

func wantUses(t *testing.T, sys system.System, root, word string, links map[string]string, want string) {
	t.Helper()
	got := ""
	for _, letter := range []string{"g", "u", "o", "r", "x", "p"} {
		if Uses(sys, []string{filepath.Join(root, links[letter])})(word) {
			got += letter
		}
	}
	if got != want {
		t.Errorf("%s uses %q, want %q", word, got, want)
	}
}

// TestIs: another copy of the program is recognized by its build information, independent of its name.
func TestIs(t *testing.T) {
	dir := t.TempDir()
	copied := filepath.Join(dir, "copy")
	if out, err := exec.Command("go", "build", "-o", copied, "../../../cmd/oci-add-hooks").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Symlink("copy", filepath.Join(dir, "gpu")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{copied: true, filepath.Join(dir, "gpu"): true, os.Args[0]: false, "/bin/sh": false, dir: false} {
		if Is(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
	testOthers(t, copied)
}

// testOthers tests that a profile's link is not used by a link of that name to another program called oci-add-hooks.
func testOthers(t *testing.T, this string) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexec runc \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{this: true, "/dev/null": true, script: false, "/bin/sh": false, os.Args[0]: false} {
		program, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "oci-add-hooks"), program, 0o755); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(dir, "gpu")
		if err := os.Symlink("oci-add-hooks", link); err != nil {
			t.Fatal(err)
		}
		if Uses(system.System{}, []string{"/usr/bin/gpu"})(link) != want {
			t.Errorf("a copy of %s called oci-add-hooks: %v", path, !want)
		}
	}
}
