package check

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/corpus"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// TestSameAsRuntime: check reports each error that the runtime reports about a file, in the same words: the place, the problem
// and the remedy.
func TestSameAsRuntime(t *testing.T) {
	texts := corpus.JSON(t)
	for _, text := range []string{
		"", " \n", "null", `"hooks"`, "5", "[]", "{", "{}", `{"hooks"`, `{"hooks":{}`, `{"hooks":{}} x`, "\xef\xbb\xbf{}", "\xff\xfe{\x00}\x00",
		`{"hooks":{},}`, `{"hooks":{} // x`, `{'hooks':{}}`, `{hooks:{}}`, `{"hooks"={}}`, `{"hooks":{"poststop":[{"path":"/a","timeout":+5}]}}`,
		`{"HOOKS":{}}`, `{"hook":{"poststop":[]}}`, `{"hoks":{}}`, `{"hooks":[]}`, `{"hooks":{"poststop":{}}}`, `{"hooks":{"poststop":["/a"]}}`,
		`{"hooks":{"preStart":[],"precreate":[],"preCreate":[],"poststrat":[],"":[]}}`,
		`{"hooks":{"poststop":[{"path":null},{"path":1},{"path":"a"},{"path":""},{"path":"/\u0000"},{"Path":"/a"},{},{"path":"/a","path":"/a"}]}}`,
		`{"hooks":{"poststop":[{"path":"/a","args":"a","env":{},"timeout":"5"},{"path":"/a","args":[1,null,[],{}],"timeout":2147483648}]}}`,
		`{"runtime":1,"hooksDirs":"/a","skipSandboxes":"no","supervise":"yes","hooks":5}`, `{"runtime":"","hooksDirs":[1,"a"],"hooksDirs":[]}`,
		`{"hooks":{},"supervise":{"timeout":0,"failurePolicy":"x","record":1,"ignoreFailureWhen":{"annotation":[],"commands":["("]},"y":1}}`,
		`{"hook":"a","stage":["x"],"stages":[],"cmd":[1],"annotation":["("],"hasbindmounts":1}`, `{"version":"2","hook":{"path":"/a"}}`,
		`{"version":"1.0.0","hook":{"path":"a","timeout":0},"when":{"always":true},"stages":["precreate","poststop"]}`,
		`{"version":"1.0.0","hook":{"path":"rel","args":"x","timeout":0},"when":{"always":"yes"},"stages":["createRuntme","precreate"]}`,
		`{"version":"1.0.0","hook":{"path":5,"timeout":"5"},"when":[],"stages":["x"]}`,
	} {
		texts = append(texts, []byte(text))
	}
	wrong := 0
	dir := t.TempDir()
	path := filepath.Join(dir, "f.json")
	for _, text := range texts {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		wrong += sameAsRuntime(t, path, string(text))
	}
	if wrong < 100 {
		t.Errorf("only %d errors", wrong)
	}

	// Paths that cannot be read as a file.
	for _, path := range []string{dir + "/missing", path + "/x", "/dev/null", dir + "/loop"} {
		if err := os.Symlink("loop", dir+"/loop"); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		if sameAsRuntime(t, path, path) != 1 {
			t.Errorf("%s: no error", path)
		}
	}
	if err := os.Truncate(path, jsonfile.MaxSize+1); err != nil {
		t.Fatal(err)
	}
	sameAsRuntime(t, path, "a large file")
	if err := errors.Join(os.Truncate(path, 0), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	sameAsRuntime(t, path, "a file that anyone may write to")
}

// sameAsRuntime compares the runtime's errors about the file at path with those of check, and returns their number. The file is
// a hook file or one of a hooks directory.
func sameAsRuntime(t *testing.T, path, name string) int {
	t.Helper()
	var err error
	if newChecker("").isRule(path) {
		var rule hooks.Single
		if rule, err = hooks.ReadSingle(path); err == nil {
			err = rule.Refused()
		}
	} else {
		_, err = hooks.ReadFile(path)
	}
	var want, got []string
	for _, at := range jsonfile.All(err) {
		want = append(want, at.Error())
		if at.Remedy == "" {
			t.Errorf("%s: no remedy: %v", name, at)
		}
	}
	for _, f := range Files("", []string{path}).Findings {
		if f.Kind == Refused {
			at := jsonfile.Error{Path: f.File, Line: f.Line, Column: f.Column, Pointer: jsontext.Pointer(f.Pointer), Problem: f.Problem, Remedy: f.Hint}
			got = append(got, at.Error())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%.300s: the runtime's errors and check's (-runtime +check):\n%s", name, diff)
	}
	return len(want)
}
