package containerd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/tomledit"
)

// importsKey is the key whose value lists other files, or patterns of their names.
const importsKey = "imports"

// dropInVersion is the version of the configuration in which hookctl writes files of its own: the oldest with these
// plugin names. A newer containerd reads each file in the file's own version.
const dropInVersion = 3

// dropIns returns the directory for a file of hookctl's own, and whether the main file imports files in it. The
// directory is conf.d beside the main file, unless that imports another existing directory. hookctl cannot add imports
// to a generated file, so any directory that it imports is accepted.
func (c *containerd) dropIns(main []byte) (dir string, imported bool, err error) {
	_, items, err := tomledit.Array(main, importsKey)
	if err != nil {
		return "", false, fmt.Errorf("%s: %w", c.config, err)
	}
	usual := filepath.Join(filepath.Dir(c.config), "conf.d")
	var others []string
	for _, item := range items {
		pattern := absolute(item.Value, c.config)
		match, err := filepath.Match(filepath.Base(pattern), engine.OwnFile("x")+".toml")
		switch at := filepath.Dir(pattern); {
		case err != nil || !match || strings.ContainsAny(at, "*?["):
		case at == usual:
			return usual, true, nil
		default:
			others = append(others, at)
		}
	}
	isDir := func(path string) bool {
		st, err := os.Stat(path)
		return err == nil && st.IsDir()
	}
	if i := slices.IndexFunc(others, isDir); i >= 0 {
		return others[i], true, nil
	}
	if len(others) > 0 && c.refuseGenerated(main) != nil {
		return others[0], true, nil
	}
	return usual, false, nil
}

// files returns the main file, whose text is main, and the files that it imports, which may be missing, in the order in
// which containerd reads them.
func (c *containerd) files(main []byte) ([]string, error) {
	tree, err := tomledit.Decode(c.config, main)
	if err != nil {
		return nil, err
	}
	files := []string{c.config}
	for _, pattern := range tomledit.Strings(tree[importsKey]) {
		path := absolute(pattern, c.config)
		if !strings.Contains(path, "*") {
			files = append(files, path) // even if it is missing
			continue
		}
		matches, err := filepath.Glob(path)
		if err != nil {
			return nil, fmt.Errorf("%s: imports: %q: %w", c.config, pattern, err)
		}
		files = append(files, matches...)
	}
	return files, nil
}

// importLine returns the line that hookctl adds to a containerd configuration without imports.
func importLine(path string) string {
	return "imports = [" + tomledit.Quote(path) + "] # written by hookctl\n"
}

// addImport makes a containerd configuration import the file at path.
func addImport(text []byte, path string) ([]byte, error) {
	open, items, err := tomledit.Array(text, importsKey)
	switch {
	case err != nil:
		return nil, err
	case open >= 0 && len(items) > 0:
		last := items[len(items)-1]
		return tomledit.Insert(text, last.End, ", "+tomledit.Quote(path)), nil
	case open >= 0:
		return tomledit.Insert(text, open+1, tomledit.Quote(path)), nil
	case text == nil:
		return fmt.Appendf(nil, "version = %d\n%s", dropInVersion, importLine(path)), nil
	}
	return tomledit.Prepend(text, importLine(path)), nil // before all tables
}

// removeImport reverses what addImport did to the configuration at config, also if it was reformatted since.
func removeImport(text []byte, path, config string) ([]byte, error) {
	if line := importLine(path); strings.Contains(string(text), line) {
		return []byte(strings.Replace(string(text), line, "", 1)), nil
	}
	_, items, err := tomledit.Array(text, importsKey)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if absolute(item.Value, config) == path {
			return removeImport(tomledit.RemoveItem(text, item), path, config) // it may be listed twice
		}
	}
	return text, nil
}

// absolute returns a path in the file config as an absolute path.
func absolute(path, config string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(config), path)
}
