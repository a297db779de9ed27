package ui

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/try"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

func ptr[T any](v T) *T { return &v }

// ran returns a successful call. start and took are in seconds.
func ran(stage hooks.Stage, start, took float64, args ...string) try.Call {
	return try.Call{Stage: stage, Path: "/opt/" + args[0], Args: args, File: "h.json", Result: try.OK, Start: &start, Took: &took, ExitStatus: ptr(0)}
}

func sample() *try.Report {
	failed := ran(hooks.Poststart, 0.100, 0.0501, "a-long-name", "and", "long", "arguments")
	failed.Result, failed.ExitStatus = try.Failed, ptr(3)
	failed.Stdout, failed.Stderr = "one\ntwo\x1b[31m\n", "oops"
	never := try.Call{Stage: hooks.StartContainer, Path: "/opt/never", Args: []string{"never"}, File: "h.json", Result: try.NeverCalled}
	return &try.Report{
		Runtime: "/usr/sbin/runc",
		Seconds: 0.2,
		Hooks: []try.Call{
			ran(hooks.CreateRuntime, 0, 0.0001, "setup"),
			ran(hooks.CreateRuntime, 0.02, 0.08, "mount\n2"),
			failed,
			ran(hooks.Poststop, 0.1999, 0.0001, "release"),
			never,
		},
		Process: ran("", 0.150, 0.02, "sh"),
	}
}

// timelineOf returns the lines of the time line of a report.
func timelineOf(t *testing.T, r *try.Report, width int) []string {
	t.Helper()
	text := drawn(t, false, width, func(u *UI) { u.timeline(r) })
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func TestTimeline(t *testing.T) {
	for _, tt := range []struct {
		width int
		want  string
	}{
		{80, `
STAGE            HOOK               START      TOOK  0 ── 200.0 ms  RESULT
createRuntime    setup             0.0 ms    0.1 ms  ━              exit 0
createRuntime    mount·2          20.0 ms   80.0 ms   ━━━━━━        exit 0
poststart        a-long-name a…  100.0 ms   50.1 ms        ━━━━     exit 3
container        sh              150.0 ms   20.0 ms           ━━━   exit 0
poststop         release         199.9 ms    0.1 ms              ━  exit 0
startContainer   never                                              never called
`},
		{60, `
STAGE            HOOK          START      TOOK  RESULT
createRuntime    setup        0.0 ms    0.1 ms  exit 0
createRuntime    mount·2     20.0 ms   80.0 ms  exit 0
poststart        a-long-n…  100.0 ms   50.1 ms  exit 3
container        sh         150.0 ms   20.0 ms  exit 0
poststop         release    199.9 ms    0.1 ms  exit 0
startContainer   never                          never called
`},
		{50, `
STAGE            HOOK           TOOK  RESULT
createRuntime    setup        0.1 ms  exit 0
createRuntime    mount·2     80.0 ms  exit 0
poststart        a-long-n…   50.1 ms  exit 3
container        sh          20.0 ms  exit 0
poststop         release      0.1 ms  exit 0
startContainer   never                never called
`},
		{40, `
STAGE            HOOK       RESULT
createRuntime    setup      exit 0
createRuntime    mount·2    exit 0
poststart        a-long-n…  exit 3
container        sh         exit 0
poststop         release    exit 0
startContainer   never      never called
`},
		{20, `
STAGE   createRuntime
HOOK    setup
TOOK    0.1 ms
RESULT  exit 0

STAGE   createRuntime
HOOK    mount·2
TOOK    80.0 ms
RESULT  exit 0

STAGE   poststart
HOOK    a-long-name…
TOOK    50.1 ms
RESULT  exit 3

STAGE   container
HOOK    sh
TOOK    20.0 ms
RESULT  exit 0

STAGE   poststop
HOOK    release
TOOK    0.1 ms
RESULT  exit 0

STAGE   startContainer
HOOK    never
RESULT  never called
`},
	} {
		got := "\n" + strings.Join(timelineOf(t, sample(), tt.width), "\n") + "\n"
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%d characters (-want +got):\n%s\n%s", tt.width, diff, got)
		}
	}
}

