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

// TestUnread: what the running daemon does not know, or not so, is a warning.
func TestUnread(t *testing.T) {
	dir := t.TempDir()
	e, err := engines.New(system.System{Root: dir, State: dir}, "docker", filepath.Join(dir, "daemon.json"))
	if err != nil {
		t.Fatal(err)
	}
	known := &engine.Registered{Entries: []engine.Entry{{Name: "a", Path: "/a"}, {Name: "b", Path: "/b", Default: true}}}
	for _, test := range []struct {
		entry engine.Entry
		want  string
	}{
		{engine.Entry{Name: "a", Path: "/a"}, ""},
		{engine.Entry{Name: "b", Path: "/b", Default: true}, ""},
		{engine.Entry{Name: "a", Path: "/other"}, "the running dockerd does not know it so: it has not read its configuration since"},
		{engine.Entry{Name: "c", Path: "/c"}, "the running dockerd does not know it so: it has not read its configuration since"},
		{engine.Entry{Name: "a", Path: "/a", Default: true}, "it is not the default runtime of the running dockerd: that has not read its configuration since"},
	} {
		x := &examination{engine: e, known: known}
		x.entry(t.Context(), test.entry)
		got := ""
		for _, line := range x.lines {
			if line.Status == Warning {
				got += line.Message
			}
		}
		if got != test.want {
			t.Errorf("%+v: %q, not %q", test.entry, got, test.want)
		}
	}
}

// TestFeatures: features that the engine knows of runc are expected of a runtime that leads to runc, and of no other.
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
