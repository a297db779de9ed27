package registration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// Record is the change that an installation made. Only hookctl reads it.
type Record struct {
	Engine string         `json:"engine"`
	Config string         `json:"config"` // the engine's main configuration file
	Name   string         `json:"name"`
	Link   string         `json:"link"`
	Files  []RecordedFile `json:"files"` // in the order in which they were written
}

// RecordedFile is a file that an installation has changed.
type RecordedFile struct {
	Path         string  `json:"path"`
	Before       *string `json:"before"`       // its text; null if there was no such file
	BeforeSHA256 string  `json:"beforeSHA256"` // empty if there was no such file
	AfterSHA256  string  `json:"afterSHA256"`
}

// before returns the text as package change has it: nil if there was no file.
func (f RecordedFile) before() []byte {
	if f.Before == nil {
		return nil
	}
	return []byte(*f.Before)
}

func record(f change.File) RecordedFile {
	r := RecordedFile{Path: f.Path, BeforeSHA256: change.Digest(f.Before), AfterSHA256: change.Digest(f.After)}
	if f.Before != nil {
		text := string(f.Before)
		r.Before = &text
	}
	return r
}

// installed returns the record in the form that an engine takes.
func (r *Record) installed(sys system.System, e engine.Engine) (engine.Installed, error) {
	i := engine.Installed{Name: r.Name, Link: r.Link, Record: recordPath(sys, r.Engine, r.Name), Before: func(path string) []byte {
		f, _ := r.file(path)
		return f.before()
	}}
	for _, f := range r.Files {
		i.Files = append(i.Files, f.Path)
	}
	records, err := others(sys, e, r.Name)
	for _, other := range records {
		i.Others = append(i.Others, other.Name)
	}
	return i, err
}

// file returns the record of the file at path, if the installation changed it.
func (r *Record) file(path string) (RecordedFile, bool) {
	for _, f := range r.Files {
		if f.Path == path {
			return f, true
		}
	}
	return RecordedFile{}, false
}

func recordPath(sys system.System, engine, name string) string {
	return filepath.Join(sys.State, engine, name+".json")
}

// ReadRecord returns the record of the installation of a runtime in an engine, and the record's text; nil if hookctl
// has not installed it.
func ReadRecord(sys system.System, engine, name string) (*Record, []byte, error) {
	path := recordPath(sys, engine, name)
	text, err := change.Read(path)
	if err != nil || text == nil {
		return nil, nil, err
	}
	r := &Record{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err = d.Decode(r)
	if err == nil && (r.Engine != engine || r.Name != name) {
		err = fmt.Errorf("it is about %s in %s", r.Name, r.Engine)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s is not as hookctl wrote it (%w): remove %s from the configuration of %s manually, then remove that file", path, err, name, engine)
	}
	return r, text, nil
}

// Records returns the records of hookctl's installations in an engine's configuration.
func Records(sys system.System, e engine.Engine) ([]*Record, error) { return others(sys, e, "") }

// others returns the records of hookctl's installations in an engine's configuration, except that of name.
func others(sys system.System, e engine.Engine, name string) ([]*Record, error) {
	records, err := all(sys, e.Name())
	return slices.DeleteFunc(records, func(r *Record) bool { return r.Name == name || r.Config != e.Config() }), err
}

// all returns the records of hookctl's installations with an engine.
func all(sys system.System, engine string) (records []*Record, err error) {
	entries, err := os.ReadDir(filepath.Join(sys.State, engine))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, entry := range entries {
		r, _, err := ReadRecord(sys, engine, strings.TrimSuffix(entry.Name(), ".json"))
		if err != nil {
			return nil, err
		}
		if r != nil {
			records = append(records, r)
		}
	}
	return records, err
}

func (r *Record) marshal() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		panic("a record cannot be encoded: " + err.Error()) // it holds only strings
	}
	return b.Bytes()
}

// Configs returns the configurations of an engine in which hookctl has installed something.
func Configs(sys system.System, engine string) (paths []string, err error) {
	records, err := all(sys, engine)
	for _, r := range records {
		if !slices.Contains(paths, r.Config) {
			paths = append(paths, r.Config)
		}
	}
	return paths, err
}

// Edited returns the files of an installation that differ from what any installation left, and those that are missing.
// If several installations have changed a file, the last one counts.
func Edited(sys system.System, e engine.Engine, r *Record) (edited []string, err error) {
	all, err := Records(sys, e)
	if err != nil {
		return nil, err
	}
	left := map[string]bool{}
	for _, other := range all {
		for _, f := range other.Files {
			left[f.Path+" "+f.AfterSHA256] = true
		}
	}
	for _, f := range r.Files {
		text, err := change.Read(f.Path)
		if err != nil {
			return nil, err
		}
		if !left[f.Path+" "+change.Digest(text)] {
			edited = append(edited, f.Path)
		}
	}
	return edited, nil
}
