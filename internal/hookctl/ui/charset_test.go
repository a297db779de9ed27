package ui

import (
	"strings"
	"testing"
	"unicode"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/history"
)

// TestLocale: the first of LC_ALL, LC_CTYPE and LANG that is set decides (locale(7)).
func TestLocale(t *testing.T) {
	for _, tt := range []struct {
		all, ctype, lang string
		ascii            bool
	}{
		{"", "", "", false},
		{"", "", "C", true},
		{"", "", "POSIX", true},
		{"C", "en_US.UTF-8", "en_US.UTF-8", true},
		{"POSIX", "", "C.UTF-8", true},
		{"", "C", "de_DE.UTF-8", true},
		{"de_DE.UTF-8", "C", "C", false},
		{"", "", "C.UTF-8", false},
		{"", "", "C.utf8", false},
		{"", "", "en_US", false},
		{"", "", "de_DE.ISO-8859-1", true},
		{"", "", "de_DE.UTF-8@euro", false},
	} {
		t.Setenv("LC_ALL", tt.all)
		t.Setenv("LC_CTYPE", tt.ctype)
		t.Setenv("LANG", tt.lang)
		if got := localCharset().bar == inASCII.bar; got != tt.ascii {
			t.Errorf("%+v: ASCII %v", tt, got)
		}
	}
}

// TestASCII: all that is drawn is ASCII in such a locale, and has the width that it has in another.
func TestASCII(t *testing.T) {
	stats := []history.Stat{
		{Stage: "prestart", Path: "/bin/sh", Args: []string{"sh", "-c", strings.Repeat("x", 100) + "1"}, Buckets: []int{0, 1, 5, 10}},
		{Stage: "prestart", Path: "/bin/sh", Args: []string{"sh", "-c", strings.Repeat("x", 100) + "2"}, Buckets: []int{0, 1, 5, 10}},
	}
	for _, width := range []int{0, 20, 45, 60, 80, 100, 200} {
		for name, draw := range map[string]func(*UI){"trial": func(u *UI) { u.Trial(sample()) }, "stats": func(u *UI) { u.Stats(stats) }} {
			text := drawn(t, false, width, func(u *UI) { u.chars = inASCII; draw(u) })
			if at := strings.IndexFunc(text, func(r rune) bool { return r > unicode.MaxASCII }); at >= 0 {
				t.Errorf("%s, %d characters: %q", name, width, text[at:min(at+10, len(text))])
			}
			if other := drawn(t, false, width, draw); strings.Count(text, "\n") != strings.Count(other, "\n") {
				t.Errorf("%s, %d characters:\n%s\n%s", name, width, text, other)
			}
		}
	}
}

// TestCut: no text is wider than it may be.
func TestCut(t *testing.T) {
	for _, c := range []charset{inUnicode, inASCII} {
		for width := range 12 {
			if got := c.cut("größer als", width); len([]rune(got)) > max(width, 1) {
				t.Errorf("%d characters: %q", width, got)
			}
		}
	}
	for c, want := range map[*charset]string{&inUnicode: "one two…ne ten", &inASCII: "one tw...e ten"} {
		if got := c.cutMiddle("one two three nine ten", 14); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := inASCII.bars([]int{0, 1, 5, 10}); got != ".148" {
		t.Errorf("%q", got)
	}
}
