package jsonfile

import "testing"

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
