package canary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/try"
)

// reachFile is a file in a canary's directory that says how to reach the engine. With it, the next call removes what a
// killed canary left. The directory is locked as long as its canary lives, from before the file is written.
const reachFile = "canary.json"

const tempPrefix = "hookctl-canary-"

// begin creates a canary's directory, and locks it.
func begin(reach *engine.Reach) (dir string, unlock func(), err error) {
	text, err := json.Marshal(reach)
	if err != nil {
		return "", nil, err
	}
	for {
		if dir, err = os.MkdirTemp("", tempPrefix); err != nil {
			return "", nil, err
		}
		lock, err := try.LockDirectory(dir)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, reachFile), text, 0o600)
			unlock = func() { lock.Close() }
		}
		// Another call may take the new directory for one that a killed canary left, and remove it.
		if err != unix.EWOULDBLOCK && !errors.Is(err, fs.ErrNotExist) {
			return dir, unlock, err
		}
	}
}

// Sweep removes what killed canaries of this user left in engines, and returns notes about it.
func Sweep(ctx context.Context) (notes []string) {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), tempPrefix+"*"))
	for _, dir := range dirs {
		swept, err := sweep(ctx, dir)
		switch {
		case err != nil:
			notes = append(notes, fmt.Sprintf("a canary that was killed has left %s, and perhaps a container and an image of that name, which cannot be removed: %v", dir, err))
		case swept:
			notes = append(notes, "a canary that was killed had left "+dir+", which was removed, with its container and its image if it had any")
		}
	}
	return notes
}

// sweep removes a dead canary's directory, container and image. It reports whether dir was such a directory.
func sweep(ctx context.Context, dir string) (swept bool, err error) {
	lock, err := try.LockDirectory(dir)
	if err != nil {
		return false, nil // the canary lives, or is another user's
	}
	defer lock.Close()
	var reach engine.Reach
	text, err := os.ReadFile(filepath.Join(dir, reachFile))
	if err != nil || json.Unmarshal(text, &reach) != nil || reach.CRI == nil && reach.Client == nil {
		// The canary was killed before it wrote that file, and so before it made anything else.
		_ = os.Remove(filepath.Join(dir, reachFile))
		return os.Remove(dir) == nil, nil // fails if it is somebody's directory with other files
	}
	r, err := newRunner(ctx, &reach, "", dir)
	if err == nil {
		err = r.remove(ctx)
	}
	if err == nil {
		err = os.RemoveAll(dir)
	}
	return err == nil, err
}
