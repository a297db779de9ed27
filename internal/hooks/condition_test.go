package hooks

import (
	"regexp"
	"strings"
	"testing"
)

// TestConditions tests the conditions of both versions, and their reasons.
func TestConditions(t *testing.T) {
	gpu := Container{HasProcess: true, Args: []string{"/sbin/init", "--x"}, BindMounts: []string{"/data"},
		Annotations: map[string]string{"com.example.gpu": "true", "a": "", "z": "1\n2"}}
	plain := Container{HasProcess: true, Args: []string{"/bin/sh"}}
	one := Container{HasProcess: true, Args: []string{"/bin/sh"}, Annotations: map[string]string{"a": "b"}}
	none := Container{Annotations: map[string]string{"com.example.gpu": "true"}}
	for _, tt := range []struct {
		when string // of version 1.0.0, or the members of 0.1.0 behind a comma
		c    Container
		want bool
		why  string
	}{
		{`{}`, gpu, false, "no condition is given"},
		{`null`, gpu, false, "no condition is given"},
		{`{"always": null, "annotations": null, "commands": null, "hasBindMounts": null}`, gpu, false, "no condition is given"},
		{`{"annotations": {}, "commands": []}`, gpu, false, "no condition is given"},
		{`{"always": true}`, plain, true, "always"},
		{`{"always": false}`, plain, false, "always is false, which holds for no container"},
		{`{"always": false, "hasBindMounts": true}`, gpu, false, "always is false, which holds for no container"},
		{`{"hasBindMounts": true}`, gpu, true, "bind mount at /data"},
		{`{"hasBindMounts": true}`, Container{BindMounts: []string{"/a b", "/c", "/d"}}, true, "bind mounts at /a b and 2 more"},
		{`{"hasBindMounts": true}`, plain, false, "no bind mounts"},
		{`{"hasBindMounts": false}`, plain, false, "hasBindMounts is false, which holds for no container"},
		{`{"annotations": {"com.example.gpu": "^true$"}}`, gpu, true, "annotation com.example.gpu=^true$ matches com.example.gpu=true"},
		{`{"annotations": {"com.example.gpu": "^false$"}}`, gpu, false, "annotation com.example.gpu=^false$ matches none of 3 annotations"},
		{`{"annotations": {"com.example.gpu": "^false$"}}`, one, false, "annotation com.example.gpu=^false$ does not match the only annotation"},
		{`{"annotations": {"com.example.gpu": "^false$"}}`, plain, false, "annotation com.example.gpu=^false$ matches none of 0 annotations"},
		{`{"annotations": {"GPU": "", "": ""}}`, gpu, false, `annotation GPU="" matches none of 3 annotations`},
		{`{"annotations": {"": "", "gpu|a": ""}}`, gpu, true, `annotation ""="" matches a=""; annotation gpu|a="" matches a=""`},
		{`{"annotations": {"^z$": "2"}}`, gpu, true, `annotation ^z$=2 matches z="1\n2"`},
		{`{"annotations": {"^com\\.example\\.gpu$": "t", "^a$": "x"}}`, gpu, false, "annotation ^a$=x matches none of 3 annotations"},
		{`{"commands": ["^/sbin/init$"]}`, gpu, true, "command ^/sbin/init$ matches /sbin/init"},
		{`{"commands": ["x", ".*/init$"]}`, gpu, true, "command .*/init$ matches /sbin/init"},
		{`{"commands": ["--x"]}`, gpu, false, "command --x does not match /sbin/init"},
		{`{"commands": ["^a", "^b"]}`, plain, false, "command ^a, ^b does not match /bin/sh"},
		{`{"commands": ["a"]}`, none, false, "no process whose command could match"},
		{`{"always": true, "commands": ["a"]}`, none, true, "always; no process whose command could match"},
		{`{"always": true, "commands": ["^a"]}`, plain, false, "command ^a does not match /bin/sh"},
		{`{"always": true, "hasBindMounts": true, "annotations": {"gpu": "true"}, "commands": ["init"]}`, gpu, true,
			"always; bind mount at /data; annotation gpu=true matches com.example.gpu=true; command init matches /sbin/init"},
		{`{"always": true, "hasBindMounts": true}`, plain, false, "no bind mounts"},

		{`, "version": "0.1.0"`, gpu, false, "no condition is given"},
		{`, "cmds": [], "hasbindmounts": null`, gpu, false, "no condition is given"},
		{`, "cmd": ["init"]`, gpu, true, "command init matches /sbin/init"},
		{`, "cmds": ["sh"], "hasbindmounts": true`, gpu, true, "bind mount at /data"},
		{`, "cmds": ["sh"], "hasbindmounts": true`, plain, true, "command sh matches /bin/sh"},
		{`, "cmds": ["init"], "hasbindmounts": false, "annotations": ["yes"]`, plain, false,
			"hasBindMounts is false, which holds for no container; annotation .*=yes matches none of 0 annotations; command init does not match /bin/sh"},
		{`, "annotation": ["yes", "^true$"], "cmds": ["sh"]`, gpu, true, "annotation .*=yes|^true$ matches com.example.gpu=true"},
		{`, "annotations": []`, one, true, `annotation .*="" matches a=b`}, // an empty list matches every annotation
		{`, "annotations": []`, plain, false, `annotation .*="" matches none of 0 annotations`},
		{`, "cmds": ["sh"]`, none, false, "no process whose command could match"},
		{`, "always": true`, gpu, false, "no condition is given"},
	} {
		file := `{"version": "1.0.0", "hook": {"path": "/a"}, "when": ` + tt.when + `, "stages": ["poststop"]}`
		if strings.HasPrefix(tt.when, ",") {
			file = `{"hook": "/a", "stages": ["poststop"]` + tt.when + `}`
		}
		r, err := parseRule(file)
		if err != nil {
			t.Errorf("%s: %v", tt.when, err)
			continue
		}
		got, reason, err := r.when.match(&facts{Container: tt.c})
		if err != nil || got != tt.want || reason.String() != tt.why {
			t.Errorf("%s: %t, %q, %v\nwant %t, %q", tt.when, got, reason, err, tt.want, tt.why)
		}
	}
}

