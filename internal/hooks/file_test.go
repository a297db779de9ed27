package hooks

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/corpus"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

func parseText(text string) (*File, error) {
	return parseFile(&jsonfile.File{Path: "f", Data: []byte(text)})
}

func TestHookFile(t *testing.T) {
	for text, want := range map[string]*File{
		`{"hooks":{}}`:                        {},
		`{"hooks":null}`:                      {},
		`{"hooks":{"prestart":null}}`:         {},
		`{"hooksDirs":["/a","/b"]}`:           {Dirs: []string{"/a", "/b"}},
		`{"hooks":{},"runtime":"crun"}`:       {Runtime: "crun"},
		`{"hooks":{},"runtime":"/usr/bin/x"}`: {Runtime: "/usr/bin/x"},
		`{"skipSandboxes":true,"hooks":{}}`:   {SkipSandboxes: true},
		`{"ociVersion":"1.0.2","process":{"args":["sh"]},"x":{"runtime":1},"hooks":{"poststop":[{"path":"/a"}]}}`: {
			Hooks: []Hook{{Stage: Poststop, Path: "/a", JSON: []byte(`{"path":"/a"}`)}}},
		`{"hooks":{"startContainer":[ {"path" : "/a", "args":["a","\u00e9"], "env":["A=1",""], "timeout":2147483647, "x":{"y":1e400}} ,{"path":"/b","args":null,"env":null,"timeout":null}],
			"prestart":[{"args":[],"env":[],"timeout":1,"path":"/c"}]}}`: {
			Hooks: []Hook{
				{Stage: StartContainer, Path: "/a", JSON: []byte(`{"path" : "/a", "args":["a","\u00e9"], "env":["A=1",""], "timeout":2147483647, "x":{"y":1e400}}`)},
				{Stage: StartContainer, Path: "/b", JSON: []byte(`{"path":"/b","args":null,"env":null,"timeout":null}`)},
				{Stage: Prestart, Path: "/c", JSON: []byte(`{"args":[],"env":[],"timeout":1,"path":"/c"}`)}}},
	} {
		got, err := parseText(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		want.Path = "f"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", text, diff)
		}
	}
}

