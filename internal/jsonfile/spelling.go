package jsonfile

import (
	"fmt"
	"strings"
)

// DidYouMean returns the beginning of a remedy for an unknown name, a question with the most similar known name. It
// returns "" if none is similar.
func DidYouMean(name string, known ...string) string {
	best, least := "", 0
	for _, k := range known {
		// One mistake in a short name, two in a longer one.
		if d := distance(plain(name), plain(k)); d <= (len(k)+2)/5 && (best == "" || d < least) {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q? ", best)
}

// plain returns a name in lower case, without hyphens and underscores.
func plain(name string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
}

// distance returns the number of bytes that are inserted, removed, replaced, or swapped with a neighbour, to turn a
// into b (optimal string alignment).
func distance(a, b string) int {
	const long = 64 // no known name is longer
	if len(a) > long {
		return len(a)
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
