// Package history answers questions about what supervised hooks did, from their records: which ones, how long they took, and
// in the words of tools that draw, count and trace.
//
// It knows nothing of how records are written and stored, and prints nothing.
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

// A Query says which records are meant. What is empty is not asked for.
type Query struct {
	ID      string   // a container's id, how it begins, or the name of a pod's: NAMESPACE/POD/CONTAINER, or the end of that
	IDs     []string // besides, the whole ids of containers
	Profile string
	Hook    string // the path of its program
	Stage   string
	Failed  bool // those alone that did not succeed
	Since   time.Time
}

// Match reports whether a record is meant.
func (q *Query) Match(r *hooklog.Record) bool {
	return q.matchContainer(r) &&
		(q.Profile == "" || r.Profile == q.Profile) &&
		(q.Hook == "" || r.Path == q.Hook) &&
		(q.Stage == "" || r.Stage == q.Stage) &&
		!(q.Failed && r.OK()) &&
		!r.Time.Before(q.Since)
}

// Found is what a Query came upon.
type Found struct {
	Records  int  // that are there
	Meant    int  // of Records: those that match
	Profiled bool // some of Records is of the profile that is asked for
	Torn     int  // lines that hold no record
}

// Read calls each for the records that are meant of the file at path and of those that it was before, oldest first.
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

// Container returns how a person calls the container of a record: by its pod, or by the beginning of its id.
func Container(r *hooklog.Record) string {
	name := ""
	if r.PodName != "" {
		name = strings.TrimPrefix(r.PodNamespace+"/"+r.PodName, "/")
		if r.ContainerName != "" {
			name += "/" + r.ContainerName
		}
	}
	if name == "" {
		if name = r.Container; len(name) == 64 { // as engines shorten them
			name = name[:12]
		}
	}
	return name
}

// Stat is what the runs of one hook at one stage came to. Durations are in seconds.
type Stat struct {
	Stage    string  `json:"stage"`
	Path     string  `json:"path"`
	Count    int     `json:"count"`
	Failed   int     `json:"failed"`   // of Count: those that did not succeed
	TimedOut int     `json:"timedOut"` // of Failed
	Ignored  int     `json:"ignored"`  // of Failed
	P50      float64 `json:"p50"`
	P95      float64 `json:"p95"`
	P99      float64 `json:"p99"`
	Max      float64 `json:"max"`

	// Buckets counts runs by duration: the nth those that took at most Bounds[n], and more than the bound before; the
	// last one those that took longer than all bounds.
	Buckets []int `json:"buckets"`
}

// tally is a Stat of one profile's runs, or of all.
type tally struct {
	Stat
	profile string
	took    []float64 // each run
}

// Bounds are the upper bounds of buckets of durations, in seconds.
var Bounds = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

// Summarize returns what records come to for each hook and stage, ordered by stage and path.
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

// Sums is what records come to for each profile, hook and stage. Its zero value is what none come to. It keeps no record.
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

// quantile returns the smallest of sorted values that at least the fraction q of them does not exceed.
func quantile(sorted []float64, q float64) float64 {
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// ParseSince returns the time that text means: a time of RFC 3339, a day or a time here, or a duration before now, for which
// d is 24 hours.
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
