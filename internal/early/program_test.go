package early

import (
	"bufio"
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
)

// program builds oci-add-hooks for an architecture as the Makefile does, and returns its path. Without symbols it is what is
// shipped; go tool objdump needs them.
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

// The functions that code before Go's start may call, beside those of this package: system calls, and what the compiler
// makes of a copy or a clearing of memory.
var harmless = regexp.MustCompile(`^(` + strings.Join([]string{
	`github\.com/awslabs/oci-add-hooks/internal/early\..*`,
	`github\.com/awslabs/oci-add-hooks/internal/profile\.ValidName`,
	`syscall\.RawSyscall6`,
	`internal/runtime/syscall/linux\.Syscall6(\.abi0)?`,
	`runtime\.(memmove|memclrNoHeapPointers|duffcopy|duffzero)`,
}, "|") + `)$`)

// TestNothingOfTheRuntime disassembles all that runs before Go's start: it calls nothing of Go's runtime but moves of
// memory. A bounds check that the compiler left in, a write barrier, an allocation, and a check for stack growth would each
// be such a call.
func TestNothingOfTheRuntime(t *testing.T) {
	t.Parallel()
	const entry = "github.com/awslabs/oci-add-hooks/internal/early.entry.abi0"
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			path := program(t, arch, true)
			functions := disassemble(t, path)
			start := "_rt0_" + arch + "_linux" // where entry ends
			reached := []string{entry}
			for i := 0; i < len(reached); i++ {
				lines, known := functions[reached[i]]
				if !known {
					t.Fatalf("the program has no function %s", reached[i])
				}
				for _, line := range lines {
					target, indirect := callee(line)
					switch {
					case indirect:
						t.Errorf("%s calls what cannot be told: %s", reached[i], line)
					case target == "" || target == start && reached[i] == entry || slices.Contains(reached, target):
					case harmless.MatchString(target):
						reached = append(reached, target)
					default:
						t.Errorf("%s calls %s: %s", reached[i], target, line)
					}
					if strings.Contains(line, "runtime.writeBarrier") {
						t.Errorf("%s has a write barrier: %s", reached[i], line)
					}
				}
			}
			for _, want := range []string{"early.start", "early.(*call).decide", "syscall.RawSyscall6"} {
				if !slices.ContainsFunc(reached, func(name string) bool { return strings.HasSuffix(name, want) }) {
					t.Errorf("%s is not among the functions that were found: %q", want, reached)
				}
			}
			if !bytes.Equal(code(t, path), code(t, program(t, arch, false))) {
				t.Error("the program that is shipped has other code")
			}
		})
	}
}

// disassemble returns the instructions of a program, by function.
func disassemble(t *testing.T, path string) map[string][]string {
	t.Helper()
	const wanted = `oci-add-hooks/internal/early\.|profile\.ValidName|syscall.*Syscall6|^runtime\.(mem|duff)`
	out, err := exec.Command("go", "tool", "objdump", "-s", wanted, path).Output()
	if err != nil {
		t.Fatal(err)
	}
	functions := map[string][]string{}
	name := ""
	for scanner := bufio.NewScanner(bytes.NewReader(out)); scanner.Scan(); {
		line := strings.TrimSpace(scanner.Text())
		if rest, ok := strings.CutPrefix(line, "TEXT "); ok {
			name, _, _ = strings.Cut(rest, "(SB)")
		} else if line != "" {
			functions[name] = append(functions[name], line)
		}
	}
	return functions
}

// callee returns the function that an instruction calls or jumps to; "" if it does neither.
func callee(line string) (name string, indirect bool) {
	match := regexp.MustCompile(`\t(CALL|JMP|BL|B) ([^\t]+)`).FindStringSubmatch(line)
	if match == nil {
		return "", false
	}
	name, isFunction := strings.CutSuffix(match[2], "(SB)")
	if !isFunction {
		// A jump within a function goes to an address, or so many instructions on.
		within := regexp.MustCompile(`^(0x[0-9a-f]+|-?\d+\(PC\))$`).MatchString(match[2])
		return "", match[1] == "CALL" || match[1] == "BL" || !within
	}
	return name, false
}

// code returns a program's instructions, but for the identity of the build that stands before them.
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
