package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocs runs the commands after "$ " in the console blocks of docs/supervision.md, in order, and compares their
// output with the page. A command `cat FILE` creates FILE with the content that the page shows. The comparison ignores
// times and durations.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/supervision.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Dir(program), "../hookctl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	console := regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
	command := regexp.MustCompile(`(?m)^\$ (.*)\n((?:[^$].*\n|\n)*)`)
	usual := strings.NewReplacer(dir, "/root")
	columns := regexp.MustCompile(`  +`) // their width depends on the length of paths
	measured := regexp.MustCompile(`(?m)\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}|\d+\.\d+ m?s( +|$)`)
	for _, block := range console.FindAllStringSubmatch(string(page), -1) {
		for _, c := range command.FindAllStringSubmatch(block[1], -1) {
			line, want := c[1], c[2]
			if name, ok := strings.CutPrefix(line, "cat "); ok {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(want), 0o755); err != nil {
					t.Fatal(err)
				}
				continue
			}
			cmd := exec.Command("/bin/sh", "-c", line)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"), "PWD="+dir)
			out, _ := cmd.CombinedOutput()
			got := columns.ReplaceAllString(measured.ReplaceAllString(usual.Replace(string(out)), "TIME "), "  ")
			if diff := cmp.Diff(columns.ReplaceAllString(measured.ReplaceAllString(want, "TIME "), "  "), got); diff != "" {
				t.Errorf("%s (-page +printed):\n%s", line, diff)
			}
		}
	}
}
