package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The program starts once for every supervised hook. So the list of the packages that may be linked is kept here, as
// that of oci-add-hooks is.
func TestPackagesLinked(t *testing.T) {
	t.Parallel()
	const module = "github.com/awslabs/oci-add-hooks/"
	allowed := regexp.MustCompile(`^(` + strings.Join([]string{
		module + `cmd/oci-run-hook`,
		module + `internal/(hookrun|hooklog|report|jsonfile)`,
		`github\.com/go-json-experiment/json/(jsontext|internal(/.*)?)`,
		`golang\.org/x/sys/unix`,
	}, "|") + `)$`)
	// Of the standard library's, these draw in most.
	useless := map[string]string{
		"net":           "the program has nothing to say to anyone",
		"os/exec":       "internal/hookrun starts the hook, and has to reap more than its own child",
		"encoding/json": "records and the container's state are read and written by jsontext",
		"regexp":        "conditions are the runtime's to decide",
		"flag":          "the options are read by hand",
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
			t.Errorf("%s is linked into oci-run-hook; do without, or put it on the list here with a measurement", path)
		}
		if why := useless[path]; why != "" {
			t.Errorf("%s is linked into oci-run-hook: %s", path, why)
		}
	}
}

// The program runs in a container's namespaces for createContainer hooks, and on every distribution.
func TestStaticallyLinked(t *testing.T) {
	t.Parallel()
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the program has a segment %v: it is not static", p.Type)
		}
	}
}
