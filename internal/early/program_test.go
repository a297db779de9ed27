package early

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/early/earlytest"
)

// program builds oci-add-hooks for an architecture as the Makefile does, and returns its path. Without symbols it is
// the program that is shipped; go tool objdump needs the symbols.
func program(t *testing.T, arch string, symbols bool) string {
	t.Helper()
	dir := t.TempDir()
	flags := "-s -w"
	if symbols {
		flags = ""
	}
	cmd := exec.Command("make", "--no-print-directory", "-C", "../..", "runtime", "BIN="+dir, "LDFLAGS="+flags)
	cmd.Env = append(os.Environ(), "GOARCH="+arch, "GOFLAGS="+os.Getenv("GOFLAGS")+" -buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return filepath.Join(dir, "oci-add-hooks")
}

// TestNothingOfTheRuntime: the code that runs before Go's start calls nothing in Go's runtime.
func TestNothingOfTheRuntime(t *testing.T) {
	t.Parallel()
	const entry = "github.com/awslabs/oci-add-hooks/internal/early.entry.abi0"
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			path := program(t, arch, true)
			check := earlytest.Check{Program: path, From: []string{entry}, Last: map[string]string{entry: "_rt0_" + arch + "_linux"},
				Own: regexp.MustCompile(`^github\.com/awslabs/oci-add-hooks/internal/(early\..*|profile\.ValidName)$`)}
			reached := check.Run(t)
			for _, want := range []string{"early.start", "early.(*call).decide", "syscall.RawSyscall6"} {
				if !slices.ContainsFunc(reached, func(name string) bool { return strings.HasSuffix(name, want) }) {
					t.Errorf("%s is not among the functions that were found: %q", want, reached)
				}
			}
			if !bytes.Equal(code(t, path), code(t, program(t, arch, false))) {
				t.Error("the code differs from that of the program that is shipped")
			}
		})
	}
}

// code returns a program's entry address and instructions, without the build ID that stands before them.
func code(t *testing.T, path string) []byte {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := f.Section(".text").Data()
	if err != nil {
		t.Fatal(err)
	}
	text = append([]byte(fmt.Sprintf("entry %#x\n", f.Entry)), text...)
	return regexp.MustCompile(`Go build ID: "[^"]*"`).ReplaceAll(text, nil)
}
