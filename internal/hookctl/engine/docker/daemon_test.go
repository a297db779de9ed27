package docker

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
)

// TestKnown: what dockerd says of its runtimes and their features, as Docker 28 does by its API.
func TestKnown(t *testing.T) {
	const info = `{"DefaultRuntime": "runc", "Runtimes": {
		"runc": {"path": "runc", "status": {"org.opencontainers.runtime-spec.features": "{\"mountOptions\":[\"ro\",\"rro\"]}"}},
		"gpu": {"path": "/usr/bin/gpu"},
		"old": {"path": "crun", "status": {"org.opencontainers.runtime-spec.features": "{\"mountOptions\":[\"ro\"]}"}}}}`
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, "docker.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/info" {
			http.NotFound(w, r)
		}
		fmt.Fprint(w, info)
	}))
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	config := filepath.Join(dir, "daemon.json")
	if err := os.WriteFile(config, fmt.Appendf(nil, `{"hosts": ["unix://%s"]}`, listener.Addr()), 0o644); err != nil {
		t.Fatal(err)
	}
	known, err := (&docker{config: config, daemon: &engine.Daemon{}}).Known(t.Context())
	want := []engine.Entry{
		{Name: "gpu", Path: "/usr/bin/gpu"},
		{Name: "old", Path: "crun"},
		{Name: "runc", Path: "runc", Default: true, Features: []string{engine.RecursiveReadOnly}},
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, known.Entries); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
