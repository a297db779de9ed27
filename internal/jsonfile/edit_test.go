package jsonfile

import (
	"fmt"
	"testing"
)

func TestEdited(t *testing.T) {
	f := &File{Data: []byte("0123456789")}
	for _, tt := range []struct {
		edits []Edit
		want  string
	}{
		{nil, "0123456789"},
		{[]Edit{Insert(0, []byte("ab"))}, "ab0123456789"},
		{[]Edit{Insert(10, []byte("ab"))}, "0123456789ab"},
		{[]Edit{{Start: 2, End: 5}, Insert(5, []byte("x")), {Start: 9, End: 10, Text: []byte("end")}}, "01x5678end"},
	} {
		if got := string(f.Edited(tt.edits).Bytes()); got != tt.want {
			t.Errorf("%v: %q, not %q", tt.edits, got, tt.want)
		}
	}
	if string(f.Data) != "0123456789" {
		t.Errorf("the file's bytes are %q", f.Data)
	}
}

// TestAfter: whatever part of a text has been written, the rest follows, and writev(2) is never asked to write nothing.
func TestAfter(t *testing.T) {
	text := Text{nil, []byte("ab"), {}, []byte("cde"), []byte("f"), {}}
	whole := string(text.Bytes())
	for n := range len(whole) + 1 {
		rest := text.after(n)
		if got := string(rest.Bytes()); got != whole[n:] {
			t.Errorf("after %d bytes: %q, not %q", n, got, whole[n:])
		}
		if len(rest) > 0 && len(rest[0]) == 0 || len(rest) == 0 && n < len(whole) {
			t.Errorf("after %d bytes: %q", n, rest)
		}
	}
	if got := fmt.Sprintf("%q", text); got != `["" "ab" "" "cde" "f" ""]` {
		t.Errorf("the text is %s now", got)
	}
}
