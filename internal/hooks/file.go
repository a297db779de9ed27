package hooks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// File is a hook file: a JSON object with the runtime specification's `hooks` object and this program's own members. It
// may be a complete config.json, because other members are ignored (rule 6).
type File struct {
	Path          string
	Runtime       string   // the name or absolute path of the low-level runtime; empty if the file names none
	Dirs          []string // the absolute paths of hooks directories
	SkipSandboxes bool     // Kubernetes sandboxes get none of Hooks
	Hooks         []Hook   // in the order of the file

	// Supervision says how the hooks of Dirs are supervised; nil if they are not. Each of Hooks has its own.
	Supervision *Supervision
}

// The members of a hook file, and of a hook in it.
var (
	fileMembers = []string{"runtime", "hooksDirs", "skipSandboxes", "supervise", "hooks"}
	hookMembers = []string{"path", "args", "env", "timeout", "supervise"}
)

// ReadFile reads the hook file at path and checks it completely. If it has several errors, the error is a
// jsonfile.Errors.
func ReadFile(path string) (*File, error) {
	file, err := jsonfile.Read(path)
	if err != nil {
		return nil, err
	}
	return ParseFile(file)
}

// ParseFile checks a hook file that has already been read. A tool then uses exactly the content that it has checked.
func ParseFile(file *jsonfile.File) (*File, error) {
	if err := file.RefuseUntrusted(); err != nil {
		return nil, err
	}
	return parseFile(file)
}

// ReadRuntime returns the low-level runtime that the hook file at path names, or "" if it names none. It ignores the
// rest of the file, so that a running container stays under control if that becomes invalid (rule 9).
func ReadRuntime(path string) (string, error) {
	file, err := jsonfile.Read(path)
	if err == nil {
		err = file.RefuseUntrusted()
	}
	if err != nil {
		return "", err
	}
	return parseRuntime(file)
}

func parseFile(file *jsonfile.File) (*File, error) {
	f := &File{Path: file.Path}
	r := file.Strict()
	if kind := r.Kind(); kind != '{' && kind != 0 {
		return nil, r.Mismatch("an object", hooksRemedy)
	}
	empty := true        // neither hooks nor hooksDirs has been read
	var unknown []string // unknown members
	var whole *supervise // the member of the file
	var own []*supervise // the members of Hooks
	err := r.Object(func(name string) error {
		if err := r.MisspeltCase(name, fileMembers...); err != nil {
			return err
		}
		if !slices.Contains(fileMembers, name) {
			unknown = append(unknown, name)
			return nil
		}
		// Calls that add no hooks look for the bytes "runtime" without escapes (see parseRuntime).
		if !bytes.Equal(r.Raw(), []byte(`"`+name+`"`)) {
			return r.Fail("a known member is spelt with escapes", "write "+strconv.Quote(name))
		}
		var err error
		switch name {
		case "runtime":
			f.Runtime, err = readRuntime(r)
		case "hooksDirs":
			empty = false
			f.Dirs, err = readDirs(r)
		case "skipSandboxes":
			f.SkipSandboxes, err = r.Bool()
		case "supervise":
			whole, err = readSupervise(r)
		case "hooks":
			empty = false
			f.Hooks, own, err = readStages(r)
		}
		return err
	})
	if err == nil {
		err = r.Finish()
	}
	if err == nil && empty {
		err = &jsonfile.Error{Path: file.Path, Problem: `has neither "hooks" nor "hooksDirs"`, Remedy: emptyRemedy(unknown)}
	}
	if err != nil {
		return nil, err
	}
	f.Supervision = supervision(whole, nil)
	for i := range f.Hooks {
		if h := &f.Hooks[i]; h.Stage != StartContainer {
			h.Supervision = supervision(whole, own[i])
		}
	}
	return f, nil
}

// emptyRemedy returns the remedy for a file that has no hooks, only these members.
func emptyRemedy(members []string) string {
	for _, name := range members {
		if name == "hook" && slices.ContainsFunc(members, func(m string) bool { return slices.Contains([]string{"version", "when", "stages", "stage"}, m) }) {
			return `a file of a hooks directory is used by naming its directory in "hooksDirs" or by --hooks-dir`
		}
		if question := jsonfile.DidYouMean(name, "hooks", "hooksDirs"); question != "" {
			return question + hooksRemedy
		}
	}
	return hooksRemedy
}

const hooksRemedy = `put the hooks into a member "hooks", as in {"hooks": {"createRuntime": [...]}}`

func parseRuntime(file *jsonfile.File) (runtime string, err error) {
	r := file.Lenient()
	if !bytes.Contains(file.Data, []byte(`"runtime"`)) {
		// The file names no runtime, even if it is invalid. But a half-written file may have lost the name.
		if err := r.Object(func(string) error { return nil }); errors.Is(err, io.ErrUnexpectedEOF) {
			return "", err
		}
		return "", nil
	}
	found := errors.New("found") // stops the reader: the rest of the file may be invalid
	err = r.Object(func(name string) error {
		if name != "runtime" {
			return nil
		}
		if runtime, err = readRuntime(r); err != nil {
			return err
		}
		return found
	})
	if err == found {
		err = nil
	}
	return runtime, err
}

