package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// lastCall holds the effects of a script's last call.
type lastCall struct {
	records string   // the directory of the fake runtime's records
	changed []string // the files that the call changed, as paths relative to $WORK
	stderr  string
}

// lastKey is the key under which testscript keeps the lastCall.
type lastKey struct{}

func lastOf(ts *testscript.TestScript) *lastCall { return ts.Value(lastKey{}).(*lastCall) }

// cmdCall runs a program and checks what holds for every call.
//
//   - A call that must succeed execs the runtime once, adds nothing to the runtime's output and exit status, and
//     changes no file except a config.json, and the log for --debug.
//   - A call that must fail calls no runtime, exits with status 1, and reports why as rules 18 and 19 of docs/design.md
//     demand. It changes no file except the log: content, inode, times and mode stay.
//   - No call leaves a temporary file or blocks.
//
// The log is any file whose name begins with "log".
func cmdCall(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: call PROGRAM ARG...")
	}
	last := lastOf(ts)
	ts.Check(os.RemoveAll(last.records))
	ts.Check(os.Mkdir(last.records, 0o777))
	ts.Check(os.Chmod(last.records, 0o777))
	before := snapshot(ts)
	err := ts.Exec("/usr/bin/timeout", append([]string{"-s", "KILL", "20"}, args...)...)
	after := snapshot(ts)

	status := 0
	if err != nil {
		match := regexp.MustCompile(`^exit status (\d+)$`).FindStringSubmatch(err.Error())
		if match == nil {
			ts.Fatalf("%v", err) // usually the call blocked and was killed
		}
		status, _ = strconv.Atoi(match[1])
	}
	stdout := ts.ReadFile("stdout")
	last.stderr = ts.ReadFile("stderr")
	_, err = os.Stat(filepath.Join(last.records, "argv"))
	called := err == nil
	last.changed = nil
	for path := range before {
		if _, still := after[path]; !still {
			ts.Fatalf("%s was removed", path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(after)) {
		old, known := before[path]
		if after[path] == old {
			continue
		}
		last.changed = append(last.changed, path)
		isLog := strings.HasPrefix(filepath.Base(path), "log")
		switch {
		case isLog:
			ts.Check(checkLegible(after[path].content))
			if added, ok := strings.CutPrefix(after[path].content, old.content); !ok {
				ts.Fatalf("%s was not appended to", path)
			} else if strings.Count(added, "\n") != 1 || !strings.HasSuffix(added, "\n") {
				ts.Fatalf("%s got more or less than one line: %q", path, added)
			}
		case !known:
			ts.Fatalf("%s is left behind", path)
		case neg:
			ts.Fatalf("%s was changed by a call that failed:\n%+v\n%+v", path, old, after[path])
		}
	}
	if neg {
		if called {
			ts.Fatalf("the runtime was called")
		}
		if status != 1 {
			ts.Fatalf("exit status %d, not 1", status)
		}
		if stdout != "" {
			ts.Fatalf("standard output is not empty")
		}
		ts.Check(checkMessage(last.stderr))
		return
	}
	if !called {
		ts.Fatalf("the runtime was not called")
	}
	if want, _ := strconv.Atoi(ts.Getenv("FAKERT_EXIT")); status != want {
		ts.Fatalf("exit status %d, the runtime's was %d", status, want)
	}
	if stdout != ts.Getenv("FAKERT_STDOUT") {
		ts.Fatalf("standard output is not the runtime's")
	}
	if last.stderr != ts.Getenv("FAKERT_STDERR") {
		ts.Fatalf("standard error is not the runtime's")
	}
}

// checkMessage checks what a failing call wrote to standard error: one line that begins with the program's name, and a
// second one if the log could not be written.
func checkMessage(stderr string) error {
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "oci-add-hooks: ") {
			return fmt.Errorf("a line on standard error does not begin with the program's name: %q", line)
		}
		if i > 0 && !strings.HasPrefix(line, "oci-add-hooks: the log ") || i > 1 {
			return fmt.Errorf("more than one line on standard error")
		}
		if !strings.Contains(line, "; ") {
			return fmt.Errorf("a line on standard error has no remedy: %q", line)
		}
	}
	return checkLegible(stderr)
}