// TestHookFileRefused tests rules 6 and 16: the errors about a hook file, with their place and remedy.
func TestHookFileRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                                  `f: has neither "hooks" nor "hooksDirs"; put the hooks into`,
		`{"prestart":[]}`:                                     `f: has neither "hooks" nor "hooksDirs"`,
		`[]`:                                                  `f:1:1: must be an object, not an array; put the hooks into`,
		`{"Hooks":{}}`:                                        `f:1:2: member "Hooks" differs from "hooks" in the case of letters alone (/Hooks); write "hooks"`,
		`{"hooks":{},"hooksdirs":[]}`:                         `member "hooksdirs" differs from "hooksDirs"`,
		`{"hooks":{},"Runtime":"x"}`:                          `member "Runtime" differs from "runtime"`,
		`{"hooks":{},"run\u0074ime":"x"}`:                     `f:1:13: a known member is spelt with escapes (/runtime); write "runtime"`,
		`{"\u0068ooks":{}}`:                                   `a known member is spelt with escapes`,
		`{"hooks":{},"hooks":{}}`:                             `f:1:13: member "hooks" is given twice (/hooks)`,
		`{"hooks":{},"runtime":""}`:                           `f:1:23: the runtime's name is empty (/runtime)`,
		`{"hooks":{},"runtime":null}`:                         `must be a string, not null (/runtime); write it in double quotes`,
		`{"hooks":{},"runtime":["a"]}`:                        `must be a string, not an array (/runtime); write it in double quotes`,
		`{"hooks":{},"runtime":"./runc"}`:                     `the runtime's path "./runc" is not absolute (/runtime)`,
		`{"hooks":{},"hooksDirs":"/a"}`:                       `must be an array, not a string (/hooksDirs); write it in brackets: [...]`,
		`{"hooksDirs":["/a","b"]}`:                            `f:1:20: the hooks directory "b" is not an absolute path (/hooksDirs/1)`,
		`{"hooks":{},"skipSandboxes":"no"}`:                   `must be true or false, not a string (/skipSandboxes); write true or false, without quotes`,
		`{"hooks":[]}`:                                        `f:1:10: must be an object, not an array (/hooks); write it in braces: {...}`,
		"{\"hooks\":{\n \"prestrat\":[]}}":                    `f:2:2: unknown stage "prestrat" (/hooks/prestrat); did you mean "prestart"? the stages are prestart, createRuntime, createContainer, startContainer, poststart, poststop`,
		`{"hooks":{"precreate":[]}}`:                          `f:1:11: stage "precreate" is Podman's own: Podman runs the hook before it calls the runtime, and takes config.json from the hook's output; no runtime has this stage (/hooks/precreate); keep`,
		`{"hooks":{"preStart":[]}}`:                           `unknown stage "preStart" (/hooks/preStart); did you mean "prestart"? the stages are`,
		`{"hooks":{"create-runtime":[]}}`:                     `did you mean "createRuntime"? the stages are`,
		`{"hooks":{"startup":[]}}`:                            `unknown stage "startup" (/hooks/startup); the stages are`,
		`{"hooks":{"preCreate":[]}}`:                          `stage "precreate" is Podman's own`,
		`"hooks"`:                                             `must be an object, not a string; put the hooks into`,
		`{"hoks":{}}`:                                         `has neither "hooks" nor "hooksDirs"; did you mean "hooks"? put the hooks into`,
		`{"hook":{"prestart":[]}}`:                            `has neither "hooks" nor "hooksDirs"; did you mean "hooks"? put the hooks into`,
		`{"hook":"/a","stage":["poststop"]}`:                  `has neither "hooks" nor "hooksDirs"; a file of a hooks directory is used by`,
		`{"hooks":{"prestart":{}}}`:                           `must be an array, not an object (/hooks/prestart); write it in brackets: [...]`,
		`{"hooks":{"prestart":[null]}}`:                       `must be an object, not null (/hooks/prestart/0); write it in braces: {...}`,
		`{"hooks":{},"supervise":"yes"}`:                      `f:1:25: must be true, false or an object, not a string (/supervise); write true, or an object as in {"timeout": 30, "failurePolicy": "fail"}`,
		`{"hooks":{},"Supervise":true}`:                       `member "Supervise" differs from "supervise" in the case of letters alone`,
		`{"hooks":{},"supervise":{"a":1}}`:                    `f:1:26: unknown member "a" of supervise (/supervise/a); its members are timeout, failurePolicy, ignoreFailureWhen, record`,
		`{"hooks":{},"supervise":{"timeout":0}}`:              `f:1:36: the timeout is not an integer of at least 1 (/supervise/timeout)`,
		`{"hooks":{},"supervise":{"timeout":2147483648}}`:     `the timeout 2147483648 is more than 2147483647 (/supervise/timeout)`,
		`{"hooks":{},"supervise":{"failurePolicy":"Ignore"}}`: `f:1:42: "Ignore" is not known (/supervise/failurePolicy); write "fail" or "ignore"`,
		`{"hooks":{},"supervise":{"failurepolicy":"ignore"}}`: `member "failurepolicy" differs from "failurePolicy"`,
		`{"hooks":{},"supervise":{"record":true}}`:            `must be a string, not a boolean (/supervise/record); write it in double quotes`,
		`{"hooks":{},"supervise":{"record":"none"}}`:          `"none" is not known (/supervise/record); write "output" or "status"`,
		`{"hooks":{},"supervise":{"ignoreFailureWhen":{"always":true,"annotation":{"a":"b"}}}}`: `f:1:61: unknown member "annotation" of ignoreFailureWhen (/supervise/ignoreFailureWhen/annotation); did you mean "annotations"? its members are always, annotations, commands, hasBindMounts`,
		`{"hooks":{},"supervise":{"ignoreFailureWhen":true}}`:                                   `must be an object, not a boolean (/supervise/ignoreFailureWhen); write it in braces: {...}`,
		`{"hooks":{},"supervise":{"ignoreFailureWhen":{"annotations":{"(":"x"}}}}`:              `not a regular expression: missing closing ): "(" (/supervise/ignoreFailureWhen/annotations/()`,
		`{"hooks":{"prestart":[{"path":"/a","supervise":[]}]}}`:                                 `f:1:48: must be true, false or an object, not an array (/hooks/prestart/0/supervise)`,
		`{"hooks":{"prestart":[{"path":"/a","supervise":{"x":1}}]}}`:                            `unknown member "x" of supervise (/hooks/prestart/0/supervise/x)`,
		`{"hooks":{"prestart":[{"path":"/a","SUPERVISE":{}}]}}`:                                 `member "SUPERVISE" differs from "supervise"`,
		`{"hooks":{"startContainer":[{"path":"/a","supervise":5}]}}`:                            `must be true, false or an object, not a number (/hooks/startContainer/0/supervise)`,
		`{"hooks":{"prestart":[{"path":"/a"}, {"args":["a"]}]}}`:                                `f:1:38: the hook has no "path" (/hooks/prestart/1); give it the absolute path of a program`,
		`{"hooks":{"prestart":[{"path":null}]}}`:                                                `must be a string, not null (/hooks/prestart/0/path); write it in double quotes`,
		`{"hooks":{"prestart":[{"path":""}]}}`:                                                  `the hook's path "" is not absolute (/hooks/prestart/0/path)`,
		`{"hooks":{"prestart":[{"path":"bin/a"}]}}`:                                             `f:1:31: the hook's path "bin/a" is not absolute (/hooks/prestart/0/path); give its whole path`,
		`{"hooks":{"prestart":[{"Path":"/a"}]}}`:                                                `member "Path" differs from "path"`,
		`{"hooks":{"prestart":[{"path":"/a","path":"/b"}]}}`:                                    `member "path" is given twice (/hooks/prestart/0/path)`,
		`{"hooks":{"prestart":[{"path":"/a","args":"a"}]}}`:                                     `must be an array, not a string (/hooks/prestart/0/args); write it in brackets: [...]`,
		`{"hooks":{"prestart":[{"path":"/a","args":["a",1]}]}}`:                                 `must be a string, not a number (/hooks/prestart/0/args/1); write it in double quotes`,
		`{"hooks":{"prestart":[{"path":"/a","env":{"A":"1"}}]}}`:                                `must be an array, not an object (/hooks/prestart/0/env); write it in brackets: [...]`,
		`{"hooks":{"prestart":[{"path":"/a","timeout":0}]}}`:                                    `the timeout is not an integer of at least 1 (/hooks/prestart/0/timeout)`,
		`{"hooks":{"prestart":[{"path":"/a","timeout":-1}]}}`:                                   `the timeout is not`,
		`{"hooks":{"prestart":[{"path":"/a","timeout":1.5}]}}`:                                  `the timeout is not`,
		`{"hooks":{"prestart":[{"path":"/a","timeout":1e1}]}}`:                                  `the timeout is not`,
		`{"hooks":{"prestart":[{"path":"/a","timeout":"1"}]}}`:                                  `the timeout is not`,
		`{"hooks":{"prestart":[{"path":"/a","timeout":1e400}]}}`:                                `the timeout is not`,
		`{"hooks":{"prestart":[{"path":"/a","timeout":2147483648}]}}`:                           `the timeout 2147483648 is more than 2147483647 (/hooks/prestart/0/timeout); give seconds`,
		`{"hooks":{"prestart":[{"path":"/a","timeout":-2147483649}]}}`:                          `the timeout is not an integer of at least 1`,
		`{"hooks":{"prestart":[ tru]}}`:                                                         `not valid JSON`,
		`{"hooks":{}} x`:                                                                        `f:1:14: text follows the end of the JSON value`,
		`{"hooks":{}`:                                                                           `f:1:12: not valid JSON: the file ends too early; close the { of line 1, column 1, or restore the rest of the file`,
	} {
		if f, err := parseText(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %s", text, f, err, want)
		}
	}
}

