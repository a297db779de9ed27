// Package earlytest checks the code of a program that runs without Go's runtime. Only tests import it.
package earlytest

import (
	"bufio"
	"bytes"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// harmless are the functions that such code may call: system calls, and the functions with which compiled code copies
// and clears memory.
var harmless = regexp.MustCompile(`^(` + strings.Join([]string{
	`syscall\.RawSyscall6`,
	`internal/runtime/syscall/linux\.Syscall6(\.abi0)?`,
	`runtime\.(memmove|memclrNoHeapPointers|duffcopy|duffzero)`,
}, "|") + `)$`)

// Check describes which code of a program runs without Go's runtime.
type Check struct {
	Program  string            // the program's path; it must have symbols
	From     []string          // the functions with which the code begins
	Own      *regexp.Regexp    // the other functions that the code may call, besides system calls and moves of memory
	Last     map[string]string // the jumps that leave the code, from a function to another
	Indirect map[string]string // the allowed indirect calls: for a function, a part of the instruction
}

// Run disassembles all functions that the code reaches, and fails the test if one of them calls Go's runtime, except to
// move memory. A bounds check that the compiler left in, a write barrier, an allocation, and a check for stack growth
// would each be such a call. It returns the names of the reached functions.
func (c *Check) Run(t *testing.T) (reached []string) {
	t.Helper()
	functions := disassemble(t, c.Program, c.Own)
	reached = slices.Clone(c.From)
	for i := 0; i < len(reached); i++ {
		name := reached[i]
		lines, known := functions[name]
		if !known {
			t.Fatalf("the program has no function %s", name)
		}
		for _, line := range lines {
			target, indirect := callee(line)
			switch {
			case indirect:
				if allowed := c.Indirect[name]; allowed == "" || !strings.Contains(line, allowed) {
					t.Errorf("%s has an indirect call: %s", name, line)
				}
			case target == "" || target == c.Last[name] || slices.Contains(reached, target):
			case harmless.MatchString(target) || c.Own.MatchString(target):
				reached = append(reached, target)
			default:
				t.Errorf("%s calls %s: %s", name, target, line)
			}
			if strings.Contains(line, "runtime.writeBarrier") {
				t.Errorf("%s has a write barrier: %s", name, line)
			}
		}
	}
	return reached
}

// disassemble returns the instructions of those of a program's functions that the code may reach, by function.
func disassemble(t *testing.T, path string, own *regexp.Regexp) map[string][]string {
	t.Helper()
	wanted := `syscall.*Syscall6|^runtime\.(mem|duff)|` + own.String()
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
		// A jump within a function has an address or a number of instructions as its target.
		within := regexp.MustCompile(`^(0x[0-9a-f]+|-?\d+\(PC\))$`).MatchString(match[2])
		return "", match[1] == "CALL" || match[1] == "BL" || !within
	}
	return name, false
}
