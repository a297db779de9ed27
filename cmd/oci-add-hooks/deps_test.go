package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/linktest"
)

// Every package that is linked costs start-up time on every container operation, even if it is never called. Of the
// standard library's, these draw in most, and are of no use to a program that becomes another.
func TestPackagesLinked(t *testing.T) {
	t.Parallel()
	own := []string{"build", "early", "cmdline", "profile", "hooks", "bundle", "inject", "launch", "report", "jsonfile"}
	linktest.Packages(t, own, map[string]string{
		"net":           "the program has nothing to say to anyone",
		"os/exec":       "the program becomes the runtime and starts no other process",
		"os/signal":     "signals are the runtime's",
		"encoding/json": "config.json is read by jsontext, which gives the places",
		"flag":          "the command line is the runtime's; internal/cmdline reads it",
		"log":           "internal/report tells of errors",
		"log/slog":      "internal/report tells of errors",
	})
}

func TestStaticallyLinked(t *testing.T) {
	t.Parallel()
	linktest.Static(t, program)
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