// At each width of the terminal, no line is longer and each bar is at its time. As the terminal gets narrower, the
// numbers are omitted after the bar, and at last each call is a block.
func TestTimelineFits(t *testing.T) {
	for width := minProgress; width < 240; width++ {
		all := timelineOf(t, sample(), width)
		text := strings.Join(all, "\n")
		for i, l := range all {
			if n := utf8.RuneCountInString(l); n > width {
				t.Errorf("%d characters on a terminal of %d: %q", n, width, l)
			}
			if bars := strings.Count(l, "━"); width >= 80 && (bars > 0) != (i > 0 && i < len(all)-1) {
				t.Errorf("%d characters: a bar of %d: %q", width, bars, l)
			}
		}
		if strings.HasPrefix(all[1], "HOOK") {
			if width >= 40 || len(all) != 6*5-1-1 {
				t.Errorf("%d characters: blocks of %d lines", width, len(all))
			}
			continue
		}
		header := strings.Index(all[0], "RESULT")
		for _, l := range all[1:] {
			if result := string([]rune(l)[utf8.RuneCountInString(all[0][:header]):]); !strings.HasPrefix(result, "exit ") && result != "never called" {
				t.Errorf("%d characters: below RESULT is %q", width, result)
			}
		}
		bars, start, took := strings.Contains(text, "━"), strings.Contains(text, "START"), strings.Contains(text, "TOOK")
		if bars && !start || start && !took || width >= 60 && !start || width < 40 && took {
			t.Errorf("%d characters: a bar %v, a start %v, a duration %v", width, bars, start, took)
		}
		if !bars {
			continue
		}
		column := func(l, part string) int {
			before, _, _ := strings.Cut(l, part)
			return utf8.RuneCountInString(before)
		}
		first, last, result := column(all[1], "━"), column(all[5], "━"), column(all[0], "RESULT")
		if last != result-3 || first >= last || first > column(all[2], "━") {
			t.Errorf("%d characters: the bars begin at %d and end at %d:\n%s", width, first, last, text)
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
		got := inUnicode.barOf(10, time.Duration(tt.start), time.Duration(tt.took), time.Duration(tt.total))
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

// In a column of any width, hooks that differ look different.
func TestTellApart(t *testing.T) {
	for _, tt := range []struct {
		titles []string
		width  int
		want   []string
	}{
		{[]string{"setup a", "release"}, 20, []string{"setup a", "release"}},
		{[]string{"a-long-name with arguments", "release"}, 12, []string{"a-long-name…", "release"}},
		{
			[]string{"hookctl try:example prestart", "hookctl try:example createRuntime", "hookctl try:example createContainer", "hookctl try:process"}, 12,
			[]string{"… prestart", "… createRun…", "… createCon…", "… try:proce…"},
		},
		{ // one rule for all that begin alike, whether they would differ at their end or not
			[]string{"hookctl try:example prestart", "hookctl try:example createRuntime", "hookctl try:example createContainer", "hookctl try:process"}, 27,
			[]string{"… prestart", "… createRuntime", "… createContainer", "hookctl try:process"},
		},
		{[]string{"/opt/vendor/one/bin/setup", "/opt/vendor/two/bin/setup"}, 12, []string{"…/one/bin/s…", "…/two/bin/s…"}},
		{[]string{"sh -c averylongscriptwithoutspaces1", "sh -c averylongscriptwithoutspaces2"}, 10, []string{"…1", "…2"}},
		{[]string{"the same again and again", "the same again and again"}, 10, []string{"the same…", "the same…"}},
		{[]string{"größer als größe A", "größer als größe B", "größer"}, 8, []string{"… A", "… B", "größer"}},
	} {
		got := inUnicode.tellApart(tt.titles, tt.width)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for i, name := range got {
			if n := utf8.RuneCountInString(name); n > tt.width {
				t.Errorf("%q has %d characters", name, n)
			}
			for j := range i {
				if (name == got[j]) != (tt.titles[i] == tt.titles[j]) {
					t.Errorf("%q is %q, and %q is %q", tt.titles[i], name, tt.titles[j], got[j])
				}
			}
		}
	}
}

// A hook has the shortest title that distinguishes it from all others.
func TestTitles(t *testing.T) {
	call := func(path, file string, args ...string) try.Call {
		return try.Call{Stage: hooks.Prestart, Path: path, File: file, Args: append([]string{"argv0"}, args...)}
	}
	got := inUnicode.titles([]try.Call{
		call("/opt/a/setup", "1.json"), call("/opt/b/setup", "1.json"), call("/opt/b/setup", "1.json", "x"),
		call("/opt/release", "1.json", "a\nb"), call("/opt/same", "1.json"), call("/opt/same", "2.json"), {Path: "/none"},
	})
	want := []string{"/opt/a/setup", "/opt/b/setup", "setup x", "release a·b", "same (1.json)", "same (2.json)", "none"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The last line agrees with the notes.
func TestSummary(t *testing.T) {
	ignored := try.Call{Stage: hooks.Poststop, Result: try.Failed, Ignored: true}
	for want, r := range map[string]try.Report{
		"R called every hook, as root; none failed, and nothing is left behind":                 {Runtime: "R"},
		"R called every hook, without root; none failed, and what they left behind was removed": {Runtime: "R", Rootless: true, CleanedUp: true},
		"R called every hook, as root; 2 failed, which is ignored, and nothing is left behind":  {Runtime: "R", Hooks: []try.Call{ignored, {Result: try.OK}, ignored}},
	} {
		if got := drawn(t, false, 0, func(u *UI) { u.Trial(&r) }); !strings.HasSuffix(got, "fine: "+want+"\n") {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

func TestTrial(t *testing.T) {
	r := sample()
	r.Problems = []string{"runc start: it says \x07so"}
	r.Notes = []string{"a note"}
	r.NotAdded = []try.NotAdded{{File: "/d/a.json", Path: "/opt/no", Reason: "always is false"}}
	_, rest, _ := strings.Cut(drawn(t, false, 0, func(u *UI) { u.Trial(r) }), "\n\n")
	want := `poststart /opt/a-long-name and long arguments
  stdout  one
  stdout  two\x1b[31m
  stderr  oops

not added: /opt/no (/d/a.json): always is false
note: a note
problem: runc start: it says \aso
`
	if diff := cmp.Diff(want, rest); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text := drawn(t, true, 0, func(u *UI) { u.Trial(r) })
	for _, part := range []string{"\x1b[32m  ━", "\x1b[31mproblem:\x1b[0m runc", "  exit 3\x1b[0m\n", "never called\x1b[0m"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%q", part, text)
		}
	}
}
