package engines

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// A mount holds the arguments of mount(2).
type mount struct {
	source, target, fstype string
	flags                  uintptr
	data                   string
}

func mountAll(mounts ...mount) error {
	for _, m := range mounts {
		if err := syscall.Mount(m.source, m.target, m.fstype, m.flags, m.data); err != nil {
			return fmt.Errorf("mounting %s: %w", m.target, err)
		}
	}
	return nil
}

// toolchain lists the variables that name Go's own directories.
var toolchain = []string{"GOROOT", "GOMODCACHE", "GOCACHE"}

// shareToolchain sets the toolchain's variables for the sandbox, in which they are Go's only configuration.
func shareToolchain() error {
	out, err := exec.Command("go", append([]string{"env", "-json"}, toolchain...)...).Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	var values map[string]string
	if err := json.Unmarshal(out, &values); err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	for name, value := range values {
		os.Setenv(name, value)
	}
	return nil
}

// enterRoot makes a directory the root of this process. Writes go to an overlay that ends with the sandbox. The
// repository and Go's directories keep their paths in it, and /dev and /sys are the machine's.
func enterRoot(root string) error {
	repository, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	shared := []string{"/dev", "/sys", repository}
	for _, name := range toolchain {
		shared = append(shared, os.Getenv(name))
	}
	cwd, err := os.Getwd()
	if err != nil {
		return err
	}
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return err
	}

	const layer, merged = "/run/layer", "/run/root"
	if err := mountAll(mount{"tmpfs", "/run", "tmpfs", 0, "mode=755"}); err != nil {
		return err
	}
	for _, dir := range []string{layer + "/upper", layer + "/work", merged} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	options := "lowerdir=" + root + ",upperdir=" + layer + "/upper,workdir=" + layer + "/work"
	if err := mountAll(mount{"overlay", merged, "overlay", 0, options}); err != nil {
		return fmt.Errorf("a layer above the root %s: %w", root, err)
	}
	for _, dir := range shared {
		if err := os.MkdirAll(merged+dir, 0o755); err != nil {
			return err
		}
		if err := mountAll(mount{dir, merged + dir, "", syscall.MS_BIND | syscall.MS_REC, ""}); err != nil {
			return err
		}
	}
	if err := os.WriteFile(merged+"/etc/resolv.conf", resolv, 0o644); err != nil {
		return err
	}
	const images = merged + "/var/lib/containers" // Podman's storage, which must not be on an overlay
	if err := os.MkdirAll(images, 0o755); err != nil {
		return err
	}
	if err := mountAll(mount{"tmpfs", images, "tmpfs", 0, "mode=755"}); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return os.Chdir(merged) },
		// The old root is stacked on the new one, so that it needs no directory there, and is then unmounted.
		func() error { return syscall.PivotRoot(".", ".") },
		func() error { return syscall.Unmount(".", syscall.MNT_DETACH) },
		func() error { return os.Chdir(cwd) },
		func() error { return os.Unsetenv("TMPDIR") }, // the directory may not exist there
		func() error { return os.Setenv("PATH", os.Getenv("PATH")+":"+os.Getenv("GOROOT")+"/bin") },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("entering the root %s: %w", root, err)
		}
	}
	return nil
}
