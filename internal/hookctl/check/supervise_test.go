package check

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSupervisor: hooks ask for supervision, and the supervisor is not beside oci-add-hooks or cannot be executed.
func TestSupervisor(t *testing.T) {
	dir := t.TempDir()
	file, program, supervisor := filepath.Join(dir, "hooks.json"), filepath.Join(dir, "oci-add-hooks"), filepath.Join(dir, "oci-run-hook")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		text, want string
		mode       os.FileMode // of the supervisor; 0 if there is none
	}{
		{`{"supervise":true,"hooks":{}}`, "asks for supervised hooks, but " + supervisor + " cannot be used: nothing exists at this path (ENOENT)", 0},
		{`{"hooks":{"prestart":[{"path":"/bin/true","supervise":{}}]}}`, "asks for supervised hooks, but " + supervisor + " may not be executed: access is refused (EACCES)", 0o644},
		{`{"supervise":true,"hooks":{}}`, "", 0o755},
		{`{"hooks":{"startContainer":[{"path":"/bin/true","supervise":true}]}}`, "", 0},
		{`{"supervise":false,"hooks":{}}`, "", 0},
	} {
		os.Remove(supervisor)
		if tt.mode != 0 {
			if err := os.WriteFile(supervisor, nil, tt.mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range Files(program, []string{file}).Findings {
			if f.Kind == Refused && f.Severity == Error {
				got = f.Problem
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.text, got, tt.want)
		}
	}
}
