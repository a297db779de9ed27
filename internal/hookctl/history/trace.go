package history

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"strconv"

	"github.com/awslabs/oci-add-hooks/internal/hooklog"
)

// otlp is a line of OTLP in JSON, the format that OpenTelemetry's file exporter writes and its collector's receiver
// reads.
type otlp struct {
	ResourceSpans []resourceSpans `json:"resourceSpans"`
}

type resourceSpans struct {
	Resource   resource     `json:"resource"`
	ScopeSpans []scopeSpans `json:"scopeSpans"`
}

type resource struct {
	Attributes []attribute `json:"attributes"`
}

type scopeSpans struct {
	Scope struct {
		Name string `json:"name"`
	} `json:"scope"`
	Spans []span `json:"spans"`
}

type span struct {
	TraceID           string      `json:"traceId"`
	SpanID            string      `json:"spanId"`
	Name              string      `json:"name"`
	Kind              int         `json:"kind"`
	StartTimeUnixNano string      `json:"startTimeUnixNano"`
	EndTimeUnixNano   string      `json:"endTimeUnixNano"`
	Attributes        []attribute `json:"attributes"`
	Status            status      `json:"status"`
}

type status struct {
	Code    int    `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

type attribute struct {
	Key   string `json:"key"`
	Value value  `json:"value"`
}

type value struct {
	String *string `json:"stringValue,omitempty"`
	Int    *string `json:"intValue,omitempty"` // 64-bit integers are strings in the JSON of protocol buffers
	Bool   *bool   `json:"boolValue,omitempty"`
}

// The kind of a span within one program, and the code of a failure.
const (
	spanInternal = 1
	statusError  = 2
)

// WriteOTLP writes a record as a line of OTLP. The hook is a span, the container a trace.
func WriteOTLP(w io.Writer, r *hooklog.Record) error {
	begin := r.Time.UnixNano()
	key := r.Container
	if key == "" { // without a container, the hook is its own trace
		key = r.Path + strconv.FormatInt(begin, 10)
	}
	trace := sha256.Sum256([]byte(key))
	id := sha256.Sum256([]byte(key + "\x00" + r.Stage + "\x00" + r.Path + "\x00" + strconv.FormatInt(begin, 10)))
	s := span{
		TraceID: hex.EncodeToString(trace[:16]), SpanID: hex.EncodeToString(id[:8]),
		Name: name(r), Kind: spanInternal,
		StartTimeUnixNano: strconv.FormatInt(begin, 10), EndTimeUnixNano: strconv.FormatInt(begin+int64(math.Round(r.Seconds*1e9)), 10),
		Attributes: texts("oci.hook.stage", r.Stage, "oci.hook.path", r.Path, "oci.hook.profile", r.Profile, "oci.hook.file", r.File, "oci.hook.place", r.Place,
			"oci.hook.result", r.Result, "oci.hook.signal", r.Signal, "oci.hook.error", r.Error, "oci.hook.stderr", r.Stderr),
	}
	if r.ExitStatus != nil {
		text := strconv.Itoa(*r.ExitStatus)
		s.Attributes = append(s.Attributes, attribute{"process.exit.code", value{Int: &text}})
	}
	if r.Ignored {
		s.Attributes = append(s.Attributes, attribute{"oci.hook.ignored", value{Bool: &r.Ignored}})
	}
	if !r.OK() {
		s.Status = status{Code: statusError, Message: r.Result}
	}
	spans := scopeSpans{Spans: []span{s}}
	spans.Scope.Name = "oci-run-hook"
	return encode(w, otlp{[]resourceSpans{{
		Resource: resource{texts("service.name", "oci-hooks", "container.id", r.Container, "k8s.namespace.name", r.PodNamespace,
			"k8s.pod.name", r.PodName, "k8s.container.name", r.ContainerName)},
		ScopeSpans: []scopeSpans{spans},
	}}})
}

// name returns the name of a hook's span.
func name(r *hooklog.Record) string {
	if r.Stage == "" {
		return r.Path
	}
	return r.Stage + " " + r.Path
}

// texts returns attributes from pairs of names and texts. Empty texts are omitted.
func texts(pairs ...string) []attribute {
	list := []attribute{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			list = append(list, attribute{pairs[i], value{String: &pairs[i+1]}})
		}
	}
	return list
}

func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// event is a trace event, as Chrome's tracing defines it and Perfetto reads it. Times are in microseconds.
type event struct {
	Name  string         `json:"name"`
	Cat   string         `json:"cat,omitempty"`
	Ph    string         `json:"ph"`
	Start *int64         `json:"ts,omitempty"`  // only of a hook, like Dur
	Dur   *int64         `json:"dur,omitempty"` // 0 too
	PID   int            `json:"pid"`
	TID   int            `json:"tid"`
	Args  map[string]any `json:"args,omitempty"`
}

// Trace writes records as one JSON object of trace events, with a row for each container. It keeps only the ids of the
// containers.
type Trace struct {
	to    io.Writer
	rows  map[string]int // of containers, by id
	begun bool
}

// NewTrace returns a Trace that writes to a writer. It writes nothing before the first record, or the end.
func NewTrace(to io.Writer) *Trace { return &Trace{to: to, rows: map[string]int{}} }

// pid is the process of all events.
const pid = 1

// Add writes a record.
func (t *Trace) Add(r *hooklog.Record) error {
	row, known := t.rows[r.Container]
	if !known {
		row = len(t.rows) + 1
		t.rows[r.Container] = row
		if err := t.write(event{Name: "thread_name", Ph: "M", PID: pid, TID: row, Args: map[string]any{"name": Container(r)}}); err != nil {
			return err
		}
	}
	start, took := r.Time.UnixMicro(), int64(math.Round(r.Seconds*1e6))
	e := event{Name: name(r), Cat: r.Result, Ph: "X", Start: &start, Dur: &took, PID: pid, TID: row,
		Args: map[string]any{"command": Command(r), "container": r.Container, "profile": r.Profile, "result": r.Result, "ignored": r.Ignored}}
	if r.ExitStatus != nil {
		e.Args["exitStatus"] = *r.ExitStatus
	}
	for key, text := range map[string]string{"place": r.Place, "signal": r.Signal, "error": r.Error, "stdout": r.Stdout, "stderr": r.Stderr} {
		if text != "" {
			e.Args[key] = text
		}
	}
	return t.write(e)
}

// write writes an event.
func (t *Trace) write(e event) error {
	if err := t.begin(); err != nil {
		return err
	}
	if _, err := io.WriteString(t.to, ","); err != nil {
		return err
	}
	return encode(t.to, e)
}

// begin writes the beginning of the object, once.
func (t *Trace) begin() error {
	if t.begun {
		return nil
	}
	t.begun = true
	if _, err := io.WriteString(t.to, `{"traceEvents":[`); err != nil {
		return err
	}
	return encode(t.to, event{Name: "process_name", Ph: "M", PID: pid, Args: map[string]any{"name": "containers"}})
}

// End writes the end of the object.
func (t *Trace) End() error {
	if err := t.begin(); err != nil {
		return err
	}
	_, err := io.WriteString(t.to, `],"displayTimeUnit":"ms"}`+"\n")
	return err
}
