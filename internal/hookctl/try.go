package hookctl

import (
	"errors"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/try"
)

func newTry(io *streams) *cobra.Command {
	var opts try.Options
	cmd := &cobra.Command{
		Use:   "try [FILE]... [--rootfs DIR -- COMMAND [ARG]...]",
		Short: "run a throwaway container with hooks, and show what became of each",
		Long: `try runs a throwaway container with the hooks of the given hook files under a
real runtime, as root or not, and shows each hook in the order in which it ran:
its stage, start and duration, what became of it, and what it printed. Without
FILE and --hooks-dir, it tries an example with a hook in every stage.

The container holds hookctl alone. Or it is given by --rootfs, and then it
cannot write to it. Nothing is left behind, not after Ctrl-C either: what hooks
leave running is ended, what they leave mounted below the bundle is unmounted.`,
		Example: "  hookctl try\n" +
			"  hookctl try my-hooks.json --runtime crun\n" +
			"  hookctl try my-hooks.json --rootfs ./rootfs -- /bin/sh -c 'ls /dev'",
		RunE: func(cmd *cobra.Command, args []string) error {
			files, command := args, []string(nil)
			if at := cmd.ArgsLenAtDash(); at >= 0 {
				files, command = args[:at], args[at:]
			}
			if (opts.Rootfs == "") != (len(command) == 0) {
				return usageError("--rootfs DIR and -- COMMAND belong together")
			}
			if opts.Rootfs != "" {
				var err error
				if opts.Rootfs, err = filepath.Abs(opts.Rootfs); err != nil {
					return err
				}
			}
			opts.Files, opts.Command = files, command
			return io.try(cmd, opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Runtime, "runtime", "", "the `RUNTIME`, by name or path (else the one that a hook\nfile names, runc or crun)")
	flags.StringArrayVar(&opts.RuntimeArgs, "runtime-arg", nil, "an `ARG` for the runtime, before its command (repeatable)")
	flags.StringArrayVar(&opts.Dirs, "hooks-dir", nil, "add the hooks of this hooks directory `DIR`, oci-hooks(5), whose\nconditions hold (repeatable)")
	flags.StringVar(&opts.Rootfs, "rootfs", "", "the `DIR` that is the container's root file system, for\nCOMMAND to run in")
	opts.Timeout = 30 * time.Second
	flags.Var((*timeLimit)(&opts.Timeout), "timeout", "the `TIME` after which a hook, or COMMAND, is said to hang\nand is ended")
	flags.StringVar(&opts.Runtime, "runtime-path", "", "what oci-add-hooks calls --runtime")
	flags.MarkHidden("runtime-path")
	cmd.MarkFlagDirname("hooks-dir")
	cmd.MarkFlagDirname("rootfs")
	return cmd
}

// try tries opts until a signal interrupts it, and prints the report.
func (s *streams) try(cmd *cobra.Command, opts try.Options) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	if s.Live() && !s.AsJSON {
		opts.Progress = s.Progress
	}
	report, err := try.Run(ctx, opts)
	if err != nil {
		return err
	}
	if s.AsJSON {
		err = s.JSON(report)
	} else {
		s.Trial(report)
	}
	if err == nil && len(report.Problems) > 0 {
		err = errProblems
	}
	return err
}

// timeLimit is an option's value: a time of more than 0, in seconds or with a unit.
type timeLimit time.Duration

func (l *timeLimit) String() string { return time.Duration(*l).String() }

func (l *timeLimit) Type() string { return "time" }

func (l *timeLimit) Set(text string) error {
	d, err := time.ParseDuration(text)
	if seconds, notNumber := strconv.ParseFloat(text, 64); notNumber == nil {
		d, err = time.Duration(seconds*float64(time.Second)), nil
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