// TestRuntimeAlone tests rule 9: how much of a hook file must be valid so that a running container finds its runtime.
func TestRuntimeAlone(t *testing.T) {
	for _, test := range []struct{ text, want, err string }{
		{`{"hooks":{}}`, "", ""},
		{``, "", "f: is empty"}, // it may be half-written
		{" \n", "", "f: is empty"},
		{`{"hooks":{"prestart":[`, "", "the file ends too early"},
		{`no JSON at all`, "", ""},
		{`{"hooks":{"prestart":]`, "", ""},
		{`{"Runtime":"crun"}`, "", ""},
		{`{"runtime":"crun"}`, "crun", ""},
		{`{"runtime":"crun", and then no JSON`, "crun", ""},
		{`{"runtime":"crun","runtime":1}`, "crun", ""},
		{`{"a":1,"a":"` + "\xff" + `","runtime":"crun"`, "crun", ""},
		{`{"hooks":{"prestrat":[0]},"runtime":"crun"}`, "crun", ""},
		{`{"x":{"runtime":"crun"}}`, "", ""}, // not a member of the file
		{`{"x":"\"runtime\""}`, "", ""},
		{`{"hooks":{],"runtime":"crun"}`, "", `f:1:11: not valid JSON: invalid character ']'`},
		{`["runtime"]`, "", "must be an object"},
		{`{"runtime":1}`, "", "must be a string, not a number (/runtime); write it in double quotes"},
		{`{"runtime":""}`, "", "the runtime's name is empty"},
		{`{"runtime":"./crun"}`, "", "is not absolute"},
		{`{"x":"runtime"`, "", "the file ends too early"},
	} {
		got, err := parseRuntime(&jsonfile.File{Path: "f", Data: []byte(test.text)})
		if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %q, %v; want %q, %s", test.text, got, err, test.want, test.err)
		}
	}
}

