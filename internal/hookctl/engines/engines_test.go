package engines

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc/proctest"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// TestHere: if several daemons run, each is examined. Only a change needs one of them to be selected.
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
				t.Errorf("%s is not found running", e.Config())
			}
		}
	}
	if !slices.Equal(configs, []string{"/srv/a.toml", "/srv/b.toml"}) {
		t.Errorf("%q", configs)
	}
	if _, err := New(sys, "containerd", ""); err == nil {
		t.Error("one daemon was selected")
	}
}
