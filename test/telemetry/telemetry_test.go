// Package telemetry holds what hookctl prints for other tools to what these make of it, with OpenTelemetry's own code. It is
// a module of its own for the sake of that code.
package telemetry

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/otlpjsonfilereceiver"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receivertest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// A hook is one that the tests run, and what comes of it.
type hook struct {
	container, stage, script string
	options                  []string
	failed                   bool
	exit                     int64 // -1 if there is no exit status
}

var hooks = []hook{
	{container: "web", stage: "prestart", script: "exit 0"},
	{container: "web", stage: "createRuntime", script: `printf 'no device\377\033[31m\n' >&2; exit 3`, failed: true, exit: 3},
	{container: "db", stage: "createRuntime", script: "kill -KILL $$", failed: true, exit: -1},
	{container: "db", stage: "poststop", script: "sleep 9", options: []string{"--timeout=1", "--profile=gpu"}, failed: true, exit: -1},
	{container: "db", stage: "poststart", script: "exit 4", options: []string{"--failure-policy=ignore"}, failed: true, exit: 4},
}

// programs builds the programs, once, and returns their directory.
var programs = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "oci-add-hooks-telemetry-")
	if err != nil {
		panic(err)
	}
	make := exec.Command("make", "--no-print-directory", "-C", "../..", "build", "BIN="+dir)
	make.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -buildvcs=false")
	if out, err := make.CombinedOutput(); err != nil {
		panic(string(out))
	}
	return dir
})

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(programs())
	os.Exit(code)
}

