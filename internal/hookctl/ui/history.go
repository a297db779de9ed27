package ui

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/history"
	"github.com/awslabs/oci-add-hooks/internal/hooklog"
)

// maxCommand is how much of a hook's command is shown, in characters.
const maxCommand = 60

// Record prints a record in one line and, if the hook failed, what it printed.
func (u *UI) Record(r *hooklog.Record) {
	result, colour := r.Result, Red
	switch {
	case r.OK():
		colour = Green
	case r.Error != "" && r.Result == "not started":
		result += ": " + r.Error
	case r.Signal != "" && r.Result == "failed":
		result = r.Signal
	case r.ExitStatus != nil:
		result = "exit status " + strconv.Itoa(*r.ExitStatus)
	}
	if r.Ignored {
		result, colour = result+" (ignored)", Yellow
	}
	const wide = " " // beside the space between cells
	u.flow(0, Dim.Cell(r.Time.Local().Format("2006-01-02 15:04:05.000")+wide), Plain.Cell(cmp.Or(history.Container(r), "-")+wide),
		Bold.Cell(cmp.Or(r.Stage, "-")), Plain.Cell(u.chars.cutMiddle(history.Command(r), maxCommand)+wide),
		Plain.Cell(duration(toDuration(r.Seconds))+wide), colour.Cell(result))
	if r.OK() {
		return
	}
	u.printed(r.Stdout, r.Stderr, r.Truncated)
}

// Stats prints statistics of the runs of hooks, on a terminal with a histogram of their durations.
func (u *UI) Stats(stats []history.Stat) {
	if len(stats) == 0 {
		u.Printf("no records\n")
		return
	}
	heading := []string{"STAGE", "HOOK", "COUNT", "FAILED", "P50", "P95", "P99", "MAX"}
	const title = "DURATIONS"
	isDrawn := u.width() >= len(title)+gap+len(history.Bounds)+1
	if isDrawn {
		heading = append(heading, title)
	}
	hooks := u.chars.commands(stats)
	var rows [][]Cell
	for i, s := range stats {
		failed, colour := strconv.Itoa(s.Failed), Plain
		if s.Failed > 0 {
			colour = Red
		}
		if s.Ignored > 0 {
			failed += fmt.Sprintf(" (%d ignored)", s.Ignored)
		}
		row := []Cell{Bold.Cell(s.Stage), Plain.Cell(hooks[i]), Plain.Cell(strconv.Itoa(s.Count)), colour.Cell(failed)}
		for _, seconds := range []float64{s.P50, s.P95, s.P99, s.Max} {
			row = append(row, Plain.Cell(duration(toDuration(seconds))))
		}
		if isDrawn {
			row = append(row, Cyan.Cell(u.chars.bars(s.Buckets)))
		}
		rows = append(rows, row)
	}
	u.Table(heading, rows)
	if isDrawn {
		u.flow(0, Dim.Cell(title+": "+bounds()))
	}
}

// commands returns the commands of hooks, each in at most maxCommand characters. Those that differ look different.
func (c charset) commands(stats []history.Stat) (shown []string) {
	var whole []string
	for _, s := range stats {
		whole, shown = append(whole, s.Command()), append(shown, c.cutMiddle(s.Command(), maxCommand))
	}
	for i, text := range shown {
		if before := slices.Index(shown, text); whole[before] != whole[i] {
			return c.tellApart(whole, maxCommand)
		}
	}
	return shown
}

// bounds returns the first and the last bound of histograms as text.
func bounds() string {
	first, last := history.Bounds[0], history.Bounds[len(history.Bounds)-1]
	return toDuration(first).String() + " to " + toDuration(last).Round(time.Second).String()
}
