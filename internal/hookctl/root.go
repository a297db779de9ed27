// Package hookctl is the command line of the tool for people who write and ship hooks: what is wrong with hook files,
// what would be added to a bundle and why, a container to try them in, and the profiles by which an engine uses them.
//
// It decides nothing about hooks: for that it calls the packages of the runtime, so that it cannot disagree with it.
package hookctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// New gives the command line of hookctl. Execute runs it.
func New(stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	io := &streams{in: stdin, out: stdout, err: stderr, colour: wantsColour(stdout)}
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
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetVersionTemplate("{{.Name}} version {{.Version}}\n")
	root.PersistentFlags().BoolVar(&io.json, "json", false, "print JSON")
	root.AddCommand(
		newCheck(io),
		newPreview(io),
		newTry(io),
		newProfile(io),
	)
	markFailures(root)
	return root
}

// streams are what a command reads and writes, and how it is to write.
type streams struct {
	in       io.Reader
	out, err io.Writer
	json     bool // --json was given
	colour   bool // out is a terminal whose user has nothing against colours
}

// wantsColour says whether w is a terminal that shows colours, to a user who wants them (https://no-color.org).
func wantsColour(w io.Writer) bool {
	f, isFile := w.(*os.File)
	if !isFile || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// printJSON prints v, indented.
func (s *streams) printJSON(v any) error {
	enc := json.NewEncoder(s.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
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
			err := run(cmd, args)
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

// Execute runs the command line that New gave, tells of an error, and gives the exit status: 0, 1 if problems were
// found or something failed, 2 after wrong usage.
func Execute(root *cobra.Command) int {
	cmd, err := root.ExecuteC()
	var failed failure
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errProblems):
		return 1
	case errors.As(err, &failed):
		fmt.Fprintf(root.ErrOrStderr(), "hookctl: %v\n", err)
		return 1
	}
	fmt.Fprintf(root.ErrOrStderr(), "hookctl: %v\nhookctl: '%s --help' says how it is used\n", err, cmd.CommandPath())
	return 2
}
