// Package program knows the program oci-add-hooks on this system: its path, the links that lead to it, and the
// low-level runtime that it finds. It reads ELF files as the kernel does. It knows neither profiles nor engines.
package program

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/launch"
)

// Find returns the path of oci-add-hooks: the one in binDir, or if that is empty the one beside this program or in
// PATH.
func Find(binDir string) (string, error) {
	if binDir != "" {
		dir, err := filepath.Abs(binDir)
		if err != nil {
			return "", err
		}
		path := filepath.Join(dir, cmdline.Name)
		if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
			return "", fmt.Errorf("there is no %s in %s", cmdline.Name, dir)
		}
		return path, nil
	}
	if self, err := os.Executable(); err == nil {
		path := filepath.Join(filepath.Dir(self), cmdline.Name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			return path, nil
		}
	}
	if path, err := exec.LookPath(cmdline.Name); err == nil {
		return filepath.Abs(path)
	}
	return "", errors.New("oci-add-hooks is neither beside hookctl nor in PATH; give its directory with --bin-dir DIR")
}

// FindRuntime returns the path of the runtime called name, as oci-add-hooks at program finds it. If program is empty,
// hookctl itself is what does not count as a runtime.
func FindRuntime(program, name string) (string, error) {
	if program == "" {
		program = "/proc/self/exe"
	}
	return launch.FindFor(program, name)
}

// LinksTo returns the files called name that lead to program, in the directory of program, in dirs and in those of
// PATH.
func LinksTo(program, name string, dirs ...string) []string {
	links := []string{}
	seen := map[string]bool{}
	dirs = append(append([]string{filepath.Dir(program)}, dirs...), filepath.SplitList(os.Getenv("PATH"))...)
	for _, dir := range dirs {
		link := filepath.Join(dir, name)
		if filepath.IsAbs(link) && !seen[link] && LeadsTo(link, program) {
			seen[link] = true
			links = append(links, link)
		}
	}
	return links
}

// Hides returns the path of the program that is no longer found by name once a link exists, which need not exist yet; ""
// if there is none. Programs are found in PATH, and by engines and their tools also in the system's directories.
func Hides(link string) string {
	for _, path := range []string{os.Getenv("PATH"), launch.SystemPath} {
		dirs := filepath.SplitList(path)
		for _, dir := range dirs[slices.Index(dirs, filepath.Dir(link))+1:] {
			hidden := filepath.Join(dir, filepath.Base(link))
			if _, err := exec.LookPath(hidden); err == nil && slices.Contains(dirs, filepath.Dir(link)) && !LeadsTo(hidden, link) {
				return hidden
			}
		}
	}
	return ""
}

// LeadsTo reports whether a path is program, or a link to it: whether both lead to the same file.
func LeadsTo(path, program string) bool {
	a, errA := os.Stat(path)
	b, errB := os.Stat(program)
	return errA == nil && errB == nil && os.SameFile(a, b)
}
