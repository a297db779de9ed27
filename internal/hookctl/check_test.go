package hookctl

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
)

// manyFindings writes a hook file with n hooks and four findings about each, and returns its path.
func manyFindings(tb testing.TB, n int, separator string) string {
	tb.Helper()
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"path": "/bin/true", "args": ["größe-%d"], "x": 0}`, i))
	}
	path := filepath.Join(tb.TempDir(), "hooks.json")
	text := `{"runtime": "/bin/true", "hooks": {"poststop": [` + strings.Join(list, separator) + `]}}`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
	return path
}

// TestCheckManyFindings: no finding is lost, whether each hook has its own line or all share one.
func TestCheckManyFindings(t *testing.T) {
	const n = 8000
	for _, separator := range []string{",\n", ","} {
		result := check.Files("", []string{manyFindings(t, n, separator)})
		if len(result.Findings) != 4*n {
			t.Errorf("%q: %d findings", separator, len(result.Findings))
		}
	}
}

// BenchmarkCheck: the cost of a finding does not grow with the number of findings, nor with the length of the line.
func BenchmarkCheck(b *testing.B) {
	for _, n := range []int{500, 8000} {
		for name, separator := range map[string]string{"lines": ",\n", "one-line": ","} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				path := manyFindings(b, n, separator)
				for b.Loop() {
					ui.New(io.Discard, io.Discard).Findings(check.Files("", []string{path}).Findings)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(4*n), "ns/finding")
			})
		}
	}
}
