package hookctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/try"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
)

func newTry(u *ui.UI) *cobra.Command {
	opts := try.Options{Timeout: 30 * time.Second}
	var annotations, mounts []string
	var format string
	cmd := &cobra.Command{
		Use:   "try [FILE]... [--rootfs DIR] [-- COMMAND [ARG]...]",
		Short: "run a throwaway container with hooks, and show the result of each",
		Long: "Runs a throwaway container with the hooks of the given hook files under a real runtime, as root or not. It shows each hook in " +
			"the order in which it ran: its stage, start, duration and result, and what it printed. Without FILE and --hooks-dir, it " +
			"tries an example with a hook in every stage.\n\n" +
			"The container's root file system holds only hookctl, or it is DIR, read-only. Conditions of a hooks directory see " +
			"COMMAND, which is executed only with --rootfs, and the values of --annotation and --mount.\n\n" +
			"Nothing is left behind, not even after Ctrl-C: processes that hooks leave running are ended, and file systems that they leave mounted below " +
			"the bundle are unmounted. The next try removes what a killed one left.\n\n" +
			"Exit status: 1 if a hook or the container failed or was not called, or if a hook would delay the start of a container, else 0.",
		Example: "  hookctl try\n" +
			"  hookctl try my-hooks.json --runtime crun\n" +
			"  hookctl try --hooks-dir ./hooks.d --annotation com.example.gpu=1 -- /bin/sh\n" +
			"  hookctl try my-hooks.json --rootfs ./rootfs -- /bin/sh -c 'ls /dev'",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			opts.Files = args
			if at := cmd.ArgsLenAtDash(); at >= 0 {
				opts.Files, opts.Command = args[:at], args[at:]
			}
			if opts.Rootfs != "" {
				if len(opts.Command) == 0 {
					return usageError("--rootfs DIR needs a command to run in it: -- COMMAND [ARG]...")
				}
				if opts.Rootfs, err = filepath.Abs(opts.Rootfs); err != nil {
					return err
				}
			}
			if opts.Annotations, err = parseAnnotations(annotations); err != nil {
				return err
			}
			if opts.Mounts, err = parseMounts(mounts); err != nil {
				return err
			}
			if err := checkFormat(format, u.AsJSON); err != nil {
				return err
			}
			return tryHooks(cmd, u, opts, format)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Runtime, "runtime", "", "the `RUNTIME`, by name or path (default: the one that a hook file names, else runc or crun)")
	flags.StringArrayVar(&opts.RuntimeArgs, "runtime-arg", nil, "an `ARG` for the runtime, before its command (repeatable)")
	flags.StringArrayVar(&opts.Dirs, "hooks-dir", nil, "add the hooks of this hooks directory `DIR`, oci-hooks(5), whose conditions hold (repeatable)")
	flags.StringArrayVar(&annotations, "annotation", nil, "give the container the annotation `KEY=VALUE` (repeatable)")
	flags.StringArrayVar(&mounts, "mount", nil, "bind `SOURCE:DESTINATION[:ro]` into the container, as docker run --volume does (repeatable)")
	flags.StringVar(&opts.Rootfs, "rootfs", "", "the `DIR` to use as the container's root file system, in which COMMAND runs")
	flags.Var((*timeLimit)(&opts.Timeout), "timeout", "the `TIME` after which a hook or COMMAND is reported as hanging and is ended")
	addFormatFlag(cmd, &format)
	flags.StringVar(&opts.Runtime, "runtime-path", "", "the name of --runtime in oci-add-hooks")
	must(flags.MarkHidden("runtime-path"))
	complete(cmd, "hooks-dir", "rootfs")
	return cmd
}

func parseAnnotations(list []string) (map[string]string, error) {
	annotations := map[string]string{}
	for _, text := range list {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, usageError(fmt.Sprintf("--annotation %q: give KEY=VALUE", text))
		}
		annotations[key] = value
	}
	return annotations, nil
}

func parseMounts(list []string) (mounts []try.Mount, err error) {
	for _, text := range list {
		parts := strings.Split(text, ":")
		m := try.Mount{ReadOnly: len(parts) == 3 && parts[2] == "ro"}
		if len(parts) < 2 || len(parts) > 3 || len(parts) == 3 && !m.ReadOnly || parts[0] == "" || !filepath.IsAbs(parts[1]) {
			return nil, usageError(fmt.Sprintf("--mount %q: give SOURCE:DESTINATION or SOURCE:DESTINATION:ro, with an absolute DESTINATION", text))
		}
		if m.Source, err = filepath.Abs(parts[0]); err != nil {
			return nil, err
		}
		m.Destination = filepath.Clean(parts[1])
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// tryHooks tries hooks until they have run or a signal interrupts it, and prints the report.
func tryHooks(cmd *cobra.Command, u *ui.UI, opts try.Options, format string) error {
	if u.Live() && !u.AsJSON && format == "text" {
		opts.Progress = u.Progress
	}
	var report *try.Report
	err := interruptible(cmd, func(ctx context.Context) (err error) {
		report, err = try.Run(ctx, opts)
		return err
	})
	if err != nil {
		return err
	}
	switch {
	case u.AsJSON:
		err = u.JSON(report)
	case format != "text":
		write, end := recordWriter(u, format)
		for _, r := range report.Records() {
			if err == nil {
				err = write(r)
			}
		}
		err = cmp.Or(err, end())
	default:
		u.Trial(report)
	}
	if err == nil && len(report.Problems) > 0 {
		err = errProblems
	}
	return err
}

// timeLimit is an option's value: a duration of more than 0, in seconds or with a unit.
type timeLimit time.Duration

func (l *timeLimit) String() string { return time.Duration(*l).String() }

func (l *timeLimit) Type() string { return "time" }

func (l *timeLimit) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		d, err = time.ParseDuration(text + "s")
	}
	switch {
	case err != nil:
		return errors.New("give seconds, as in 5, or a time with its unit, as in 5s or 1m30s")
	case d <= 0:
		return errors.New("it must be more than 0")
	}
	*l = timeLimit(d)
	return nil
}
