package profile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
)

// write writes hook files into a new directory and makes it the directory of the profiles. It returns its path.
func write(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was := Dir
	Dir = dir
	t.Cleanup(func() { Dir = was })
	return dir
}

var files = map[string]string{
	"gpu.json":           `{"runtime":"crun","hooks":{"prestart":[{"path":"/gpu"}]}}`,
	"plain.json":         `{"hooks":{"prestart":[{"path":"/plain"}]}}`,
	"other.json":         `{"runtime":"youki","hooks":{}}`,
	"same.json":          `{"hooksDirs":["/d2"],"runtime":"crun"}`,
	"dirs.json":          `{"hooksDirs":["/d1"]}`,
	"oci-add-hooks.json": `{"hooks":{"prestart":[{"path":"/own"}]}}`,
	"broken.json":        `{"runtime":"crun","hooks":{"prestrat":[]}}`,
	"gone.json":          `{"hooks":}`,
}

func TestLoad(t *testing.T) {
	dir := write(t, files)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, test := range []struct {
		name    string
		call    cmdline.Call
		runtime string
		hooks   string // the paths of their programs
		dirs    []string
	}{
		{"profile", cmdline.Call{Name: "gpu"}, "crun", "/gpu", nil},
		{"profile without a runtime", cmdline.Call{Name: "plain"}, "runc", "/plain", nil},
		{"profile of our own name", cmdline.Call{Name: "oci-add-hooks"}, "runc", "/own", nil},
		{"--runtime-path overrides the profile's", cmdline.Call{Name: "gpu", Runtime: "r"}, "r", "/gpu", nil},
		{"options instead of the profile", cmdline.Call{Name: "gpu", HookFiles: []string{at("plain.json")}}, "runc", "/plain", nil},
		{"--hooks-dir instead of the profile", cmdline.Call{Name: "gpu", HooksDirs: []string{"d"}}, "runc", "", []string{"d"}},
		{"files in order", cmdline.Call{HookFiles: []string{at("plain.json"), at("gpu.json"), at("same.json")}}, "crun", "/plain /gpu", []string{"/d2"}},
		{"directories in order", cmdline.Call{HookFiles: []string{at("same.json"), at("dirs.json")}, HooksDirs: []string{"d3"}}, "crun", "", []string{"/d2", "/d1", "d3"}},
	} {
		test.call.Kind = cmdline.AddHooks
		p, err := Load(test.call)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		var programs []string
		for _, f := range p.Files {
			for _, h := range f.Hooks {
				programs = append(programs, h.Path)
			}
		}
		if p.Runtime != test.runtime || strings.Join(programs, " ") != test.hooks || !cmp.Equal(p.Dirs, test.dirs) {
			t.Errorf("%s: runtime %q, hooks %v, directories %v", test.name, p.Runtime, programs, p.Dirs)
		}
		test.call.Kind = cmdline.PassThrough
		if p, err := Load(test.call); err != nil || p.Runtime != test.runtime || p.Files != nil || p.Dirs != nil {
			t.Errorf("%s: without adding hooks: %+v, %v", test.name, p, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := write(t, files)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, test := range []struct {
		call cmdline.Call
		want string // the error of a call that adds hooks
		kill string // the runtime of any other call; empty if that has the same error
	}{
		{cmdline.Call{Name: "none"}, at("none.json") + `: cannot be opened: nothing exists at this path (ENOENT); called as "none" and without --hook-config-path`, ""},
		{cmdline.Call{HookFiles: []string{at("none.json")}}, at("none.json") + `: cannot be opened: nothing exists at this path (ENOENT)`, ""},
		{cmdline.Call{HookFiles: []string{at("gpu.json"), at("other.json")}}, at("other.json") + `: names the runtime "youki", but ` + at("gpu.json") + ` names "crun"; let one of them name it`, "crun"},
		{cmdline.Call{HookFiles: []string{at("gpu.json"), at("other.json")}, Runtime: "r"}, `names the runtime "youki"`, "r"},
		{cmdline.Call{Name: "broken"}, `unknown stage "prestrat"`, "crun"},
		{cmdline.Call{Name: "gone"}, `not valid JSON`, "runc"},
		{cmdline.Call{Name: "none", Runtime: "r"}, `nothing exists at this path`, "r"},
		{cmdline.Call{Name: "-gpu", Runtime: "r"}, `is not a valid profile name`, "r"},
		{cmdline.Call{Name: ""}, `called without a name`, ""},
		{cmdline.Call{Name: "..", Runtime: ""}, `called as "..", which is not a valid profile name`, ""},
		{cmdline.Call{Name: ".gpu"}, `is not a valid profile name`, ""},
		{cmdline.Call{Name: "-gpu"}, `is not a valid profile name`, ""},
		{cmdline.Call{Name: "gpu hooks"}, `is not a valid profile name`, ""},
		{cmdline.Call{Name: "gpü"}, `is not a valid profile name`, ""},
	} {
		test.call.Kind = cmdline.AddHooks
		if p, err := Load(test.call); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %+v, %v; want %s", test.call, p, err, test.want)
		}
		test.call.Kind = cmdline.PassThrough
		p, err := Load(test.call)
		if test.kill == "" && (err == nil || !strings.Contains(err.Error(), test.want)) || test.kill != "" && (err != nil || p.Runtime != test.kill) {
			t.Errorf("%+v: without adding hooks %+v, %v; want %s%s", test.call, p, err, test.kill, test.want)
		}
	}
}
