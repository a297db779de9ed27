package profiles

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// Source is what a profile is made from.
type Source struct {
	HookFile  string   // its path; may be empty
	HooksDirs []string // paths of hooks directories
	Runtime   string   // a name or path; empty for the hook file's, else runc
}

// Content is what a profile is made of.
type Content struct {
	Runtime       string          `json:"runtime"` // first: control of running containers depends on this member alone
	HooksDirs     []string        `json:"hooksDirs,omitempty"`
	SkipSandboxes bool            `json:"skipSandboxes,omitempty"`
	Supervise     json.RawMessage `json:"supervise,omitempty"`
	Hooks         json.RawMessage `json:"hooks,omitempty"`
}

// Compose checks a source, and returns what a profile is made of from it, for the oci-add-hooks at exe. What it finds comes
// with an error too. With force, errors are no hindrance that the runtime would let pass.
func Compose(exe string, from Source, force bool) (*Content, []check.Finding, error) {
	content := &Content{}
	var paths []string
	if from.HookFile != "" {
		paths = append(paths, from.HookFile)
	}
	for _, dir := range from.HooksDirs {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, nil, err
		}
		if st, err := os.Stat(abs); err != nil || !st.IsDir() {
			return nil, nil, fmt.Errorf("%s is not a hooks directory", dir)
		}
		content.HooksDirs = append(content.HooksDirs, abs)
	}
	checked := check.Files(exe, append(paths, content.HooksDirs...))
	if err := Judge(checked.Findings, "nothing was written", "writes the profile all the same", force); err != nil {
		return nil, checked.Findings, err
	}
	if from.HookFile != "" {
		file := checked.File(from.HookFile)
		if file == nil {
			return nil, checked.Findings, fmt.Errorf("%s is not a hook file; give a hooks directory by --hooks-dir", from.HookFile)
		}
		if err := content.take(file); err != nil {
			return nil, checked.Findings, err
		}
	}
	if from.Runtime != "" {
		content.Runtime = from.Runtime
	}
	if content.Runtime == "" {
		content.Runtime = "runc"
	}
	path, err := program.FindRuntime(exe, content.Runtime)
	if err == nil {
		content.Runtime, err = filepath.Abs(path)
	}
	return content, checked.Findings, err
}

// Judge returns an error if containers would not start with hooks that were checked: it begins with what, and says what force
// does. With force it lets pass what may be right later, such as a program that is not there yet, but not what oci-add-hooks
// itself refuses.
func Judge(findings []check.Finding, what, forced string, force bool) (err error) {
	for _, f := range findings {
		switch {
		case f.Severity != check.Error:
		case f.Kind == check.Refused:
			return errors.New(what + ": oci-add-hooks would refuse these hooks")
		case !force:
			err = Refused{what + ": containers would not start with these hooks", forced}
		}
	}
	return err
}

// take takes over what a hook file holds: its hooks with all their members, and nothing that oci-add-hooks ignores. It is
// the file as it was checked, whatever has become of it since.
func (c *Content) take(checked *jsonfile.File) error {
	file, err := hooks.ParseFile(checked)
	if err != nil {
		return err
	}
	var members map[string]json.RawMessage // the names are unique and rightly spelt: they have been checked
	if err := json.Unmarshal(checked.Data, &members); err != nil {
		return err
	}
	c.Runtime, c.SkipSandboxes, c.Hooks = file.Runtime, file.SkipSandboxes, members["hooks"]
	c.Supervise = members["supervise"]
	c.HooksDirs = append(file.Dirs, c.HooksDirs...)
	return nil
}

// mark stands before the hash in the last member of what hookctl wrote: of all that stands before it. By it the file is
// known again as long as nobody has changed it.
const mark = ",\n\t\"" + check.WrittenBy + "\": \"hookctl "

const markEnd = "\"\n}\n"

// marshal returns the text of the profile's hook file.
func (c *Content) marshal() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(c); err != nil {
		return nil, err
	}
	body := bytes.TrimSuffix(b.Bytes(), []byte("\n}\n"))
	return append(append(append(body[:len(body):len(body)], mark...), change.Digest(body)...), markEnd...), nil
}

// isOurs reports whether hookctl wrote a profile, and nobody has changed it since.
func isOurs(text []byte) bool {
	i := bytes.LastIndex(text, []byte(mark))
	return i >= 0 && string(text[i:]) == mark+change.Digest(text[:i])+markEnd
}