// FuzzHookFile: encoding/json reads the hooks of an accepted hook file in the same way, their bytes are those of the
// file, and a call that adds no hooks finds the same runtime in it.
func FuzzHookFile(f *testing.F) {
	for _, text := range []string{
		`{"runtime":"crun","hooksDirs":["/d"],"skipSandboxes":true,"hooks":{"prestart":[{"path":"/a","args":["a"],"env":["A=1"],"timeout":1}]}}`,
		`{"supervise":{"timeout":5,"ignoreFailureWhen":{"always":true}},"hooks":{"poststop":[{"supervise":{"record":"status"},"path":"/a"},{"path":"/a","supervise":false}]}}`,
		`{"hooks":{"poststop":[ { "path" : "\u002fa" , "x" : [ {} ] } ]}}`, `{"hooks":null}`, `{"hooks":{"prestrat":[]}}`,
	} {
		f.Add([]byte(text))
	}
	corpus.AddJSON(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		file := &jsonfile.File{Path: "f", Data: text}
		var parsed *File
		var err error
		corpus.CheckMemory(t, len(text), func() { parsed, err = parseFile(file) })
		if err != nil {
			wantRemedies(t, err)
			return
		}
		var other struct {
			Hooks map[string][]struct {
				Path string
				Args []string
				Env  []string

				Supervise json.RawMessage
			}
		}
		if err := json.Unmarshal(text, &other); err != nil {
			t.Fatalf("accepted, but encoding/json says %v", err)
		}
		at := map[Stage]int{}
		for _, h := range parsed.Hooks {
			want := other.Hooks[string(h.Stage)][at[h.Stage]]
			at[h.Stage]++
			if want.Path != h.Path || !json.Valid(h.JSON) || !bytes.Contains(text, h.JSON) && want.Supervise == nil {
				t.Fatalf("%+v is not %+v", h, want)
			}
		}
		for stage, hooks := range other.Hooks {
			if len(hooks) != at[Stage(stage)] {
				t.Fatalf("%d of %d hooks of %s", at[Stage(stage)], len(hooks), stage)
			}
		}
		if runtime, err := parseRuntime(file); err != nil || runtime != parsed.Runtime {
			t.Fatalf("create finds %q, kill finds %q, %v", parsed.Runtime, runtime, err)
		}
	})
}

// wantRemedies checks that each error about a file has a remedy.
func wantRemedies(t *testing.T, err error) {
	t.Helper()
	for _, at := range jsonfile.All(err) {
		if at.Remedy == "" {
			t.Errorf("no remedy: %v", at)
		}
	}
}

// TestUnknownStage: the hooks of an unknown stage are read too, so that all errors of a file are found at once.
func TestUnknownStage(t *testing.T) {
	_, err := parseText(`{"hooks": {"poststart ": [{"path": "a", "timeout": 0}], "startup": 7, "poststop": [{"path": "b"}]}}`)
	var got []string
	for _, at := range jsonfile.All(err) {
		got = append(got, string(at.Pointer))
	}
	want := []string{"/hooks/poststart ", "/hooks/poststart /0/path", "/hooks/poststart /0/timeout", "/hooks/startup", "/hooks/poststop/0/path"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the errors' places (-want +got):\n%s", diff)
	}
}
