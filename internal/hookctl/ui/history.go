package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/history"
	"github.com/awslabs/oci-add-hooks/internal/hooklog"
)

// Record prints a record in one line and, if the hook failed, what it printed.
func (u *UI) Record(r *hooklog.Record) {
	container := history.Container(r)
	if container == "" {
		container = "-"
	}
	stage := r.Stage
	if stage == "" {
		stage = "-"
	}
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
	u.Printf("%s  %s  %s %s  %s  %s\n", u.Paint(Dim, r.Time.Local().Format("2006-01-02 15:04:05.000")), Escape(container),
		u.Paint(Bold, stage), Escape(r.Path), duration(toDuration(r.Seconds)), u.Paint(colour, result))
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
	isTerminal := u.width() > 0
	if isTerminal {
		heading = append(heading, "DURATIONS ("+bounds()+")")
	}
	var rows [][]Cell
	for _, s := range stats {
		failed, colour := strconv.Itoa(s.Failed), Plain
		if s.Failed > 0 {
			colour = Red
		}
		if s.Ignored > 0 {
			failed += fmt.Sprintf(" (%d ignored)", s.Ignored)
		}
		row := []Cell{Bold.Cell(s.Stage), Plain.Cell(s.Path), Plain.Cell(strconv.Itoa(s.Count)), colour.Cell(failed)}
		for _, seconds := range []float64{s.P50, s.P95, s.P99, s.Max} {
			row = append(row, Plain.Cell(duration(toDuration(seconds))))
		}
		if isTerminal {
			row = append(row, Cyan.Cell(bars(s.Buckets)))
		}
		rows = append(rows, row)
	}
	u.Table(heading, rows)
}

// bounds returns the first and the last bound of histograms as text.
func bounds() string {
	first, last := history.Bounds[0], history.Bounds[len(history.Bounds)-1]
	return toDuration(first).String() + " to " + toDuration(last).Round(time.Second).String()
}

// bars returns a histogram with one character for each bucket.
func bars(counts []int) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	most := 1
	for _, n := range counts {
		most = max(most, n)
	}
	var b strings.Builder
	for _, n := range counts {
		switch {
		case n == 0:
			b.WriteRune('·')
		default:
			b.WriteRune(levels[n*(len(levels)-1)/most])
		}
	}
	return b.String()
}
