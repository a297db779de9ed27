package containerd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// start starts a containerd with a configuration of its own, and returns the path of the configuration.
func start(t *testing.T, program, text string) string {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, text, dir, dir, filepath.Join(dir, "s")), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c", config)
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGTERM}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
	})
	return config
}

const (
	older = `version = 2
root = "%s/root"
state = "%s/state"
[grpc]
address = "%s"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
default_runtime_name = "gpu"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.gpu]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.gpu.options]
BinaryName = "/usr/local/bin/gpu"
`
	newer = `version = 3
root = "%s/root"
state = "%s/state"
[grpc]
address = "%s"
[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "gpu"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.gpu]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.gpu.options]
BinaryName = "/usr/local/bin/gpu"
[plugins."io.containerd.cri.v1.images"]
snapshotter = "native"
`
)

// TestRunning: with two running containerds, each is judged by its own program and asked at its own socket, independent
// of PATH.
func TestRunning(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: containerd takes root (sudo make test)")
	}
	installed, err := exec.LookPath("containerd")
	if err != nil {
		t.Skip("skipped: containerd is not installed (apt-get install containerd)")
	}
	built, err := filepath.Abs("../../../../bin/newer/containerd")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(built); err != nil {
		t.Skip("skipped: bin/newer/containerd is not built (make engines)")
	}
	if out, err := exec.Command(installed, "config", "dump").Output(); err != nil || len(out) < 10 || string(out[:11]) == "version = 3" {
		t.Skip("skipped: the containerd that is installed is not of version 1")
	}
	for _, test := range []struct {
		program, text, first string
		plugin               string
	}{
		{installed, older, filepath.Dir(built), cris[1]},
		{built, newer, filepath.Dir(installed), cris[0]},
	} {
		t.Run(test.plugin, func(t *testing.T) {
			config := start(t, test.program, test.text)
			t.Setenv("PATH", test.first+":"+os.Getenv("PATH"))
			sys := system.System{Root: "/"}
			var known *engine.Registered
			err := engine.Settled(t.Context(), 20*time.Second, func(ctx context.Context) error {
				e, err := New(sys, config)
				if err != nil {
					return err
				}
				c := e.(*containerd)
				if c.daemon.Process == nil {
					return c.Reload(nil).Refused
				}
				if path, err := c.daemon.Path(); err != nil || path != test.program {
					t.Errorf("%s is asked, %v; want %s", path, err, test.program)
				}
				if now, err := c.ask(ctx); err != nil || now.plugin != test.plugin {
					t.Errorf("%+v, %v; want the plugin %s", now, err, test.plugin)
				}
				if c.Reload(nil).Refused == nil {
					t.Error("what no unit of systemd runs would be restarted")
				}
				known, err = e.Known(ctx)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if entry := known.Entry("gpu"); entry == nil || entry.Path != "/usr/local/bin/gpu" || !entry.Default || known.Entry("runc") == nil && test.plugin == cris[0] {
				t.Errorf("it knows %+v", known.Entries)
			}
		})
	}
}
