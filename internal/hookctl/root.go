// Package hookctl is the command line of the tool for people who write and ship hooks. It finds mistakes in hook files,
// shows what would be added to a bundle and why, tries hooks in a container, and manages the profiles by which engines
// use them.
//
// It makes no decision about hooks itself. It calls the packages of the runtime, so that it cannot disagree with the
// runtime.
package hookctl

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// New returns the command line of hookctl for a system. Execute runs it.
func New(sys system.System, stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	u := ui.New(stdout, stderr)
	root := &cobra.Command{
		Use:           "hookctl",
		Short:         "check, preview, try and install the lifecycle hooks of containers",
		Long:          "hookctl is for people who write and ship lifecycle hooks of containers. oci-add-hooks, the runtime, adds them.",
		Example:       start,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(stdin)
	root.SetOut(u.Out())
	root.SetErr(stderr)
	root.SetVersionTemplate("{{.Name}} version {{.Version}}\n")
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { printHelp(u, cmd) })
	root.SetFlagErrorFunc(wrongOption)
	root.PersistentFlags().BoolVar(&u.AsJSON, "json", false, "print JSON")
	root.Flags().BoolP("version", "v", false, "print the version")
	help := newHelp(root)
	root.SetHelpCommand(help)
	for _, group := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Write hooks", []*cobra.Command{newCheck(u), newTry(u), newPreview(u, sys)}},
		{"Use them with an engine", []*cobra.Command{newProfile(u, sys), newInstall(u, sys), newUninstall(u, sys), newNode(u, sys)}},
		{"Inspect what runs", []*cobra.Command{newDoctor(u, sys), newPs(u, sys), newLog(u, sys), newMetrics(u, sys)}},
		{"Help", []*cobra.Command{help, newVersion(u), newCompletion(u)}},
	} {
		root.AddGroup(&cobra.Group{ID: group.title, Title: group.title})
		for _, cmd := range group.commands {
			cmd.GroupID = group.title
			root.AddCommand(cmd)
		}
	}
	prepare(root)
	return root
}

func init() { cobra.EnableCommandSorting = false } // the help lists commands in the order of their use

// Execute runs the command line that New returned, prints an error if there is one, and returns the exit status: 0, 1
// if problems were found or something failed, 2 after wrong usage.
func Execute(root *cobra.Command) int {
	cmd, err := root.ExecuteC()
	u := ui.New(nil, root.ErrOrStderr())
	var lost error // of writing standard output
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
		u.Error(err.Error())
		status = 1
	default:
		u.Error(err.Error())
		u.Error(fmt.Sprintf("see '%s --help'", cmd.CommandPath()))
		status = 2
	}
	if lost != nil {
		u.Error("standard output cannot be written: " + report.Plain(lost).Error())
		status = max(status, 1)
	}
	return status
}
