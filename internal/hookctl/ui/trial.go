package ui

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/try"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

// Trial prints the results of the hooks that were tried: a time line with a row for each call, what each printed, and
// the problems.
func (u *UI) Trial(r *try.Report) {
	u.clear()
	u.timeline(r)
	for _, c := range r.InOrder() {
		u.output(c)
	}
	u.Printf("\n")
	for _, n := range r.NotAdded {
		u.flow(0, Plain.Cell(fmt.Sprintf("not added: %s (%s): %s", n.Path, n.File, n.Reason)))
	}
	for _, n := range r.Notes {
		u.flow(0, Yellow.Cell("note:"), Plain.Cell(n))
	}
	for _, p := range r.Problems {
		u.flow(0, Red.Cell("problem:"), Plain.Cell(p))
	}
	if len(r.Problems) == 0 {
		u.flow(0, Green.Cell("fine:"), Plain.Cell(summary(r)))
	}
}

// summary returns what there is to say of a trial without problems.
func summary(r *try.Report) string {
	how, failed, left := "as root", "none failed", "nothing is left behind"
	if r.Rootless {
		how = "without root"
	}
	ignored := 0
	for _, c := range r.Hooks {
		if c.Ignored {
			ignored++
		}
	}
	if ignored > 0 {
		failed = fmt.Sprintf("%d failed, which is ignored", ignored)
	}
	if r.CleanedUp {
		left = "what they left behind was removed"
	}
	return r.Runtime + " called every hook, " + how + "; " + failed + ", and " + left
}

// minProgress is the least width of a terminal in which every line of a time line fits. A longer line takes two, and
// could not be drawn over.
const minProgress = len("RESULT") + gap + stageWidth

// Progress draws on a terminal the time line of the calls that have begun so far, over the one that it drew before.
func (u *UI) Progress(r *try.Report) {
	width, height := u.size()
	if width < minProgress {
		return
	}
	var now bytes.Buffer
	drawn := &UI{text: bufio.NewWriter(&now), colour: u.colour, chars: u.chars, size: u.size}
	drawn.timeline(r)
	drawn.Flush()
	lines := bytes.SplitAfter(now.Bytes(), []byte("\n"))
	lines = lines[:len(lines)-1]
	if most := max(height-1, 1); len(lines) > most { // lines that have left the screen cannot be drawn over
		lines = lines[len(lines)-most:]
	}
	u.clear()
	u.text.Write(bytes.Join(lines, nil))
	u.drawn = len(lines)
	u.Flush()
}

// clear removes what Progress drew.
func (u *UI) clear() {
	if u.drawn > 0 {
		u.Printf("\x1b[%dA\r\x1b[J", u.drawn) // ECMA-48, Cursor Up and Erase in Page
	}
	u.drawn = 0
}

// The columns of the time line, in characters.
const (
	stageWidth = len(hooks.CreateContainer)
	timeWidth  = len("123.4 ms")
	minName    = 8  // beside numbers
	barName    = 12 // beside a bar
	minBar     = 8
	maxBar     = 100
)

