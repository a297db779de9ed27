package hookrun

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/early/earlytest"
)

// TestNothingOfTheRuntime: the stand-in, and the hook until its exec, call nothing in Go's runtime.
func TestNothingOfTheRuntime(t *testing.T) {
	t.Parallel()
	const here = "github.com/awslabs/oci-add-hooks/internal/hookrun."
	// The indirect call is that of begin, from which the check starts separately.
	indirect := map[string]map[string]string{
		"amd64":   {here + "spawn.abi0": "CALL R13"},
		"arm64":   {here + "spawn.abi0": "CALL (R13)"},
		"riscv64": {here + "spawn": "CALL"},
	}
	for arch, indirect := range indirect {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "oci-run-hook")
			cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, "../../cmd/oci-run-hook")
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", cmd, err, out)
			}
			check := earlytest.Check{Program: path, From: []string{here + "(*launch).start", here + "begin"}, Indirect: indirect,
				Own: regexp.MustCompile(`^github\.com/awslabs/oci-add-hooks/internal/hookrun\.(\(\*launch\)\..*|begin|beginning|dieWith|exit|fork|spawn|system)(\.abi0)?$`)}
			reached := check.Run(t)
			for _, want := range []string{"(*launch).exec", "(*launch).waitForHook", "syscall.RawSyscall6"} {
				if !slices.ContainsFunc(reached, func(name string) bool { return strings.HasSuffix(name, want) }) {
					t.Errorf("%s is not among the functions that were found: %q", want, reached)
				}
			}
		})
	}
}
