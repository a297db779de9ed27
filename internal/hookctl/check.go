package hookctl

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

func newCheck(io *streams) *cobra.Command {
	var strict bool
	cmd := &cobra.Command{
		Use:   "check [FILE | DIR]...",
		Short: "say what is wrong with hook files and hooks directories",
		Long: "Says what is wrong with hook files and hooks directories before a container finds out.\n\n" +
			"An error is what oci-add-hooks refuses: no container starts. A warning is what it accepts and is hardly meant.\n\n" +
			"FILE is a hook file, which is checked with the directories that it names, or a file of a hooks directory. DIR is a " +
			"hooks directory; several are taken in increasing precedence. Without arguments, all that the system has is checked: " +
			"the profiles in " + profile.Dir + ", the directories that they name, " + hooks.DefaultDir + " and " + hooks.OverrideDir + ".\n\n" +
			"A runtime that a hook file names is asked for its features, by executing it in the folder / with no " +
			"environment but a PATH: if it is called crun, krun, runc, runsc or youki, and nobody but root may write to it.\n\n" +
			"Exit status: 1 if there is an error (with --strict, or a warning), else 0.",
		Example: "  hookctl check\n  hookctl check --strict ./gpu-hooks.json\n  hookctl check /usr/share/containers/oci/hooks.d /etc/containers/oci/hooks.d",
		RunE: func(_ *cobra.Command, args []string) error {
			if slices.Contains(args, "") {
				return usageError("the name of a file or folder is empty")
			}
			var result check.Result
			program, _ := findProgram("") // without it, this tool is all that is not taken for a runtime
			if len(args) > 0 {
				result = check.Files(program, args)
			} else {
				result = check.System(program)
			}
			if err := io.printResult(result); err != nil {
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

func (s *streams) printResult(r check.Result) error {
	errs, warnings := r.Count()
	if s.json {
		return s.printJSON(struct {
			check.Result
			Errors   int `json:"errors"`
			Warnings int `json:"warnings"`
		}{r, errs, warnings})
	}
	s.printFindings(r.Findings)
	checked := count(len(r.Files), "file") + " checked"
	if len(r.Findings) == 0 {
		fmt.Fprintf(s.text, "%s: nothing found\n", checked)
		return nil
	}
	fmt.Fprintf(s.text, "%s: %s, %s\n", checked, count(errs, "error"), count(warnings, "warning"))
	return nil
}

// printFindings prints findings, each followed by an empty line.
func (s *streams) printFindings(findings []check.Finding) {
	for _, f := range findings {
		place := legible(f.File)
		if f.Line > 0 {
			place += fmt.Sprintf(":%d:%d", f.Line, f.Column)
		}
		severity := yellow
		if f.Severity == check.Error {
			severity = red
		}
		pointer := ""
		if f.Pointer != "" {
			pointer = " (" + legible(f.Pointer) + ")"
		}
		fmt.Fprintf(s.text, "%s: %s %s%s\n", s.paint(bold, place), s.paint(severity, string(f.Severity)+":"), legible(f.Problem), s.paint(dim, pointer))
		if f.Line > 0 {
			printExcerpt(s.text, f.Text, f.Offset, s.paint(severity, "^"))
		}
		if f.Hint != "" {
			fmt.Fprintf(s.text, "  %s %s\n", s.paint(cyan, "hint:"), legible(f.Hint))
		}
		fmt.Fprintln(s.text)
	}
}
