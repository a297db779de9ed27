package ui

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
)

// drawn returns what draw prints on a terminal of that width, or in a pipe if width is 0.
func drawn(t *testing.T, colour bool, width int, draw func(*UI)) string {
	t.Helper()
	var out bytes.Buffer
	u := New(&out, nil)
	u.colour, u.size = colour, func() (int, int) { return width, 24 }
	draw(u)
	if err := u.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTable(t *testing.T) {
	head := []string{"STATUS", "RUNTIME", ""}
	rows := [][]Cell{
		{Green.Cell("ok"), Bold.Cell("gpu"), Plain.Cell("/usr/local/bin/gpu is a link to oci-add-hooks")},
		{Red.Cell("error"), Bold.Cell(""), Plain.Cell("größer\tals\n/x")},
	}
	for _, tt := range []struct {
		width int
		want  string
	}{
		{0, `
STATUS  RUNTIME
ok      gpu      /usr/local/bin/gpu is a link to oci-add-hooks
error            größer\tals\n/x
`},
		{50, `
STATUS  RUNTIME
ok      gpu      /usr/local/bin/gpu is a link to
                 oci-add-hooks
error            größer\tals\n/x
`},
		{30, `
STATUS   ok
RUNTIME  gpu
         /usr/local/bin/gpu is
         a link to
         oci-add-hooks

STATUS   error
         größer\tals\n/x
`},
		{10, `
STATUS   ok
RUNTIME  gpu
         /usr/local/bin/gpu
         is
         a
         link
         to
         oci-add-hooks

STATUS   error
         größer\tals\n/x
`},
	} {
		got := "\n" + drawn(t, false, tt.width, func(u *UI) { u.Table(head, rows) })
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%d characters (-want +got):\n%s", tt.width, diff)
		}
	}
	if got := drawn(t, true, 0, func(u *UI) { u.Table(head, rows[:1]) }); !strings.Contains(got, "\x1b[32mok\x1b[0m      \x1b[1mgpu\x1b[0m") {
		t.Errorf("%q", got)
	}
}

// From 20 characters on, no word is broken. A line is longer than the terminal only if it is one word after a heading.
func TestTableFits(t *testing.T) {
	head := []string{"CONTAINER", "STATE", "CALLED BY"}
	rows := [][]Cell{{Plain.Cell(strings.Repeat("0a", 6)), Plain.Cell("stopped since yesterday"), Plain.Cell("one two three four five six /a/path/of/some/length")}}
	for width := 20; width < 120; width++ {
		got := drawn(t, false, width, func(u *UI) { u.Table(head, rows) })
		for _, word := range strings.Fields(rows[0][2].text) {
			if !strings.Contains(got, word) {
				t.Errorf("%d characters: %q is broken:\n%s", width, word, got)
			}
		}
		for line := range strings.Lines(got) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width && len(strings.Fields(line)) > 2 {
				t.Errorf("%d characters: %d are %q", width, n, line)
			}
		}
	}
}

func TestEscape(t *testing.T) {
	for text, want := range map[string]string{
		"plain größe 漢字": "plain größe 漢字",
		"a\tb":           "a\tb",
		"a\nb\r":         `a\nb\r`,
		"\x1b[31mred":    `\x1b[31mred`,
		"\u202e\u200b":   `\u202e\u200b`,
		"\xff'\\":        `\xff'\`,
	} {
		got := Escape(text)
		if got != want || Escape(got) != got {
			t.Errorf("%q: %q, want %q; escaped twice %q", text, got, want, Escape(got))
		}
	}
}

func TestDiff(t *testing.T) {
	unified := change.Diff("a", []byte("one\n\ttwo\n"), "b", []byte("one\n\ttwo\x1b\n"))
	want := "\x1b[1m--- a\x1b[0m\n\x1b[1m+++ b\x1b[0m\n\x1b[36m@@ -1,2 +1,2 @@\x1b[0m\n one\n\x1b[31m-\ttwo\x1b[0m\n\x1b[32m+\ttwo\\x1b\x1b[0m\n"
	if diff := cmp.Diff(want, drawn(t, true, 0, func(u *UI) { u.Diff(unified) })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestError(t *testing.T) {
	var err bytes.Buffer
	u := New(nil, &err)
	u.Error("first\x1b\n  second")
	u.Note("third")
	if got, want := err.String(), "hookctl: first\\x1b\n  second\nhookctl: note: third\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Paragraphs are broken between words. A list keeps its columns where there is room. A term that is too long has its
// explanation below it.
func TestText(t *testing.T) {
	long := strings.Repeat("word ", 20)
	got := drawn(t, false, 0, func(u *UI) {
		u.Text(long + "\n\n  one    in columns\n  two    " + long + "\n")
		u.Definitions([][2]string{{"a", "one"}, {"bcd", long}, {strings.Repeat("x", 30), "three"}})
	})
	want := `word word word word word word word word word word word word word word word word
word word word word

  one    in columns
  two word word word word word word word word word word word word word word
    word word word word word word
  a    one
  bcd  word word word word word word word word word word word word word word
       word word word word word word
  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
       three
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A message is one line, except on a narrow terminal: there it is broken between words and keeps its colours.
func TestFlow(t *testing.T) {
	cells := []Cell{Red.Cell("error:"), Plain.Cell("this is a message of several words"), Dim.Cell(""), Dim.Cell("(/hooks/x)")}
	for width, want := range map[int]string{
		0:  "\x1b[31merror:\x1b[0m this is a message of several words \x1b[2m(/hooks/x)\x1b[0m\n",
		52: "\x1b[31merror:\x1b[0m this is a message of several words \x1b[2m(/hooks/x)\x1b[0m\n",
		51: "\x1b[31merror:\x1b[0m this is a message of several words\n  \x1b[2m(/hooks/x)\x1b[0m\n",
		20: "\x1b[31merror:\x1b[0m this is a\n  message of several\n  words \x1b[2m(/hooks/x)\x1b[0m\n",
		3:  "\x1b[31merror:\x1b[0m\n  this\n  is\n  a\n  message\n  of\n  several\n  words\n  \x1b[2m(/hooks/x)\x1b[0m\n",
	} {
		if diff := cmp.Diff(want, drawn(t, true, width, func(u *UI) { u.flow(0, cells...) })); diff != "" {
			t.Errorf("%d characters (-want +got):\n%s", width, diff)
		}
	}
}