// printed runs the hooks under their supervisor, and returns what hookctl prints of them in a format.
func printed(t *testing.T, format string) []byte {
	t.Helper()
	dir, records := programs(), filepath.Join(t.TempDir(), "log/hooks.jsonl")
	for _, h := range hooks {
		args := append([]string{"--log", records, "--stage", h.stage}, h.options...)
		cmd := exec.Command(dir+"/oci-run-hook", append(args, "--", "/bin/sh", "sh", "-c", h.script)...)
		cmd.Stdin = strings.NewReader(fmt.Sprintf(`{"id":%[1]q,"bundle":"/run/containerd/io.containerd.runtime.v2.task/k8s.io/%[1]s","annotations":{"io.kubernetes.cri.sandbox-namespace":"ns","io.kubernetes.cri.sandbox-name":"pod"}}`, h.container))
		_ = cmd.Run()
	}
	out, err := exec.Command(dir+"/hookctl", "log", "--records", records, "--format", format).Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestReceiver: the collector's receiver for files of OTLP reads a span for each hook, in a trace for each container.
func TestReceiver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spans.jsonl")
	if err := os.WriteFile(path, printed(t, "otlp"), 0o600); err != nil {
		t.Fatal(err)
	}
	factory, sink := otlpjsonfilereceiver.NewFactory(), new(consumertest.TracesSink)
	config := factory.CreateDefaultConfig()
	if err := confmap.NewFromStringMap(map[string]any{"include": []string{path}, "start_at": "beginning", "poll_interval": "10ms"}).Unmarshal(config); err != nil {
		t.Fatal(err)
	}
	r, err := factory.CreateTraces(context.Background(), receivertest.NewNopSettings(factory.Type()), config, sink)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(context.Background(), componenttest.NewNopHost()); err != nil {
		t.Fatal(err)
	}
	defer r.Shutdown(context.Background())
	for range 3000 {
		if sink.SpanCount() >= len(hooks) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	traces := map[string]string{} // of containers
	ids := map[string]bool{}
	var got []string
	for _, all := range sink.AllTraces() {
		for _, resource := range all.ResourceSpans().All() {
			container, _ := resource.Resource().Attributes().Get("container.id")
			pod, _ := resource.Resource().Attributes().Get("k8s.pod.name")
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					id := span.TraceID().String()
					if before := traces[container.Str()]; before != "" && before != id || span.TraceID().IsEmpty() || span.SpanID().IsEmpty() || ids[span.SpanID().String()] || pod.Str() != "pod" {
						t.Errorf("container %s of pod %s has the trace %q and now %q, span %s", container.Str(), pod.Str(), before, id, span.SpanID())
					}
					traces[container.Str()], ids[span.SpanID().String()] = id, true
					exit := int64(-1)
					if v, ok := span.Attributes().Get("process.exit.code"); ok {
						exit = v.Int()
					}
					if took := span.EndTimestamp().AsTime().Sub(span.StartTimestamp().AsTime()); took <= 0 || took > time.Minute || time.Since(span.StartTimestamp().AsTime()) > 5*time.Minute {
						t.Errorf("%s took %v, from %v", span.Name(), took, span.StartTimestamp().AsTime())
					}
					got = append(got, fmt.Sprint(container.Str(), " ", span.Name(), " ", span.Status().Code() == ptrace.StatusCodeError, " ", exit, " ", span.Kind()))
				}
			}
		}
	}
	var want []string
	for _, h := range hooks {
		want = append(want, fmt.Sprint(h.container, " ", h.stage, " /bin/sh ", h.failed, " ", h.exit, " ", ptrace.SpanKindInternal))
	}
	if !slices.Equal(got, want) || len(traces) != 2 || traces["web"] == traces["db"] {
		t.Errorf("%d traces of\n%s\nwant\n%s", len(traces), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestOTLP: each line is an ExportTraceServiceRequest and has no member that the protocol does not know. The protocol's JSON has
// hexadecimal ids where that of protocol buffers has base64.
func TestOTLP(t *testing.T) {
	lines := bytes.Split(bytes.TrimSpace(printed(t, "otlp")), []byte("\n"))
	if len(lines) != len(hooks) {
		t.Errorf("%d lines for %d hooks", len(lines), len(hooks))
	}
	for _, line := range lines {
		var all struct {
			ResourceSpans []struct {
				ScopeSpans []struct {
					Spans []struct{ TraceID, SpanID string }
				}
			}
		}
		if err := json.Unmarshal(line, &all); err != nil {
			t.Fatal(err)
		}
		ids := all.ResourceSpans[0].ScopeSpans[0].Spans[0]
		for _, id := range []string{ids.TraceID, ids.SpanID} {
			raw, err := hex.DecodeString(id)
			if err != nil {
				t.Error(err)
			}
			line = bytes.Replace(line, []byte(id), []byte(base64.StdEncoding.EncodeToString(raw)), 1)
		}
		var request collector.ExportTraceServiceRequest
		if err := protojson.Unmarshal(line, &request); err != nil {
			t.Errorf("%v in %s", err, line)
			continue
		}
		span := request.ResourceSpans[0].ScopeSpans[0].Spans[0]
		if len(span.TraceId) != 16 || len(span.SpanId) != 8 || span.Kind != trace.Span_SPAN_KIND_INTERNAL || span.Name == "" || span.EndTimeUnixNano <= span.StartTimeUnixNano {
			t.Errorf("%v", span)
		}
	}
}

// TestTraceEvents: the events have the members that the description of the trace event format requires for their phase, and no
// others. TestTraceViewer has them read. Perfetto's own reader is not tried: neither Debian nor a Go module has it.
func TestTraceEvents(t *testing.T) {
	var all struct {
		TraceEvents     []map[string]any `json:"traceEvents"`
		DisplayTimeUnit string           `json:"displayTimeUnit"`
	}
	dec := json.NewDecoder(bytes.NewReader(printed(t, "trace")))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&all); err != nil {
		t.Fatal(err)
	}
	if all.DisplayTimeUnit != "ms" && all.DisplayTimeUnit != "ns" {
		t.Errorf("the unit is %q", all.DisplayTimeUnit)
	}
	// The members of each phase, and whether they are required: "Complete Events", "Metadata Events".
	phases := map[string]map[string]bool{
		"X": {"name": true, "cat": true, "ph": true, "ts": true, "dur": true, "pid": true, "tid": true, "args": false},
		"M": {"name": true, "ph": true, "pid": true, "tid": false, "args": true},
	}
	rows := map[float64]string{}
	var complete int
	for _, e := range all.TraceEvents {
		phase, _ := e["ph"].(string)
		members, known := phases[phase]
		if !known {
			t.Errorf("phase %q", phase)
		}
		for name, value := range e {
			if _, known := members[name]; !known {
				t.Errorf("phase %s has no member %s: %v", phase, name, e)
			}
			switch number, isNumber := value.(float64); name {
			case "ts", "dur", "pid", "tid":
				if !isNumber || number < 0 || number != math.Trunc(number) || number > 1<<53 {
					t.Errorf("%s is %v", name, value)
				}
			case "args":
				if _, isObject := value.(map[string]any); !isObject {
					t.Errorf("args is %v", value)
				}
			default:
				if text, isText := value.(string); !isText || text == "" {
					t.Errorf("%s is %v", name, value)
				}
			}
		}
		for name, required := range members {
			if _, has := e[name]; required && !has {
				t.Errorf("phase %s without %s: %v", phase, name, e)
			}
		}
		args, _ := e["args"].(map[string]any)
		switch {
		case e["name"] == "thread_name":
			rows[e["tid"].(float64)] = args["name"].(string)
		case phase == "X":
			complete++
			if row := rows[e["tid"].(float64)]; row != "ns/pod web" && row != "ns/pod db" {
				t.Errorf("the row is called %q", row)
			}
		}
	}
	if complete != len(hooks) || len(rows) != 2 {
		t.Errorf("%d events in %d rows", complete, len(rows))
	}
}
