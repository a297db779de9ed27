package check

import "testing"

func TestAnchored(t *testing.T) {
	for _, test := range []struct {
		expr         string
		begins, ends bool
	}{
		{"a", false, false},
		{"^a", true, false},
		{"a$", false, true},
		{"^a$", true, true},
		{`\Aa\z`, true, true},
		{"^(a|b)$", true, true},
		{"(^a$)", true, true},
		{"^a$|^b$", true, true},
		{"^a|b$", false, false}, // ^ belongs only to the first alternative, $ to the second
		{"^ab$|^ac", true, false},
		{".*a", true, false},
		{"^a.*", true, true},
		{".+", true, true},
		{"(?i)^a$", true, true},
		{"[a-z]*", false, false},
		{`^a\$`, true, false},
		{"", false, false},
	} {
		if begins, ends := anchored(test.expr); begins != test.begins || ends != test.ends {
			t.Errorf("%q: %v, %v", test.expr, begins, ends)
		}
	}
}

func TestBeginsName(t *testing.T) {
	for expr, want := range map[string]bool{
		"/init$": true, "(/init|/systemd)$": true, "/(init|systemd)$": true, "/usr/bin/sh$": true, "/?init$": false,
		"init$": false, "/init$|sh$": false, "": false, "[/]init": true, "(?i)/init": true,
	} {
		if got := beginsName(expr); got != want {
			t.Errorf("%q: %v", expr, got)
		}
	}
}

func TestCanMatch(t *testing.T) {
	for expr, want := range map[string]bool{
		"":                   true,
		"^$":                 true,
		"a^":                 false,
		"$a":                 false,
		"a*^b":               true, // with no a
		"a+^b":               false,
		"a^|b":               true,
		"$^":                 true,
		"(a|$)b":             true,
		"($|a^)b":            false,
		`[^\x00-\x{10FFFF}]`: false,
		"$a*":                true,
		"(?m)a\n^b":          true,
		`\bab\b`:             true,
		"a{2,3}$":            true,
		"(?:$a|$b)|c^d":      false,
	} {
		if got := canMatch(expr); got != want {
			t.Errorf("%q: %v", expr, got)
		}
	}
}

func TestMatchesAll(t *testing.T) {
	for expr, want := range map[string]bool{
		"": true, ".*": true, "^.*$": true, ".+": true, "^": true, "x*": true, "(?s).": true, "a|": true,
		"x": false, "^[a-z]*$": false, "..": false, "^/": false, "[^x]": false,
	} {
		if got := matchesAll(expr); got != want {
			t.Errorf("%q: %v", expr, got)
		}
	}
}
