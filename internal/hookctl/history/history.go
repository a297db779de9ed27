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
	"github.com/awslabs/oci-add-hooks/internal/pod"
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
	return strings.HasPrefix(r.Container, q.ID) || slices.Contains(q.IDs, r.Container) || strings.HasSuffix("/"+podOf(r), "/"+q.ID)
}

// podOf returns NAMESPACE/POD/CONTAINER of a record, or "" if it has no pod.
func podOf(r *hooklog.Record) string {
	return pod.Names{Namespace: r.PodNamespace, Pod: r.PodName, Container: r.ContainerName}.String()
}

// Container returns the names of a record's container: NAMESPACE/POD/CONTAINER if it is a pod's, and always the
// beginning of its id.
func Container(r *hooklog.Record) string {
	id := r.Container
	if len(id) == 64 { // engines show the first 12 characters of a full id
		id = id[:12]
	}
	return strings.TrimSpace(podOf(r) + " " + id)
}

// Command returns the command of a record's hook: its path, and its arguments without argv[0].
func Command(r *hooklog.Record) string { return command(r.Path, r.Args) }

func command(path string, args []string) string {
	return strings.Join(append([]string{path}, args[min(1, len(args)):]...), " ")
}

// Stat holds statistics of the runs of one hook at one stage. Durations are in seconds.
type Stat struct {
	Stage    string   `json:"stage"`
	Path     string   `json:"path"`
	Args     []string `json:"args"` // including argv[0]
	Count    int      `json:"count"`
	Failed   int      `json:"failed"`   // of Count: runs that did not succeed
	TimedOut int      `json:"timedOut"` // of Failed
	Ignored  int      `json:"ignored"`  // of Failed
	P50      float64  `json:"p50"`
	P95      float64  `json:"p95"`
	P99      float64  `json:"p99"`
	Max      float64  `json:"max"`

	// Buckets counts runs by duration. Buckets[n] counts those that took at most Bounds[n] and more than Bounds[n-1].
	// The last one counts those that took longer than all bounds.
	Buckets []int `json:"buckets"`
}

// Command returns the command of the hook: its path, and its arguments without argv[0].
func (s *Stat) Command() string { return command(s.Path, s.Args) }

// Bounds are the upper bounds of buckets of durations, in seconds.
var Bounds = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

// Statistics computes a Stat for each hook and stage; hooks that differ only in their arguments are different hooks. It
// keeps the durations of runs, but no records. Its zero value is empty and ready to use.
type Statistics struct {
	by map[string]*timed
}

// timed is a Stat with the duration of each run.
type timed struct {
	Stat
	took []float64
}

// Add adds a record.
func (s *Statistics) Add(r *hooklog.Record) {
	key := strings.Join(append([]string{r.Stage, r.Path}, r.Args...), "\x00")
	of := s.by[key]
	if of == nil {
		if s.by == nil {
			s.by = map[string]*timed{}
		}
		of = &timed{Stat: newStat(r)}
		s.by[key] = of
	}
	of.count(r)
	of.took = append(of.took, r.Seconds)
}

// List returns the statistics, ordered by stage, path and arguments.
func (s *Statistics) List() []Stat {
	stats := []Stat{}
	for _, of := range s.by {
		slices.Sort(of.took)
		of.P50, of.P95, of.P99, of.Max = quantile(of.took, 0.5), quantile(of.took, 0.95), quantile(of.took, 0.99), of.took[len(of.took)-1]
		stats = append(stats, of.Stat)
	}
	slices.SortFunc(stats, func(a, b Stat) int {
		stage := func(s Stat) int { return slices.Index(hooks.Stages(), hooks.Stage(s.Stage)) }
		return cmp.Or(cmp.Compare(stage(a), stage(b)), cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Path, b.Path), slices.Compare(a.Args, b.Args))
	})
	return stats
}

func newStat(r *hooklog.Record) Stat {
	return Stat{Stage: r.Stage, Path: r.Path, Args: r.Args, Buckets: make([]int, len(Bounds)+1)}
}

// count adds a run to all that is counted.
func (s *Stat) count(r *hooklog.Record) {
	s.Count++
	s.Buckets[bucket(r.Seconds)]++
	if !r.OK() {
		s.Failed++
	}
	if r.Result == "timed out" {
		s.TimedOut++
	}
	if r.Ignored {
		s.Ignored++
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
