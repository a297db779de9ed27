package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// ConfFiles returns a main file, if there is one, and the *.conf files of a directory, in the order in which they are merged.
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
