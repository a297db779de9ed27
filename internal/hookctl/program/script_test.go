package program

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
)

// TestFollow: the program that a script leads to is found, or reported as unknown, but never ignored.
func TestFollow(t *testing.T) {
	const found, unknown, none = "found", "unknown", "none"
	for name, test := range map[string]struct {
		script string
		want   string // from the link ROOT/bin/gpu
		call   string // the result of Call: hook files, or "-"; empty for none
	}{
		"exec":              {"#!/bin/sh\nexec ROOT/bin/gpu \"$@\"", found, "-"},
		"name":              {"#!/bin/sh\ngpu $@", found, "-"},
		"command -v":        {"#!/bin/sh\nexec \"$(command -v gpu)\" \"$@\"", found, "-"},
		"backquotes":        {"#!/bin/sh\nexec `which gpu` $*", found, "-"},
		"two variables":     {"#!/bin/sh\nN=gp\nD=ROOT/bin\nexec $D/${N}u \"$@\"", found, "-"},
		"default":           {"#!/bin/sh\nexec ${RUNTIME:-ROOT/bin/gpu} \"$@\"", found, "-"},
		"array":             {"#!/bin/bash\nrt=(ROOT/bin/gpu --hook-config-path /etc/a.json)\nexec \"${rt[@]}\" \"$@\"", found, "/etc/a.json"},
		"list in a string":  {"#!/bin/sh\nRT='ROOT/bin/gpu --hook-config-path /etc/a.json'\nexec $RT \"$@\"", found, "/etc/a.json"},
		"cd":                {"#!/bin/sh\ncd ROOT/bin && ./gpu --hook-config-path hf.json \"$@\"", found, "ROOT/bin/hf.json"},
		"beside it":         {"#!/bin/sh\nexec \"$(dirname \"$0\")/bin/gpu\" \"$@\"", found, "-"},
		"beside it, by cd":  {"#!/bin/sh\nhere=$(cd \"$(dirname \"$0\")\" && pwd)\nexec \"$here/bin/gpu\" \"$@\"", found, "-"},
		"beside it, by %":   {"#!/bin/bash\nexec \"${0%/*}/bin/gpu\" \"$@\"", found, "-"},
		"env":               {"#!/bin/sh\nexec env -u HOME A=b ROOT/bin/gpu \"$@\"", found, "-"},
		"env, as shell":     {"#!/usr/bin/env -S bash\nROOT/bin/gpu \"$@\"", found, "-"},
		"branch":            {"#!/bin/sh\nif [ -e /x ]; then exec runc \"$@\"; else exec ROOT/bin/gpu \"$@\"; fi", found, "-"},
		"pipe":              {"#!/bin/sh\nROOT/bin/gpu \"$@\" 2>&1 | tee /tmp/log", found, "-"},
		"output":            {"#!/bin/sh\nout=$(ROOT/bin/gpu \"$@\")", found, "-"},
		"function":          {"#!/bin/sh\nrt() { ROOT/bin/gpu \"$@\"; }\nrt \"$@\"", found, "-"},
		"set --":            {"#!/bin/sh\nset -- ROOT/bin/gpu \"$@\"\nexec \"$@\"", found, "-"},
		"sh -c":             {"#!/bin/sh\nexec sh -c 'exec ROOT/bin/gpu \"$@\"' x \"$@\"", found, "-"},
		"eval":              {"#!/bin/sh\neval exec ROOT/bin/gpu '\"$@\"'", found, "-"},
		"sourced":           {"#!/bin/sh\n. ROOT/settings\nexec $RUNTIME \"$@\"", found, "-"},
		"three deep":        {"#!/bin/sh\nexec ROOT/two \"$@\"", found, "-"},
		"by a name":         {"#!/bin/sh\nexec wrapped \"$@\"", found, "-"},
		"here document":     {"#!/bin/sh\ncat <<END >/dev/null\nit's\nEND\nexec ROOT/bin/gpu \"$@\"", found, "-"},
		"comment":           {"#!/bin/sh\n# calls ROOT/bin/gpu, or gpu\nexec runc \"$@\"", none, ""},
		"prints":            {"#!/bin/sh\n[ \"$1\" = --version ] && echo gpu version 1\nprintf 'gpu %s\\n' \"$1\"\ncat <<END\ngpu ROOT/bin/gpu\nEND\nexec runc \"$@\"", none, ""},
		"prints the output": {"#!/bin/sh\necho \"$(ROOT/bin/gpu \"$@\")\"", found, "-"},
		"prints to a shell": {"#!/bin/sh\necho 'exec ROOT/bin/gpu' | sh", found, ""},
		"assigned default":  {"#!/bin/sh\n: ${RT:=ROOT/bin/gpu}\nexec $RT \"$@\"", found, "-"},
		"replaced":          {"#!/bin/bash\nRT=ROOT/bin/xpu\nexec \"${RT/xpu/gpu}\" \"$@\"", found, "-"},
		"part of a list":    {"#!/bin/bash\nlist=(runc ROOT/bin/gpu)\nexec \"${list[1]}\" \"$@\"", found, "-"},
		"alternative":       {"#!/bin/sh\nexec ${WRAP:+strace} runc \"$@\"", unknown, ""},
		"indirect":          {"#!/bin/bash\nV=RT\nexec ${!V} \"$@\"", unknown, ""},
		"calculated":        {"#!/bin/bash\nexec runtime-$((N+1)) \"$@\"", unknown, ""},
		"unknown script":    {"#!/bin/sh\nsh \"$SCRIPT\" \"$@\"", unknown, ""},
		"for a shell":       {"#!/bin/sh\nsh <<END\nexec ROOT/bin/gpu\nEND", found, ""},
		"plain":             {"#!/bin/sh\ngrep -q x /proc/modules || echo \"it is ${x}\"\nPATH=/opt:$PATH exec runc --debug \"$@\"", none, ""},
		"its arguments":     {"#!/bin/sh\nexec \"$@\"", none, ""},
		"environment":       {"#!/bin/sh\nexec $RUNTIME \"$@\"", unknown, ""},
		"environment, path": {"#!/bin/sh\n\"$HOME/bin/gpu-runtime\" \"$@\"", unknown, ""},
		"file":              {"#!/bin/sh\nexec $(cat /etc/runtime) \"$@\"", unknown, ""},
		"sourced, unknown":  {"#!/bin/sh\n. $SETTINGS\nexec runc \"$@\"", unknown, ""},
		"changed":           {"#!/bin/sh\nRT=runc\nread RT </etc/runtime\nRT=$(cat /etc/runtime)\nexec $RT \"$@\"", unknown, ""},
		"eval of unknown":   {"#!/bin/sh\neval \"exec $RT\" '\"$@\"'", unknown, ""},
		"relative":          {"#!/bin/sh\n./runtime \"$@\"", unknown, ""},
		"cd, unknown":       {"#!/bin/sh\ncd \"$DIR\" && ./runtime \"$@\"", unknown, ""},
		"python":            {"#!/usr/bin/env python3\nimport os, sys\nos.execv(open('/etc/rt').read(), sys.argv)", unknown, ""},
		"python, literal":   {"#!/usr/bin/python3\nimport os, sys\nos.execv('ROOT/bin/gpu', sys.argv)", found, ""},
		"no shell script":   {"#!/bin/sh\nif exec runc \"$@\"", unknown, ""},
		"for":               {"#!/bin/sh\nfor rt in /opt/a /opt/b; do exec $rt \"$@\"; done", unknown, ""},
		"itself":            {"#!/bin/sh\nexec ROOT/wrapper \"$@\"", none, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			t.Setenv("PATH", root+"/bin")
			for path, text := range map[string]string{
				"bin/oci-add-hooks": "\x7fELF",
				"bin/wrapped":       "#!/bin/sh\nexec ROOT/bin/gpu \"$@\"\n",
				"bin/runc":          "\x7fELF",
				"two":               "#!/bin/sh\nexec ROOT/three \"$@\"\n",
				"three":             "#!/bin/sh\nexec ROOT/bin/gpu \"$@\"\n",
				"settings":          "RUNTIME=ROOT/bin/gpu\n",
				"wrapper":           test.script + "\n",
			} {
				path = filepath.Join(root, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "ROOT", root)), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			link := filepath.Join(root, "bin/gpu")
			if err := os.Symlink("oci-add-hooks", link); err != nil {
				t.Fatal(err)
			}
			call := []string{filepath.Join(root, "wrapper")}
			words, err := Words(proc.Below("/"), call)
			uses := slices.ContainsFunc(words, func(word string) bool { return word == link || filepath.Base(word) == "gpu" && !filepath.IsAbs(word) })
			got := none
			switch {
			case uses:
				got = found
			case err != nil:
				got = unknown
			}
			if got != test.want || err != nil && !strings.Contains(err.Error(), "cannot be followed: ") {
				t.Errorf("%s, not %s: %q, %v", got, test.want, words, err)
			}
			comesTo, leads, err := Call(proc.Below("/"), call, filepath.Join(root, "bin/oci-add-hooks"))
			files := strings.ReplaceAll(strings.Join(append(comesTo.HookFiles, "-")[:1], ""), root, "ROOT")
			if leads != (test.call != "") || leads && files != test.call || !leads && (err != nil) != (test.want != none) {
				t.Errorf("Call: %+v, %v, %v; want %q", comesTo, leads, err, test.call)
			}
		})
	}
}
