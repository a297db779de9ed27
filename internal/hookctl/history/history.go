// Package history answers questions about what supervised hooks did, from their records. It selects records, computes
// statistics, and converts records to the formats of metrics and tracing tools.
//
// It does not know how records are written and stored, and it prints nothing.
package history

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/hooklog"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

// A Query selects records. An empty field selects all.
type Query struct {
	ID      string   // the beginning of a container's id; or NAMESPACE/POD/CONTAINER, or the end of that
	IDs     []string // full ids of containers that are selected besides ID
	Profile string
	Hook    string // the path of its program
	Stage   string
	Failed  bool // only hooks that did not succeed
	Since   time.Time
}

// Match reports whether q selects a record.
func (q *Query) Match(r *hooklog.Record) bool {
	return q.matchContainer(r) &&
		(q.Profile == "" || r.Profile == q.Profile) &&
		(q.Hook == "" || r.Path == q.Hook) &&
		(q.Stage == "" || r.Stage == q.Stage) &&
		!(q.Failed && r.OK()) &&
		!r.Time.Before(q.Since)
}

// Found counts what a Query found.
type Found struct {
	Records  int  // all records
	Meant    int  // of Records: those that match
	Profiled bool // a record of the query's profile is among Records
	Torn     int  // lines that hold no record
}

// Read calls each for the selected records of the file at path and its rotated predecessors, oldest first.
func (q *Query) Read(path string, each func(*hooklog.Record) error) (f Found, err error) {
	f.Torn, err = hooklog.Read(path, func(r *hooklog.Record) error {
		f.Records++
		f.Profiled = f.Profiled || r.Profile == q.Profile
		if !q.Match(r) {
			return nil
		}
		f.Meant++
		return each(r)
	})
	return f, err
}

func (q *Query) matchContainer(r *hooklog.Record) bool {
	return strings.HasPrefix(r.Container, q.ID) || slices.Contains(q.IDs, r.Container) || strings.HasSuffix("/"+Container(r), "/"+q.ID)
}

// Container returns a name for the container of a record: NAMESPACE/POD/CONTAINER, or the beginning of its id.
func Container(r *hooklog.Record) string {
	name := ""
	if r.PodName != "" {
		name = strings.TrimPrefix(r.PodNamespace+"/"+r.PodName, "/")
		if r.ContainerName != "" {
			name += "/" + r.ContainerName
		}
	}
	if name == "" {
		if name = r.Container; len(name) == 64 { // engines show the first 12 characters of a full id
			name = name[:12]
		}
	}
	return name
}

// Stat holds statistics of the runs of one hook at one stage. Durations are in seconds.
type Stat struct {
	Stage    string  `json:"stage"`
	Path     string  `json:"path"`
	Count    int     `json:"count"`
	Failed   int     `json:"failed"`   // of Count: runs that did not succeed
	TimedOut int     `json:"timedOut"` // of Failed
	Ignored  int     `json:"ignored"`  // of Failed
	P50      float64 `json:"p50"`
	P95      float64 `json:"p95"`
	P99      float64 `json:"p99"`
	Max      float64 `json:"max"`

	// Buckets counts runs by duration. Buckets[n] counts those that took at most Bounds[n] and more than Bounds[n-1].
	// The last one counts those that took longer than all bounds.
	Buckets []int `json:"buckets"`
}

// tally is a Stat of the runs of one profile, or of all profiles.
type tally struct {
	Stat
	profile string
	took    []float64 // each run
}

// Bounds are the upper bounds of buckets of durations, in seconds.
var Bounds = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

// Summarize returns the statistics of records for each hook and stage, ordered by stage and path.
func Summarize(records []*hooklog.Record) []Stat {
	var sums Sums
	for _, r := range records {
		sums.add(r, "")
	}
	stats := []Stat{}
	for _, t := range sums.list {
		slices.Sort(t.took)
		t.P50, t.P95, t.P99, t.Max = quantile(t.took, 0.5), quantile(t.took, 0.95), quantile(t.took, 0.99), t.took[len(t.took)-1]
		stats = append(stats, t.Stat)
	}
	slices.SortFunc(stats, func(a, b Stat) int {
		stage := func(s Stat) int { return slices.Index(hooks.Stages(), hooks.Stage(s.Stage)) }
		return cmp.Or(cmp.Compare(stage(a), stage(b)), cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Path, b.Path))
	})
	return stats
}

// Sums holds the counts and durations of records for each profile, hook and stage, but not the records themselves. Its
// zero value is empty and ready to use.
type Sums struct {
	by   map[[3]string]*tally // profile, stage and path
	list []*tally
}

// Add adds a record.
func (s *Sums) Add(r *hooklog.Record) { s.add(r, r.Profile) }

func (s *Sums) add(r *hooklog.Record, profile string) {
	key := [3]string{profile, r.Stage, r.Path}
	t := s.by[key]
	if t == nil {
		if s.by == nil {
			s.by = map[[3]string]*tally{}
		}
		t = &tally{Stat: Stat{Stage: r.Stage, Path: r.Path, Buckets: make([]int, len(Bounds)+1)}, profile: profile}
		s.by[key], s.list = t, append(s.list, t)
	}
	t.took = append(t.took, r.Seconds)
	t.Count++
	t.Buckets[bucket(r.Seconds)]++
	if !r.OK() {
		t.Failed++
	}
	if r.Result == "timed out" {
		t.TimedOut++
	}
	if r.Ignored {
		t.Ignored++
	}
}

// bucket returns the index of a duration's bucket.
func bucket(seconds float64) int {
	i, _ := slices.BinarySearch(Bounds, seconds)
	return i
}

// quantile returns the smallest of the sorted values such that at least the fraction q of them are not greater.
func quantile(sorted []float64, q float64) float64 {
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// ParseSince parses a time of RFC 3339, a local date or time, or a duration before now. In a duration, "7d" means 7
// times 24 hours.
func ParseSince(text string, now time.Time) (t time.Time, ok bool) {
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, true
		}
	}
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.Add(-time.Duration(n) * 24 * time.Hour), true
		}
	}
	d, err := time.ParseDuration(text)
	return now.Add(-d), err == nil && d >= 0
}
