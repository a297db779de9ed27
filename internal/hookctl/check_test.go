package hookctl

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
)

// TestCheckIsLinear: a file with thousands of findings takes no longer than as many files, in a line each or in one.
func TestCheckIsLinear(t *testing.T) {
	const n = 8000
	for name, separator := range map[string]string{"lines": ",\n", "one line": ","} {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"path": "/bin/true", "args": ["größe-%d"], "x": 0}`, i))
		}
		path := filepath.Join(t.TempDir(), "hooks.json")
		text := `{"runtime": "/bin/true", "hooks": {"poststop": [` + strings.Join(list, separator) + `]}}`
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		result := check.Files("", []string{path})
		if len(result.Findings) != 4*n {
			t.Errorf("%s: %d findings", name, len(result.Findings))
		}
		s := &streams{text: bufio.NewWriter(io.Discard)}
		s.printFindings(result.Findings)
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("%s: %d findings took %v", name, len(result.Findings), took)
		}
	}
}

// TestTakeWhatWasChecked: what is written is what was checked, though the file was changed in between.
func TestTakeWhatWasChecked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hooks.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"runtime": "/bin/true", "hooks": {"poststop": []}}`)
	result := check.Files("", []string{path})
	write(`{"runtime": "/bin/false", "hooks": {"poststart": []}}`)
	var text profileText
	if err := text.take(result.File(path)); err != nil || text.Runtime != "/bin/true" || string(text.Hooks) != `{"poststop": []}` {
		t.Errorf("%+v, %v", text, err)
	}
}
