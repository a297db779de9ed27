package engines

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc/proctest"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// TestHere: of several daemons each is examined; one has to be chosen only to change it.
func TestHere(t *testing.T) {
	root := t.TempDir()
	for i, config := range []string{"/srv/b.toml", "/srv/a.toml"} {
		if _, err := proctest.Add(root, 100+i, "containerd", "--config", config); err != nil {
			t.Fatal(err)
		}
	}
	sys := system.System{Root: root, State: filepath.Join(root, "state")}
	list, err := Here(sys)
	if err != nil {
		t.Fatal(err)
	}
	var configs []string
	for _, e := range list {
		if e.Name() == "containerd" {
			configs = append(configs, e.Config())
			if e.Daemon().Process == nil {
				t.Errorf("%s is not found to run", e.Config())
			}
		}
	}
	if !slices.Equal(configs, []string{"/srv/a.toml", "/srv/b.toml"}) {
		t.Errorf("%q", configs)
	}
	if _, err := New(sys, "containerd", ""); err == nil {
		t.Error("one is chosen")
	}
}
