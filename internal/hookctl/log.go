package hookctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/history"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/profiles"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/hooklog"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// formats are the values of --format: the formats in which results of hooks are printed.
var formats = []string{"text", "otlp", "trace"}

func addFormatFlag(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVar(format, "format", "text", "a `FORMAT`: text, otlp (OpenTelemetry, one line per hook) or trace (Chrome trace events, which Perfetto opens)")
	must(cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)))
}

func checkFormat(format string, asJSON bool) error {
	switch {
	case !slices.Contains(formats, format):
		return usageError(fmt.Sprintf("there is no format %q; use one of %s", format, strings.Join(formats, ", ")))
	case format != "text" && asJSON:
		return usageError("--format and --json exclude each other")
	}
	return nil
}

func newLog(u *ui.UI, sys system.System) *cobra.Command {
	var q history.Query
	var records, format string
	var since sinceTime
	var follow, stats bool
	cmd := &cobra.Command{
		Use:   "log",
		Short: "show what supervised hooks did",
		Long: `Shows what supervised hooks did, one line per hook: the time, the container or
pod, the stage, the hook, its duration and its result. If a hook failed, what it
printed is shown below its line.

Hooks are supervised, and therefore recorded, if their hook file has the member
"supervise". See oci-run-hook(8).`,
		Example: "  hookctl log --failed --since 1h\n" +
			"  hookctl log --stats --profile gpu\n" +
			"  hookctl log --format trace > trace.json  # for https://ui.perfetto.dev",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q.Since = since.at
			switch {
			case q.Stage != "" && !slices.Contains(hooks.Stages(), hooks.Stage(q.Stage)):
				return usageError(fmt.Sprintf("there is no stage %q; use one of %s", q.Stage, stageList()))
			case format != "text" && stats:
				return usageError("--format and --stats exclude each other")
			case follow && (stats || format == "trace"):
				return usageError("--follow has no end, and --stats and --format trace need one")
			}
			if err := checkFormat(format, u.AsJSON); err != nil {
				return err
			}
			if q.ID != "" {
				for _, c := range container.Look(sys).Containers {
					if c.IsNamed(q.ID) {
						q.IDs = append(q.IDs, c.ID)
					}
				}
			}
			if follow {
				return followLog(cmd, u, sys, records, &q, format)
			}
			if stats {
				return showStats(u, sys, records, &q)
			}
			return showRecords(u, sys, records, &q, format)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&q.ID, "id", "", "a container's `id`, the beginning of it, or its name; of a container that is gone, its pod's name")
	flags.StringVar(&q.Profile, "profile", "", "the `name` of a profile")
	flags.StringVar(&q.Hook, "hook", "", "the `path` of a hook's program")
	flags.StringVar(&q.Stage, "stage", "", "a `stage`")
	flags.BoolVar(&q.Failed, "failed", false, "only hooks that did not succeed")
	flags.Var(&since, "since", "a `time`, as in 2026-02-03T04:05:06Z or 2026-02-03, or how long ago, as in 90s, 1h30m or 7d")
	flags.BoolVar(&follow, "follow", false, "show further hooks as they end")
	flags.BoolVar(&stats, "stats", false, "count, failures and durations of each hook at each stage")
	addFormatFlag(cmd, &format)
	addRecordsFlag(cmd, &records)
	completeProfiles(cmd, sys, "profile")
	must(cmd.RegisterFlagCompletionFunc("stage", cobra.FixedCompletions(stageCompletions(), cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func addRecordsFlag(cmd *cobra.Command, records *string) {
	cmd.Flags().StringVar(records, "records", "", "the `file` of records (default: /var/log/oci-add-hooks/hooks.jsonl; for users other than root: ~/.local/state/oci-add-hooks/hooks.jsonl)")
	must(cmd.MarkFlagFilename("records", "jsonl"))
}

func stageCompletions() (names []string) {
	for _, s := range hooks.Stages() {
		names = append(names, string(s))
	}
	return names
}

func stageList() string { return strings.Join(stageCompletions(), ", ") }

// readRecords calls each for the records of a file and its rotated predecessors that match a query, oldest first. An
// empty path stands for the user's own file. It is an error to name a file or a profile that cannot have records.
func readRecords(u *ui.UI, sys system.System, path string, q *history.Query, each func(*hooklog.Record) error) (found history.Found, err error) {
	if path, err = recordsPath(sys, path); err != nil {
		return found, err
	}
	found, err = q.Read(path, each)
	noteTorn(u, path, found.Torn)
	if err == nil && q.Profile != "" && !found.Profiled {
		exe, _ := program.Find("")
		err = profiles.Missing(sys, exe, q.Profile)
	}
	return found, err
}

// noteNone prints a note that names the file that was read, if no record matches.
func noteNone(u *ui.UI, sys system.System, path string, found history.Found) {
	path, err := recordsPath(sys, path)
	switch {
	case err != nil || found.Meant > 0:
	case found.Records == 0:
		u.Note("there are no records in " + path + `; hooks of containers are recorded if their hook file has the member "supervise" (hookctl try records nothing)`)
	default:
		u.Note(fmt.Sprintf("none of the %d records in %s matches", found.Records, path))
	}
}

// followLog prints the records that match a query, then new ones as they are written, until a signal interrupts it.
func followLog(cmd *cobra.Command, u *ui.UI, sys system.System, path string, q *history.Query, format string) error {
	path, err := recordsPath(sys, path)
	if err != nil {
		return err
	}
	write, _ := recordWriter(u, format)
	if u.AsJSON { // a list would have no end
		write = func(r *hooklog.Record) error { return u.JSONLine(r) }
	}
	torn := 0
	err = interruptible(cmd, func(ctx context.Context) (err error) {
		torn, err = hooklog.Follow(ctx, path, func(r *hooklog.Record) error {
			if !q.Match(r) {
				return nil
			}
			if err := write(r); err != nil {
				return err
			}
			return u.Flush()
		})
		return err
	})
	noteTorn(u, path, torn)
	return err
}

// showRecords prints the records that match a query.
func showRecords(u *ui.UI, sys system.System, path string, q *history.Query, format string) error {
	write, end := recordWriter(u, format)
	found, err := readRecords(u, sys, path, q, write)
	if err != nil {
		return err
	}
	if !u.AsJSON {
		noteNone(u, sys, path, found)
	}
	return end()
}

// showStats prints statistics of the records that match a query.
func showStats(u *ui.UI, sys system.System, path string, q *history.Query) error {
	var stats history.Statistics
	found, err := readRecords(u, sys, path, q, func(r *hooklog.Record) error { stats.Add(r); return nil })
	if err != nil {
		return err
	}
	if u.AsJSON {
		return u.JSON(stats.List())
	}
	noteNone(u, sys, path, found)
	u.Stats(stats.List())
	return nil
}

// recordWriter returns a function that prints a record in a format, or as an element of a JSON list if JSON is asked for,
// and one that ends the output. They keep no records.
func recordWriter(u *ui.UI, format string) (write func(*hooklog.Record) error, end func() error) {
	switch {
	case u.AsJSON:
		list := u.JSONList()
		return func(r *hooklog.Record) error { return list.Add(r) }, list.End
	case format == "trace":
		trace := history.NewTrace(u.Out())
		return trace.Add, trace.End
	case format == "otlp":
		return func(r *hooklog.Record) error { return history.WriteOTLP(u.Out(), r) }, func() error { return nil }
	}
	return func(r *hooklog.Record) error { u.Record(r); return nil }, func() error { return nil }
}

// recordsPath returns the path of the records: the given one, which must exist, or the system's if none is given.
func recordsPath(sys system.System, given string) (string, error) {
	if given != "" {
		_, err := os.Stat(given)
		if _, rotated := os.Stat(given + ".1"); err != nil && rotated != nil { // while it is rotated, it may be missing
			return "", fmt.Errorf("%s: there are no records: %w; correct the path", given, report.Plain(err))
		}
		return given, nil
	}
	path, err := report.Records()
	if err != nil {
		return "", fmt.Errorf("%w, or name the file with --records FILE", err)
	}
	return sys.Path(path), nil
}

func noteTorn(u *ui.UI, path string, torn int) {
	switch {
	case torn == 1:
		u.Note("1 line of " + path + " is no record: its writer was ended, or it was edited")
	case torn > 1:
		u.Note(fmt.Sprintf("%d lines of %s are no records: their writers were ended, or they were edited", torn, path))
	}
}

// sinceTime is the value of --since: a time, or how long ago it was.
type sinceTime struct {
	text string
	at   time.Time
}

func (t *sinceTime) String() string { return t.text }

func (t *sinceTime) Type() string { return "time" }

func (t *sinceTime) Set(text string) error {
	now := time.Now()
	at, ok := history.ParseSince(text, now)
	switch {
	case !ok:
		return errors.New("give a time, as in 2026-02-03T04:05:06Z or 2026-02-03, or how long ago, as in 90s, 1h30m or 7d")
	case at.After(now):
		return errors.New("that time is still to come; give one that has passed")
	}
	*t = sinceTime{text, at}
	return nil
}
