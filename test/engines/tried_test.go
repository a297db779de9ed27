package engines

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// triedDir holds a table row for each root, about the last complete run that passed there. scripts/tried.sh prints
// them.
const triedDir = "../../bin/tried"

// recordTried writes the row about this run, or removes that of an earlier run if this one failed. A run of only some
// tests changes nothing.
func recordTried(passed bool) error {
	for _, name := range []string{"test.run", "test.skip"} {
		if flag.Lookup(name).Value.String() != "" {
			return nil
		}
	}
	release, err := osRelease()
	if err != nil {
		return err
	}
	name := "machine"
	if root := os.Getenv(rootEnv); root != "" {
		name, _, _ = strings.Cut(filepath.Base(root), "-")
	}
	path := filepath.Join(triedDir, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !passed {
		return nil
	}
	line := fmt.Sprintf("| %s | %s | %d | %d | %s |\n", release, strings.Join(versions(), ", "),
		counted.ran, len(counted.skipped), time.Now().UTC().Format(time.DateOnly))
	return errors.Join(os.MkdirAll(triedDir, 0o755), os.WriteFile(path, []byte(line), 0o644))
}

// osRelease returns the name of the system in this root, without the words that all names share.
func osRelease() (string, error) {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Replace(strings.Trim(name, `"`), " GNU/Linux", "", 1), nil
		}
	}
	return "", errors.New("/etc/os-release has no PRETTY_NAME")
}

// versions returns the engines and low-level runtimes of this root, each with its version.
func versions() []string {
	var all []string
	for _, p := range []struct{ name, path string }{
		{"Docker", "dockerd"}, {"containerd", "containerd"}, {"containerd", filepath.Join(newer, "containerd")},
		{"Podman", "podman"}, {"runc", "runc"}, {"crun", "crun"}, {"runsc", "runsc"},
	} {
		out, err := exec.Command(p.path, "--version").Output()
		if err != nil {
			continue // not installed in this root: its tests are skipped
		}
		first, _, _ := strings.Cut(string(out), "\n")
		for _, word := range strings.Fields(first) {
			word = strings.TrimPrefix(word, "v")
			if word != "" && word[0] >= '0' && word[0] <= '9' {
				version := word[:strings.IndexFunc(word+"+", func(r rune) bool { return strings.ContainsRune("+~,-", r) })]
				all = append(all, p.name+" "+version)
				break
			}
		}
	}
	return all
}
