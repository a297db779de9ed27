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

// In docs/supervision.md, a block of the language console has commands after "$ " with what they print, run in order. The
// file that a command `cat FILE` prints is there. Times and durations are never the same.
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
	columns := regexp.MustCompile(`  +`) // are as wide as the paths here
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
