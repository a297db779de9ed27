package hooks

import (
	"fmt"
	"testing"
)

// TestSupervision shows how the members supervise of a hook file and of a hook are combined.
func TestSupervision(t *testing.T) {
	for _, tt := range []struct{ file, hook, stage, want string }{
		{"", "", "prestart", "none"},
		{"null", "null", "prestart", "none"},
		{"false", "", "prestart", "none"},
		{"true", "", "prestart", "0 fail "},
		{"{}", "", "prestart", "0 fail "},
		{"", "true", "prestart", "0 fail "},
		{"", "{}", "poststop", "0 ignore "},
		{"true", "", "poststop", "0 ignore "},
		{`{"failurePolicy":"fail"}`, "", "poststop", "0 fail "},
		{"true", "false", "prestart", "none"},
		{"true", "null", "prestart", "0 fail "},
		{"false", "true", "prestart", "0 fail "},
		{"true", "true", "startContainer", "none"},
		{`{"timeout":7,"failurePolicy":"ignore","record":"status"}`, "", "createContainer", "7 ignore status"},
		{`{"timeout":7,"failurePolicy":"ignore","record":"status"}`, "true", "createContainer", "7 ignore status"},
		{`{"timeout":7,"failurePolicy":"ignore","record":"status"}`, `{"timeout":9}`, "createContainer", "9 ignore status"},
		{`{"timeout":7,"failurePolicy":"ignore","record":"status"}`, `{"failurePolicy":"fail","record":"output"}`, "poststop", "7 fail output"},
		{`{"timeout":7,"failurePolicy":null}`, `{"timeout":null}`, "createContainer", "7 fail "},
		{`{"ignoreFailureWhen":{"always":true}}`, "", "prestart", "0 ignore "},
		{`{"ignoreFailureWhen":{}}`, "", "prestart", "0 fail "},
		{`{"ignoreFailureWhen":{"annotations":{"^ns$":"^kube-"}}}`, "", "prestart", "0 ignore "},
		{`{"ignoreFailureWhen":{"annotations":{"^ns$":"^kube-$"}}}`, "", "prestart", "0 fail "},
		{`{"ignoreFailureWhen":{"annotations":{"^ns$":"^kube-"},"commands":["^sh$"]}}`, "", "prestart", "0 fail "},
		{`{"ignoreFailureWhen":{"always":true}}`, `{"ignoreFailureWhen":{"always":false}}`, "prestart", "0 fail "},
		{`{"failurePolicy":"ignore","ignoreFailureWhen":{"always":false}}`, "", "prestart", "0 ignore "},
	} {
		text := `"path":"/a"`
		if tt.hook != "" {
			text += `,"supervise":` + tt.hook
		}
		text = fmt.Sprintf(`"hooks":{%q:[{%s}]}}`, tt.stage, text)
		if tt.file != "" {
			text = `"supervise":` + tt.file + `,` + text
		}
		f, err := parseText("{" + text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := "none"
		if s := f.Hooks[0].Supervision; s != nil {
			policy, _, err := s.FailurePolicy(f.Hooks[0].Stage, Container{HasProcess: true, Args: []string{"bash"}, Annotations: map[string]string{"ns": "kube-system"}})
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			got = fmt.Sprintf("%d %s %s", s.Timeout, policy, s.Record)
		}
		if got != tt.want || string(f.Hooks[0].JSON) != `{"path":"/a"}` {
			t.Errorf("%s: %s, %s; want %s", text, got, f.Hooks[0].JSON, tt.want)
		}
	}
}

// TestSuperviseLeftOut: the member never reaches config.json, at any place in the hook.
func TestSuperviseLeftOut(t *testing.T) {
	for hook, want := range map[string]string{
		`{"supervise":false,"path":"/a"}`:                               `{"path":"/a"}`,
		`{ "supervise" : false , "path" : "/a" }`:                       `{ "path" : "/a" }`,
		`{"path":"/a","supervise":{"timeout":1}}`:                       `{"path":"/a"}`,
		`{"path":"/a" , "supervise":false }`:                            `{"path":"/a"  }`,
		`{"path":"/a","supervise":false,"x":1}`:                         `{"path":"/a","x":1}`,
		"{\n  \"path\": \"/a\",\n  \"supervise\": null,\n  \"x\": 1\n}": "{\n  \"path\": \"/a\",\n  \"x\": 1\n}",
		"{\n  \"path\": \"/a\",\n  \"super\\u0076ise\": false\n}":       "{\n  \"path\": \"/a\"\n}",
		`{"path":"/a","x":{"supervise":true}}`:                          `{"path":"/a","x":{"supervise":true}}`,
	} {
		f, err := parseText(`{"hooks":{"poststop":[` + hook + `]}}`)
		if err != nil || string(f.Hooks[0].JSON) != want {
			t.Errorf("%s: %v, %s; want %s", hook, err, f.Hooks[0].JSON, want)
		}
	}
}
