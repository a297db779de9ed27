package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// enginesRead matches the phrases of rule 19. The test deliberately has its own copy of them.
var enginesRead = regexp.MustCompile(`(?i)no such file or directory|permission denied|operation not permitted|` +
	`executable file not found|not a directory|is a directory|open executable|does not exist|no such process|` +
	`process already finished|container not running`)

// TestEveryErrno tests rule 19: no message contains the C library's text of a system error.
func TestEveryErrno(t *testing.T) {
	texts := map[string]unix.Errno{}
	for n := unix.Errno(1); n < 140; n++ {
		for _, err := range []error{n, &fs.PathError{Op: "open", Path: "/x", Err: n}, fmt.Errorf("wrapped: %w", n)} {
			got := Plain(err)
			text := got.Error()
			if enginesRead.MatchString(text) || strings.Contains(text, n.Error()) && len(n.Error()) > 4 {
				t.Errorf("%d: %q contains the C library's text %q", int(n), text, n.Error())
			}
			if name := unix.ErrnoName(n); !strings.Contains(text, name) {
				t.Errorf("%d: %q does not name %s", int(n), text, name)
			}
			if !errors.Is(got, n) {
				t.Errorf("%d: errors.Is does not find it", int(n))
			}
			if other, ok := texts[text]; ok && other != n {
				t.Errorf("%d and %d: both %q", int(n), int(other), text)
			}
			texts[text] = n
		}
	}
	for n := unix.Errno(1); n < 140; n++ {
		if remedy := Remedy(&fs.PathError{Op: "open", Path: "/x", Err: n}); remedy == "" || enginesRead.MatchString(remedy) {
			t.Errorf("%d: %q is not a remedy", int(n), remedy)
		}
	}
	if remedy := Remedy(errors.New("no system error")); remedy != "" {
		t.Errorf("another error has the remedy %q", remedy)
	}
	for _, w := range words {
		if !strings.HasPrefix(Plain(w.errno).Error(), w.text+" (") {
			t.Errorf("%v: Plain does not use its text %q", w.errno, w.text)
		}
	}
	if err := errors.New("no system error"); Plain(err) != err {
		t.Error("another error was changed")
	}
}

func TestLegible(t *testing.T) {
	for message, want := range map[string]string{
		"plain text, ünïcode 漢字":                    "plain text, ünïcode 漢字",
		"two\nlines\tand \x1b[31mred":               `two\nlines\tand \x1b[31mred`,
		"bytes \xff\xfe, \u200b and \u2028":         `bytes \xff\xfe, \u200b and \u2028`,
		"'quotes' \"stay\" and \\ too":              "'quotes' \"stay\" and \\ too",
		"/srv/Permission Denied/x":                  "/srv/Permission_Denied/x",
		"a no such file or directory b":             "a no_such_file_or_directory b",
		"is a directoryis not a directory":          "is_a_directoryis not_a_directory",
		"container not running, does not exist":     "container_not_running, does_not_exist",
		"the file system is full; no such processx": "the file system is full; no_such_processx",
		strings.Repeat("x", longest):                strings.Repeat("x", longest),
		strings.Repeat("x", longest+1):              strings.Repeat("x", longest/2) + " ... " + strings.Repeat("x", longest/2),
		strings.Repeat("é", longest/2+1):            strings.Repeat("é", longest/4) + " ... " + strings.Repeat("é", longest/4),
		"f" + strings.Repeat("é", longest) + "l":    "f" + strings.Repeat("é", longest/4-1) + " ... " + strings.Repeat("é", longest/4-1) + "l",
		"p:" + strings.Repeat("x", 1<<20) + "; do":  "p:" + strings.Repeat("x", longest/2-2) + " ... " + strings.Repeat("x", longest/2-4) + "; do",
		"p:" + strings.Repeat("\n", longest) + "do": "p:" + strings.Repeat(`\n`, longest/4-1) + " ... " + strings.Repeat(`\n`, longest/4-1) + "do",
	} {
		if got := legible(message); got != want {
			t.Errorf("%q became\n%q, not\n%q", message, got, want)
		}
	}
}

// FuzzLegible: legible returns one printable line that no engine acts on, for any message.
func FuzzLegible(f *testing.F) {
	f.Add("permission denied\n\xff")
	f.Add("no such no such file or directory or directory")
	f.Fuzz(func(t *testing.T, message string) {
		got := legible(message)
		if enginesRead.MatchString(got) || strings.ContainsAny(got, "\n\r\x00\x1b\x7f") || len(got) > longest+len(" ... ") {
			t.Errorf("%.100q became %.100q", message, got)
		}
		if len(got) <= longest && legible(got) != got { // a shortened message might be shortened again
			t.Errorf("%.100q became %.100q, and that %.100q", message, got, legible(got))
		}
	})
}

// TestLog tests rule 18: which line is appended to the log in each format, and which logs are skipped.
func TestLog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	read := func() string {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	message := `oci-add-hooks: "x" \ ü`
	if err := (Log{Path: path, Format: "json"}).write("error", message); err != nil {
		t.Fatal(err)
	}
	var line struct {
		Level, Msg string
		Time       time.Time // RFC 3339, or the decoding fails
	}
	if err := json.Unmarshal([]byte(read()), &line); err != nil || line.Level != "error" || line.Msg != message || time.Since(line.Time).Abs() > time.Minute {
		t.Errorf("%s: %+v, %v", read(), line, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm()&^0o644 != 0 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	before := read()
	for _, format := range []string{"text", ""} {
		if err := (Log{Path: "file:" + path, Format: format}).write("error", message); err != nil {
			t.Fatal(err)
		}
		added, appended := strings.CutPrefix(read(), before)
		logrus := regexp.MustCompile(`^time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" level=error msg="oci-add-hooks: \\"x\\" \\\\ ü"\n$`)
		if !appended || !logrus.MatchString(added) {
			t.Errorf("added %q", added)
		}
		before = read()
	}
	for _, elsewhere := range []string{"", "journald:x", "syslog:x"} {
		if err := (Log{Path: elsewhere}).write("error", message); err != nil {
			t.Errorf("%q: %v", elsewhere, err)
		}
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for bad, want := range map[string]string{
		fifo:           "nobody reads from it (ENXIO); have somebody read from it, or name another file", // it does not wait for a reader
		dir:            "a directory is there (EISDIR); correct the path",
		dir + "/a/log": "nothing exists at this path (ENOENT); correct the path, or create it",
	} {
		if err := (Log{Path: bad}).write("error", message); err == nil || err.Error() != "the log "+bad+" cannot be written: "+want {
			t.Errorf("%s: %v", bad, err)
		}
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 2 || read() != before {
		t.Errorf("besides the log: %v, %q", entries, read())
	}
}
