package history

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/awslabs/oci-add-hooks/internal/hooklog"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// Containers is the number of containers of a profile that are in a state, as hookctl ps defines it.
type Containers struct {
	Profile, State string
	Count          int
}

// Sums holds the counts and durations of records for each profile, hook, place and stage, but not the records
// themselves. Its zero value is empty and ready to use.
type Sums struct {
	by map[labels]*sum
}

// labels distinguish series. A container's id is none of them: a series for each container would be too many for any
// system that collects them. Nor are a hook's arguments, which may be secret, while metrics are read by many; its place
// distinguishes hooks of one program.
type labels struct{ profile, path, stage, place string }

func (l labels) compare(other labels) int {
	return cmp.Or(cmp.Compare(l.profile, other.profile), cmp.Compare(l.path, other.path), cmp.Compare(l.stage, other.stage), cmp.Compare(l.place, other.place))
}

// sum is a Stat with the sum of the durations.
type sum struct {
	Stat
	seconds float64
}

// Add adds a record.
func (s *Sums) Add(r *hooklog.Record) {
	key := labels{r.Profile, r.Path, r.Stage, r.Place}
	of := s.by[key]
	if of == nil {
		if s.by == nil {
			s.by = map[labels]*sum{}
		}
		of = &sum{Stat: newStat(r)}
		s.by[key] = of
	}
	of.count(r)
	of.seconds += r.Seconds
}

// families returns the metrics of records and of containers.
func families(sums Sums, containers []Containers) []*dto.MetricFamily {
	duration := &dto.MetricFamily{Name: ptr("oci_hook_duration_seconds"), Help: ptr("How long hooks ran."), Unit: ptr("seconds"), Type: dto.MetricType_HISTOGRAM.Enum()}
	counters := []struct {
		family *dto.MetricFamily
		value  func(*sum) int
	}{
		{counter("oci_hook_failures_total", "Hooks that did not succeed, whether the container started or not."), func(s *sum) int { return s.Failed }},
		{counter("oci_hook_failures_ignored_total", "Hooks that did not succeed, and whose container started nevertheless."), func(s *sum) int { return s.Ignored }},
		{counter("oci_hook_timeouts_total", "Hooks that were killed because their time was up."), func(s *sum) int { return s.TimedOut }},
	}
	for _, by := range slices.SortedFunc(maps.Keys(sums.by), labels.compare) {
		s := sums.by[by]
		labels := []*dto.LabelPair{
			{Name: ptr("hook"), Value: &by.path}, {Name: ptr("profile"), Value: &by.profile}, {Name: ptr("stage"), Value: &by.stage},
		}
		if by.place != "" {
			labels = slices.Insert(labels, 1, &dto.LabelPair{Name: ptr("place"), Value: &by.place})
		}
		h := &dto.Histogram{SampleCount: ptr(uint64(s.Count)), SampleSum: &s.seconds}
		runs := uint64(0)
		for i := range Bounds {
			runs += uint64(s.Buckets[i])
			h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: &Bounds[i], CumulativeCount: ptr(runs)})
		}
		duration.Metric = append(duration.Metric, &dto.Metric{Label: labels, Histogram: h})
		for _, counter := range counters {
			counter.family.Metric = append(counter.family.Metric, &dto.Metric{Label: labels, Counter: &dto.Counter{Value: ptr(float64(counter.value(s)))}})
		}
	}
	list := []*dto.MetricFamily{duration}
	for _, counter := range counters {
		list = append(list, counter.family)
	}
	now := &dto.MetricFamily{Name: ptr("oci_hook_containers"), Help: ptr("Containers by profile and by the state of their hooks."), Type: dto.MetricType_GAUGE.Enum()}
	for _, c := range containers {
		now.Metric = append(now.Metric, &dto.Metric{Gauge: &dto.Gauge{Value: ptr(float64(c.Count))},
			Label: []*dto.LabelPair{{Name: ptr("profile"), Value: &c.Profile}, {Name: ptr("state"), Value: &c.State}}})
	}
	return append(list, now)
}

func counter(name, help string) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Help: &help, Type: dto.MetricType_COUNTER.Enum()}
}

func ptr[T any](v T) *T { return &v }

// WriteMetrics writes the metrics of records and of containers in the OpenMetrics format.
func WriteMetrics(w io.Writer, sums Sums, containers []Containers) error {
	return write(w, families(sums, containers), expfmt.NewFormat(expfmt.TypeOpenMetrics))
}

func write(w io.Writer, families []*dto.MetricFamily, format expfmt.Format) error {
	enc := expfmt.NewEncoder(w, format)
	for _, f := range families {
		if len(f.Metric) == 0 {
			continue // the encoder refuses an empty family
		}
		for _, m := range f.Metric {
			for _, l := range m.Label { // the format allows only UTF-8
				l.Value = ptr(strings.ToValidUTF8(l.GetValue(), "\ufffd"))
			}
		}
		if err := enc.Encode(f); err != nil {
			return err
		}
	}
	if closer, ok := enc.(expfmt.Closer); ok {
		return closer.Close()
	}
	return nil
}

// ReplaceTextfile writes the metrics to the file at path in one step, in the text format that node_exporter's textfile
// collector reads. The collector reads only *.prom, so it ignores the temporary file beside it. If path is not a
// regular file, such as /dev/null or the link /dev/stdout, it is an error, and neither path nor the target of a link
// changes.
func ReplaceTextfile(path string, sums Sums, containers []Containers) (err error) {
	var text bytes.Buffer
	if err := write(&text, families(sums, containers), expfmt.NewFormat(expfmt.TypeTextPlain)); err != nil {
		return err
	}
	if st, err := os.Lstat(path); err == nil && !st.Mode().IsRegular() {
		return errors.New("it is not a regular file; name the file itself, or leave --textfile out to see the metrics")
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.tmp")
	if _, statErr := os.Stat(dir); errors.Is(statErr, fs.ErrNotExist) {
		return fmt.Errorf("there is no directory %s; create it", dir)
	}
	if err != nil {
		return fmt.Errorf("no file can be created in %s: %w; name a file in another directory", dir, report.Plain(err))
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text.Bytes())
	if chmodErr := f.Chmod(0o644); err == nil {
		err = chmodErr
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return report.Plain(err)
}