// A process without a command is an error only if the conditions need the command.
func TestNoCommand(t *testing.T) {
	c := Container{HasProcess: true}
	for when, wantError := range map[string]bool{
		`{"commands": ["a"]}`:                         true,
		`{"always": true, "commands": ["a"]}`:         true,
		`{"always": false, "commands": ["a"]}`:        false,
		`{"hasBindMounts": true, "commands": ["a"]}`:  false,
		`{"annotations": {"a":""}, "commands":["a"]}`: false,
		`{"always": true, "commands": []}`:            false,
	} {
		r, err := parseRule(`{"version": "1.0.0", "hook": {"path": "/a"}, "when": ` + when + `, "stages": ["poststop"]}`)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.when.match(&facts{Container: c}); (err != nil) != wantError {
			t.Errorf("%s: error %v", when, err)
		}
	}
}

// Long values are truncated in a reason.
func TestLongValue(t *testing.T) {
	value := strings.Repeat("ä", 1000)
	f := Finding{About: Annotation, Holds: true, Wanted: []string{"a", "b"}, Found: []string{"a", value}}
	if got := f.String(); len(got) > 200 || !strings.HasSuffix(got, "ä...") {
		t.Errorf("%q", got)
	}
}

// An expression that several files have is parsed and compiled once.
func TestExpressionsAreShared(t *testing.T) {
	seen := expressions{}
	first, _ := seen.get("a+")
	if again, _ := seen.get("a+"); again != first {
		t.Error("the same text has two expressions")
	}
}

// FuzzExpression compares expressions with package regexp.
func FuzzExpression(f *testing.F) {
	for _, expr := range []string{"", "a", "^a$", "^a", "a$", ".*a", "a.*", "^.*a$", `a\.b`, "a|b$|^c.*", "|", "||", "(", "a**", `\`, `\$a$`, "(?i)A", "[a-c]", ".", "$|^",
		".*?a", `\Qa.b\E`, "a{2}", "x*", "\ufffd", "a$b", `\x61`, `\8`, `\-`, "a\n$", "(?m)^a$", "\xff"} {
		for _, text := range []string{"", "a", "b", "xa", "ax", "a.b", "a\nb", "A", "aa", "\xff", "$a"} {
			f.Add(expr, text)
		}
	}
	f.Fuzz(func(t *testing.T, expr, text string) {
		want, err := regexp.MatchString(expr, text)
		e, problem := expressions{}.get(expr)
		switch {
		case (err != nil) != (problem != ""):
			t.Fatalf("%q: problem %q; regexp says %v", expr, problem, err)
		case err == nil && e.match(text) != want:
			t.Fatalf("%q on %q: %t; regexp says %t", expr, text, !want, want)
		}
	})
}
