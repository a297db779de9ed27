package history

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hooklog"
)

var at = time.Date(2026, 2, 3, 4, 5, 6, 123456789, time.UTC)

func run(container, stage, path, result string, seconds float64) *hooklog.Record {
	r := &hooklog.Record{Time: at, Container: container, Stage: stage, Path: path, Result: result, Seconds: seconds, Profile: "gpu"}
	if result == "ok" {
		r.ExitStatus = new(int)
	}
	return r
}

func TestMatch(t *testing.T) {
	r := run("abc123", "prestart", "/h", "failed", 1)
	for _, tt := range []struct {
		q    Query
		want bool
	}{
		{Query{}, true}, {Query{ID: "abc"}, true}, {Query{ID: "bc"}, false}, {Query{Profile: "gpu", Hook: "/h", Stage: "prestart", Failed: true, Since: at}, true},
		{Query{Profile: "g"}, false}, {Query{Hook: "h"}, false}, {Query{Stage: "poststop"}, false}, {Query{Since: at.Add(1)}, false},
	} {
		if got := tt.q.Match(r); got != tt.want {
			t.Errorf("%+v: %v", tt.q, got)
		}
	}
	r.Result = "ok"
	if (&Query{Failed: true}).Match(r) {
		t.Error("one that succeeded is taken for failed")
	}
}

