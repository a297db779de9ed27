package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The pages exist, are the same each time they are made, and groff reports nothing about them.
func TestPages(t *testing.T) {
	t.Chdir("../../..") // the project's directory
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	dir, again := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, again} {
		if err := run([]string{"1.2.3", d}); err != nil {
			t.Fatal(err)
		}
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range paths {
		name := filepath.Base(path)
		names = append(names, name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := os.ReadFile(filepath.Join(again, name)); err != nil || !bytes.Equal(text, same) {
			t.Errorf("%s: %v, or it differs from one run to the next", name, err)
		}
		if !strings.HasSuffix(name, ".5") && !bytes.Contains(text, []byte("\n.SH EXIT STATUS\n")) {
			t.Errorf("%s has no exit status", name)
		}
		for _, part := range []string{"oci-add-hooks 1.2.3", "Nov 2023", "NAME", "EXAMPLES", "SEE ALSO"} {
			if !bytes.Contains(text, []byte(part)) {
				t.Errorf("%s does not contain %q", name, part)
			}
		}
	}
	for _, want := range []string{"oci-add-hooks.8", "oci-run-hook.8", "hookctl-log.1", "hookctl-metrics.1", "oci-add-hooks.json.5", "hookctl.1", "hookctl-check.1", "hookctl-preview.1", "hookctl-profile-add.1"} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no %s", want)
		}
	}
	wantLines(t, filepath.Join(dir, "hookctl-install.1"), `\fB--config\fP \fIFILE\fP`, `\fB--json\fP`, `\fBhookctl install\fP [\fIOPTION\fP]\&... \fIENGINE\fP --profile \fINAME\fP`)
	wantLines(t, filepath.Join(dir, "hookctl.1"), `\fBtry\fP`, "run a throwaway container with hooks, and show the result of each")
	wantLines(t, filepath.Join(dir, "hookctl-check.1"), ".SH EXIT STATUS", "1 if there is an error (with --strict, or a warning), else 0; 2 after wrong usage.",
		".SH FILES", `\fI/etc/oci-add-hooks/NAME.json\fP`)
	wantLines(t, filepath.Join(dir, "hookctl-profile.1"), ".SH COMMANDS", `\fBadd\fP`, "write a profile and make its link")
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is not installed (package groff): the pages were not formatted")
	}
	if out, err := exec.Command(groff, append([]string{"-man", "-Tutf8", "-ww", "-z"}, paths...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// wantLines checks that a page has these lines.
func wantLines(t *testing.T, path string, want ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, line := range want {
		if !slices.Contains(lines, line) {
			t.Errorf("%s has no line %q:\n%s", path, line, text)
		}
	}
}
