package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/tomledit"
)

// ConfFiles returns a main file, if it exists, and the *.conf files of a directory, in the order in which they are
// merged.
func ConfFiles(main, dir string) (files []string, err error) {
	if _, err := os.Stat(main); err == nil {
		files = append(files, main)
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return files, nil
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".conf" {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, err
}

// Tree returns the content of a configuration file, which is JSON or TOML according to its name.
func Tree(path string, text []byte) (tree tomledit.Table, err error) {
	if filepath.Ext(path) != ".json" {
		return tomledit.Decode(path, text)
	}
	err = json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &tree)
	return tree, err
}
