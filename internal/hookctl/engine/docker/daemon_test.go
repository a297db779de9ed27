package docker

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
)

// TestKnown reads dockerd's runtimes and their features from an API like that of Docker 28.
func TestKnown(t *testing.T) {
	const info = `{"DefaultRuntime": "runc", "Runtimes": {
		"runc": {"path": "runc", "status": {"org.opencontainers.runtime-spec.features": "{\"mountOptions\":[\"ro\",\"rro\"]}"}},
		"gpu": {"path": "/usr/bin/gpu"},
		"old": {"path": "crun", "status": {"org.opencontainers.runtime-spec.features": "{\"mountOptions\":[\"ro\"]}"}}}}`
	for network, address := range map[string]string{"unix": filepath.Join(t.TempDir(), "docker.sock"), "tcp": "127.0.0.1:0"} {
		t.Run(network, func(t *testing.T) { testKnown(t, network, address, info) })
	}
}

func testKnown(t *testing.T, network, address, info string) {
	listener, err := net.Listen(network, address)
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
	config := filepath.Join(t.TempDir(), "daemon.json")
	if err := os.WriteFile(config, fmt.Appendf(nil, `{"hosts": ["%s://%s"]}`, network, listener.Addr()), 0o644); err != nil {
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

// TestHost tests at which address dockerd is asked, according to its flags and daemon.json.
func TestHost(t *testing.T) {
	const refused = "dockerd listens on "
	for _, test := range []struct{ flags, config, want string }{
		{"", "", "unix:///var/run/docker.sock"},
		{"", "\ufeff{}", "unix:///var/run/docker.sock"},
		{"-H fd://", "", "unix:///var/run/docker.sock"},
		{"-H unix://", "", "unix:///var/run/docker.sock"},
		{"-H tcp://0.0.0.0:2375 -Hunix:///srv/d.sock", "", "unix:///srv/d.sock"},
		{"--host=tcp://127.0.0.1:4243 --host=tcp://[::1]:4243", "", "tcp://127.0.0.1:4243"},
		{"-H :4243", "", "tcp://127.0.0.1:4243"},
		{"-H tcp://", "", "tcp://127.0.0.1:2375"},
		{"-H tcp://[::1]", "", "tcp://[::1]:2375"},
		{"--tls=false", `{"hosts": ["tcp://localhost:4243"]}`, "tcp://localhost:4243"},
		{"", `{"hosts": ["unix:///srv/d.sock"]}`, "unix:///srv/d.sock"},
		{"--tlsverify -H tcp://0.0.0.0:2376", "", refused + "tcp://0.0.0.0:2376, "},
		{"-H tcp://127.0.0.1:2376", `{"tls": true}`, refused},
		{"-H npipe://", "", refused},
		{"", `{"hosts": 1}`, "json"},
	} {
		config := filepath.Join(t.TempDir(), "daemon.json")
		if err := os.WriteFile(config, []byte(test.config), 0o644); err != nil {
			t.Fatal(err)
		}
		process := &proc.Process{Letters: true, Args: append([]string{"dockerd"}, strings.Fields(test.flags)...)}
		host, err := (&docker{config: config, daemon: &engine.Daemon{Process: process}}).host()
		if err != nil && strings.Contains(err.Error(), test.want) {
			continue
		}
		if err != nil || host.String() != test.want {
			t.Errorf("%s %s: %s, %v; want %s", test.flags, test.config, host, err, test.want)
		}
	}
}

// TestReload: SIGHUP is enough, except where a dockerd that runs would keep a default runtime that is no longer named
// (S17). A label with the text of a key is not that key. A dockerd that does not run reads the file when it starts.
func TestReload(t *testing.T) {
	const restart, hup, later = "restart dockerd as it was started", "kill -HUP $(cat /var/run/docker.pid)", ""
	for _, test := range []struct{ before, after, want string }{
		{`{"default-runtime": "gpu", "labels": ["default-runtime"]}`, `{"labels": ["default-runtime"]}`, restart},
		{`{"default-runtime": "gpu"}`, `{"default-runtime": "runc"}`, hup},
		{`{"labels": ["default-runtime"]}`, `{}`, hup},
	} {
		config := filepath.Join(t.TempDir(), "daemon.json")
		files := []change.File{{Path: config, Before: []byte(test.before), After: []byte(test.after)}}
		running := &engine.Daemon{Program: "dockerd", Process: &proc.Process{Args: []string{"dockerd"}, Dir: t.TempDir()}}
		if got := (&docker{config: config, daemon: running}).Reload(files).Command; got != test.want {
			t.Errorf("from %s to %s: %q; want %q", test.before, test.after, got, test.want)
		}
		none := &engine.Daemon{Program: "dockerd"}
		if r := (&docker{config: config, daemon: none}).Reload(files); r.Command != later || r.Refused == nil || r.Effect != "dockerd reads the configuration when it starts" {
			t.Errorf("from %s to %s, without a daemon: %+v", test.before, test.after, r)
		}
	}
}
