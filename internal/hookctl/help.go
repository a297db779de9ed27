package hookctl

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
)

// start shows where to start; the help begins with it.
const start = `  hookctl check my-hooks.json                     # find mistakes in a hook file
  hookctl try my-hooks.json                       # run its hooks in a container
  hookctl profile add mine --hooks my-hooks.json  # create a profile from it
  hookctl install docker --profile mine --reload  # register it with an engine
  docker run --runtime mine ...                   # run a container with it
  hookctl doctor                                  # diagnose problems
  hookctl ps                                      # list containers and hooks
  hookctl log                                     # show what hooks did`

// ExitStatuses explains the exit status of every command.
const ExitStatuses = "Exit status: 0 if all is well, 1 if problems were found or something failed, 2 after wrong usage."

func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "explain a command",
		Long:    "Explains a command, as `hookctl COMMAND --help` does.",
		Example: "  hookctl help profile add",
		RunE: func(_ *cobra.Command, args []string) error { // cobra's own ends with status 0 even for an unknown command
			cmd, rest, _ := root.Find(args) // no error: unknown words are in rest
			if len(rest) > 0 {
				return unknownCommand(cmd, rest[0])
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

// printHelp prints the help of a command.
func printHelp(u *ui.UI, cmd *cobra.Command) {
	u.Text(cmd.Long)
	if !cmd.HasParent() {
		u.Heading("Where to start")
		u.Printf("%s\n", cmd.Example)
	}
	u.Heading("Usage")
	u.Printf("  %s\n", cmd.UseLine())
	for _, group := range cmd.Groups() {
		u.Heading(group.Title)
		u.Definitions(Commands(cmd, group.ID))
	}
	if len(cmd.Groups()) == 0 && cmd.HasAvailableSubCommands() {
		u.Heading("Commands")
		u.Definitions(Commands(cmd, ""))
	}
	if cmd.HasParent() && cmd.Example != "" {
		u.Heading("Examples")
		u.Printf("%s\n", cmd.Example)
	}
	u.Heading("Options")
	u.Definitions(Options(cmd))
	if !cmd.HasParent() {
		u.Printf("\n")
		u.Text(ExitStatuses)
	}
}

// Commands returns the name and the short description of each command of a group below cmd.
func Commands(cmd *cobra.Command, group string) (list [][2]string) {
	for _, sub := range cmd.Commands() {
		if (sub.IsAvailableCommand() || sub.Name() == "help") && sub.GroupID == group {
			list = append(list, [2]string{sub.Name(), sub.Short})
		}
	}
	return list
}

// Options returns the options of a command, each in the form in which it is given, such as "--config FILE", and its
// description.
func Options(cmd *cobra.Command) (list [][2]string) {
	cmd.InheritedFlags() // adds those of the commands above to cmd.Flags
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		value := valueOf(flag)
		_, usage := pflag.UnquoteUsage(flag)
		name := "    --" + flag.Name
		if flag.Shorthand != "" {
			name = "-" + flag.Shorthand + ", --" + flag.Name
		}
		if value != "" {
			name += " " + value
		}
		if value != "" && flag.DefValue != "" && flag.DefValue != "[]" {
			usage += fmt.Sprintf(" (default %s)", flag.DefValue)
		}
		list = append(list, [2]string{name, usage})
	})
	return list
}
