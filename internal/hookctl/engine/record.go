package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
)

// State is the folder in which installations are remembered, as ENGINE/NAME.json. Tests set it.
var State = "/var/lib/oci-add-hooks"

// Record is what an installation has changed. Nothing in it is read by anyone but hookctl.
type Record struct {
	Engine  string         `json:"engine"`
	Config  string         `json:"config"` // the engine's main configuration file
	Name    string         `json:"name"`
	Link    string         `json:"link"`
	Files   []RecordedFile `json:"files"`   // in the order in which they were written
	Folders []string       `json:"folders"` // that were made for them, outermost first
}

// RecordedFile is a file that an installation has changed.
type RecordedFile struct {
	Path         string  `json:"path"`
	Before       *string `json:"before"`       // its text; null if there was no such file
	BeforeSHA256 string  `json:"beforeSHA256"` // empty if there was no such file
	AfterSHA256  string  `json:"afterSHA256"`
}

// before gives the text as change has it.
func (f RecordedFile) before() []byte {
	if f.Before == nil {
		return nil
	}
	return []byte(*f.Before)
}

func record(f change.File) RecordedFile {
	r := RecordedFile{Path: f.Path, BeforeSHA256: digest(f.Before), AfterSHA256: digest(f.After)}
	if f.Before != nil {
		text := string(f.Before)
		r.Before = &text
	}
	return r
}

// digest gives the SHA-256 of a text, in hexadecimal; "" for no file.
func digest(text []byte) string {
	if text == nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// file gives what is known of the file at path, if the installation changed it.
func (r *Record) file(path string) (RecordedFile, bool) {
	for _, f := range r.Files {
		if f.Path == path {
			return f, true
		}
	}
	return RecordedFile{}, false
}

func recordPath(engine, name string) string { return filepath.Join(State, engine, name+".json") }

// ReadRecord gives what is remembered of the installation of a runtime in an engine, and the text that says so; nil if
// hookctl has not installed it.
func ReadRecord(engine, name string) (*Record, []byte, error) {
	path := recordPath(engine, name)
	text, err := change.Read(path)
	if err != nil || text == nil {
		return nil, nil, err
	}
	r := &Record{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil || r.Engine != engine || r.Name != name {
		return nil, nil, fmt.Errorf("%s is not as hookctl wrote it (%v): take %s out of the configuration of %s by hand, then remove that file", path, err, name, engine)
	}
	return r, text, nil
}

// installed gives what else than name hookctl has installed in an engine's configuration.
func installed(e Engine, name string) (records []*Record, err error) {
	entries, err := os.ReadDir(filepath.Join(State, e.Name()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, entry := range entries {
		other := strings.TrimSuffix(entry.Name(), ".json")
		if other == name {
			continue
		}
		r, _, err := ReadRecord(e.Name(), other)
		if err != nil {
			return nil, err
		}
		if r != nil && r.Config == e.Config() {
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
		panic("a record cannot be encoded: " + err.Error()) // it holds strings alone
	}
	return b.Bytes()
}
