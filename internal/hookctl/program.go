package hookctl

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/launch"
)

// findProgram gives the path of oci-add-hooks: the one in binDir, or if that is empty the one beside this program or in
// PATH.
func findProgram(binDir string) (string, error) {
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

// findRuntime gives the path of the runtime called name, as oci-add-hooks at program finds it. Without program it is this
// tool that is not taken for a runtime.
func findRuntime(program, name string) (string, error) {
	if program == "" {
		program = "/proc/self/exe"
	}
	return launch.FindFor(program, name)
}
