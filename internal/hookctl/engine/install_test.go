package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
)

// system is a folder with configurations of engines, in which State is too.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	old := State
	State = filepath.Join(dir, "var/lib/oci-add-hooks")
	if err := os.MkdirAll(filepath.Dir(State), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { State = old })
	for path, text := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// snapshot gives what lies below a folder: every file's text and mode, and every folder.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		all[rel] = info.Mode().String()
		if d.Type().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all[rel] += "\n" + string(text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantSame(t *testing.T, what string, want, got map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: (-before +after)\n%s", what, diff)
	}
}

// installation is an engine, with the files that are there for it.
type installation struct {
	engine, config string
	files          map[string]string
}

// newerContainerd is the containerd that test/newer pins: its configuration has another version.
const newerContainerd = "newer containerd"

var installations = []installation{
	{"docker", "etc/docker/daemon.json", map[string]string{"etc/docker/daemon.json": "{\n  \"debug\": true\n}"}},
	{"docker", "etc/docker/daemon.json", nil},
	{"crio", "etc/crio/crio.conf", map[string]string{"etc/crio/crio.conf": "[crio]\n"}},
	{"crio", "etc/crio/crio.conf", nil},
	{"podman", "etc/containers/containers.conf", map[string]string{"etc/containers/containers.conf.d/10-site.conf": "[engine]\nruntime_supports_json = ['x']\n"}},
	{"podman", "etc/containers/containers.conf", nil},
	{"containerd", "etc/containerd/config.toml", map[string]string{"etc/containerd/config.toml": "# ours\nversion = 2\n"}},
	{newerContainerd, "etc/containerd/config.toml", map[string]string{"etc/containerd/config.toml": "# ours\nversion = 2\n"}},
	{newerContainerd, "etc/containerd/config.toml", map[string]string{"etc/containerd/config.toml": "version = 3\nimports = ['conf.d/*.toml']\n"}},
	{newerContainerd, "etc/containerd/config.toml", map[string]string{"etc/containerd/config.toml": "version = 3\nimports=[ # more\n  '/etc/x/*.toml',\n]\n" +
		"[plugins.'io.containerd.cri.v1.runtime'.containerd]\ndefault_runtime_name = 'runc'\n"}},
}

