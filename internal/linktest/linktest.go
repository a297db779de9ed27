// Package linktest checks which packages are linked into a program, and how. Only tests import it.
package linktest

import (
	"debug/elf"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Packages checks the packages that are linked into the program in the working directory. It fails the test for each
// package outside the standard library that is not in own (the names of internal packages, without internal/),
// jsontext, or x/sys/unix. It also fails for each package in useless, a map from a package of the standard library to
// the reason.
func Packages(t *testing.T, own []string, useless map[string]string) {
	t.Helper()
	const module = `github\.com/awslabs/oci-add-hooks/`
	allowed := regexp.MustCompile(`^(` + strings.Join([]string{
		module + `cmd/[^/]+`,
		module + `internal/(` + strings.Join(own, "|") + `)`,
		`github\.com/go-json-experiment/json/(jsontext|internal(/.*)?)`,
		`golang\.org/x/sys/unix`,
	}, "|") + `)$`)
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
			t.Errorf("%s is linked, which costs time at each start; do without, or put it on the list with a measurement", path)
		}
		if why := useless[path]; why != "" {
			t.Errorf("%s is linked: %s", path, why)
		}
	}
}

// Static fails the test if a program needs shared libraries, or must be relocated when it starts. Either would add at
// least half a millisecond to every start. A static program also runs on every distribution and in every container.
func Static(t *testing.T, program string) {
	t.Helper()
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
