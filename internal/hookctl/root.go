// Package hookctl is the command line of the tool for people who write and ship hooks: what is wrong with hook files,
// what would be added to a bundle and why, a container to try them in, and the profiles by which an engine uses them.
//
// It decides nothing about hooks: for that it calls the packages of the runtime, so that it cannot disagree with it.
package hookctl

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// New returns the command line of hookctl on a system. Execute runs it.
func New(sys system.System, stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	io := &streams{ui.New(stdin, stdout, stderr), sys}
	root := &cobra.Command{
		Use:   "hookctl",
		Short: "check, preview, try and install the lifecycle hooks of containers",
		Long: "hookctl is the tool for people who write and ship hooks for oci-add-hooks.\n\n" +
			"Exit status: 0 if all is well, 1 if problems were found or something failed, 2 if it was used wrongly.",
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(stdin)
	root.SetOut(io.Out())
	root.SetErr(stderr)
	root.SetVersionTemplate("{{.Name}} version {{.Version}}\n")
	root.PersistentFlags().BoolVar(&io.AsJSON, "json", false, "print JSON")
	root.AddCommand(
		newCheck(io),
		newPreview(io),
		newTry(io),
		newProfile(io),
		newInstall(io),
		newUninstall(io),
		newDoctor(io),
		newNode(io),
	)
	root.SetHelpCommand(newHelp(root))
	markFailures(root)
	return root
}

// streams are what a command reads and writes, and the system that it examines and changes.
type streams struct {
	*ui.UI
	sys system.System
}

// errProblems is what a command gives that found problems and has told of them.
var errProblems = errors.New("problems were found")

// usageError is about how a command was called, found only when it ran.
type usageError string

func (e usageError) Error() string { return string(e) }

// failure is an error of a command that was called rightly.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// markFailures makes failures of the errors that commands give when they run: all others are about wrong usage.
func markFailures(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			err := refuseEmpty(cmd)
			if err == nil {
				err = run(cmd, args)
			}
			var usage usageError
			if err == nil || errors.As(err, &usage) {
				return err
			}
			return failure{err}
		}
	}
	for _, sub := range cmd.Commands() {
		markFailures(sub)
	}
}

// refuseEmpty gives an error if an option's value is empty, as that of a variable that is not set: it never means the
// default.
func refuseEmpty(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		if err == nil && slices.Contains(values, "") {
			err = usageError("the value of --" + flag.Name + " is empty")
		}
	})
	return err
}

// newHelp gives the command `help`, which cobra's own ends with status 0 whatever it was asked for.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "say how a command is used",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usageError(fmt.Sprintf("there is no command %q to tell of", strings.Join(args, " ")))
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			if cmd, _, err := root.Find(args); err == nil {
				for _, sub := range cmd.Commands() {
					if sub.IsAvailableCommand() {
						names = append(names, sub.Name())
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// Execute runs the command line that New gave, tells of an error, and gives the exit status: 0, 1 if problems were
// found or something failed, 2 after wrong usage.
func Execute(root *cobra.Command) int {
	root.InitDefaultCompletionCmd()
	if cmd, _, err := root.Find([]string{"completion"}); err == nil && cmd.RunE == nil { // else it takes any argument
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	cmd, err := root.ExecuteC()
	var lost error // standard output's
	if text, ok := root.OutOrStdout().(*bufio.Writer); ok {
		lost = text.Flush()
	}
	status := 0
	var failed failure
	switch {
	case err == nil, lost != nil && errors.Is(err, lost):
	case errors.Is(err, errProblems):
		status = 1
	case errors.As(err, &failed):
		fmt.Fprintf(root.ErrOrStderr(), "hookctl: %v\n", err)
		status = 1
	default:
		fmt.Fprintf(root.ErrOrStderr(), "hookctl: %v\nhookctl: '%s --help' says how it is used\n", err, cmd.CommandPath())
		status = 2
	}
	if lost != nil {
		fmt.Fprintf(root.ErrOrStderr(), "hookctl: standard output cannot be written: %v\n", report.Plain(lost))
		status = max(status, 1)
	}
	return status
}
