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

// In docs/hookctl.md, a block of the language console has commands after "$ " with what they print. The file that a
// command `cat FILE` prints is there for all other commands. Not run are `hookctl try`, `hookctl ps` and `hookctl profile
// users`, which take containers, `hookctl profile list`, whose columns are as wide as the paths here, and `hookctl doctor`, which tells of
// an engine's version. Docker's configuration is the page's daemon.json.
func TestDocs(t *testing.T) {
	page := filepath.Join("..", "..", "docs", "hookctl.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bin, profiles := filepath.Join(dir, "bin"), filepath.Join(dir, "profiles")
	for _, name := range []string{"oci-add-hooks", "runc"} {
		write(t, filepath.Join(bin, name), "", 0o755)
	}
	if err := os.MkdirAll(filepath.Join(dir, "system", "proc", "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SYSTEM", filepath.Join(dir, "system"))
	t.Setenv("PROFILES", profiles)
	t.Setenv("STATE", filepath.Join(dir, "state"))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	daemon := filepath.Join(dir, "daemon.json")
	docker := regexp.MustCompile(`(hookctl (?:un)?install docker)`)
	usual := strings.NewReplacer(daemon, "/etc/docker/daemon.json", os.Getenv("STATE"), "/var/lib/oci-add-hooks", profiles, "/etc/oci-add-hooks", bin+"/runc", "/usr/sbin/runc", bin, "/usr/local/bin")
	runc := regexp.MustCompile(`(["\s])/[a-z/]*/runc(["\n])`) // wherever this system has it
	hash := regexp.MustCompile(`hookctl [0-9a-f]{64}`)

	transcript := string(text)
	commands := regexp.MustCompile(`(?m)^\$ (.*)\n((?:[^$\x60].*\n|\n)*)`)
	console := regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
	for _, block := range console.FindAllStringSubmatch(transcript, -1) {
		for _, c := range commands.FindAllStringSubmatch(block[1], -1) {
			if name, ok := strings.CutPrefix(c[1], "cat "); ok {
				write(t, filepath.Join(dir, name), c[2], 0o644)
			}
		}
	}
	got := console.ReplaceAllStringFunc(transcript, func(block string) string {
		return commands.ReplaceAllStringFunc(block, func(command string) string {
			line, _, _ := strings.Cut(strings.TrimPrefix(command, "$ "), "\n")
			for _, shown := range []string{"cat ", "hookctl try", "hookctl profile list", "hookctl profile users", "hookctl ps", "hookctl doctor"} {
				if strings.HasPrefix(line, shown) {
					return command
				}
			}
			cmd := exec.Command("/bin/sh", "-c", docker.ReplaceAllString(line, "$1 --config "+daemon))
			cmd.Dir = dir
			out, _ := cmd.CombinedOutput() // some are about problems
			printed := usual.Replace(string(out))
			printed = runc.ReplaceAllString(printed, `${1}/usr/sbin/runc$2`)
			return "$ " + line + "\n" + hash.ReplaceAllString(printed, hash.FindString(transcript))
		})
	})
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(transcript, got); diff != "" {
		t.Errorf("%s is not what the commands print (-page +printed):\n%s", page, diff)
	}
}

// The commands of hookctl in README.md work, in the order in which they stand there. --reload is left out: it is for a
// dockerd that runs.
func TestReadme(t *testing.T) {
	checkout, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(checkout, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "bin", "oci-add-hooks"), "", 0o755)
	write(t, filepath.Join(dir, "bin", "runc"), "", 0o755)
	if err := os.MkdirAll(filepath.Join(dir, "system", "proc", "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SYSTEM", filepath.Join(dir, "system"))
	t.Setenv("PROFILES", filepath.Join(dir, "profiles"))
	t.Setenv("STATE", filepath.Join(dir, "state"))
	t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	commands := regexp.MustCompile(`(?m)^    sudo (hookctl .*)$`).FindAllSubmatch(text, -1)
	if len(commands) != 4 {
		t.Errorf("README.md has %d commands of hookctl: two set a profile up, two remove it", len(commands))
	}
	docker := strings.NewReplacer(" docker ", " docker --config "+filepath.Join(dir, "daemon.json")+" ", " --reload", "")
	for _, c := range commands {
		cmd := exec.Command("/bin/sh", "-c", docker.Replace(string(c[1])))
		cmd.Dir = checkout
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", c[1], err, out)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "profiles", "*")); err != nil || len(left) > 0 {
		t.Errorf("the commands leave %q (%v)", left, err)
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
