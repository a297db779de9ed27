// Package corpus gives fuzz targets what the tests of the command line are made of. Only tests import it.
package corpus

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// AddJSON adds the JSON files of the command's scripts to the corpus of a target in a package of this module's internal
// folder: each of them was written to be read, or to be refused.
func AddJSON(f *testing.F) {
	f.Helper()
	scripts, err := filepath.Glob("../../cmd/oci-add-hooks/testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		f.Fatalf("no scripts, %v", err)
	}
	for _, script := range scripts {
		archive, err := txtar.ParseFile(script)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if strings.HasSuffix(file.Name, ".json") {
				f.Add(file.Data)
			}
		}
	}
}
