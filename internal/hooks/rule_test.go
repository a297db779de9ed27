package hooks

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/corpus"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

func parseRule(text string) (*rule, error) {
	return readRule(&jsonfile.File{Path: "/d/x.json", Data: []byte(text)}, expressions{})
}

// TestReadRule shows the hook object and the stages of valid files.
func TestReadRule(t *testing.T) {
	for _, tt := range []struct{ name, file, hook, stages string }{
		{"1.0.0", `{"version": "1.0.0", "hook": {"path": "/bin/a"}, "when": {"always": true}, "stages": ["poststop"]}`,
			`{"path":"/bin/a"}`, "poststop"},
		{"members in the specification's order, values as they are written",
			`{"version": "1.0.0", "hook": {"timeout": 10, "env": ["A=\u0062"], "x": [], "args": ["a", "<&>" ], "path": "/bin\/a"}, "stages": ["poststop"]}`,
			`{"path":"/bin\/a","args":["a", "<&>" ],"env":["A=\u0062"],"timeout":10}`, "poststop"},
		{"null and empty are absent, as Podman leaves them out",
			`{"version": "1.0.0", "hook": {"path": "/bin/a", "args": [ ], "env": null, "timeout": null}, "when": null, "stages": ["poststop"]}`,
			`{"path":"/bin/a"}`, "poststop"},
		{"the version comes last", `{"hook": {"path": "/bin/a"}, "stages": ["poststop"], "version": "1.0.0"}`, `{"path":"/bin/a"}`, "poststop"},
		{"unknown members, and members of the other version, are ignored",
			`{"version": "1.0.0", "$schema": {"a": []}, "hook": {"path": "/bin/a"}, "stages": ["poststop"], "stage": 1, "cmds": "x"}`,
			`{"path":"/bin/a"}`, "poststop"},
		{"prestart is injected as createRuntime; a stage named twice counts twice",
			`{"version": "1.0.0", "hook": {"path": "/bin/a"}, "stages": ["prestart", "createContainer", "prestart", "startContainer", "poststart", "createRuntime"]}`,
			`{"path":"/bin/a"}`, "createRuntime createContainer createRuntime startContainer poststart createRuntime"},
		{"no stage", `{"version": "1.0.0", "hook": {"path": "/bin/a"}, "stages": []}`, `{"path":"/bin/a"}`, ""},
		{"0.1.0", `{"version": "0.1.0", "hook": "/bin/a", "stage": ["poststop"]}`, `{"path":"/bin/a"}`, "poststop"},
		{"no version is 0.1.0", `{"hook": "/bin/a", "stages": ["poststop"]}`, `{"path":"/bin/a"}`, "poststop"},
		{"a null version is 0.1.0", `{"version": null, "hook": "/bin/a", "stages": ["poststop"]}`, `{"path":"/bin/a"}`, "poststop"},
		{"an empty version is 0.1.0", `{"version": "", "hook": "/bin/a", "stages": ["poststop"]}`, `{"path":"/bin/a"}`, "poststop"},
		{"arguments of 0.1.0", `{"hook": "/bin/a", "arguments": [ "x", "y"], "stages": ["poststop"]}`,
			`{"path":"/bin/a","args":["/bin/a", "x", "y"]}`, "poststop"},
		{"no arguments of 0.1.0", `{"hook": "/bin/a", "arguments": [ ], "stages": ["poststop"]}`, `{"path":"/bin/a","args":["/bin/a" ]}`, "poststop"},
		{"the one name null, the other given", `{"hook": "/bin/a", "stages": null, "stage": ["poststop"]}`, `{"path":"/bin/a"}`, "poststop"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := parseRule(tt.file)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(r.hook()); got != tt.hook {
				t.Errorf("hook %s\nwant %s", got, tt.hook)
			}
			if got := stageList(r.stages); got != tt.stages {
				t.Errorf("stages %q, want %q", got, tt.stages)
			}
			if r.refused != nil {
				t.Errorf("refused: %v", r.refused)
			}
		})
	}
}

func stageList(stages []Stage) string {
	var names []string
	for _, s := range stages {
		names = append(names, string(s))
	}
	return strings.Join(names, " ")
}

