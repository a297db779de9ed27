package tomledit

import (
	"testing"
)

// TestRemoveItem: an item is removed with its comma, and with its line if that has nothing else. Text that a user wrote
// beside it stays.
func TestRemoveItem(t *testing.T) {
	for _, test := range []struct{ name, before, after string }{
		{"the only one", `imports = ["x"]`, `imports = []`},
		{"the first", `imports = ["x", "a"]`, `imports = ["a"]`},
		{"the last", `imports = ["a", "x"] # more`, `imports = ["a"] # more`},
		{"between", `imports = [ "a" , "x" ,"b" ]`, `imports = [ "a"  ,"b" ]`},
		{"a line of its own", "imports = [\n  \"a\", # a's\n  \"x\",\n  # b's\n  \"b\",\n]\n", "imports = [\n  \"a\", # a's\n  # b's\n  \"b\",\n]\n"},
		{"the last line", "imports = [\n  # a's\n  \"a\", # here\n  \"x\"\n]\n", "imports = [\n  # a's\n  \"a\", # here\n]\n"},
		{"the only line", "imports = [ # all\n  \"x\"\n]\n", "imports = [ # all\n]\n"},
		{"a comment beside it", "imports = [\n  \"a\",\n  \"x\", # why\n]\n", "imports = [\n  \"a\",\n  # why\n]\n"},
		{"at the end of a line", "imports = [\n  \"a\", # a's\n  \"b\", \"x\" # b's\n]\n", "imports = [\n  \"a\", # a's\n  \"b\" # b's\n]\n"},
		{"at the start of a line", "imports = [\n  \"a\",\n  \"x\", \"b\" # b's\n]\n", "imports = [\n  \"a\",\n  \"b\" # b's\n]\n"},
		{"commas first", "imports = [\n    \"a\" # a's\n  , \"x\"\n  , \"b\"\n]\n", "imports = [\n    \"a\" # a's\n  \n  , \"b\"\n]\n"},
		{"after a byte order mark", "\xef\xbb\xbfimports = [\"x\", \"a\"]", "\xef\xbb\xbfimports = [\"a\"]"},
	} {
		_, items, err := Array([]byte(test.before), "imports")
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		var got []byte
		for _, item := range items {
			if item.Value == "x" {
				got = RemoveItem([]byte(test.before), item)
			}
		}
		if string(got) != test.after {
			t.Errorf("%s:\n%s\nwant:\n%s", test.name, got, test.after)
		}
		if _, err := Decode("config.toml", got); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestByteOrderMark: a byte order mark, which containerd 1.x accepts, stays at the beginning of the text.
func TestByteOrderMark(t *testing.T) {
	const text = "\xef\xbb\xbfversion = 2\n[a]\nb = 1\n"
	tree, err := Decode("config.toml", []byte(text))
	if err != nil || tree["version"] != int64(2) {
		t.Errorf("%v, %v", tree, err)
	}
	if got := string(Prepend([]byte(text), "c = 1\n")); got != "\xef\xbb\xbfc = 1\n"+text[3:] {
		t.Errorf("%q", got)
	}
	got, err := SetKey([]byte(text), []string{"a"}, "b", "2")
	if err != nil || string(got) != "\xef\xbb\xbfversion = 2\n[a]\nb = 2\n" {
		t.Errorf("%q, %v", got, err)
	}
}
