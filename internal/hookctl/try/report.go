package try

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

// Report is what happened. Its JSON is what --json prints.
type Report struct {
	Runtime  string     `json:"runtime"`  // its path
	Rootless bool       `json:"rootless"` // the container was made in a user namespace
	Seconds  float64    `json:"seconds"`  // from the call of the runtime's create to the end of its delete
	Hooks    []Call     `json:"hooks"`    // in the order in which they ran; then those that were never called
	Process  Call       `json:"process"`  // the container's process
	NotAdded []NotAdded `json:"notAdded"` // files of hooks directories whose hooks are not for this container
	Problems []string   `json:"problems"` // empty if all is well
	Notes    []string   `json:"notes"`    // what else is worth knowing
}

// Call is one run of a hook, or of the container's process; or that there was none.
type Call struct {
	Stage      hooks.Stage `json:"stage"` // empty for the container's process
	Path       string      `json:"path"`
	Args       []string    `json:"args"` // with argv[0]
	File       string      `json:"file"` // where the hook comes from
	Result     Result      `json:"result"`
	Start      *float64    `json:"startSeconds"` // since the call of create; null if it was never called
	Took       *float64    `json:"seconds"`      // null if it was never called; a guess if it was killed
	ExitStatus *int        `json:"exitStatus"`   // null if there is none: see Result
	Signal     string      `json:"signal"`       // the name of the signal that ended it
	Error      string      `json:"error"`        // why it could not be started
	Stdout     string      `json:"stdout"`
	Stderr     string      `json:"stderr"`
	Truncated  bool        `json:"truncated"` // it printed more than is kept, 64 KiB a stream

	begin, end int64         // in nanoseconds since 1970; end is 0 if it is not known
	own        int           // the hook's own timeout in seconds, 0 for none
	limit      time.Duration // --timeout
}

// Result is what became of a hook.
type Result string

// The results.
const (
	OK          Result = "ok"
	Failed      Result = "failed"       // it exited with another status than 0, or a signal ended it
	Hung        Result = "hung"         // it was ended when --timeout had passed
	Killed      Result = "killed"       // the runtime ended it: its own timeout had passed, as a rule
	NotStarted  Result = "not started"  // its program could not be executed
	Interrupted Result = "interrupted"  // it was ended because hookctl was
	NeverCalled Result = "never called" // by the runtime
)

