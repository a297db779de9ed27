package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/linktest"
)

// Every linked package costs start-up time on every container operation, even if it is never called. The listed
// packages of the standard library link the most others, and are useless in a program that execs another.
func TestPackagesLinked(t *testing.T) {
	t.Parallel()
	own := []string{"build", "early", "cmdline", "profile", "hooks", "bundle", "inject", "launch", "report", "jsonfile"}
	linktest.Packages(t, own, map[string]string{
		"net":           "the program uses no network",
		"os/exec":       "the program execs the runtime and starts no other process",
		"os/signal":     "the runtime handles signals",
		"encoding/json": "jsontext reads config.json, and knows the offsets",
		"flag":          "internal/cmdline reads the command line, which has the runtime's syntax",
		"log":           "internal/report reports errors",
		"log/slog":      "internal/report reports errors",
	})
}

func TestStaticallyLinked(t *testing.T) {
	t.Parallel()
	linktest.Static(t, program)
}

// After a plain `go build` or `go install`, the version is the one that Go records in the binary. --version still
// prints three lines that dockerd can read.
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
