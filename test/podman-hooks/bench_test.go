package podmanhooks

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	podman "go.podman.io/common/pkg/hooks"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

// BenchmarkThousandFiles reads a directory of 1,000 files and decides about one container, in turns with this project's
// code and with the library. It reports the median of each and their ratio.
func BenchmarkThousandFiles(b *testing.B) {
	for _, bb := range []struct {
		name string
		when func(n int) string // of the n-th file
	}{
		{"annotations", func(n int) string {
			return fmt.Sprintf(`{"annotations": {"^com\\.example\\.feature-%d$": "^(true|yes)$"}}`, n)
		}},
		{"annotations-literal", func(n int) string {
			return fmt.Sprintf(`{"annotations": {"com.example.feature-%d": "true"}}`, n)
		}},
		{"annotations-groups", func(n int) string {
			return fmt.Sprintf(`{"annotations": {"^(com|org)\\.example\\.feature-%d$": "^(true|yes)$"}}`, n)
		}},
		{"one-annotation", func(int) string { return `{"annotations": {"^com\\.example\\.gpu$": "^(true|yes)$"}}` }},
		{"one-command", func(int) string { return `{"commands": [".*/init$", ".*/systemd$"]}` }},
		{"always", func(int) string { return `{"always": true}` }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			root := b.TempDir()
			program := filepath.Join(root, "program")
			write(b, program, "")
			dir := filepath.Join(root, "hooks.d")
			mkdir(b, dir)
			for n := range 1000 {
				write(b, filepath.Join(dir, fmt.Sprintf("%04d-hook.json", n)), fmt.Sprintf(`{
  "version": "1.0.0",
  "hook": {
    "path": %q,
    "args": ["program", "--number", "%d"],
    "env": ["PATH=/usr/bin:/bin"]
  },
  "when": %s,
  "stages": ["createRuntime"]
}
`, program, n, bb.when(n)))
			}
			annotations := map[string]string{"com.example.feature-3": "true", "com.example.feature-30": "true",
				"com.example.feature-500": "true", "com.example.owner": "somebody", "io.example.revision": "7"}
			args := []string{"/usr/bin/server", "--verbose"}
			ours := func() int {
				d, err := hooks.ReadDirectories([]string{dir})
				if err != nil {
					b.Fatal(err)
				}
				decisions, err := d.Decide(hooks.Container{Annotations: annotations, HasProcess: true, Args: args})
				if err != nil {
					b.Fatal(err)
				}
				added := 0
				for _, d := range decisions {
					if d.Added {
						added++
					}
				}
				return added
			}
			theirs := func() int {
				m, err := podman.New(context.Background(), []string{dir}, nil)
				if err != nil {
					b.Fatal(err)
				}
				config := &rspec.Spec{Process: &rspec.Process{Args: args}, Hooks: &rspec.Hooks{}}
				if _, err := m.Hooks(config, annotations, false); err != nil {
					b.Fatal(err)
				}
				return len(config.Hooks.CreateRuntime)
			}
			if a, p := ours(), theirs(); a != p {
				b.Fatalf("ours added %d hooks, the library %d", a, p)
			}
			var times [2][]time.Duration
			timed := func(which int, f func() int) {
				runtime.GC() // both begin with an empty heap, as a program does
				start := time.Now()
				f()
				times[which] = append(times[which], time.Since(start))
			}
			for i := 0; b.Loop(); i++ {
				if i%2 == 0 {
					timed(0, ours)
					timed(1, theirs)
				} else {
					timed(1, theirs)
					timed(0, ours)
				}
			}
			median := func(d []time.Duration) float64 {
				slices.Sort(d)
				return float64(d[len(d)/2])
			}
			b.ReportMetric(0, "ns/op") // it would be the sum of both
			b.ReportMetric(median(times[0])/1e6, "ours-ms")
			b.ReportMetric(median(times[1])/1e6, "podman-ms")
			b.ReportMetric(median(times[0])/median(times[1]), "ratio")
		})
	}
}
