package canary

import (
	"path/filepath"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
)

// A kubelet removes the log of a pod that it does not know, by a pattern. For a container without a log, the pattern
// matches files of the node.
func TestContainerHasLog(t *testing.T) {
	c := &containerd{CRI: &engine.CRI{}, name: "hookctl-canary-1"}
	if dir, log := c.pod().LogDirectory, c.container().LogPath; !filepath.IsAbs(dir) || filepath.Base(dir) != c.name || log == "" {
		t.Errorf("the log is %q in %q", log, dir)
	}
}
