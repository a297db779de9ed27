package try

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

func ptr[T any](v T) *T { return &v }

// ran is a call that began and took so long, in seconds.
func ran(stage hooks.Stage, start, took float64, args ...string) Call {
	return Call{Stage: stage, Path: "/opt/" + args[0], Args: args, File: "h.json", Result: OK, Start: &start, Took: &took, ExitStatus: ptr(0)}
}

func sample() *Report {
	failed := ran(hooks.Poststart, 0.100, 0.0501, "a-long-name", "and", "long", "arguments")
	failed.Result, failed.ExitStatus = Failed, ptr(3)
	failed.Stdout, failed.Stderr = "one\ntwo\x1b[31m\n", "oops"
	never := Call{Stage: hooks.StartContainer, Path: "/opt/never", Args: []string{"never"}, File: "h.json", Result: NeverCalled}
	return &Report{
		Runtime: "/usr/sbin/runc",
		Seconds: 0.2,
		Hooks: []Call{
			ran(hooks.CreateRuntime, 0, 0.0001, "setup"),
			ran(hooks.CreateRuntime, 0.02, 0.08, "mount\n2"),
			failed,
			ran(hooks.Poststop, 0.1999, 0.0001, "release"),
			never,
		},
		Process: ran("", 0.150, 0.02, "sh"),
	}
}

func lines(t *testing.T, r *Report, width int, colours bool) []string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Print(&b, width, colours); err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(b.String(), "\n\n")
	return strings.Split(table, "\n")
}

func TestTimeline(t *testing.T) {
	for _, tt := range []struct {
		width int
		want  string
	}{
		{80, `
STAGE            HOOK           START      TOOK  0 ────── 200.0 ms  RESULT
createRuntime    setup         0.0 ms    0.1 ms  ━                  exit 0
createRuntime    mount·2      20.0 ms   80.0 ms   ━━━━━━━━          exit 0
poststart        a-long-na…  100.0 ms   50.1 ms          ━━━━━      exit 3
container        sh          150.0 ms   20.0 ms              ━━━    exit 0
poststop         release     199.9 ms    0.1 ms                  ━  exit 0
startContainer   never                                              never called
`},
		{60, `
STAGE            HOOK        0 ────── 200.0 ms  RESULT
createRuntime    setup       ━                  exit 0
createRuntime    mount·2      ━━━━━━━━          exit 0
poststart        a-long-na…          ━━━━━      exit 3
container        sh                      ━━━    exit 0
poststop         release                     ━  exit 0
startContainer   never                          never called
`},
	} {
		got := "\n" + strings.Join(lines(t, sample(), tt.width, false), "\n") + "\n"
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%d characters (-want +got):\n%s\n%s", tt.width, diff, got)
		}
	}
}

// Whatever the terminal's width, no line is longer, and each bar lies where its time is.
func TestTimelineFits(t *testing.T) {
	for width := 45; width < 240; width++ {
		all := lines(t, sample(), width, false)
		for i, l := range all {
			if n := utf8.RuneCountInString(l); n > width {
				t.Errorf("%d characters on a terminal of %d: %q", n, width, l)
			}
			if bars := strings.Count(l, "━"); (bars > 0) != (i > 0 && i < len(all)-1) {
				t.Errorf("%d characters: a bar of %d: %q", width, bars, l)
			}
		}
		column := func(l, part string) int {
			before, _, _ := strings.Cut(l, part)
			return utf8.RuneCountInString(before)
		}
		first, last, result := column(all[1], "━"), column(all[5], "━"), column(all[0], "RESULT")
		if last != result-3 || first >= last || first > column(all[2], "━") {
			t.Errorf("%d characters: the bars begin at %d and end at %d:\n%s", width, first, last, strings.Join(all, "\n"))
		}
	}
}

func TestBar(t *testing.T) {
	for _, tt := range []struct {
		start, took, total int
		want               string
	}{
		{0, 100, 100, "━━━━━━━━━━"},
		{0, 0, 100, "━         "},
		{50, 10, 100, "     ━    "},
		{55, 10, 100, "     ━━   "},
		{100, 0, 100, "         ━"},
		{99, 50, 100, "         ━"},
		{-5, 10, 100, "━         "},
		{0, 0, 0, "━         "},
	} {
		got := barOf(10, time.Duration(tt.start), time.Duration(tt.took), time.Duration(tt.total))
		if got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}

func TestDuration(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0.0 ms"},
		{1249 * time.Microsecond, "1.2 ms"},
		{999 * time.Millisecond, "999.0 ms"},
		{999960 * time.Microsecond, "1.00 s"},
		{90 * time.Second, "90.00 s"},
		{9999 * time.Second, "9999.00 s"},
		{3 * time.Hour, "3h0m0s"},
	} {
		if got := duration(tt.d); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.d, got, tt.want)
		}
	}
}

func TestPrint(t *testing.T) {
	r := sample()
	r.Problems = r.faults([]string{"runc start: it says \x07so"})
	r.Notes = []string{"a note"}
	r.NotAdded = []NotAdded{{File: "/d/a.json", Path: "/opt/no", Reason: "always is false"}}
	var b bytes.Buffer
	if err := r.Print(&b, 80, false); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(b.String(), "\n\n")
	want := `poststart /opt/a-long-name and long arguments
  stdout  one
  stdout  two\x1b[31m
  stderr  oops

not added: /opt/no (/d/a.json): always is false
note: a note
problem: the poststart hook /opt/a-long-name (h.json) failed: exit 3
problem: runc start: it says \aso
problem: the startContainer hook /opt/never (h.json) was never called
`
	if diff := cmp.Diff(want, rest); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// With colours, the text is the same.
func TestColours(t *testing.T) {
	var b bytes.Buffer
	r := sample()
	r.Problems = []string{"a problem"}
	if err := r.Print(&b, 80, true); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"\x1b[32m━\x1b", "\x1b[31mproblem: \x1b[0ma problem\n", "\x1b[31m  exit 3\x1b[0m\n", "\x1b[2m  never called"} {
		if !strings.Contains(b.String(), strings.TrimSuffix(part, "\x1b")) {
			t.Errorf("%q is not in\n%q", part, b.String())
		}
	}
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
		{with(hook, func(c *Call) { c.Result, c.ExitStatus, c.Signal = Failed, ptr(139), "SIGSEGV" }), "the prestart hook /opt/x (h.json) failed: SIGSEGV"},
		{with(hook, func(c *Call) { c.Result, c.limit = Hung, 3*time.Second }), "the prestart hook /opt/x (h.json) hung: it was ended after 3s (--timeout)"},
		{with(hook, func(c *Call) { c.Result, c.own = Killed, 2 }), "the prestart hook /opt/x (h.json) was ended by the runtime: its timeout is 2 s"},
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
		{Call{begin: 12 * second}, 2, 8},           // killed: until the end
		{Call{begin: 12 * second, own: 3}, 2, 3},   // or until its timeout
		{Call{begin: 12 * second, own: 300}, 2, 8}, // if that came
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

// The members of the JSON stay as they are: programs read them.
func TestJSON(t *testing.T) {
	r := Report{Hooks: []Call{{}}}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	const call = `{"stage":"","path":"","args":null,"file":"","result":"","startSeconds":null,"seconds":null,"exitStatus":null,` +
		`"signal":"","error":"","stdout":"","stderr":"","truncated":false}`
	want := `{"runtime":"","rootless":false,"seconds":0,"hooks":[` + call + `],"process":` + call + `,"notAdded":null,"problems":null,"notes":null}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
