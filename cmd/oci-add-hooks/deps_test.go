package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every package that is linked costs start-up time on every container operation, even if it is never called. So the
// list of those that may be is kept here; a new one is to be measured first (bench).
func TestPackagesLinked(t *testing.T) {
	t.Parallel()
	const module = "github.com/awslabs/oci-add-hooks/"
	allowed := regexp.MustCompile(`^(` + strings.Join([]string{
		module + `cmd/oci-add-hooks`,
		module + `internal/(early|cmdline|profile|hooks|bundle|inject|launch|report|jsonfile)`,
		`github\.com/go-json-experiment/json/(jsontext|internal(/.*)?)`,
		`golang\.org/x/sys/unix`,
	}, "|") + `)$`)
	// Of the standard library's, these draw in most, and are of no use to a program that becomes another.
	useless := map[string]string{
		"net":           "the program has nothing to say to anyone",
		"os/exec":       "the program becomes the runtime and starts no other process",
		"os/signal":     "signals are the runtime's",
		"encoding/json": "config.json is read by jsontext, which gives the places",
		"flag":          "the command line is the runtime's; internal/cmdline reads it",
		"log":           "internal/report tells of errors",
		"log/slog":      "internal/report tells of errors",
	}
	cmd := exec.Command("go", "list", "-deps", "-f", "{{.Standard}} {{.ImportPath}}", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	lines := strings.Fields(string(out))
	if len(lines) < 100 {
		t.Fatalf("the list of packages is %q", out)
	}
	for i := 0; i+1 < len(lines); i += 2 {
		standard, path := lines[i] == "true", lines[i+1]
		if !standard && !allowed.MatchString(path) {
			t.Errorf("%s is linked into oci-add-hooks: that costs start-up time on every container operation; "+
				"do without, or put it on the list here with a measurement", path)
		}
		if why := useless[path]; why != "" {
			t.Errorf("%s is linked into oci-add-hooks: %s", path, why)
		}
	}
}

// Loading shared libraries (cgo) and relocating (PIE) would each add half a millisecond and more to every call, and a
// static program runs on every distribution.
func TestStaticallyLinked(t *testing.T) {
	t.Parallel()
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Type != elf.ET_EXEC {
		t.Errorf("the program is %v, not ET_EXEC: it is a PIE", f.Type)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the program has a segment %v: it is not static", p.Type)
		}
	}
}

// Without the linker's help, as by `go build` or `go install`, the version is what Go notes in the binary; dockerd
// still finds three lines that it can read.
func TestVersionOfAPlainBuild(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "oci-add-hooks")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", plain, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	out, err := exec.Command(plain, "--version").Output()
	want := regexp.MustCompile(`\Aoci-add-hooks version \S+\ncommit: \S+\nspec: \d+\.\d+\.\d+\n\z`)
	if err != nil || !want.Match(out) {
		t.Errorf("%q, %v", out, err)
	}
}
