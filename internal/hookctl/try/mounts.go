package try

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"

	plain "github.com/awslabs/oci-add-hooks/internal/report"
)

// missingBelow returns the paths that a runtime creates in a root file system as mount points, parents first. It
// resolves links as they are resolved in the container.
func missingBelow(rootfs string, mounts []specs.Mount) (missing []string, err error) {
	root, err := unix.Open(rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(root)
	for _, m := range mounts {
		path, parent, there := "", rootfs, true
		for _, name := range strings.Split(strings.Trim(filepath.Clean(m.Destination), "/"), "/") {
			path = filepath.Join(path, name)
			if there {
				real, err := resolveIn(root, path)
				if err == nil {
					parent = real
					continue
				}
				if err != unix.ENOENT {
					return nil, fmt.Errorf("%s in %s: %w", path, rootfs, plain.Plain(err))
				}
				there = false
			}
			parent = filepath.Join(parent, name)
			if !slices.Contains(missing, parent) {
				missing = append(missing, parent)
			}
		}
	}
	return missing, nil
}

// resolveIn returns where path leads if the directory root is the root.
func resolveIn(root int, path string) (string, error) {
	fd, err := unix.Openat2(root, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
}