// timeline prints a table with a row for each call. Each row has a bar on a line that stands for the total time. On a
// terminal that is too narrow for all columns, first the bar is omitted, then the start, then the duration. If not even
// the rest fits, each call is a block of lines.
func (u *UI) timeline(r *try.Report) {
	calls := r.InOrder()
	longest, outcomes := len("HOOK"), len("RESULT")
	names := u.chars.titles(calls)
	for i := range calls {
		longest = max(longest, utf8.RuneCountInString(names[i]))
		outcomes = max(outcomes, len(outcome(&calls[i])))
	}
	width := cmp.Or(u.width(), 80)
	left := width - stageWidth - gap - gap - outcomes
	if left < min(longest, minName) {
		u.blocks(calls, names, width)
		return
	}
	times := 0
	for times < 2 && left >= min(longest, minName)+timeWidth+gap {
		left -= timeWidth + gap
		times++
	}
	name, bar := min(longest, max(left/2, barName)), 0
	if bar = min(left-name-gap, maxBar); bar < minBar {
		name, bar = min(longest, left), 0
	}
	names = u.chars.tellApart(names, name)

	row := func(stage, title, start, took, line, outcome string, colour, lineColour Colour) {
		text := fmt.Sprintf("%-*s  %-*s", stageWidth, stage, name, title)
		if times == 2 {
			text += fmt.Sprintf("  %*s", timeWidth, start)
		}
		if times > 0 {
			text += fmt.Sprintf("  %*s", timeWidth, took)
		}
		end := "  " + outcome
		if bar > 0 {
			end = "  " + line + end
		}
		u.Printf("%s%s\n", u.Paint(colour, text), u.Paint(lineColour, end))
	}
	total := toDuration(r.Seconds)
	row("STAGE", "HOOK", "START", "TOOK", u.chars.ruler(bar, duration(total)), "RESULT", Bold, Bold)
	for i := range calls {
		c := &calls[i]
		start, took, line := "", "", strings.Repeat(" ", bar)
		if c.Start != nil {
			s, t := toDuration(*c.Start), toDuration(*c.Took)
			start, took = duration(s), duration(t)
			if bar > 0 {
				line = u.chars.barOf(bar, s, t, total)
			}
		}
		row(stageOf(c), names[i], start, took, line, outcome(c), Plain, colourOf(c))
	}
}

// blocks prints the calls one below the other, each as a block of lines, on a terminal of width characters.
func (u *UI) blocks(calls []try.Call, names []string, width int) {
	head := []Cell{Bold.Cell("STAGE"), Bold.Cell("HOOK"), Bold.Cell("TOOK"), Bold.Cell("RESULT")}
	names = u.chars.tellApart(names, max(width-len("RESULT")-gap, 1))
	var rows [][]Cell
	for i := range calls {
		c := &calls[i]
		took := ""
		if c.Took != nil {
			took = duration(toDuration(*c.Took))
		}
		rows = append(rows, []Cell{Plain.Cell(stageOf(c)), Plain.Cell(names[i]), Plain.Cell(took), colourOf(c).Cell(outcome(c))})
	}
	u.records(head, rows, width)
}

// stageOf returns the stage of a call as it is shown.
func stageOf(c *try.Call) string { return cmp.Or(string(c.Stage), "container") }

func toDuration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// duration returns d in at most timeWidth characters, up to a day.
func duration(d time.Duration) string {
	if ms := float64(d) / float64(time.Millisecond); ms < 999.95 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	if s := d.Seconds(); s < 9999.5 {
		return fmt.Sprintf("%.2f s", s)
	}
	return d.Round(time.Minute).String()
}

// ruler returns the heading of the time line.
func (c charset) ruler(width int, total string) string {
	line := width - len("0 ") - len(" ") - len(total)
	if line < 1 {
		return fmt.Sprintf("%*s", width, c.cut(total, width))
	}
	return "0 " + strings.Repeat(c.rule, line) + " " + total
}

// barOf returns a bar of at least one character on a line of width characters.
func (c charset) barOf(width int, start, took, total time.Duration) string {
	if total <= 0 {
		total = 1
	}
	at := func(d time.Duration) float64 { return float64(width) * float64(d) / float64(total) }
	from := min(max(int(at(start)), 0), width-1)
	to := min(max(int(at(start+took)+0.999), from+1), width)
	return strings.Repeat(" ", from) + strings.Repeat(c.bar, to-from) + strings.Repeat(" ", width-to)
}

// outcome returns the exit status, the signal or the result of a call, in few words.
func outcome(c *try.Call) string {
	ignored := ""
	if c.Ignored {
		ignored = " (ignored)"
	}
	switch {
	case c.Signal != "" && c.Result == try.Failed:
		return c.Signal + ignored
	case c.ExitStatus != nil && (c.Result == try.OK || c.Result == try.Failed):
		return "exit " + strconv.Itoa(*c.ExitStatus) + ignored
	}
	return string(c.Result) + ignored
}

