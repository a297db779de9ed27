package jsonfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestReadRefuses tests rule 15: a file that is not regular, or too large, is refused without waiting.
func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := unix.Mkfifo(at("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int64{"large": MaxSize + 1, "zeros": 1 << 30} {
		if err := os.WriteFile(at(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(at(name), size); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("loop", at("loop")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		at("missing"): "cannot be opened: nothing exists at this path (ENOENT); correct the path, or create it",
		at("fifo"):    "is not a regular file; correct the path, or put the file there",
		dir:           "is not a regular file; correct the path, or put the file there",
		"/dev/zero":   "is not a regular file; correct the path, or put the file there",
		at("large"):   "is larger than 64 MiB; correct the path, or make the file smaller",
		at("zeros"):   "is larger than 64 MiB; correct the path, or make the file smaller",
		at("loop"):    "cannot be opened: too many symbolic links (ELOOP); correct the links: one leads back to itself",
		at("large/x"): "cannot be opened: a part of the path is a file (ENOTDIR); correct the path",
	} {
		_, err := Read(path)
		if err == nil || err.Error() != path+": "+want {
			t.Errorf("%v; want %s: %s", err, path, want)
		}
	}
	if _, err := Read(at("missing")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("errors.Is does not find the cause of %v", err)
	}
}

func TestRead(t *testing.T) {
	for _, size := range []int{0, 1, 4096, 1 << 20} {
		path := filepath.Join(t.TempDir(), "f")
		text := strings.Repeat("x", size)
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		f, err := Read(path)
		if err != nil || string(f.Data) != text || f.Stat.Mode&0o7777 != 0o640 {
			t.Errorf("%d bytes: read %d, mode %o, %v", size, len(f.Data), f.Stat.Mode, err)
		}
	}
	// A file whose size is 0 in its status.
	if f, err := Read("/proc/self/status"); err != nil || !strings.Contains(string(f.Data), "VmPeak") {
		t.Errorf("/proc/self/status: %v", err)
	}
}

// TestRefuseUntrusted tests rule 16.
func TestRefuseUntrusted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: others may write their own files as they like")
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o664: false, 0o602: true, 0o666: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		f, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.RefuseUntrusted(); (err != nil) != want || want && !strings.Contains(err.Error(), "chmod o-w "+path) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

// TestReader: each method reads its kind of value, and its errors name the right place.
func TestReader(t *testing.T) {
	read := func(text string) error {
		r := (&File{Path: "f", Data: []byte(text)}).Strict()
		err := r.Object(func(name string) error {
			var err error
			switch name {
			case "string":
				_, err = r.String()
			case "strings":
				_, err = r.Strings()
			case "bool":
				_, err = r.Bool()
			case "object":
				err = r.Object(func(string) error { return nil })
			case "array":
				err = r.Array(func() error { _, err := r.Value(); return err })
			}
			return err
		})
		if err == nil {
			err = r.Finish()
		}
		return err
	}
	for _, text := range []string{
		`{}`, ` {"string":"x","strings":["a","b"],"bool":true,"object":{"a":[{}]},"array":[1,{"a":2},[]],"other":[[1],{}]} `, `{"bool" : false}`,
		"{\n}\n", `{"strings":[]}`,
	} {
		if err := read(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		``:                                 `f: is empty; write the file, or restore it`,
		"\t":                               `f: is empty; write the file, or restore it`,
		`null`:                             `f:1:1: must be an object, not null; write it in braces: {...}`,
		`{"string":1}`:                     `f:1:11: must be a string, not a number (/string); write it in double quotes`,
		"{\n  \"string\" : [1, 2] }":       `f:2:14: must be a string, not an array (/string); write it in double quotes`,
		`{"strings":["a", null]}`:          `f:1:18: must be a string, not null (/strings/1); write it in double quotes`,
		`{"strings":{}}`:                   `f:1:12: must be an array, not an object (/strings); write it in brackets: [...]`,
		`{"bool":"true"}`:                  `f:1:9: must be true or false, not a string (/bool); write true or false, without quotes`,
		`{"object":true}`:                  `f:1:11: must be an object, not a boolean (/object); write it in braces: {...}`,
		`{"a":1,"a":2}`:                    `f:1:8: member "a" is given twice (/a); remove one of them`,
		`{"a":{"b":1,"b":2}}`:              `f:1:13: member "b" is given twice (/a/b); remove one of them`,
		"{\"a\":1,\n}":                     `f:1:7: not valid JSON: invalid character ',' at start of value; remove it: JSON has no comma after the last of a list`,
		`{"array":[1, ]}`:                  `f:1:12: not valid JSON: invalid character ',' at start of value (/array); remove it: JSON has no comma after the last of a list`,
		`{,}`:                              `f:1:2: not valid JSON: invalid character ',' at start of value; remove it: JSON has no comma after the last of a list`,
		`{"array":[,1]}`:                   `f:1:11: not valid JSON: invalid character ',' at start of value (/array); remove it, or write what is missing before it`,
		"{ // x\n}":                        `f:1:3: not valid JSON: invalid character '/' at start of value; remove the comment: JSON has none`,
		"{\"a\":1 /* x */}":                `f:1:8: not valid JSON: invalid character '/' after object value (expecting ',' or '}'); remove the comment: JSON has none`,
		"# x\n{}":                          `f:1:1: not valid JSON: invalid character '#' at start of value; remove the comment: JSON has none`,
		`{'a':1}`:                          `f:1:2: not valid JSON: invalid character '\'' at start of value; write strings in double quotes`,
		`{“a”:1}`:                          `f:1:2: not valid JSON: invalid character '“' at start of value; write strings in plain double quotes: "`,
		"\xef\xbb\xbf{}":                   "f:1:1: not valid JSON: invalid character '\\ufeff' at start of value; the file begins with a byte order mark: save it as UTF-8 without one",
		"\xff\xfe{\x00}\x00":               `f:1:1: not valid JSON: invalid character '\xff' at start of value; save the file as UTF-8`,
		"{\"a\":\"x\ny\"}":                 `f:1:8: not valid JSON: invalid character '\n' in string (expecting non-control character) (/a); a line break in a string is written \n, a tab \t`,
		`{"a":1 "b":2}`:                    `f:1:8: not valid JSON: invalid character '"' after object value (expecting ',' or '}'); put a comma before it`,
		"{\"a\":\"\xff\"}":                 `f:1:7: not valid JSON: invalid UTF-8 (/a); save the file as UTF-8`,
		`{"a":1`:                           `f:1:7: not valid JSON: the file ends too early; close the { of line 1, column 1, or restore the rest of the file`,
		`{"array":[1`:                      `f:1:12: not valid JSON: the file ends too early; close the [ of line 1, column 10, or restore the rest of the file`,
		`{"string":"x`:                     `f:1:13: not valid JSON: the file ends too early; close the " of line 1, column 11, or restore the rest of the file`,
		"{\"a\\\"{\": [\n {\"b\": {}}\n\n": `f:2:11: not valid JSON: the file ends too early; close the [ of line 1, column 10, or restore the rest of the file`,
		"tru":                              `f:1:4: not valid JSON: the file ends too early; restore the rest of the file`,
		`{"a" 1}`:                          `f:1:6: not valid JSON: invalid character '1' after object name (expecting ':') (/a); put a colon before it`,
		`{"array":[1 2]}`:                  `f:1:13: not valid JSON: invalid character '2' after array element (expecting ',' or ']') (/array); put a comma before it`,
		`{a:1}`:                            `f:1:2: not valid JSON: invalid character 'a' at start of value; write names and strings in double quotes, and true, false and null in lower case`,
		`{"a":tru}`:                        `f:1:9: not valid JSON: invalid character '}' in literal true (expecting 'e') (/a); write names and strings in double quotes, and true, false and null in lower case`,
		`{"a":05}`:                         `f:1:7: not valid JSON: invalid character '5' after object value (expecting ',' or '}'); write numbers without zeros before them`,
		`{"a":"\d"}`:                       "f:1:7: not valid JSON: invalid escape sequence `\\d` in string (/a); a backslash in a string is written \\\\",
		`{"a":"\ud800"}`:                   "f:1:7: not valid JSON: invalid surrogate pair `\\ud800\"}` in string (/a); write the character itself, or both halves of its escape",
		`{"a":}`:                           `f:1:6: not valid JSON: invalid character '}' at start of value (/a); a value is missing before it`,
		`{"array":[1}`:                     `f:1:12: not valid JSON: invalid character '}' after array element (expecting ',' or ']') (/array); close what was opened last: { with }, [ with ]`,
		`{"a":1]`:                          `f:1:7: not valid JSON: invalid character ']' after object value (expecting ',' or '}'); close what was opened last: { with }, [ with ]`,
		`{"a":+5}`:                         `f:1:6: not valid JSON: invalid character '+' at start of value (/a); write the number in digits, as in 5, -5 or 0.5`,
		`{"a":.5}`:                         `f:1:6: not valid JSON: invalid character '.' at start of value (/a); write the number in digits, as in 5, -5 or 0.5`,
		`{"a":5.}`:                         `f:1:8: not valid JSON: invalid character '}' in number (expecting digit) (/a); write the number in digits, as in 5, -5 or 0.5`,
		`{"a":-Infinity}`:                  `f:1:7: not valid JSON: invalid character 'I' in number (expecting digit) (/a); write the number in digits, as in 5, -5 or 0.5`,
		`{"a":1e}`:                         `f:1:8: not valid JSON: invalid character '}' in number (expecting digit) (/a); write the number in digits, as in 5, -5 or 0.5`,
		`{"a":0x1F}`:                       `f:1:7: not valid JSON: invalid character 'x' after object value (expecting ',' or '}'); write the number in decimal digits alone`,
		`{"a":[5s]}`:                       `f:1:8: not valid JSON: invalid character 's' after array element (expecting ',' or ']') (/a); write the number in decimal digits alone`,
		`{"a":1_000}`:                      `f:1:7: not valid JSON: invalid character '_' after object value (expecting ',' or '}'); write the number in decimal digits alone`,
		`{"a":[1,,2]}`:                     `f:1:9: not valid JSON: invalid character ',' at start of value (/a/1); remove it, or write what is missing before it`,
		`{"a":"b"; "c":1}`:                 `f:1:9: not valid JSON: invalid character ';' after object value (expecting ',' or '}'); write a comma in its place`,
		`{"a"="b"}`:                        `f:1:5: not valid JSON: invalid character '=' after object name (expecting ':') (/a); write a colon in its place`,
		`{"a"}`:                            `f:1:5: not valid JSON: invalid character '}' after object name (expecting ':') (/a); write a colon and a value before it`,
		`{"a":["b":1]}`:                    `f:1:10: not valid JSON: invalid character ':' after array element (expecting ',' or ']') (/a); write names and their values in braces: {...}`,
		`{"a":"echo "b""}`:                 `f:1:13: not valid JSON: invalid character 'b' after object value (expecting ',' or '}'); put a comma before it; a quote inside a string is written \"`,
		"{\"a\":`b`}":                      "f:1:6: not valid JSON: invalid character '`' at start of value (/a); write strings in double quotes",
		"{\"a\":\"\x01\"}":                 `f:1:7: not valid JSON: invalid character '\x01' in string (expecting non-control character) (/a); a control character in a string is written \u and four hexadecimal digits`,
		"{\"a\":\u00a0{}}":                 `f:1:6: not valid JSON: invalid character '\u00a0' at start of value (/a); remove it: JSON has no spaces but those of ASCII`,
		`{"a":$A}`:                         `f:1:6: not valid JSON: invalid character '$' at start of value (/a); remove it, or write it in a string`,
		`{} {}`:                            `f:1:4: text follows the end of the JSON value; remove it`,
		`{"string":"x","bool":maybe}`:      `f:1:22: not valid JSON: invalid character 'm' at start of value (/bool); write names and strings in double quotes, and true, false and null in lower case`,
	} {
		if err := read(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v; want %s", text, err, want)
		}
	}
}

// TestAllErrors: a reader returns all errors about a file, in order. For invalid JSON it returns only the place at
// which it becomes invalid.
func TestAllErrors(t *testing.T) {
	read := func(text string) Errors {
		r := (&File{Path: "f", Data: []byte(text)}).Strict()
		err := r.Object(func(name string) error {
			if err := r.MisspeltCase(name, "number", "string", "list"); err != nil {
				return err
			}
			switch name {
			case "string":
				_, err := r.String()
				return err
			case "list":
				_, err := r.Strings()
				return err
			}
			return nil
		})
		if err == nil {
			r.Note((&File{Path: "f", Data: []byte(text)}).At(0, "", "noted", ""))
			err = r.Finish()
		}
		return All(err)
	}
	for text, want := range map[string][]string{
		`{}`: {"f:1:1: noted"},
		"{\"string\": 1,\n\"list\": [1, \"a\", {\"b\": 1, \"b\": 2}, null],\n\"String\": 2, \"x\": [{\"a\": {}, \"a\": [[\"\"]]}],\n\"x\": 3} 4": {
			"f:1:1: noted",
			"f:1:12: must be a string, not a number (/string); write it in double quotes",
			"f:2:10: must be a string, not a number (/list/0); write it in double quotes",
			"f:2:18: must be a string, not an object (/list/2); write it in double quotes",
			`f:2:27: member "b" is given twice (/list/2/b); remove one of them`,
			"f:2:36: must be a string, not null (/list/3); write it in double quotes",
			`f:3:1: member "String" differs from "string" in the case of letters alone (/String); write "string"`,
			`f:3:30: member "a" is given twice (/x/0/a); remove one of them`,
			`f:4:1: member "x" is given twice (/x); remove one of them`,
			"f:4:9: text follows the end of the JSON value; remove it",
		},
		`{"string": 1, "list": [1, 2}`: {"f:1:28: not valid JSON: invalid character '}' after array element (expecting ',' or ']') (/list); close what was opened last: { with }, [ with ]"},
	} {
		var got []string
		for _, err := range read(text) {
			got = append(got, err.Error())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", text, diff)
		}
	}
	// The time for each member does not grow with the number of members.
	var many strings.Builder
	for i := range 200000 {
		fmt.Fprintf(&many, `"%d": 0, `, i)
	}
	if err := read("{" + many.String() + `"7": 0, "199999": 0}`); len(err) != 3 {
		t.Errorf("%d errors: %v", len(err), err)
	}
	for n, want := range map[int]string{1: "f: p", 2: "f: p (and 1 more error: hookctl check f)", 3: "f: p (and 2 more errors: hookctl check f)"} {
		if got := Errors(slices.Repeat([]*Error{{Path: "f", Problem: "p"}}, n)).Error(); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

func TestMisspeltCase(t *testing.T) {
	r := (&File{Path: "f", Data: []byte(`{"PATH":1}`)}).Strict()
	_ = r.Object(func(name string) error { return r.MisspeltCase(name, "args", "path") })
	err := r.Finish()
	if want := `f:1:2: member "PATH" differs from "path" in the case of letters alone (/PATH); write "path"`; err == nil || err.Error() != want {
		t.Errorf("%v; want %s", err, want)
	}
	if err := r.MisspeltCase("path", "args", "path"); err != nil {
		t.Error(err)
	}
}
