package try

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/hooklog"
)

// Records returns the calls in the order in which they ran, as records like those of supervised hooks in an engine's
// containers. The container's process is among them, without a stage.
func (r *Report) Records() (list []*hooklog.Record) {
	for _, c := range r.InOrder() {
		if c.Result == NeverCalled {
			continue
		}
		record := &hooklog.Record{
			Time: time.Unix(0, c.begin), Stage: string(c.Stage), Path: c.Path, Args: c.Args, Container: "hookctl try",
			Profile: strings.TrimSuffix(filepath.Base(c.File), ".json"), File: c.File, Result: string(c.Result),
			ExitStatus: c.ExitStatus, Signal: c.Signal, Error: c.Error, Ignored: c.Ignored, Stdout: c.Stdout, Stderr: c.Stderr, Truncated: c.Truncated,
		}
		if c.File == "" {
			record.Profile = ""
		}
		if c.Took != nil {
			record.Seconds = *c.Took
		}
		switch c.Result {
		case OK, Failed, TimedOut, NotStarted:
		case Hung:
			record.Result = string(TimedOut)
		default:
			record.Result, record.Error = string(Failed), string(c.Result)
		}
		list = append(list, record)
	}
	return list
}
