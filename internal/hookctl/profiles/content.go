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
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// Source is the input that a profile is made from.
type Source struct {
	HookFile  string   // its path; may be empty
	HooksDirs []string // paths of hooks directories
	Runtime   string   // a name or path; empty means the hook file's, else runc
}

// Content is the content of a profile.
type Content struct {
	Runtime       string          `json:"runtime"` // first: control of running containers depends only on this member
	HooksDirs     []string        `json:"hooksDirs,omitempty"`
	SkipSandboxes bool            `json:"skipSandboxes,omitempty"`
	Supervise     json.RawMessage `json:"supervise,omitempty"`
	Hooks         json.RawMessage `json:"hooks,omitempty"`
}

// Compose checks a source, and returns the content of the profile for the oci-add-hooks at exe. It returns the findings
// also with an error. With force set, it ignores errors that the runtime would accept.
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
		switch st, err := os.Stat(abs); {
		case err != nil:
			return nil, nil, fmt.Errorf("the hooks directory %s cannot be read: %w; %s", dir, report.Plain(err), report.Remedy(err))
		case !st.IsDir():
			return nil, nil, fmt.Errorf("%s is not a directory; give a hook file with --hooks", dir)
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
			return nil, checked.Findings, fmt.Errorf("%s is not a hook file; give a hooks directory with --hooks-dir", from.HookFile)
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

// Judge returns an error if containers would not start with the checked hooks. The error begins with what, and says
// what force does. With force set, it accepts what may be correct later, such as a missing program, but not what
// oci-add-hooks itself refuses.
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

// take copies the content of a hook file: its hooks with all their members, and nothing that oci-add-hooks ignores. It
// uses the file as it was checked, even if it was changed since.
func (c *Content) take(checked *jsonfile.File) error {
	file, err := hooks.ParseFile(checked)
	if err != nil {
		return err
	}
	var members map[string]json.RawMessage // the names are unique and spelled correctly, because the file was checked
	if err := json.Unmarshal(checked.Data, &members); err != nil {
		return err
	}
	c.Runtime, c.SkipSandboxes, c.Hooks = file.Runtime, file.SkipSandboxes, members["hooks"]
	c.Supervise = members["supervise"]
	c.HooksDirs = append(file.Dirs, c.HooksDirs...)
	return nil
}

// mark precedes the hash in the last member of a file that hookctl wrote. The hash is that of everything before mark,
// so that hookctl recognizes the file as long as nobody has changed it.
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