func TestContainer(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 4)
	for want, r := range map[string]hooklog.Record{
		"": {}, "c": {Container: "c"}, "0123456789ab": {Container: long}, "ns/p/c 0123456789ab": {Container: long, PodNamespace: "ns", PodName: "p", ContainerName: "c"},
		"ns/p": {PodNamespace: "ns", PodName: "p"}, "p x": {Container: "x", PodName: "p"},
	} {
		if got := Container(&r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestStatistics(t *testing.T) {
	var stats Statistics
	for i := range 100 {
		stats.Add(run("c", "createRuntime", "/h", "ok", float64(100-i)/1000))
	}
	timedOut := run("c", "prestart", "/h", "timed out", 30)
	timedOut.Ignored = true
	other := run("c", "prestart", "/h", "ok", 1)
	timedOut.Args, other.Args = []string{"h", "-c", "b"}, []string{"h", "-c", "a"} // two hooks of one program
	for _, r := range []*hooklog.Record{timedOut, other, run("c", "poststop", "/a", "failed", 100), run("c", "", "/by-hand", "ok", 0)} {
		stats.Add(r)
	}
	want := []Stat{
		{Path: "/by-hand", Count: 1, Buckets: []int{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		{Stage: "prestart", Path: "/h", Args: other.Args, Count: 1, P50: 1, P95: 1, P99: 1, Max: 1, Buckets: []int{0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}},
		{Stage: "prestart", Path: "/h", Args: timedOut.Args, Count: 1, Failed: 1, TimedOut: 1, Ignored: 1, P50: 30, P95: 30, P99: 30, Max: 30, Buckets: []int{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}},
		{Stage: "createRuntime", Path: "/h", Count: 100, P50: 0.05, P95: 0.095, P99: 0.099, Max: 0.1, Buckets: []int{1, 1, 3, 5, 15, 25, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		{Stage: "poststop", Path: "/a", Count: 1, Failed: 1, P50: 100, P95: 100, P99: 100, Max: 100, Buckets: []int{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
	}
	if diff := cmp.Diff(want, stats.List()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseSince(t *testing.T) {
	now := time.Date(2026, 2, 10, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2026-02-03T04:05:06Z": "2026-02-03T04:05:06Z", "2026-02-03T04:05:06+01:00": "2026-02-03T04:05:06+01:00", "2026-02-03": "2026-02-03T00:00:00Z",
		"2026-02-03 04:05:06": "2026-02-03T04:05:06Z", "90s": "2026-02-10T11:58:30Z", "1h30m": "2026-02-10T10:30:00Z", "7d": "2026-02-03T12:00:00Z",
		"": "", "-5m": "", "yesterday": "", "d": "", "5": "",
	} {
		got, ok := ParseSince(text, now)
		if ok != (want != "") || ok && got.Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
}

// TestOTLP: a line has the form of OpenTelemetry's protocol. The hooks of a container are one trace.
func TestOTLP(t *testing.T) {
	r := run("c", "prestart", "/h", "failed", 0.25)
	r.ExitStatus, r.Error, r.Stderr, r.Ignored, r.PodNamespace, r.PodName = ptr(3), "why", "no device\n", true, "ns", "p"
	var b bytes.Buffer
	if err := WriteOTLP(&b, r); err != nil {
		t.Fatal(err)
	}
	const want = `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"oci-hooks"}},` +
		`{"key":"container.id","value":{"stringValue":"c"}},{"key":"k8s.namespace.name","value":{"stringValue":"ns"}},{"key":"k8s.pod.name","value":{"stringValue":"p"}}]},` +
		`"scopeSpans":[{"scope":{"name":"oci-run-hook"},"spans":[{"traceId":"2e7d2c03a9507ae265ecf5b5356885a5","spanId":"SPAN","name":"prestart /h","kind":1,` +
		`"startTimeUnixNano":"1770091506123456789","endTimeUnixNano":"1770091506373456789","attributes":[{"key":"oci.hook.stage","value":{"stringValue":"prestart"}},` +
		`{"key":"oci.hook.path","value":{"stringValue":"/h"}},{"key":"oci.hook.profile","value":{"stringValue":"gpu"}},{"key":"oci.hook.result","value":{"stringValue":"failed"}},` +
		`{"key":"oci.hook.error","value":{"stringValue":"why"}},{"key":"oci.hook.stderr","value":{"stringValue":"no device\n"}},{"key":"process.exit.code","value":{"intValue":"3"}},{"key":"oci.hook.ignored","value":{"boolValue":true}}],` +
		`"status":{"code":2,"message":"failed"}}]}]}]}` + "\n"
	var line otlp
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	id := line.ResourceSpans[0].ScopeSpans[0].Spans[0].SpanID
	if diff := cmp.Diff(strings.Replace(want, "SPAN", id, 1), b.String()); diff != "" || len(id) != 16 {
		t.Errorf("(-want +got):\n%s", diff)
	}
	ids := func(r *hooklog.Record) (trace, span string) {
		var b bytes.Buffer
		var line otlp
		if err := WriteOTLP(&b, r); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		s := line.ResourceSpans[0].ScopeSpans[0].Spans[0]
		return s.TraceID, s.SpanID
	}
	trace1, span1 := ids(run("c", "prestart", "/h", "ok", 1))
	trace2, span2 := ids(run("c", "prestart", "/i", "ok", 1))
	trace3, _ := ids(run("d", "prestart", "/h", "ok", 1))
	trace4, _ := ids(run("", "prestart", "/h", "ok", 1))
	if trace1 != trace2 || span1 == span2 || trace3 == trace1 || trace4 == trace1 {
		t.Errorf("%s %s, %s %s, %s, %s", trace1, span1, trace2, span2, trace3, trace4)
	}
}

// TestTrace: a row for each container.
func TestTrace(t *testing.T) {
	var b bytes.Buffer
	trace := NewTrace(&b)
	first := run("c", "prestart", "/h", "ok", 0.0015)
	first.Args, first.File, first.Place = []string{"h", "a"}, "/etc/gpu.json", "/hooks/prestart/0"
	for _, r := range []*hooklog.Record{first, run("d", "poststop", "/i", "timed out", 1), run("c", "poststop", "/i", "ok", 1)} {
		if err := trace.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := trace.End(); err != nil {
		t.Fatal(err)
	}
	const want = `{"traceEvents":[{"name":"process_name","ph":"M","pid":1,"tid":0,"args":{"name":"containers"}}
,{"name":"thread_name","ph":"M","pid":1,"tid":1,"args":{"name":"c"}}
,{"name":"prestart /h","cat":"ok","ph":"X","ts":1770091506123456,"dur":1500,"pid":1,"tid":1,"args":{"command":"/h a","container":"c","exitStatus":0,"ignored":false,"place":"/hooks/prestart/0","profile":"gpu","result":"ok"}}
,{"name":"thread_name","ph":"M","pid":1,"tid":2,"args":{"name":"d"}}
,{"name":"poststop /i","cat":"timed out","ph":"X","ts":1770091506123456,"dur":1000000,"pid":1,"tid":2,"args":{"command":"/i","container":"d","ignored":false,"profile":"gpu","result":"timed out"}}
,{"name":"poststop /i","cat":"ok","ph":"X","ts":1770091506123456,"dur":1000000,"pid":1,"tid":1,"args":{"command":"/i","container":"c","exitStatus":0,"ignored":false,"profile":"gpu","result":"ok"}}
],"displayTimeUnit":"ms"}
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestMetrics: Prometheus's own parser reads the metrics. No label has a container's id or an argument.
func TestMetrics(t *testing.T) {
	other := run("id-1", "poststop", "/i", "ok", 1) // two hooks of one program
	other.Place, other.Args = "/hooks/poststop/1", []string{"i", "id-secret"}
	ignored := run("id-2", "prestart", "/h\"\xff", "timed out", 1)
	ignored.Ignored = true
	var sums Sums
	for _, r := range []*hooklog.Record{run("id-1", "prestart", "/h\"\xff", "ok", 0.002), ignored, run("id-3", "poststop", "/i", "failed", 100), other} {
		sums.Add(r)
	}
	path := filepath.Join(t.TempDir(), "hooks.prom")
	for range 2 { // the first creates the file, the second replaces it
		if err := ReplaceTextfile(path, sums, []Containers{{"gpu", "missing", 2}}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	h := parsed["oci_hook_duration_seconds"].Metric[0].Histogram
	if h.GetSampleCount() != 2 || h.GetSampleSum() != 1.002 || h.Bucket[1].GetCumulativeCount() != 1 || h.Bucket[0].GetCumulativeCount() != 0 {
		t.Errorf("%v", h)
	}
	for name, want := range map[string]float64{"oci_hook_failures_total": 1, "oci_hook_failures_ignored_total": 1, "oci_hook_timeouts_total": 1} {
		if got := parsed[name].Metric[0].Counter.GetValue(); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if now := parsed["oci_hook_containers"].Metric[0]; now.Gauge.GetValue() != 2 || now.Label[0].GetValue() != "gpu" || now.Label[1].GetValue() != "missing" {
		t.Errorf("%v", now)
	}
	var open bytes.Buffer
	if err := WriteMetrics(&open, sums, nil); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{open.String(), string(text)} {
		if strings.Contains(text, "id-") {
			t.Errorf("a container's id or an argument is in\n%s", text)
		}
	}
	for place, failures := range map[string]string{"": "1.0", `place="/hooks/poststop/1",`: "0.0"} {
		if series := `oci_hook_failures_total{hook="/i",` + place + `profile="gpu",stage="poststop"} ` + failures; !strings.Contains(open.String(), series) {
			t.Errorf("%s is not in\n%s", series, open.String())
		}
	}
	if !strings.HasSuffix(open.String(), "# EOF\n") || !strings.Contains(open.String(), `oci_hook_timeouts_total{hook="/h\"`+"\ufffd"+`",profile="gpu",stage="prestart"} 1.0`) {
		t.Errorf("%s", open.String())
	}
	open.Reset()
	if err := WriteMetrics(&open, Sums{}, nil); err != nil || open.String() != "# EOF\n" {
		t.Errorf("without records: %v, %s", err, open.String())
	}
	st, err := os.Stat(path)
	entries, _ := os.ReadDir(filepath.Dir(path))
	if err != nil || st.Mode() != 0o644 || len(entries) != 1 {
		t.Errorf("%v, %d files, %v", st.Mode(), len(entries), err)
	}
	if err := ReplaceTextfile(filepath.Join(path, "x.prom"), sums, nil); err == nil {
		t.Error("no error where there is no directory")
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	err = ReplaceTextfile(fifo, sums, nil)
	if st, statErr := os.Lstat(fifo); err == nil || statErr != nil || st.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("what is no regular file was replaced: %v, %v", err, statErr)
	}
}
