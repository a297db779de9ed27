package hookctl

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/history"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/inventory"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/hooklog"
)

func newMetrics(u *ui.UI, sys system.System) *cobra.Command {
	var q history.Query
	var records, textfile string
	cmd := &cobra.Command{
		Use:   "metrics",
		Short: "print metrics of supervised hooks and of containers, for Prometheus",
		Long: `Prints what supervised hooks did as OpenMetrics: for each profile, hook and
stage, a histogram of durations and the numbers of hooks that failed, whose
failure was ignored, and that timed out. Each call counts the records again, so
the numbers fall when old records are dropped. It also counts containers by
profile and state, as hookctl ps lists them, if it can see all of them.`,
		Example: "  hookctl metrics --textfile /var/lib/node_exporter/textfile/oci-hooks.prom",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if u.AsJSON {
				return usageError("metrics are not printed as JSON; use hookctl log --stats --json")
			}
			var sums history.Sums
			_, err := readRecords(u, sys, records, &q, func(r *hooklog.Record) error { sums.Add(r); return nil })
			if err != nil {
				return err
			}
			containers := countContainers(u, sys, q.Profile)
			if textfile == "" {
				return history.WriteMetrics(u.Out(), sums, containers)
			}
			if err := history.ReplaceTextfile(textfile, sums, containers); err != nil {
				return fmt.Errorf("%s cannot be replaced: %w", textfile, err)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&q.Profile, "profile", "", "the `name` of a profile")
	flags.StringVar(&textfile, "textfile", "", "replace this `file` in one step, for node_exporter's textfile collector, in its format")
	addRecordsFlag(cmd, &records)
	completeProfiles(cmd, sys, "profile")
	must(cmd.MarkFlagFilename("textfile", "prom"))
	return cmd
}

// countContainers returns the number of containers by profile and state; if name is not empty, only those of that
// profile. If there may be containers that it cannot see, it prints a note and counts none.
func countContainers(u *ui.UI, sys system.System, name string) (counts []history.Containers) {
	scan := container.Look(sys)
	if err := scan.Unknown(); err != nil {
		u.Note("containers are not counted; " + container.Because(err))
		return nil
	}
	exe, _ := program.Find("")
	counts = inventory.Count(inventory.New(sys, inventory.Options{Exe: exe}).List(scan.Containers))
	return slices.DeleteFunc(counts, func(c history.Containers) bool { return name != "" && name != c.Profile })
}
