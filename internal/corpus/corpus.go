// Package corpus gives fuzz targets and tables what the tests of the command line are made of, and a bound of memory that
// all targets hold. Only tests import it.
package corpus

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// AddJSON adds the JSON files of the command's scripts to the corpus of a target.
func AddJSON(f *testing.F) {
	f.Helper()
	for _, text := range JSON(f) {
		f.Add(text)
	}
}

// JSON returns the JSON files of the command's scripts: each of them was written to be read, or to be refused.
func JSON(t testing.TB) (texts [][]byte) {
	t.Helper()
	for _, archive := range scripts(t) {
		for _, file := range archive.Files {
			if strings.HasSuffix(file.Name, ".json") {
				texts = append(texts, file.Data)
			}
		}
	}
	return texts
}

// AddCalls adds the command lines of the command's scripts, the words between line feeds.
func AddCalls(f *testing.F) {
	f.Helper()
	for _, archive := range scripts(f) {
		for line := range strings.Lines(string(archive.Comment)) {
			if _, call, ok := strings.Cut(line, "call oci-add-hooks "); ok {
				f.Add(strings.Join(strings.Fields(call), "\n"))
			}
		}
	}
}

// scripts returns the command's scripts, for a test of a package of this module.
func scripts(t testing.TB) []*txtar.Archive {
	t.Helper()
	root := ".."
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		root = filepath.Join(root, "..")
	}
	paths, err := filepath.Glob(filepath.Join(root, "cmd/oci-add-hooks/testdata/script/*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts, %v", err)
	}
	var archives []*txtar.Archive
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, archive)
	}
	return archives
}

// CheckMemory runs read, which reads an input of that many bytes, and fails if it allocates more than a constant times
// as much, whatever is freed again.
func CheckMemory(t *testing.T, size int, read func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	read()
	runtime.ReadMemStats(&after)
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+200*size); got > most {
		t.Fatalf("reading %d bytes allocated %d, more than %d", size, got, most)
	}
}
