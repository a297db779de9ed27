package program

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
)

// TestCall tests which call of oci-add-hooks an engine's call of its runtime leads to, through scripts.
func TestCall(t *testing.T) {
	root := t.TempDir()
	t.Setenv("PATH", root+"/bin")
	for path, text := range map[string]string{
		"bin/oci-add-hooks": "\x7fELF",
		"other/program":     "\x7fELF",
		"docker":            "#!/bin/sh\nROOT/bin/oci-add-hooks --hook-config-path /etc/gpu.json --hooks-dir=/etc/hooks.d $@\n",
		"wrapper":           "#!/bin/sh\n# ROOT/bin/oci-add-hooks --hook-config-path /no.json\nexec oci-add-hooks \\\n  --hook-config-path '/etc/a.json' \\\n  --runtime-path /bin/crun \"$@\"\n",
		"variable":          "#!/bin/sh\nRUNTIME=\"ROOT/bin/gpu\"\nexec $RUNTIME \"$@\"\n",
		"twice":             "#!/bin/sh\nROOT/wrapper $@\n",
		"elsewhere":         "#!/bin/sh\nROOT/other/program --hook-config-path /etc/gpu.json $@\n",
		"comment":           "#!/bin/sh\n# oci-add-hooks\nexec ROOT/other/program\n",
		"no-script":         "oci-add-hooks",
		"named":             "#!/bin/bash\nexec -a runc ROOT/bin/gpu \"$@\"\n",
		"site":              "#!/bin/bash\nexec -a \"$0\" ROOT/bin/gpu \"$@\"\n",
		"asks":              "#!/bin/sh\nROOT/bin/oci-add-hooks --version || exit 1\nexec ROOT/bin/gpu \"$@\"\n",
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "ROOT", root)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"bin/gpu": "oci-add-hooks", "other/gpu": "../bin/oci-add-hooks", "bin/runc": "../other/program"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for call, want := range map[string]string{ // the name, hook files, hooks directories and runtime
		"ROOT/bin/gpu":           "gpu",
		"ROOT/other/gpu":         "gpu",
		"gpu":                    "gpu",
		"oci-add-hooks":          "oci-add-hooks",
		"ROOT/bin/oci-add-hooks": "oci-add-hooks",
		"ROOT/bin/oci-add-hooks --hook-config-path /etc/x.json": "oci-add-hooks /etc/x.json",
		"ROOT/bin/gpu --runtime-path /bin/crun":                 "gpu /bin/crun",
		"ROOT/docker":                                           "oci-add-hooks /etc/gpu.json /etc/hooks.d",
		"ROOT/docker --x":                                       "oci-add-hooks /etc/gpu.json /etc/hooks.d",
		"ROOT/wrapper":                                          "oci-add-hooks /etc/a.json /bin/crun",
		"ROOT/variable":                                         "gpu",
		"ROOT/twice":                                            "oci-add-hooks /etc/a.json /bin/crun",
		"ROOT/elsewhere":                                        "",
		"ROOT/comment":                                          "",
		"ROOT/no-script":                                        "",
		"ROOT/named":                                            "runc",
		"ROOT/site":                                             "site",
		"ROOT/asks":                                             "gpu",
		"ROOT/bin/runc":                                         "",
		"ROOT/nothing":                                          "",
		"ROOT/other/program":                                    "",
		"runc":                                                  "",
		"":                                                      "",
	} {
		call, through, err := Call(proc.Below("/"), strings.Fields(strings.ReplaceAll(call, "ROOT", root)+" "), root+"/bin/oci-add-hooks")
		got := ""
		if through {
			used := append(append([]string{call.Name}, call.HookFiles...), call.HooksDirs...)
			got = strings.TrimSpace(strings.Join(append(used, call.Runtime), " "))
		}
		if err != nil || got != want {
			t.Errorf("%+v, %v; want %q", call, err, want)
		}
	}
}

// TestCallWithoutArguments: a script that passes no arguments on leads to the program, but starts no container.
func TestCallWithoutArguments(t *testing.T) {
	dir := t.TempDir()
	program, script := filepath.Join(dir, "oci-add-hooks"), filepath.Join(dir, "script")
	for path, text := range map[string]string{program: "\x7fELF", script: "#!/bin/sh\nexec " + program + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, leads, err := Call(proc.Below("/"), []string{script}, program)
	if want := script + ":2 passes no arguments on, so that no container starts"; !leads || err == nil || err.Error() != want {
		t.Errorf("%v, %v; want %q", leads, err, want)
	}
}
