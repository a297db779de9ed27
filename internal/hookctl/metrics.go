package hookctl

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/history"
)

func newMetrics(io *streams) *cobra.Command {
	var q history.Query
	var records, textfile string
	cmd := &cobra.Command{
		Use:   "metrics",
		Short: "print metrics of supervised hooks, for Prometheus",
		Long: `metrics prints what supervised hooks did as OpenMetrics: for each profile, hook and
stage a histogram of durations, and how many hooks failed, were ignored, and timed
out. They are counted anew from the records at each call, and fall when old records
are dropped.`,
		Example: "  hookctl metrics --textfile /var/lib/node_exporter/textfile/oci-hooks.prom",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if io.AsJSON {
				return usageError("metrics have a format of their own; use hookctl log --stats --json")
			}
			list, err := io.readRecords(records, &q)
			if err != nil {
				return err
			}
			if textfile == "" {
				return history.WriteMetrics(io.Out(), list)
			}
			if err := history.ReplaceTextfile(textfile, list); err != nil {
				return fmt.Errorf("%s cannot be replaced: %w", textfile, err)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&q.Profile, "profile", "", "the `name` of a profile")
	flags.StringVar(&textfile, "textfile", "", "replace this `file` in one step, for node_exporter's textfile\ncollector, in its format")
	addRecordsFlag(cmd, &records)
	must(cmd.RegisterFlagCompletionFunc("profile", completeProfile))
	must(cmd.MarkFlagFilename("textfile", "prom"))
	return cmd
}
