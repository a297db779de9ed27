package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// TestPlaces: each place is the same as the runtime's, which counts from the beginning of the file.
func TestPlaces(t *testing.T) {
	for _, text := range []string{
		"", "a", "\n", "a\nb", "\n\n\n", "a\r\nb\r\n", strings.Repeat("x", 3*markEvery) + "\ny", strings.Repeat("ö€\U0001f600", markEvery) + "\nö\n",
		strings.Repeat("x", markEvery) + "\n", strings.Repeat("x", markEvery-1) + "\n" + strings.Repeat("ä", markEvery), strings.Repeat("\xff\x80", markEvery),
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := jsonfile.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		s := newSource(file)
		for offset := range len(text) + 1 {
			if offset < len(text) && text[offset]&0xc0 == 0x80 {
				continue // within a character
			}
			want := file.At(offset, "", "problem", "")
			got := s.at(offset, "", "problem", "")
			if got.Error.Error() != want.Error() {
				t.Fatalf("%.20q at %d: %v; want %v", text, offset, got.Error, want)
			}
			line := strings.TrimSuffix(strings.Split(text, "\n")[want.Line-1], "\r")
			if got.text != line {
				t.Fatalf("%.20q at %d: the line %q; want %q", text, offset, got.text, line)
			}
			if p := s.locate(want); p.text != line || p.offset != min(got.offset, len(line)) {
				t.Fatalf("%.20q at %d: offset %d; want %d", text, offset, p.offset, got.offset)
			}
		}
	}
}
