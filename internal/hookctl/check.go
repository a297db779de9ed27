package hookctl

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

func newCheck(u *ui.UI) *cobra.Command {
	var strict bool
	cmd := &cobra.Command{
		Use:   "check [FILE | DIR]...",
		Short: "find mistakes in hook files and hooks directories",
		Long: "Finds mistakes in hook files and hooks directories before a container does.\n\n" +
			"An error keeps containers from starting: oci-add-hooks refuses the file, or a hook cannot be executed. A warning is about something that works, but is probably a mistake.\n\n" +
			"FILE is a hook file, which is checked with the directories that it names, or a file of a hooks directory. DIR is a " +
			"hooks directory; of several, a later one has precedence. Without arguments, everything on the system is checked: " +
			"the profiles in " + profile.Dir + ", the directories that they name, " + hooks.DefaultDir + " and " + hooks.OverrideDir + ".\n\n" +
			"check executes a runtime that a hook file names, to ask for its features, only if it is called crun, krun, runc, " +
			"runsc or youki and only root can write to it. The runtime is executed in the directory / with only PATH in its environment.\n\n" +
			"Exit status: 1 if there is an error (with --strict, or a warning), else 0.",
		Example: "  hookctl check\n  hookctl check --strict ./gpu-hooks.json\n  hookctl check /usr/share/containers/oci/hooks.d /etc/containers/oci/hooks.d",
		RunE: func(_ *cobra.Command, args []string) error {
			if slices.Contains(args, "") {
				return usageError("the name of a file or directory is empty")
			}
			var result check.Result
			exe, _ := program.Find("") // without it, only hookctl itself is known not to be a runtime
			if len(args) > 0 {
				result = check.Files(exe, args)
			} else {
				result = check.System(exe)
			}
			if err := printResult(u, result); err != nil {
				return err
			}
			if errs, warnings := result.Count(); errs > 0 || strict && warnings > 0 {
				return errProblems
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with status 1 for warnings too")
	return cmd
}

func printResult(u *ui.UI, r check.Result) error {
	errs, warnings := r.Count()
	if u.AsJSON {
		return u.JSON(struct {
			check.Result
			Errors   int `json:"errors"`
			Warnings int `json:"warnings"`
		}{r, errs, warnings})
	}
	u.Findings(r.Findings)
	checked := ui.Count(len(r.Files), "file") + " checked"
	if len(r.Findings) == 0 {
		u.Printf("%s: nothing found\n", checked)
		return nil
	}
	u.Printf("%s: %s, %s\n", checked, ui.Count(errs, "error"), ui.Count(warnings, "warning"))
	return nil
}