// TestReadRuleErrors shows the errors about invalid files. If Podman's library accepts a file, that is one of the
// documented deviations.
func TestReadRuleErrors(t *testing.T) {
	const stages = "prestart, createRuntime, createContainer, startContainer, poststart, poststop"
	for _, tt := range []struct{ file, want string }{
		{"", `: is empty; write the file, or restore it`},
		{"null", `:1:1: must be an object, not null; write it in braces: {...}`},
		{"[]", `:1:1: must be an object, not an array; write it in braces: {...}`},
		{"{", `:1:2: not valid JSON: the file ends too early; close the { of line 1, column 1, or restore the rest of the file`},
		{"{}\n\nx", `:3:1: text follows the end of the JSON value; remove it`},
		{`{"version": "2.0.0"}`, `:1:13: version "2.0.0" is not known (/version); write 1.0.0 (or 0.1.0 for the old format)`},
		{`{"version": 1}`, `:1:13: must be a string, not a number (/version); write it in double quotes`},
		{`{"hook": "/a", "version": 1}`, `:1:27: must be a string, not a number (/version); write it in double quotes`},

		{`{"version": "1.0.0", "stages": []}`, `:1:1: the hook's path is missing; add "hook": {"path": ...}`},
		{`{"version": "1.0.0", "hook": null, "stages": []}`, `:1:30: the hook's path is missing (/hook); add "hook": {"path": ...}`},
		{`{"version": "1.0.0", "hook": {"path": null}, "stages": []}`, `:1:30: the hook's path is missing (/hook); add "hook": {"path": ...}`},
		{`{"version": "1.0.0", "hook": {"path": ""}, "stages": []}`, `:1:39: the hook's path is empty (/hook/path); give the absolute path of a program`},
		{`{"version": "1.0.0", "hook": "/a", "stages": []}`, `:1:30: must be an object, not a string (/hook); write it in braces: {...}`},
		{"{\n\"version\": \"1.0.0\",\n \"hook\": {\"path\": 1}}", `:3:19: must be a string, not a number (/hook/path); write it in double quotes`},
		{`{"version": "1.0.0", "hook": {"args": "x"}}`, `:1:39: must be an array, not a string (/hook/args); write it in brackets: [...]`},
		{`{"version": "1.0.0", "hook": {"args": ["x", null]}}`, `:1:45: must be a string, not null (/hook/args/1); write it in double quotes`},
		{`{"version": "1.0.0", "hook": {"env": [1]}}`, `:1:39: must be a string, not a number (/hook/env/0); write it in double quotes`},
		{`{"version": "1.0.0", "hook": {"args": tru}}`, `:1:42: not valid JSON: invalid character '}' in literal true (expecting 'e') (/hook/args); write names and strings in double quotes, and true, false and null in lower case`},
		{`{"version": "1.0.0", "hook": {"timeout": "1"}}`, `:1:42: the timeout is not an integer, in seconds (/hook/timeout); write it in digits alone`},
		{`{"version": "1.0.0", "hook": {"timeout": 1.0}}`, `:1:42: the timeout is not an integer, in seconds (/hook/timeout); write it in digits alone`},
		{`{"version": "1.0.0", "hook": {"timeout": 9223372036854775808}}`, `:1:42: the timeout 9223372036854775808 is more than 2147483647 (/hook/timeout); give seconds in digits alone, 2147483647 at most`},
		{`{"version": "1.0.0", "hook": {"timeout": -9223372036854775809}}`, `:1:42: the timeout is not an integer of at least 1 (/hook/timeout); give seconds in digits alone, 2147483647 at most`},
		{`{"version": "1.0.0", "hook": {"Path": "/a"}}`, `:1:31: member "Path" differs from "path" in the case of letters alone (/hook/Path); write "path"`},
		{`{"version": "1.0.0", "hook": {"path": "/a"}, "stages": null}`, `:1:1: the stages are missing; add "stages", a list of ` + stages},
		{`{"version": "1.0.0", "hook": {"path": "/a"}}`, `:1:1: the stages are missing; add "stages", a list of ` + stages},
		{`{"version": "1.0.0", "stages": "poststop"}`, `:1:32: must be an array, not a string (/stages); write it in brackets: [...]`},
		{`{"version": "1.0.0", "stages": ["poststop", "postStop"]}`, `:1:45: unknown stage "postStop" (/stages/1); did you mean "poststop"? the stages are ` + stages},
		{`{"version": "1.0.0", "Stages": []}`, `:1:22: member "Stages" differs from "stages" in the case of letters alone (/Stages); write "stages"`},
		{`{"VERSION": "1.0.0"}`, `:1:2: member "VERSION" differs from "version" in the case of letters alone (/VERSION); write "version"`},
		{`{"hook": {"path": "/a"}, "Version": "1.0.0"}`, `:1:26: member "Version" differs from "version" in the case of letters alone (/Version); write "version"`},
		{`{"version": "1.0.0", "stages": [], "stages": []}`, `:1:36: member "stages" is given twice (/stages); remove one of them`},

		{`{"version": "1.0.0", "when": []}`, `:1:30: must be an object, not an array (/when); write it in braces: {...}`},
		{`{"version": "1.0.0", "when": {"always": "true"}}`, `:1:41: must be true or false, not a string (/when/always); write true or false, without quotes`},
		{`{"version": "1.0.0", "when": {"hasbindmounts": true}}`, `:1:31: member "hasbindmounts" differs from "hasBindMounts" in the case of letters alone (/when/hasbindmounts); write "hasBindMounts"`},
		{`{"version": "1.0.0", "when": {"commands": ["a", "("]}}`, `:1:49: not a regular expression: missing closing ): "(" (/when/commands/1); conditions are regular expressions of Go (RE2)`},
		{`{"version": "1.0.0", "when": {"commands": [null]}}`, `:1:44: must be a string, not null (/when/commands/0); write it in double quotes`},
		{`{"version": "1.0.0", "when": {"annotations": {"a**": ""}}}`, `:1:47: not a regular expression: invalid nested repetition operator: "**" (/when/annotations/a**); conditions are regular expressions of Go (RE2)`},
		{`{"version": "1.0.0", "when": {"annotations": {"a": "["}}}`, `:1:52: not a regular expression: missing closing ]: "[" (/when/annotations/a); conditions are regular expressions of Go (RE2)`},
		{`{"version": "1.0.0", "when": {"annotations": {"a": null}}}`, `:1:52: must be a string, not null (/when/annotations/a); write it in double quotes`},
		{`{"version": "1.0.0", "when": {"annotations": {"a": "", "a": ""}}}`, `:1:56: member "a" is given twice (/when/annotations/a); remove one of them`},
		{"{\"version\": \"1.0.0\", \"when\": {\"commands\": [\"\xff\"]}}", ":1:45: not valid JSON: invalid UTF-8 (/when/commands/0); save the file as UTF-8"},

		{`{"stages": []}`, `:1:1: the hook is missing; add "hook", the path of a program`},
		{`{"hook": null, "stages": []}`, `:1:1: the hook is missing; add "hook", the path of a program`},
		{`{"hook": {"path": "/a"}, "stages": []}`, `:1:10: must be a string in the old format, 0.1.0, which a file without a version has (/hook); add "version": "1.0.0"`},
		{`{"hook": "", "stages": []}`, `:1:10: the hook's path is empty (/hook); give the absolute path of a program`},
		{`{"hook": "/a"}`, `:1:1: the stages are missing; add "stages", a list of ` + stages},
		{`{"stage": [], "stages": []}`, `:1:15: "stage" and "stages" mean the same (/stages); keep one of them`},
		{`{"cmds": [], "cmd": []}`, `:1:14: "cmds" and "cmd" mean the same (/cmd); keep one of them`},
		{`{"annotations": [], "annotation": []}`, `:1:21: "annotations" and "annotation" mean the same (/annotation); keep one of them`},
		{`{"hook": "/a", "annotations": ["a", "("], "stages": []}`, `:1:31: not a regular expression: missing closing ): "a|(" (/annotations); conditions are regular expressions of Go (RE2)`},
		{`{"hook": "/a", "annotations": [null], "stages": []}`, `:1:32: must be a string, not null (/annotations/0); write it in double quotes`},
		{`{"hook": "/a", "cmd": ["\\"], "stages": []}`, `:1:24: not a regular expression: trailing backslash at end of expression: "" (/cmd/0); conditions are regular expressions of Go (RE2)`},
		{`{"hook": "/a", "hasBindMounts": true}`, `:1:16: member "hasBindMounts" differs from "hasbindmounts" in the case of letters alone (/hasBindMounts); write "hasbindmounts"`},
		{`{"hook": "/a", "arguments": "x"}`, `:1:29: must be an array, not a string (/arguments); write it in brackets: [...]`},
	} {
		_, err := parseRule(tt.file)
		all := jsonfile.All(err)
		if !slices.ContainsFunc(all, func(err *jsonfile.Error) bool { return strings.TrimPrefix(err.Error(), "/d/x.json") == tt.want }) {
			t.Errorf("%s: errors\n %v\nwant\n %s", tt.file, all, tt.want)
		}
	}
}

