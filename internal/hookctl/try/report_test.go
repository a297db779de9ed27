package try

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

func ptr[T any](v T) *T { return &v }

// ran returns a successful call. start and took are in seconds.
func ran(stage hooks.Stage, start, took float64, args ...string) Call {
	return Call{Stage: stage, Path: "/opt/" + args[0], Args: args, File: "h.json", Result: OK, Start: &start, Took: &took, ExitStatus: ptr(0)}
}

func TestProblem(t *testing.T) {
	hook := ran(hooks.Prestart, 0, 0, "x")
	with := func(c Call, change func(*Call)) Call { change(&c); return c }
	for _, tt := range []struct {
		call Call
		want string
	}{
		{hook, ""},
		{with(hook, func(c *Call) { c.Result, c.ExitStatus = Failed, ptr(7) }), "the prestart hook /opt/x (h.json) failed: exit 7"},
		{with(hook, func(c *Call) { c.Result, c.ExitStatus, c.Signal = Failed, nil, "SIGSEGV" }), "the prestart hook /opt/x (h.json) failed: SIGSEGV"},
		{with(hook, func(c *Call) { c.Result, c.limit = Hung, 3*time.Second }), "the prestart hook /opt/x (h.json) hung: it was ended after 3s (--timeout)"},
		{with(hook, func(c *Call) { c.Result, c.own = TimedOut, 2*time.Second }), "the prestart hook /opt/x (h.json) timed out after 2 s"},
		{with(hook, func(c *Call) { c.Result = Killed }), "the prestart hook /opt/x (h.json) was ended from outside"},
		{with(hook, func(c *Call) { c.Result, c.Error = NotStarted, "E" }), "the prestart hook /opt/x (h.json) could not be started: E"},
		{with(hook, func(c *Call) { c.Result = Interrupted }), "the prestart hook /opt/x (h.json) was running when it was interrupted"},
		{with(hook, func(c *Call) { c.Result = NeverCalled }), "the prestart hook /opt/x (h.json) was never called"},
		{with(hook, func(c *Call) { c.Stage, c.File, c.Result, c.ExitStatus = "", "", Failed, ptr(1) }), "the container's process /opt/x failed: exit 1"},
	} {
		if got := tt.call.problem(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestPlace(t *testing.T) {
	second := int64(time.Second)
	for _, tt := range []struct {
		call        Call
		start, took float64
	}{
		{Call{begin: 12 * second, end: 13 * second}, 2, 1},
		{Call{begin: 12 * second}, 2, 8}, // killed: until the end
	} {
		tt.call.place(10*second, 20*second)
		if *tt.call.Start != tt.start || *tt.call.Took != tt.took {
			t.Errorf("%+v: start %v, took %v", tt.call, *tt.call.Start, *tt.call.Took)
		}
	}
	never := Call{Result: NeverCalled}
	if never.place(0, 1); never.Start != nil || never.Took != nil {
		t.Error("what was never called has a time")
	}
}

// The members of the JSON must not change: programs read them.
func TestJSON(t *testing.T) {
	r := Report{Hooks: []Call{{}}}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	const call = `{"stage":"","path":"","args":null,"file":"","result":"","startSeconds":null,"seconds":null,"exitStatus":null,` +
		`"signal":"","error":"","stdout":"","stderr":"","truncated":false,"ignored":false,"held":false}`
	want := `{"runtime":"","rootless":false,"seconds":0,"hooks":[` + call + `],"process":` + call + `,"notAdded":null,"problems":null,"notes":null}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
