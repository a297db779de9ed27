package check

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// TestChain: copies of the program that name each other never reach a low-level runtime. Neither of them can notice that.
func TestChain(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	if out, err := exec.Command("go", "build", "-o", one+"/oci-add-hooks", "../../../cmd/oci-add-hooks").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(one + "/oci-add-hooks")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(two, 0o755), os.WriteFile(two+"/oci-add-hooks", text, 0o755),
		os.Symlink("oci-add-hooks", one+"/there"), os.Symlink("oci-add-hooks", two+"/back"), os.Symlink("oci-add-hooks", two+"/ends")); err != nil {
		t.Fatal(err)
	}
	const shadowed = "oci-add-hooks-test-runtime" // a copy has this name of a runtime, and skips itself in PATH
	real := filepath.Join(dir, "real")
	if err := errors.Join(os.Symlink("oci-add-hooks", filepath.Join(two, shadowed)), os.Mkdir(real, 0o755), os.Symlink("/bin/true", filepath.Join(real, shadowed))); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", two+":"+real)
	before := profile.Dir
	profile.Dir = dir
	defer func() { profile.Dir = before }()
	for name, runtime := range map[string]string{"there": two + "/back", "back": one + "/there", "onward": two + "/back", "ends": "/bin/true", "long": two + "/ends",
		"nowhere": "/nonexistent/runtime", "gone": two + "/oci-add-hooks", shadowed: shadowed} {
		if err := os.WriteFile(filepath.Join(dir, name+".json"), fmt.Appendf(nil, `{"runtime": %q, "hooks": {}}`, runtime), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]struct {
		chain string
		loop  bool
	}{
		"there":   {two + "/back " + one + "/there", true},
		"back":    {one + "/there " + two + "/back " + one + "/there", true},
		"onward":  {two + "/back " + one + "/there " + two + "/back", true},
		"ends":    {"/bin/true", false},
		"long":    {two + "/ends /bin/true", false},
		"nowhere": {"", false},
		"gone":    {two + "/oci-add-hooks", false}, // there is no profile of that name
		shadowed:  {two + "/" + shadowed + " " + real + "/" + shadowed, false},
	} {
		file := filepath.Join(dir, name+".json")
		chain, loop := Chain(one+"/oci-add-hooks", file)
		if strings.Join(chain, " ") != want.chain || loop != want.loop {
			t.Errorf("%s: %q, %t", name, chain, loop)
		}
		result := Files(one+"/oci-add-hooks", []string{file})
		if told := slices.ContainsFunc(result.Findings, func(f Finding) bool {
			return f.Severity == Error && f.Kind == "loop" && f.Pointer == "/runtime" && strings.Contains(f.Problem, "no low-level runtime is ever called")
		}); told != want.loop {
			t.Errorf("%s: %+v", name, result.Findings)
		}
	}
}
