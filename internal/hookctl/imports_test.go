package hookctl

import (
	"os/exec"
	"strings"
	"testing"
)

// Only commands parse and draw: no package below this one imports cobra or ui. The exception is the program that makes
// the manual pages from the commands.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	const here = "github.com/awslabs/oci-add-hooks/internal/hookctl"
	packages := 0
	for line := range strings.Lines(string(out)) {
		imports := strings.Fields(line)
		name := imports[0]
		if name == here || name == here+"/manpages" {
			continue
		}
		packages++
		for _, path := range imports[1:] {
			if strings.HasPrefix(path, "github.com/spf13/") || path == here || path == here+"/ui" {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
	if packages < 8 {
		t.Errorf("%d packages were looked at", packages)
	}
}
