package check

import (
	"fmt"
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
		{`{"supervise":true,"hooks":{}}`, "1:2: asks for supervised hooks, but " + supervisor + " cannot be used: nothing exists at this path (ENOENT) (/supervise)", 0},
		{`{"hooks":{"prestart":[{"path":"/bin/true","supervise":{}}]}}`, "1:43: asks for supervised hooks, but " + supervisor + " may not be executed: access is refused (EACCES) (/hooks/prestart/0/supervise)", 0o644},
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
				got = fmt.Sprintf("%d:%d: %s (%s); %s", f.Line, f.Column, f.Problem, f.Pointer, f.Hint)
			}
		}
		want := tt.want
		if want != "" {
			want += `; install oci-run-hook beside oci-add-hooks, or remove "supervise"` // the runtime's words
		}
		if got != want {
			t.Errorf("%s: %q, want %q", tt.text, got, want)
		}
	}
}
