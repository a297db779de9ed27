package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc/proctest"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

var containerd = engine.Kind{Program: "containerd", Usual: "/etc/containerd/config.toml", Config: []string{"--config", "-c"},
	Except: func(config string) bool { return strings.HasSuffix(config, "/docker/containerd/containerd.toml") }}

// TestFind: the daemon that is found is the one that reads the given configuration. dockerd and k3s have a containerd
// of their own, which does not read the usual file.
func TestFind(t *testing.T) {
	const (
		own    = "containerd --config /var/run/docker/containerd/containerd.toml"
		k3s    = "containerd -c /var/lib/rancher/k3s/agent/etc/containerd/config.toml -a /run/k3s/containerd/containerd.sock"
		usual  = "/usr/bin/containerd --log-level info"
		stated = "/usr/bin/containerd --config=/etc/containerd/config.toml"
		other  = "containerd -c=/srv/config.toml"
		dir    = "containerd --config srv/../srv/config.toml"
	)
	for _, test := range []struct {
		name    string
		running []string
		config  string // the given path
		want    string // the index of the process in running, or an error
		reads   string
	}{
		{"none", nil, "", "", "/etc/containerd/config.toml"},
		{"none with that configuration", []string{usual}, "/srv/config.toml", "", "/srv/config.toml"},
		{"the usual one", []string{usual}, "", "0", "/etc/containerd/config.toml"},
		{"the usual one, as it says", []string{other, stated}, "", "1", "/etc/containerd/config.toml"},
		{"the usual one, asked for", []string{usual}, "/etc/containerd/config.toml", "0", "/etc/containerd/config.toml"},
		{"the only one", []string{"containerd-shim-runc-v2", k3s, "dockerd --config /x"}, "", "1", "/var/lib/rancher/k3s/agent/etc/containerd/config.toml"},
		{"Docker's is no other's", []string{own}, "", "", "/etc/containerd/config.toml"},
		{"Docker's, asked for", []string{own}, "/var/run/docker/containerd/containerd.toml", "0", "/var/run/docker/containerd/containerd.toml"},
		{"beside Docker's", []string{own, k3s}, "", "1", "/var/lib/rancher/k3s/agent/etc/containerd/config.toml"},
		{"two", []string{k3s, other}, "", "several daemons containerd run:\n  process 100 reads /var/lib/rancher/k3s/agent/etc/containerd/config.toml\n  process 101 reads /srv/config.toml; choose one with --config FILE", ""},
		{"one of two", []string{k3s, other}, "/srv/config.toml", "1", "/srv/config.toml"},
		{"twice the same", []string{other, other}, "", "several daemons containerd run:\n  process 100 reads /srv/config.toml\n  process 101 reads /srv/config.toml; a change of that file", ""},
		{"from its directory", []string{dir}, "/srv/config.toml", "0", "/srv/config.toml"},
		{"beside questions", []string{other, "containerd -v", "containerd config dump", "containerd --help"}, "", "0", "/srv/config.toml"},
		{"not a question", []string{"containerd --root config -c /srv/config.toml"}, "", "0", "/srv/config.toml"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			if err := os.MkdirAll(filepath.Join(root, "proc/1"), 0o755); err != nil {
				t.Fatal(err)
			}
			for i, argv := range test.running {
				dir, err := proctest.Add(root, 100+i, strings.Fields(argv)...)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink("/", filepath.Join(dir, "cwd")); err != nil {
					t.Fatal(err)
				}
			}
			d, err := containerd.Find(system.System{Root: root}, test.config)
			switch {
			case err != nil:
				if test.want == "" || !strings.HasPrefix(err.Error(), test.want) {
					t.Errorf("%v; want %q", err, test.want)
				}
			case d.Config != test.reads:
				t.Errorf("it reads %s", d.Config)
			case test.want == "" && d.Process != nil:
				t.Errorf("process %d is found", d.Process.PID)
			case test.want != "" && (d.Process == nil || d.Process.PID != 100+int(test.want[0]-'0')):
				t.Errorf("%+v is found; want %s", d, test.want)
			}
		})
	}
}

