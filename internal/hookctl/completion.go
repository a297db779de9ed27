package hookctl

import (
	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/profiles"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
)

// withoutPackage has bash split the command line where the package bash-completion, which does that for cobra's script, is
// not installed. Bash's own COMP_WORDS are split at = and : too.
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
		Short: "print the script with which a shell completes hookctl's commands and options",
		Long: "Prints the script with which SHELL (bash, zsh, fish or powershell) completes commands, options, and the names of profiles and " +
			"engines. The packages of oci-add-hooks have installed it already.",
		Example: "  source <(hookctl completion bash)\n" +
			"  hookctl completion zsh > ~/.zfunc/_hookctl\n" +
			"  hookctl completion fish > ~/.config/fish/completions/hookctl.fish",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
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

// complete has options completed by the names of directories.
func complete(cmd *cobra.Command, flags ...string) {
	for _, flag := range flags {
		must(cmd.MarkFlagDirname(flag))
	}
}

// must panics if an option is not defined: a mistake in this package, which every test would find.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// completion completes the names of profiles.
func completion(sys system.System) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		names, err := profiles.Names(sys)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeProfiles has an option completed by the names of profiles.
func completeProfiles(cmd *cobra.Command, sys system.System, option string) {
	must(cmd.RegisterFlagCompletionFunc(option, completion(sys)))
}