func colourOf(c *try.Call) Colour {
	if c.Ignored {
		return Yellow
	}
	switch c.Result {
	case try.OK:
		if c.Stage == "" {
			return Cyan
		}
		return Green
	case try.Running:
		return Cyan
	case try.Interrupted:
		return Yellow
	case try.NeverCalled:
		return Dim
	}
	return Red
}

// titles returns commands by which a reader recognizes calls. A command has the name of the program, or its path if
// another program has the same name. If two are still equal, the hook file is added.
func (c charset) titles(calls []try.Call) []string {
	title := func(of try.Call, program string) string {
		return c.oneLine(strings.Join(append([]string{program}, of.Args[min(1, len(of.Args)):]...), " "))
	}
	same := func(a, b try.Call) bool { return title(a, a.Path) == title(b, b.Path) }
	var names []string
	for _, a := range calls {
		name := title(a, filepath.Base(a.Path))
		if slices.ContainsFunc(calls, func(b try.Call) bool { return title(b, filepath.Base(b.Path)) == name && b.Path != a.Path }) {
			name = title(a, a.Path)
		}
		if slices.ContainsFunc(calls, func(b try.Call) bool { return same(a, b) && b.File != a.File && b.Stage == a.Stage }) {
			name += " (" + c.oneLine(a.File) + ")"
		}
		names = append(names, name)
	}
	return names
}

// tellApart returns titles shortened to at most width characters. A title that fits is whole. The others are cut at
// their end. If some that differ would look the same, all that begin as they do lose the common beginning instead.
func (c charset) tellApart(titles []string, width int) []string {
	shown, starts := slices.Clone(titles), make([]int, len(titles))
	for {
		alike := map[string][]int{}
		for i, title := range titles {
			if starts[i] > 0 {
				title = c.ellipsis + title[starts[i]:]
			}
			shown[i] = c.cut(title, width)
			alike[shown[i]] = append(alike[shown[i]], i)
		}
		progress := false
		for _, group := range alike {
			common := len(titles[group[0]])
			for _, i := range group[1:] {
				common = min(common, commonPrefix(titles[group[0]], titles[i]))
			}
			differ := slices.ContainsFunc(group, func(i int) bool { return titles[i] != titles[group[0]] })
			from := strings.LastIndexAny(titles[group[0]][:common], " /")
			if utf8.RuneCountInString(titles[group[0]][max(from, 0):common]) > width/2 { // a long word
				from = common
			}
			if differ && from > starts[group[0]] {
				progress = true
				for i, title := range titles {
					if strings.HasPrefix(title, titles[group[0]][:from]) && utf8.RuneCountInString(title) > width {
						starts[i] = max(starts[i], from)
					}
				}
			}
		}
		if !progress {
			return shown
		}
	}
}

// commonPrefix returns the length in bytes of the common beginning of a and b, in whole characters.
func commonPrefix(a, b string) (n int) {
	for i, r := range a {
		if !strings.HasPrefix(b[min(i, len(b)):], string(r)) {
			return i
		}
	}
	return len(a)
}

// output prints what the call printed, if anything.
func (u *UI) output(c try.Call) {
	if c.Stdout == "" && c.Stderr == "" {
		return
	}
	what := "container"
	if c.Stage != "" {
		what = string(c.Stage)
	}
	command := strings.Join(append([]string{c.Path}, c.Args[min(1, len(c.Args)):]...), " ")
	u.Printf("\n%s %s\n", u.Paint(Bold, what), Escape(command))
	u.printed(c.Stdout, c.Stderr, c.Truncated)
}

// printed prints what a program printed. If truncated, it adds that there was more.
func (u *UI) printed(stdout, stderr string, truncated bool) {
	for _, stream := range []struct {
		name, text string
		colour     Colour
	}{{"stdout", stdout, Dim}, {"stderr", stderr, Yellow}} {
		for l := range strings.Lines(stream.text) {
			u.Printf("%s%s\n", u.Paint(stream.colour, "  "+stream.name+"  "), Escape(strings.TrimSuffix(l, "\n")))
		}
	}
	if truncated {
		u.Printf("%s\n", u.Paint(Dim, "  (it printed more)"))
	}
}
