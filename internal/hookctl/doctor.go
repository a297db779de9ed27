package hookctl

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/canary"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/doctor"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engines"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
)

func newDoctor(u *ui.UI, sys system.System) *cobra.Command {
	var opts doctor.Options
	var config, binDir string
	var problemsOnly bool
	cmd := &cobra.Command{
		Use:   "doctor [ENGINE]",
		Short: "show which engines use oci-add-hooks, and diagnose problems",
		Long: "Examines each engine that is found (docker, containerd, crio, podman), or only ENGINE: its version; the runtimes of its effective " +
			"configuration that lead to oci-add-hooks, should lead there, or lead nowhere; the link, the profile, the low-level runtime and the stages " +
			"whose hooks it runs; and what hookctl installed. Each line is ok, a warning or an error, with a remedy. Nothing is written.\n\n" +
			"With --canary, each such runtime also runs a container that holds only hookctl, without a network or a registry, and is removed " +
			"afterwards. The hooks in the running container's config.json, and the link that its engine calls, prove that oci-add-hooks was in " +
			"the path. The profile's hooks run for the container.\n\n" +
			"Exit status: 1 if there is an error, else 0.",
		Example: "  hookctl doctor\n  hookctl doctor docker --canary --profile gpu-hooks",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && (config != "" || opts.Runtime != "") {
				return usageError("--config and --profile need an ENGINE")
			}
			if opts.Runtime != "" && !opts.Canary {
				return usageError("--profile needs --canary")
			}
			list, unknown := examined(sys, args, config)
			if unknown != nil && len(list) == 0 {
				return unknown
			}
			opts.Config = config != ""
			var err error
			if opts.Exe, err = program.Find(binDir); err != nil && (opts.Canary || binDir != "") {
				return err
			}
			return interruptible(cmd, func(ctx context.Context) error {
				if opts.Canary {
					for _, note := range canary.Sweep(ctx) {
						u.Note(note)
					}
				}
				lines, err := doctor.Diagnose(ctx, sys, list, opts)
				if err != nil {
					return err
				}
				return cmp.Or(unknown, printDoctor(u, list, lines, problemsOnly))
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&config, "config", "", "the engine's main configuration `file` (default: where it usually is)")
	flags.BoolVar(&opts.Canary, "canary", false, "run a container with each runtime that leads to oci-add-hooks")
	flags.BoolVar(&problemsOnly, "problems-only", false, "print only warnings and errors")
	flags.StringVar(&opts.Runtime, "profile", "", "with --canary, the `name` of the only runtime to run a container with")
	defineBinDir(cmd, &binDir)
	completeProfiles(cmd, sys, "profile")
	must(cmd.MarkFlagFilename("config"))
	cmd.ValidArgs = engines.Names
	cmd.Args = cobra.MaximumNArgs(1)
	defineHostRoot(cmd)
	return cmd
}

// examined returns the engines to examine. It may return some together with an error.
func examined(sys system.System, args []string, config string) ([]engine.Engine, error) {
	if len(args) == 0 {
		return engines.Here(sys)
	}
	e, err := engines.New(sys, args[0], config)
	if err != nil {
		return nil, err
	}
	return []engine.Engine{e}, nil
}

func printDoctor(u *ui.UI, list []engine.Engine, lines []doctor.Line, problemsOnly bool) error {
	errs, warnings := doctor.Count(lines)
	if problemsOnly {
		lines = slices.DeleteFunc(lines, func(l doctor.Line) bool { return l.Status == doctor.OK })
	}
	if u.AsJSON {
		if err := u.JSON(struct {
			Lines    []doctor.Line `json:"lines"`
			Errors   int           `json:"errors"`
			Warnings int           `json:"warnings"`
		}{lines, errs, warnings}); err != nil {
			return err
		}
	} else {
		printDoctorLines(u, list, lines)
		u.Printf("%s examined: %s, %s\n", ui.Count(len(list), "engine"), ui.Count(errs, "error"), ui.Count(warnings, "warning"))
	}
	if errs > 0 {
		return errProblems
	}
	return nil
}

// printDoctorLines prints a table for each engine that has lines.
func printDoctorLines(u *ui.UI, list []engine.Engine, lines []doctor.Line) {
	colours := map[doctor.Status]ui.Colour{doctor.OK: ui.Green, doctor.Warning: ui.Yellow, doctor.Error: ui.Red}
	for _, e := range list {
		var rows [][]ui.Cell
		for _, l := range lines {
			if l.Engine != e.Name() || l.Config != e.Config() {
				continue
			}
			what := strings.ReplaceAll(l.Message, "\n", " ")
			if l.Remedy != "" {
				what += "; " + l.Remedy
			}
			rows = append(rows, []ui.Cell{colours[l.Status].Cell(string(l.Status)), ui.Bold.Cell(l.Runtime), ui.Plain.Cell(l.About), ui.Plain.Cell(what)})
		}
		if rows == nil {
			continue
		}
		u.Printf("%s %s\n", u.Paint(ui.Bold, e.Name()), ui.Escape(e.Config()))
		u.Table([]string{"STATUS", "RUNTIME", "ABOUT", ""}, rows)
		u.Printf("\n")
	}
}