// TestFindChild: a child of a daemon with the daemon's program is a part of the daemon. It has no --config of its own.
func TestFindChild(t *testing.T) {
	root := t.TempDir()
	for pid, argv := range map[int]string{100: "containerd -c /srv/config.toml", 101: "containerd"} {
		dir, err := proctest.Add(root, pid, strings.Fields(argv)...)
		if err != nil {
			t.Fatal(err)
		}
		stat := fmt.Sprintf("%d (containerd) S %d%s\n", pid, pid-1, strings.Repeat(" 0", 40))
		if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(stat), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := containerd.Find(system.System{Root: root}, "")
	if err != nil || d.Process == nil || d.Process.PID != 100 || d.Config != "/srv/config.toml" {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestFindVariables: variables of a daemon's environment count as its options, which take precedence. If no daemon
// runs, hookctl's own environment counts.
func TestFindVariables(t *testing.T) {
	crio := engine.Kind{Program: "crio", Usual: "/etc/crio/crio.conf", Config: []string{"--config", "-c"},
		Variables: map[string]string{"CONTAINER_CONFIG": "--config", "CONTAINER_DEFAULT_RUNTIME": "--default-runtime"}}
	t.Setenv("CONTAINER_CONFIG", "/etc/here.conf")
	root := t.TempDir()
	for _, test := range []struct{ argv, environ, config, runtime string }{
		{"", "", "/etc/here.conf", ""},
		{"crio", "", "/etc/crio/crio.conf", ""},
		{"crio", "A=b\x00CONTAINER_CONFIG=/srv/a.conf\x00CONTAINER_DEFAULT_RUNTIME=crun\x00", "/srv/a.conf", "crun"},
		{"crio -c /srv/b.conf --default-runtime=runc", "CONTAINER_CONFIG=/srv/a.conf\x00CONTAINER_DEFAULT_RUNTIME=crun\x00", "/srv/b.conf", "runc"},
	} {
		if test.argv == "" {
			if err := os.MkdirAll(filepath.Join(root, "proc/1"), 0o755); err != nil {
				t.Fatal(err)
			}
		} else if dir, err := proctest.Add(root, 100, strings.Fields(test.argv)...); err != nil {
			t.Fatal(err)
		} else if err := os.WriteFile(filepath.Join(dir, "environ"), []byte(test.environ), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := crio.Find(system.System{Root: root}, "")
		if err != nil || d.Config != test.config || d.Option("--default-runtime") != test.runtime {
			t.Errorf("%+v: %+v, %v", test, d, err)
		}
	}
}

// TestFindStranger: a stranger's process with the name of the daemon is ignored, and the result says so.
func TestFindStranger(t *testing.T) {
	root := t.TempDir()
	dir, err := proctest.Add(root, 100, "containerd")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "status"), []byte("Uid:\t4242\t4242\t4242\t4242\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := containerd.Find(system.System{Root: root}, "")
	if err != nil || d.Process != nil || !strings.Contains(d.Judged(), "process 100 (containerd) is not believed: it is a process of the user with the ID 4242") {
		t.Errorf("%+v, %v: %s", d, err, d.Judged())
	}
}

// TestPath: the program of k3s is also containerd, by that name. A daemon whose program was replaced since it started
// is asked by its running program.
func TestPath(t *testing.T) {
	root := t.TempDir()
	dir, err := proctest.Add(root, 100, "containerd")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(root, "k3s")
	if err := os.Rename(filepath.Join(root, "proc/.program"), program); err != nil {
		t.Fatal(err)
	}
	link := func(target, path string) {
		t.Helper()
		_ = os.Remove(path)
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	link(program, filepath.Join(dir, "exe"))
	for _, test := range []struct{ link, want string }{
		{"k3s", filepath.Join(root, "containerd")},
		{"/bin/true", filepath.Join(dir, "exe")},
	} {
		link(test.link, filepath.Join(root, "containerd"))
		d, err := containerd.Find(system.System{Root: root}, "")
		if err != nil || d.Process == nil {
			t.Fatalf("%+v, %v", d, err)
		}
		if path, err := d.Path(); err != nil || path != test.want {
			t.Errorf("%s, %v; want %s", path, err, test.want)
		}
	}
}
