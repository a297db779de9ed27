package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var rounds = flag.Int("rounds", 2, "how often each engine gets four installations at once")

// TestAtOnce: of concurrent installations and removals, each that succeeds takes effect. At the end everything is
// restored.
func TestAtOnce(t *testing.T) {
	four := []string{"a", "b", "c", "d"}
	for _, p := range pairs {
		if p.config == "" {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.prepare(p, four...)
			before := m.listing()
			for range *rounds {
				for _, line := range []string{p.there, p.back} {
					var all sync.WaitGroup
					for _, profile := range four {
						cmd, output := m.command(strings.ReplaceAll(line, "gpu", profile))
						all.Go(func() {
							if err := cmd.Run(); err != nil {
								t.Errorf("%s: %v\n%s", cmd, err, output)
							}
						})
					}
					all.Wait()
					for _, profile := range four {
						if m.registered(profile) != (line == p.there) {
							t.Errorf("%s, for %s: exit status 0, but it has no effect", line, profile)
						}
					}
				}
				m.want("at the end", before)
			}
		})
	}
}

// registered reports whether a profile's link is in an engine's file.
func (m *machine) registered(profile string) bool {
	link := filepath.Join(m.dir, "bin", profile)
	for path := range m.listing() {
		text, err := os.ReadFile(path)
		if err != nil || strings.HasPrefix(path, filepath.Join(m.dir, "state")) {
			continue // a directory, or hookctl's own file
		}
		if strings.Contains(string(text), link+`"`) || strings.Contains(string(text), link+`'`) {
			return true
		}
	}
	return false
}
