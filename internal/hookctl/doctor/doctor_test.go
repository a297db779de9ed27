package doctor

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engines"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// TestFeatures: what the engine knows of runc counts for a runtime that leads there, and for no other.
func TestFeatures(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	runc, crun := path("runc"), path("crun")
	e, err := engines.New(system.System{Root: dir, State: dir}, "docker", filepath.Join(dir, "daemon.json"))
	if err != nil {
		t.Fatal(err)
	}
	known := &engine.Registered{Entries: []engine.Entry{
		{Name: "runc", Path: runc, Features: []string{engine.RecursiveReadOnly, engine.UserNamespaces}},
		{Name: "crun", Path: crun},
		{Name: "gpu", Features: []string{engine.UserNamespaces}},
		{Name: "all", Features: []string{engine.RecursiveReadOnly, engine.UserNamespaces}},
	}}
	for name, want := range map[string]map[string][]string{
		runc: {"gpu": {"docker does not know that it has recursive read-only mounts, as runc has: containers do without"}, "all": nil, "other": nil},
		crun: {"gpu": nil, "all": nil},
	} {
		for entry, want := range want {
			x := &examination{engine: e, known: known}
			x.features(engine.Entry{Name: entry}, name)
			var got []string
			for _, line := range x.lines {
				if line.Status != Warning || line.Remedy != "restart dockerd, which asks for features when it starts" {
					t.Errorf("%+v", line)
				}
				got = append(got, line.Message)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s by %s (-want +got)\n%s", entry, name, diff)
			}
		}
	}
}
