// Package corpus provides inputs for fuzz targets and tests, taken from the scripts that test oci-add-hooks, and a
// limit of memory that all fuzz targets check. Only tests import it.
package corpus

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// AddJSON adds the JSON files of the command's scripts to the corpus of a fuzz target.
func AddJSON(f *testing.F) {
	f.Helper()
	for _, text := range JSON(f) {
		f.Add(text)
	}
}

// JSON returns the JSON files of the command's scripts, both valid and invalid ones.
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

// AddCalls adds the command lines of the command's scripts to the corpus of a fuzz target, with line feeds between the
// arguments.
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

// scripts returns the command's scripts. The test may be in any package of this module.
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

// CheckMemory runs read, which reads an input of size bytes. It fails the test if read allocates more than 1 MiB and
// 200 bytes for each byte of the input, including memory that is freed again.
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
