package profiles

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

// TestTake: a profile holds everything that oci-add-hooks reads in a hook file, and nothing else.
func TestTake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hooks.json")
	const text = `{"ociVersion": "1.0.2", "supervise": {"timeout": 5, "ignoreFailureWhen": {"always": true}}, "skipSandboxes": true,
		"runtime": "/bin/true", "hooksDirs": ["/d"], "hooks": {"poststop": [{"path": "/a", "supervise": false}]}}`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var content Content
	if err := content.take(check.Files("", []string{path}).File(path)); err != nil {
		t.Fatal(err)
	}
	written, err := content.marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, written, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := hooks.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	policy, _, err := f.Supervision.FailurePolicy(hooks.CreateRuntime, hooks.Container{})
	if f.Runtime != "/bin/true" || !f.SkipSandboxes || len(f.Dirs) != 1 || len(f.Hooks) != 1 || f.Hooks[0].Supervision != nil ||
		f.Supervision.Timeout != 5 || policy != "ignore" || err != nil {
		t.Errorf("%+v, %+v, %s, %v, of\n%s", f, f.Supervision, policy, err, written)
	}
}

// TestTakeWhatWasChecked: what is written is what was checked, although the file was changed in between.
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
