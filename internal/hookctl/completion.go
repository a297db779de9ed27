package hookctl

import (
	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/profiles"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
)

// withoutPackage splits the command line for cobra's script where the package bash-completion, which otherwise does
// that, is not installed. Bash's own COMP_WORDS cannot be used: they are also split at = and :.
const withoutPackage = `
__hookctl_init_completion()
{
    COMPREPLY=()
    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref "$@" cur prev words cword
        return
    fi
    local line=${COMP_LINE:0:COMP_POINT}
    read -ra words <<<"$line"
    if [[ $line == *[[:space:]] ]]; then
        words+=("")
    fi
    cword=$((${#words[@]} - 1))
    cur=${words[cword]}
    prev=${words[cword - 1]}
}
`

func newCompletion(u *ui.UI) *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "print a script by which a shell completes commands and options of hookctl",
		Long: "Prints a script by which SHELL (bash, zsh, fish or powershell) completes commands, options, and the names of profiles and " +
			"engines. The packages of oci-add-hooks install it.",
		Example: "  source <(hookctl completion bash)\n" +
			"  hookctl completion zsh > ~/.zfunc/_hookctl\n" +
			"  hookctl completion fish > ~/.config/fish/completions/hookctl.fish",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if u.AsJSON {
				return usageError("this command prints no JSON")
			}
			root := cmd.Root()
			switch args[0] {
			case "bash":
				if err := root.GenBashCompletionV2(u.Out(), true); err != nil {
					return err
				}
				u.Printf("%s", withoutPackage)
				return nil
			case "zsh":
				return root.GenZshCompletion(u.Out())
			case "fish":
				return root.GenFishCompletion(u.Out(), true)
			}
			return root.GenPowerShellCompletionWithDesc(u.Out())
		},
	}
}

// complete makes the shell complete the values of options with names of directories.
func complete(cmd *cobra.Command, flags ...string) {
	for _, flag := range flags {
		must(cmd.MarkFlagDirname(flag))
	}
}

// must panics if an option is not defined. That is a mistake in this package, which every test would find.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// completion returns a function that completes the names of profiles.
func completion(sys system.System) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		names, err := profiles.Names(sys)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeProfiles makes the shell complete the value of an option with names of profiles.
func completeProfiles(cmd *cobra.Command, sys system.System, option string) {
	must(cmd.RegisterFlagCompletionFunc(option, completion(sys)))
}