func (i installation) install(t *testing.T, dir string, r Runtime) *Plan {
	t.Helper()
	plan, err := Install(i.new(t, dir), r)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func (i installation) uninstall(t *testing.T, dir, name string) *Plan {
	t.Helper()
	rec, text, err := ReadRecord(i.new(t, dir).Name(), name)
	if err != nil || rec == nil {
		t.Fatalf("the record: %v, %v", rec, err)
	}
	plan, err := Uninstall(i.new(t, dir), rec, text)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func (i installation) new(t *testing.T, dir string) Engine {
	t.Helper()
	if i.engine == newerContainerd {
		bin, err := filepath.Abs("../../../bin/newer")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(bin, "containerd")); err != nil {
			t.Skip("skipped: bin/newer/containerd is not built (make engines)")
		}
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		i.engine = "containerd"
	}
	if i.engine == "containerd" {
		if _, err := find("containerd"); err != nil {
			t.Skipf("skipped: %v (apt-get install containerd)", err)
		}
	}
	e, err := New(i.engine, filepath.Join(dir, i.config))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func carryOut(t *testing.T, plan *Plan) {
	t.Helper()
	if err := plan.CarryOut(t.Context()); err != nil {
		t.Fatal(err)
	}
}

var gpu = Runtime{Name: "gpu", Link: "/usr/local/bin/gpu"}

// TestThereAndBack: installing twice changes nothing, and uninstalling leaves no trace: not a byte, a mode, or a folder.
func TestThereAndBack(t *testing.T) {
	for _, i := range installations {
		for _, isDefault := range []bool{false, true} {
			t.Run(i.engine, func(t *testing.T) {
				dir := machine(t, i.files)
				before := snapshot(t, dir)
				r := gpu
				r.Default = isDefault
				carryOut(t, i.install(t, dir, r))
				installed := snapshot(t, dir)
				if cmp.Equal(before, installed) {
					t.Fatal("nothing was installed")
				}
				if again := i.install(t, dir, r); again.Changes() {
					t.Errorf("a second time changes %+v", again.Files)
				}
				carryOut(t, i.uninstall(t, dir, "gpu"))
				wantSame(t, "uninstalled", before, snapshot(t, dir))
			})
		}
	}
}

// TestTwoProfiles: each is taken out by itself, in whichever order.
func TestTwoProfiles(t *testing.T) {
	for _, i := range installations {
		for _, order := range [][]string{{"gpu", "net"}, {"net", "gpu"}} {
			t.Run(i.engine+"/"+strings.Join(order, "-"), func(t *testing.T) {
				dir := machine(t, i.files)
				before := snapshot(t, dir)
				carryOut(t, i.install(t, dir, gpu))
				carryOut(t, i.install(t, dir, Runtime{Name: "net", Link: "/usr/local/bin/net"}))
				for _, name := range order {
					carryOut(t, i.uninstall(t, dir, name))
				}
				wantSame(t, "uninstalled", before, snapshot(t, dir))
			})
		}
	}
}

// TestEveryStepFails: whichever file cannot be changed, because somebody else has in between, and whichever step after
// that fails, all is as it was.
func TestEveryStepFails(t *testing.T) {
	for _, i := range installations {
		for _, what := range []string{"install", "uninstall"} {
			t.Run(i.engine+"/"+what, func(t *testing.T) {
				dir := machine(t, i.files)
				plan := func() *Plan { return i.install(t, dir, gpu) }
				if what == "uninstall" {
					carryOut(t, plan())
					plan = func() *Plan { return i.uninstall(t, dir, "gpu") }
				}
				before := snapshot(t, dir)
				steps := 0
				for n, f := range plan().Files {
					if f.Same() {
						continue
					}
					steps++
					failing := plan()
					made := change.MissingDirectories(filepath.Dir(f.Path))
					meddle(t, f)
					if err := failing.CarryOut(t.Context()); err == nil || !strings.Contains(err.Error(), f.Path+" was changed in between") {
						t.Errorf("step %d: %v", n, err)
					}
					mend(t, f, made)
					wantSame(t, f.Path, before, snapshot(t, dir))
				}
				if steps < 2 {
					t.Errorf("%d steps", steps)
				}
				fault := errors.New("no reload")
				reloads := 0
				reload := func() error { reloads++; return fault }
				if err := plan().CarryOut(t.Context(), Step{Do: reload, Undo: func() error { reloads++; return nil }}); reloads != 2 || !errors.Is(err, fault) || !strings.Contains(err.Error(), "everything was put back") {
					t.Errorf("reloading fails: %v", err)
				}
				wantSame(t, "reload", before, snapshot(t, dir))
				ended, end := context.WithCancel(t.Context())
				end()
				if err := plan().CarryOut(ended); !errors.Is(err, context.Canceled) {
					t.Errorf("interrupted: %v", err)
				}
				wantSame(t, "interrupted", before, snapshot(t, dir))
			})
		}
	}
}

// TestUndoFails: what cannot be put back is told, and stays remembered.
func TestUndoFails(t *testing.T) {
	i := installations[0]
	dir := machine(t, i.files)
	plan := i.install(t, dir, gpu)
	fault := errors.New("no reload")
	err := plan.CarryOut(t.Context(), Step{Do: func() error {
		meddle(t, change.File{Path: filepath.Join(dir, i.config)})
		return fault
	}})
	if !errors.Is(err, fault) || !strings.Contains(err.Error(), "and not everything could be put back: "+filepath.Join(dir, i.config)+" was changed in between") ||
		strings.Contains(err.Error(), "everything was put back") {
		t.Error(err)
	}
	carryOut(t, i.uninstall(t, dir, "gpu"))
	if text, err := os.ReadFile(filepath.Join(dir, i.config)); err != nil || strings.TrimSpace(string(text)) != i.files[i.config] {
		t.Errorf("uninstalled: %q, %v", text, err)
	}
}

// TestUmask: whatever the umask, others can read what engines read for them, and nobody else what is remembered.
func TestUmask(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	old := State
	defer func() { State = old }()
	for _, i := range []installation{{"podman", "etc/containers/containers.conf", nil}, {"docker", "etc/docker/daemon.json", nil}} {
		dir := t.TempDir()
		State = filepath.Join(dir, "state")
		plan := i.install(t, dir, gpu)
		carryOut(t, plan)
		for _, f := range plan.Files {
			want := fs.FileMode(0o644)
			if strings.HasPrefix(f.Path, State) {
				want = 0o600
			}
			for path := f.Path; path != dir; path = filepath.Dir(path) {
				if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
					t.Errorf("%s: %v, %v; want %v", path, st.Mode(), err, want)
				}
				want = 0o755
			}
		}
	}
}

// meddle changes a file as somebody else would, and makes it if it is not there.
func meddle(t *testing.T, f change.File) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(f.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
}

// mend undoes meddle, which made these folders.
func mend(t *testing.T, f change.File, made []string) {
	t.Helper()
	if f.Before != nil {
		if err := os.WriteFile(f.Path, f.Before, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.Remove(f.Path); err != nil {
		t.Fatal(err)
	}
	change.RemoveFolders(made)
}