// FuzzReadRule: no file causes a panic, an error names the file, and an accepted file has a hook that can be written
// and conditions that can be evaluated.
func FuzzReadRule(f *testing.F) {
	for _, seed := range []string{
		`{"version": "1.0.0", "hook": {"path": "/a", "args": ["a"], "env": [], "timeout": 3}, "when": {"always": true}, "stages": ["prestart"]}`,
		`{"version": "1.0.0", "hook": {"path": "/a"}, "when": {"annotations": {"^a$": ".*b|c"}, "commands": ["[a-z]"], "hasBindMounts": false}, "stages": []}`,
		`{"hook": "/a", "arguments": ["x"], "stage": ["poststop"], "cmds": ["a\\.b$"], "annotation": ["a", "b"], "hasbindmounts": true}`,
		"{\"stages\": null, \"hook\":\n\t\"/a\", \"version\": \"\"}", `{"version": "1.0.0", "hook": {"timeout": -0}}`, `[{}]x`, "",
	} {
		f.Add([]byte(seed))
	}
	containers := []Container{{}, {HasProcess: true}, {HasProcess: true, Args: []string{"a.b"}, BindMounts: []string{"/x"},
		Annotations: map[string]string{"a": "b", "c": "\xff"}}}
	corpus.AddJSON(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var r *rule
		var err error
		corpus.CheckMemory(t, len(data), func() { r, err = parseRule(string(data)) })
		if err != nil {
			if at := new(jsonfile.Error); !errors.As(err, &at) || at.Path != "/d/x.json" {
				t.Fatalf("error %q does not name the file", err)
			}
			wantRemedies(t, err)
			return
		}
		var hook struct {
			Path    string
			Args    []string
			Env     []string
			Timeout *int
		}
		if err := json.Unmarshal(r.hook(), &hook); err != nil || !jsontext.Value(r.hook()).IsValid() {
			t.Fatalf("hook %s: %v", r.hook(), err)
		}
		if hook.Path == "" || hook.Path != r.path {
			t.Fatalf("hook %s; path %q", r.hook(), r.path)
		}
		for _, s := range r.stages {
			if !known(s) && (s != precreate || r.refused == nil) || s == Prestart {
				t.Fatalf("stage %q", s)
			}
		}
		for _, c := range containers {
			added, reason, err := r.when.match(&facts{Container: c})
			if err != nil && (len(c.Args) > 0 || !c.HasProcess || len(r.when.commands) == 0) {
				t.Fatalf("%+v: %v", c, err)
			}
			wantRemedies(t, r.mustNot())
			if err == nil && (len(reason) == 0 || !utf8.ValidString(reason.String()) || strings.ContainsAny(reason.String(), "\n\x00")) {
				t.Fatalf("%+v: added %t, reason %q", c, added, reason)
			}
			if err == nil && added != slices.ContainsFunc(reason, func(f Finding) bool { return f.Holds }) {
				t.Fatalf("%+v: added %t, reason %q", c, added, reason)
			}
		}
	})
}