// readRuntime reads the name or path of a low-level runtime.
func readRuntime(r *jsonfile.Reader) (string, error) {
	name, err := r.String()
	switch {
	case err != nil:
		return "", err
	case name == "":
		return "", r.Fail("the runtime's name is empty", "name a runtime, or remove the member: runc is the default")
	case strings.Contains(name, "/") && !filepath.IsAbs(name):
		return "", r.Fail(fmt.Sprintf("the runtime's path %q is not absolute", name), "give its whole path, or its name alone")
	}
	return name, nil
}

func readDirs(r *jsonfile.Reader) (dirs []string, err error) {
	err = r.Array(func() error {
		dir, err := r.String()
		if err == nil && !filepath.IsAbs(dir) {
			err = r.Fail(fmt.Sprintf("the hooks directory %q is not an absolute path", dir), "give its whole path")
		}
		dirs = append(dirs, dir)
		return err
	})
	return dirs, err
}

// readStages reads the specification's hooks object. It and each stage may be null, as in a config.json. readStages
// returns the hooks, and for each hook its member supervise, or nil.
func readStages(r *jsonfile.Reader) (hooks []Hook, own []*supervise, err error) {
	if r.Kind() == 'n' {
		_, err := r.Value()
		return nil, nil, err
	}
	err = r.Object(func(name string) error {
		stage := Stage(name)
		if !known(stage) {
			r.Note(unknownStage(r, name)) // and go on to its hooks, which may have errors too
		}
		if r.Kind() == 'n' || !known(stage) && r.Kind() != '[' {
			return nil
		}
		return r.Array(func() error {
			hook, supervise, err := readHook(r)
			hook.Stage = stage
			hooks, own = append(hooks, hook), append(own, supervise)
			return err
		})
	})
	return hooks, own, err
}

// readHook reads a hook object. It keeps the object byte for byte, including unknown members, which runtimes ignore as
// the specification demands. It removes this program's member supervise from the object and returns it separately.
func readHook(r *jsonfile.Reader) (hook Hook, own *supervise, err error) {
	var superviseStart, superviseEnd int // the offsets of the member, if there is one
	start := r.Next()
	hasPath := false
	err = r.Object(func(name string) error {
		hasPath = hasPath || strings.EqualFold(name, "path")
		if err := r.MisspeltCase(name, hookMembers...); err != nil {
			return err
		}
		if name == "supervise" {
			superviseStart = r.Start()
			var err error
			own, err = readSupervise(r)
			superviseEnd = r.End()
			return err
		}
		if name != "path" && r.Kind() == 'n' {
			return nil // as if it were absent
		}
		var err error
		switch name {
		case "path":
			if hook.Path, err = r.String(); err == nil {
				err = checkPath(r, hook.Path)
			}
		case "args", "env":
			_, err = r.Strings()
		case "timeout":
			_, err = readTimeout(r)
		}
		return err
	})
	if err == nil && !hasPath {
		err = r.FailAt(start, `the hook has no "path"`, "give it the absolute path of a program")
	}
	if err != nil {
		return hook, nil, err
	}
	hook.JSON = r.Since(start)
	if superviseEnd > 0 {
		hook.JSON = withoutMember(hook.JSON, superviseStart-start, superviseEnd-start)
	}
	return hook, own, nil
}

// withoutMember returns an object without the member from start to end, and without the comma that separates it from
// another.
func withoutMember(object jsontext.Value, start, end int) jsontext.Value {
	after := bytes.TrimLeft(object[end:], " \t\r\n")
	if after[0] == ',' {
		after = bytes.TrimLeft(after[1:], " \t\r\n")
	} else if before := bytes.TrimRight(object[:start], " \t\r\n"); before[len(before)-1] == ',' {
		start, after = len(before)-1, object[end:]
	}
	return slices.Concat(object[:start], after)
}

// checkPath returns an error if path, which was read last, cannot be the path of a hook.
func checkPath(r *jsonfile.Reader, path string) error {
	switch {
	case !filepath.IsAbs(path):
		return r.Fail(fmt.Sprintf("the hook's path %q is not absolute", path), "give its whole path")
	case strings.Contains(path, "\x00"):
		return r.Fail(fmt.Sprintf("the hook's path %q holds a NUL, as no file's can", path), "remove it")
	}
	return nil
}

// readTimeout reads a timeout. It returns the timeout in seconds.
func readTimeout(r *jsonfile.Reader) (int, error) {
	text, err := r.Value()
	if err == nil {
		err = checkTimeout(r)
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// checkTimeout returns an error if the last value is not a timeout, an integer of seconds of at least 1. It also
// refuses a number with other characters than digits (10.0, 1e1) or of more than 32 bits, because some runtimes cannot
// read it.
func checkTimeout(r *jsonfile.Reader) error {
	const remedy = "give seconds in digits alone, 2147483647 at most"
	switch seconds, err := strconv.ParseInt(string(r.Raw()), 10, 32); {
	case errors.Is(err, strconv.ErrRange) && r.Raw()[0] != '-':
		return r.Fail(fmt.Sprintf("the timeout %s is more than 2147483647", r.Raw()), remedy)
	case err != nil || seconds < 1:
		return r.Fail("the timeout is not an integer of at least 1", remedy)
	}
	return nil
}
