package profiles

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
)

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
	var content Content
	if err := content.take(result.File(path)); err != nil || content.Runtime != "/bin/true" || string(content.Hooks) != `{"poststop": []}` {
		t.Errorf("%+v, %v", content, err)
	}
}
