package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	got, err := read("$ try\r\n\x1b[1mSTAGE\x1b[0m  0\r\nold\r\n\x1b[2A\r\x1b[J\x1b[1mSTAGE\x1b[0m  1\r\n\r\n\x1b[31mproblem:\x1b[0m it failed\r\n")
	want := [][]span{{{"", "$ try"}}, {{"1", "STAGE"}, {"0", "  1"}}, nil, {{"31", "problem:"}, {"0", " it failed"}}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(span{})); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, written := range []string{"", "a\x1b[5;5Hb", "a\x1b[35mb", "a\x1bMb", "a\n\x1b[2Ab"} {
		if got, err := read(written); err == nil {
			t.Errorf("%q: %v", written, got)
		}
	}
}

func TestDraw(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"a & b"}, strings.NewReader(" a <b>   c\n\x1b[32m━━\x1b[0m  d\n"), &out); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`<title>a &amp; b</title>`,
		`<text x="24.4" y="30" textLength="42.0">a &lt;b&gt;</text>`,
		`<text x="91.6" y="30" textLength="8.4">c</text>`,
		`<text x="16.0" y="49" textLength="16.8" fill="#7ee787">━━</text>`,
		`<text x="49.6" y="49" textLength="8.4">d</text>`,
	} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the picture does not have %s:\n%s", part, &out)
		}
	}
	for d := xml.NewDecoder(&out); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
