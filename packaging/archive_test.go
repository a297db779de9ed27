package packaging

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The links in an archive's documents lead to files in the archive. Each program has a bill of materials beside the
// archive, which names the modules that are linked into it. `make uninstall` removes all files that `make install`
// installs.
func TestArchive(t *testing.T) {
	checkout := copyCheckout(t)
	makeIn(t, checkout, "dist", "ARCHS=amd64", "VERSION=v1.2.3")
	dist := checkout + "/dist"
	dir := t.TempDir()
	ok(t, "tar", "-C", dir, "-xf", only(t, dist+"/*.tar.gz"))
	tree := only(t, dir+"/*")
	wantLiveLinks(t, tree)
	for program, modules := range map[string][]string{
		"oci-add-hooks": {"github.com/go-json-experiment/json", "golang.org/x/sys", "std"},
		"oci-run-hook":  {"github.com/go-json-experiment/json", "golang.org/x/sys", "std"},
		"hookctl":       {"github.com/spf13/cobra"},
	} {
		if _, err := os.Stat(tree + "/" + program); err != nil {
			t.Error(err)
		}
		var bill struct {
			Components []struct{ Name string }
		}
		text, err := os.ReadFile(only(t, dist+"/*-amd64-"+program+".cdx.json"))
		if err == nil {
			err = json.Unmarshal(text, &bill)
		}
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range bill.Components {
			names = append(names, c.Name)
		}
		for _, module := range modules {
			if !slices.Contains(names, module) {
				t.Errorf("the bill of %s does not have %s: %q", program, module, names)
			}
		}
		if program != "hookctl" && len(names) != len(modules) {
			t.Errorf("the bill of %s has %q", program, names)
		}
	}

	root := t.TempDir()
	makeIn(t, checkout, "install", "DESTDIR="+root, "PREFIX=/usr")
	wantLiveLinks(t, root+"/usr/share/doc/oci-add-hooks")
	administrators := root + "/usr/bin/other"
	write(t, administrators, "")
	makeIn(t, checkout, "uninstall", "DESTDIR="+root, "PREFIX=/usr")
	if left := files(t, root); !slices.Equal(left, []string{administrators}) {
		t.Errorf("make uninstall leaves %q", left)
	}
}

// wantLiveLinks checks each relative link in the documents of a tree.
func wantLiveLinks(t *testing.T, tree string) {
	t.Helper()
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	links := 0
	for _, path := range files(t, tree) {
		if filepath.Ext(path) != ".md" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllSubmatch(bytes.ReplaceAll(text, []byte("\n"), []byte(" ")), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), string(match[1]))); err != nil {
				t.Errorf("%s: %s leads nowhere", strings.TrimPrefix(path, tree+"/"), match[1])
			}
		}
	}
	if links < 10 {
		t.Errorf("%s has %d links", tree, links)
	}
}

// files returns the paths of all files below a directory.
func files(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
