package podmanhooks

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// FuzzOneFile lets both read the same bytes as the only file of a hooks directory. The library accepts each file that
// this project accepts, with the same meaning. This project refuses a file that the library accepts only for documented
// reasons.
func FuzzOneFile(f *testing.F) {
	w := &world{Rand: rand.New(rand.NewPCG(1, 1)), programs: "/proc", absent: "/proc", ghosts: map[string]bool{}}
	number := regexp.MustCompile(`/proc/\d+`)
	for range 100 {
		for _, text := range []string{w.rule(), w.malformed(), w.deviating()} {
			f.Add(number.ReplaceAll([]byte(text), []byte("/proc"))) // it exists, and is short
		}
	}
	containers := []container{{}, {process: true}, {process: true, args: []string{"/bin/sh"}, bindMounts: []string{"/x"}}}
	for range 10 {
		containers = append(containers, w.container())
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "a.json")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		theirs, ours := podmanAnswers([]string{dir}, containers), ourAnswers([]string{dir}, containers, new(tally))
		if programMissing(data) {
			return // the library drops the hook; TestSameAsPodman and deviations_test.go look at that
		}
		for i, c := range containers {
			switch {
			case ours[i].err != nil && theirs[i].err == nil:
				if !documented(ours[i].err) {
					t.Fatalf("%+v: error %q; the library takes it", c, ours[i].err)
				}
			case ours[i].err == nil && c.isSandbox():
			default:
				if problem := differ(theirs[i], ours[i]); problem != "" {
					t.Fatalf("%+v: %s", c, problem)
				}
			}
		}
	})
}

// documented reports whether an error of this project is a documented deviation.
func documented(err error) bool {
	for _, why := range []string{"is not absolute", "timeout is not an integer of at least 1", "in the case of letters alone", "is given twice",
		"must be a string, not null", "invalid UTF-8", "invalid surrogate pair"} {
		if strings.Contains(err.Error(), why) {
			return true
		}
	}
	return false
}

// programMissing reports whether the file's program is missing.
func programMissing(data []byte) bool {
	var old struct{ Hook *string }
	var current struct{ Hook struct{ Path string } }
	path := ""
	if json.Unmarshal(data, &old) == nil && old.Hook != nil {
		path = *old.Hook
	} else if json.Unmarshal(data, &current) == nil {
		path = current.Hook.Path
	}
	_, err := os.Stat(path)
	return path != "" && err != nil
}