// misread are the phrases from which Docker, Podman, containerd and CRI-O classify a runtime's message (rule 19).
var misread = []string{
	"no such file or directory", "permission denied", "operation not permitted", "executable file not found",
	"not a directory", "is a directory", "open executable", "does not exist", "no such process",
	"process already finished", "container not running",
}

func checkLegible(message string) error {
	for _, phrase := range misread {
		if strings.Contains(strings.ToLower(message), phrase) {
			return fmt.Errorf("an engine acts on %q in %q", phrase, message)
		}
	}
	if i := strings.IndexFunc(message, func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }); i >= 0 {
		return fmt.Errorf("%q is not legible", message)
	}
	return nil
}

// state holds the attributes of a file that a call must not change.
type state struct {
	mode     uint32
	owner    uint64
	inode    uint64
	changed  syscall.Timespec // the ctime, which only the kernel can set
	modified syscall.Timespec
	content  string // of a regular file; the target of a link
}

// snapshot returns the state of all files below $WORK, by their relative path. It omits the times of a directory,
// because a call may create and remove a temporary file in it.
func snapshot(ts *testscript.TestScript) map[string]state {
	files := map[string]state{}
	root := ts.Getenv("WORK")
	ts.Check(filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		s := state{mode: st.Mode, owner: uint64(st.Uid)<<32 | uint64(st.Gid), inode: st.Ino}
		switch st.Mode & syscall.S_IFMT {
		case syscall.S_IFREG:
			s.changed, s.modified = st.Ctim, st.Mtim
			if st.Size < 1<<20 {
				data, err := os.ReadFile(path)
				if err != nil && !os.IsPermission(err) {
					return err
				}
				s.content = string(data)
			}
		case syscall.S_IFLNK:
			if s.content, err = os.Readlink(path); err != nil {
				return err
			}
		}
		name, err := filepath.Rel(root, path)
		files[name] = s
		return err
	}))
	return files
}

// cmdGot compares the arguments that the runtime got.
func cmdGot(ts *testscript.TestScript, neg bool, args []string) {
	data, err := os.ReadFile(filepath.Join(lastOf(ts).records, "argv"))
	ts.Check(err)
	got := strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
	if slices.Equal(got, args) == neg {
		ts.Fatalf("the runtime got\n%q", got)
	}
}

// cmdChanged compares the list of the files that the last call changed.
func cmdChanged(ts *testscript.TestScript, neg bool, args []string) {
	got := lastOf(ts).changed
	slices.Sort(args)
	if slices.Equal(got, args) == neg {
		ts.Fatalf("the call changed %q", got)
	}
}

// cmdLogged compares the last line of a log, in the format that engines read, with the message on standard error.
func cmdLogged(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || neg {
		ts.Fatalf("usage: logged json|text FILE")
	}
	message, _, _ := strings.Cut(lastOf(ts).stderr, "\n")
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile(args[1]), "\n"), "\n")
	level, msg, at, err := parseLogLine(args[0], lines[len(lines)-1])
	ts.Check(err)
	if level != "error" || msg != message {
		ts.Fatalf("the log has level %q and message %q", level, msg)
	}
	if t, err := time.Parse(time.RFC3339, at); err != nil || time.Since(t).Abs() > time.Minute {
		ts.Fatalf("the log's time is %q", at)
	}
}

func parseLogLine(format, line string) (level, msg, at string, err error) {
	if format == "json" {
		var entry struct{ Level, Msg, Time string } // as containerd's shim and Podman read it
		dec := json.NewDecoder(bytes.NewBufferString(line))
		dec.DisallowUnknownFields()
		err = dec.Decode(&entry)
		return entry.Level, entry.Msg, entry.Time, err
	}
	match := regexp.MustCompile(`^time="([^"]+)" level=(\w+) msg=(".*")$`).FindStringSubmatch(line)
	if match == nil {
		return "", "", "", fmt.Errorf("not a line of logrus text: %q", line)
	}
	msg, err = strconv.Unquote(match[3])
	return match[2], msg, match[1], err
}