// NotAdded is a file of a hooks directory whose hook is not added.
type NotAdded struct {
	File   string `json:"file"`
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// call gives a call of the task that has not been made.
func (t *task) call() Call {
	return Call{Stage: t.stage, Path: t.Path, Args: t.Args, File: t.file, Result: NeverCalled, own: t.own, limit: t.Limit}
}

// place gives the call its place on the time line that leads from begin to end.
func (c *Call) place(begin, end int64) {
	if c.Result == NeverCalled {
		return
	}
	if c.end == 0 { // nobody was left to say when it ended
		c.end = end
		if c.own > 0 {
			c.end = min(end, c.begin+int64(c.own)*int64(time.Second))
		}
	}
	start, took := seconds(c.begin-begin), seconds(c.end-c.begin)
	c.Start, c.Took = &start, &took
}

// seconds gives nanoseconds in seconds, to the microsecond.
func seconds(ns int64) float64 { return float64(ns/1000) / 1e6 }

// problem says what is wrong with what became of the call, "" if nothing is.
func (c *Call) problem() string {
	what := "the container's process " + c.Path
	if c.Stage != "" {
		what = fmt.Sprintf("the %s hook %s", c.Stage, c.Path)
		if c.File != "" {
			what += " (" + c.File + ")"
		}
	}
	switch c.Result {
	case Failed:
		return what + " failed: " + c.outcome()
	case Hung:
		return fmt.Sprintf("%s hung: it was ended after %v (--timeout)", what, c.limit)
	case Killed:
		if c.own > 0 {
			return fmt.Sprintf("%s was ended by the runtime: its timeout is %d s", what, c.own)
		}
		return what + " was ended from outside"
	case NotStarted:
		return what + " could not be started: " + c.Error
	case Interrupted:
		return what + " was running when it was interrupted"
	case NeverCalled:
		return what + " was never called"
	}
	return ""
}

// faults gives what is wrong: hooks that failed, what the runtime says of that, and hooks that were never called.
func (r *Report) faults(runtime []string) []string {
	var failed, never []string
	for _, c := range r.inOrder() {
		switch p := c.problem(); {
		case p == "":
		case c.Result != NeverCalled:
			failed = append(failed, p)
		case r.Process.Result == NeverCalled:
			never = append(never, p+": the container failed before")
		default:
			never = append(never, p)
		}
	}
	return slices.Concat(failed, runtime, never)
}

// outcome gives the exit status or what there is in its place, in few words.
func (c *Call) outcome() string {
	switch {
	case c.Signal != "" && c.Result == Failed:
		return c.Signal
	case c.Result == OK || c.Result == Failed:
		return "exit " + strconv.Itoa(*c.ExitStatus)
	}
	return string(c.Result)
}

// The colours of a terminal (ECMA-48, Select Graphic Rendition).
const (
	plain  = ""
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (c *Call) colour() string {
	switch c.Result {
	case OK:
		if c.Stage == "" {
			return cyan
		}
		return green
	case Interrupted:
		return yellow
	case NeverCalled:
		return dim
	}
	return red
}

// printer writes text of which parts may be coloured.
type printer struct {
	bytes.Buffer
	colours bool
}

// put writes text in a colour. It makes control characters visible: some of the text comes from the container.
func (p *printer) put(colour, text string) {
	var b strings.Builder
	for _, r := range text {
		if strconv.IsPrint(r) || r == '\t' {
			b.WriteRune(r)
		} else {
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	if text = b.String(); p.colours && colour != plain {
		text = "\x1b[" + colour + "m" + text + "\x1b[0m"
	}
	p.WriteString(text)
}

func (p *printer) line(colour, text string) {
	p.put(colour, text)
	p.WriteByte('\n')
}

// Print writes the report for people, its time line in lines of at most width characters.
func (r *Report) Print(w io.Writer, width int, colours bool) error {
	p := &printer{colours: colours}
	r.timeline(p, width)
	for _, c := range r.inOrder() {
		c.output(p)
	}
	p.WriteByte('\n')
	for _, n := range r.NotAdded {
		p.line(plain, fmt.Sprintf("not added: %s (%s): %s", n.Path, n.File, n.Reason))
	}
	for _, n := range r.Notes {
		p.put(yellow, "note: ")
		p.line(plain, n)
	}
	for _, s := range r.Problems {
		p.put(red, "problem: ")
		p.line(plain, s)
	}
	if len(r.Problems) == 0 {
		p.put(green, "fine: ")
		how := "as root"
		if r.Rootless {
			how = "without root"
		}
		p.line(plain, fmt.Sprintf("%s called every hook, %s; none failed, and nothing is left behind", r.Runtime, how))
	}
	_, err := w.Write(p.Bytes())
	return err
}

// inOrder gives the hooks and the container's process in the order in which they began.
func (r *Report) inOrder() []Call {
	at := slices.IndexFunc(r.Hooks, func(c Call) bool {
		return c.Start == nil || r.Process.Start != nil && *c.Start > *r.Process.Start
	})
	if at < 0 {
		at = len(r.Hooks)
	}
	return slices.Insert(slices.Clone(r.Hooks), at, r.Process)
}

// Widths of columns, in characters.
const (
	stageWidth = len(hooks.CreateContainer)
	timeWidth  = len("123.4 ms")
	minName    = 6
	minBar     = 6
	maxBar     = 100
)

// timeline writes a table with a row for each call, and in it a bar on a line that stands for all of the time.
func (r *Report) timeline(p *printer, width int) {
	calls := r.inOrder()
	longest, outcomes := minName, len("result")
	for i := range calls {
		longest = max(longest, utf8.RuneCountInString(calls[i].title()))
		outcomes = max(outcomes, len(calls[i].outcome()))
	}
	left := width - (stageWidth + 2 + 2 + 2 + outcomes)
	times := left >= minName+minBar+2*(timeWidth+2) // a narrow terminal has no room for them
	if times {
		left -= 2 * (timeWidth + 2)
	}
	name := min(longest, max(left*2/5, minName))
	bar := min(max(left-name, minBar), maxBar)

	row := func(stage, title, start, took, line, outcome, colour, lineColour string) {
		p.put(colour, fmt.Sprintf("%-*s  %-*s  ", stageWidth, stage, name, cut(title, name)))
		if times {
			p.put(colour, fmt.Sprintf("%*s  %*s  ", timeWidth, start, timeWidth, took))
		}
		p.put(lineColour, line)
		p.line(lineColour, "  "+outcome)
	}
	total := time.Duration(r.Seconds * float64(time.Second))
	row("STAGE", "HOOK", "START", "TOOK", ruler(bar, duration(total)), "RESULT", bold, bold)
	for i := range calls {
		c := &calls[i]
		stage, start, took, line := string(c.Stage), "", "", strings.Repeat(" ", bar)
		if c.Stage == "" {
			stage = "container"
		}
		if c.Start != nil {
			s, t := toDuration(*c.Start), toDuration(*c.Took)
			start, took, line = duration(s), duration(t), barOf(bar, s, t, total)
		}
		row(stage, c.title(), start, took, line, c.outcome(), plain, c.colour())
	}
}

func toDuration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// duration gives d in at most timeWidth characters, up to a day.
func duration(d time.Duration) string {
	if ms := float64(d) / float64(time.Millisecond); ms < 999.95 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	if s := d.Seconds(); s < 9999.5 {
		return fmt.Sprintf("%.*f s", 2, s)
	}
	return d.Round(time.Minute).String()
}

// ruler is the head of the time line.
func ruler(width int, total string) string {
	line := width - len("0 ") - len(" ") - len(total)
	if line < 1 {
		return fmt.Sprintf("%*s", width, cut(total, width))
	}
	return "0 " + strings.Repeat("─", line) + " " + total
}

// barOf gives a bar of at least one character on a line of width characters.
func barOf(width int, start, took, total time.Duration) string {
	if total <= 0 {
		total = 1
	}
	at := func(d time.Duration) float64 { return float64(width) * float64(d) / float64(total) }
	from := min(max(int(at(start)), 0), width-1)
	to := min(max(int(at(start+took)+0.999), from+1), width)
	return strings.Repeat(" ", from) + strings.Repeat("━", to-from) + strings.Repeat(" ", width-to)
}

// title gives the command by which the reader knows the call.
func (c *Call) title() string {
	words := []string{filepath.Base(c.Path)}
	if len(c.Args) > 1 {
		words = append(words, c.Args[1:]...)
	}
	return oneLine(strings.Join(words, " "))
}

// oneLine makes what would take other room than one character each, visible or not.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
}

// cut gives s in at most width characters.
func cut(s string, width int) string {
	if runes := []rune(s); len(runes) > width {
		return strings.TrimRight(string(runes[:width-1]), " ") + "…"
	}
	return s
}

// output writes what the call printed, if it printed anything.
func (c *Call) output(p *printer) {
	if c.Stdout == "" && c.Stderr == "" {
		return
	}
	what := "container"
	if c.Stage != "" {
		what = string(c.Stage)
	}
	p.line(plain, "")
	p.put(bold, what)
	p.line(plain, " "+strings.Join(append([]string{c.Path}, c.Args[min(1, len(c.Args)):]...), " "))
	for _, stream := range []struct{ name, text, colour string }{{"stdout", c.Stdout, dim}, {"stderr", c.Stderr, yellow}} {
		for l := range strings.Lines(stream.text) {
			p.put(stream.colour, "  "+stream.name+"  ")
			p.line(plain, strings.TrimSuffix(l, "\n"))
		}
	}
	if c.Truncated {
		p.line(dim, "  (it printed more)")
	}
}
