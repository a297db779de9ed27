// Package program knows the program oci-add-hooks on this system: where it is, which links lead to it, and which low-level
// runtime it finds. It knows neither profiles nor engines.
package program

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/launch"
)

// Find returns the path of oci-add-hooks: the one in binDir, or if that is empty the one beside this program or in PATH.
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
	return "", errors.New("oci-add-hooks is neither beside hookctl nor in PATH; say where it is by --bin-dir DIR")
}

// FindRuntime returns the path of the runtime called name, as oci-add-hooks at program finds it. Without program it is this
// tool that is not taken for a runtime.
func FindRuntime(program, name string) (string, error) {
	if program == "" {
		program = "/proc/self/exe"
	}
	return launch.FindFor(program, name)
}

// LinksTo returns what is called name and leads to program, in the directory of program, in dirs and in those of PATH.
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

// LeadsTo reports whether a path is program, or a link that leads there: whether both lead to the same file.
func LeadsTo(path, program string) bool {
	a, errA := os.Stat(path)
	b, errB := os.Stat(program)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// Loader returns the dynamic loader that an ELF program names; "" for a static one.
func Loader(path string) (string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for _, segment := range f.Progs {
		if segment.Type == elf.PT_INTERP {
			loader, err := io.ReadAll(io.LimitReader(segment.Open(), unix.PathMax))
			return string(bytes.TrimRight(loader, "\x00")), err
		}
	}
	return "", nil
}
