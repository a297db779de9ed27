package registration_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engines"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// machine returns a system of its own with configurations of engines.
func machine(t *testing.T, files map[string]string) system.System {
	t.Helper()
	dir := t.TempDir()
	sys := system.System{Root: dir, State: filepath.Join(dir, "var/lib/oci-add-hooks")}
	for path, text := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(sys.State), 0o755); err != nil {
		t.Fatal(err)
	}
	return sys
}

// snapshot returns everything below a directory: every file's text and mode, and every directory.
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

// installation is an engine, with the files that it needs.
type installation struct {
	engine, config string
	files          map[string]string
}

// newerContainerd is the containerd that test/newer pins, whose configuration has another version.
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

func (i installation) install(t *testing.T, sys system.System, r engine.Runtime) *registration.Plan {
	t.Helper()
	plan, err := registration.Install(t.Context(), sys, i.new(t, sys), r)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func (i installation) uninstall(t *testing.T, sys system.System, name string) *registration.Plan {
	t.Helper()
	rec, text, err := registration.ReadRecord(sys, i.new(t, sys).Name(), name)
	if err != nil || rec == nil {
		t.Fatalf("the record: %v, %v", rec, err)
	}
	plan, err := registration.Uninstall(sys, i.new(t, sys), rec, text)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func (i installation) new(t *testing.T, sys system.System) engine.Engine {
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
		if _, err := command.Find("containerd"); err != nil {
			t.Skipf("skipped: %v (apt-get install containerd)", err)
		}
	}
	e, err := engines.New(sys, i.engine, filepath.Join(sys.Root, i.config))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func carryOut(t *testing.T, plan *registration.Plan) {
	t.Helper()
	if err := plan.CarryOut(t.Context()); err != nil {
		t.Fatal(err)
	}
}

var gpu = engine.Runtime{Name: "gpu", Link: "/usr/local/bin/gpu"}

// TestThereAndBack: installing twice changes nothing the second time, and uninstalling leaves no trace: not a byte, a
// mode, or a directory.
func TestThereAndBack(t *testing.T) {
	for _, i := range installations {
		for _, isDefault := range []bool{false, true} {
			t.Run(i.engine, func(t *testing.T) {
				sys := machine(t, i.files)
				before := snapshot(t, sys.Root)
				r := gpu
				r.Default = isDefault
				carryOut(t, i.install(t, sys, r))
				installed := snapshot(t, sys.Root)
				if cmp.Equal(before, installed) {
					t.Fatal("nothing was installed")
				}
				if again := i.install(t, sys, r); again.Changes() {
					t.Errorf("the second installation changes %+v", again.Files)
				}
				carryOut(t, i.uninstall(t, sys, "gpu"))
				wantSame(t, "uninstalled", before, snapshot(t, sys.Root))
			})
		}
	}
}

// TestTwoProfiles: each of two profiles can be removed without the other, in either order.
func TestTwoProfiles(t *testing.T) {
	for _, i := range installations {
		for _, order := range [][]string{{"gpu", "net"}, {"net", "gpu"}} {
			t.Run(i.engine+"/"+strings.Join(order, "-"), func(t *testing.T) {
				sys := machine(t, i.files)
				before := snapshot(t, sys.Root)
				carryOut(t, i.install(t, sys, gpu))
				carryOut(t, i.install(t, sys, engine.Runtime{Name: "net", Link: "/usr/local/bin/net"}))
				for _, name := range order {
					carryOut(t, i.uninstall(t, sys, name))
				}
				wantSame(t, "uninstalled", before, snapshot(t, sys.Root))
			})
		}
	}
}

// TestEveryStepFails: if a file cannot be changed because somebody else has changed it, or if a later step fails,
// everything is restored.
func TestEveryStepFails(t *testing.T) {
	for _, i := range installations {
		for _, what := range []string{"install", "uninstall"} {
			t.Run(i.engine+"/"+what, func(t *testing.T) {
				sys := machine(t, i.files)
				plan := func() *registration.Plan { return i.install(t, sys, gpu) }
				if what == "uninstall" {
					carryOut(t, plan())
					plan = func() *registration.Plan { return i.uninstall(t, sys, "gpu") }
				}
				before := snapshot(t, sys.Root)
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
					wantSame(t, f.Path, before, snapshot(t, sys.Root))
				}
				if steps < 2 {
					t.Errorf("%d steps", steps)
				}
				fault := errors.New("no reload")
				reloads := 0
				reload := func(context.Context) error { reloads++; return fault }
				if err := plan().CarryOut(t.Context(), registration.Step{Do: reload, Undo: func(context.Context) error { reloads++; return nil }}); reloads != 2 || !errors.Is(err, fault) || !strings.Contains(err.Error(), "\neverything was restored") {
					t.Errorf("reloading fails: %v", err)
				}
				wantSame(t, "reload", before, snapshot(t, sys.Root))
				ended, end := context.WithCancel(t.Context())
				end()
				if err := plan().CarryOut(ended); !errors.Is(err, context.Canceled) {
					t.Errorf("interrupted: %v", err)
				}
				wantSame(t, "interrupted", before, snapshot(t, sys.Root))
			})
		}
	}
}

// TestCarryOut: a failed step is undone with those before it, the last one first. An interrupt has the same effect.
func TestCarryOut(t *testing.T) {
	var did []string
	sys := machine(t, nil)
	step := func(name string, err error) registration.Step {
		return registration.Step{
			Do:   func(context.Context) error { did = append(did, name); return err },
			Undo: func(ctx context.Context) error { did = append(did, "not "+name); return ctx.Err() },
		}
	}
	fault := errors.New("fault")
	ctx, interrupt := context.WithCancel(t.Context())
	interrupting := registration.Step{Do: func(context.Context) error { interrupt(); return nil }}
	for _, test := range []struct {
		ctx   context.Context
		steps []registration.Step
		want  error
		did   []string
	}{
		{t.Context(), []registration.Step{step("a", nil), step("b", nil)}, nil, []string{"a", "b"}},
		{t.Context(), []registration.Step{step("a", nil), step("b", fault), step("c", nil)}, fault, []string{"a", "b", "not b", "not a"}},
		{ctx, []registration.Step{step("a", nil), interrupting, step("b", nil)}, context.Canceled, []string{"a", "not a"}},
	} {
		did = nil
		plan := registration.Gone(sys, installations[0].new(t, sys), gpu)
		if err := plan.CarryOut(test.ctx, test.steps...); !errors.Is(err, test.want) || !slices.Equal(did, test.did) {
			t.Errorf("did %q, and %v; want %q, and %v", did, err, test.did, test.want)
		}
	}
}

// TestUndoFails: what cannot be restored is reported, and stays in the journal.
func TestUndoFails(t *testing.T) {
	i := installations[0]
	sys := machine(t, i.files)
	plan := i.install(t, sys, gpu)
	fault := errors.New("no reload")
	err := plan.CarryOut(t.Context(), registration.Step{Do: func(context.Context) error {
		meddle(t, change.File{Path: filepath.Join(sys.Root, i.config)})
		return fault
	}})
	if !errors.Is(err, fault) || !strings.Contains(err.Error(), "and not everything was restored: "+filepath.Join(sys.Root, i.config)+" was changed in between") ||
		strings.Contains(err.Error(), "\neverything was restored") {
		t.Error(err)
	}
	carryOut(t, i.uninstall(t, sys, "gpu"))
	if text, err := os.ReadFile(filepath.Join(sys.Root, i.config)); err != nil || strings.TrimSpace(string(text)) != i.files[i.config] {
		t.Errorf("uninstalled: %q, %v", text, err)
	}
}

// TestUmask: independent of the umask, others can read what engines read for them, and nobody else can read hookctl's
// records.
func TestUmask(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	for _, i := range []installation{{"podman", "etc/containers/containers.conf", nil}, {"docker", "etc/docker/daemon.json", nil}} {
		sys := machine(t, nil)
		plan := i.install(t, sys, gpu)
		carryOut(t, plan)
		for _, f := range plan.Files {
			want := fs.FileMode(0o644)
			if strings.HasPrefix(f.Path, sys.State) {
				want = 0o600
			}
			for path := f.Path; path != sys.Root && path != filepath.Dir(sys.State); path = filepath.Dir(path) {
				if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
					t.Errorf("%s: %v, %v; want %v", path, st.Mode(), err, want)
				}
				want = 0o755
			}
		}
	}
}

// meddle changes a file as somebody else would, and makes it if it is missing.
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

// mend undoes meddle, which made these directories.
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
	for _, dir := range slices.Backward(made) {
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
	}
}
