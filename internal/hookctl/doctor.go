package hookctl

import (
	"cmp"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/doctor"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engines"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
)

func newDoctor(io *streams) *cobra.Command {
	var config, name, binDir string
	var withCanary, problemsOnly bool
	cmd := &cobra.Command{
		Use:   "doctor [ENGINE]",
		Short: "show which engines use oci-add-hooks, and diagnose problems",
		Long: "Looks at each engine that is found (docker, containerd, crio, podman), or at ENGINE: its version; the runtimes of its effective " +
			"configuration that lead to oci-add-hooks, or should, or lead nowhere; the link, the profile, the low-level runtime and the stages that it " +
			"runs hooks of; and what hookctl has installed. Each line is ok, a warning or an error, with what to do. Nothing is written.\n\n" +
			"With --canary, each such runtime also runs a container that holds hookctl alone, without a network and without a registry, which is " +
			"removed again; the hooks that are in the running container's config.json, and the link that its engine calls, prove that oci-add-hooks was in " +
			"the path. The profile's hooks run for it.\n\n" +
			"Exit status: 1 if there is an error, else 0.",
		Example: "  hookctl doctor\n  hookctl doctor docker --canary --profile gpu-hooks",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && (config != "" || name != "") {
				return usageError("--config and --profile take an ENGINE")
			}
			if name != "" && !withCanary {
				return usageError("--profile is for --canary")
			}
			list, unknown := io.examined(args, config)
			if unknown != nil && len(list) == 0 {
				return unknown
			}
			exe, err := program.Find(binDir)
			if err != nil && (withCanary || binDir != "") {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
			defer stop()
			lines := []doctor.Line{}
			for _, e := range list {
				if config != "" {
					if missing := doctor.Missing(e); missing != nil {
						lines = append(lines, *missing)
						continue
					}
				}
				lines = append(lines, doctor.Examine(ctx, io.sys, e, exe)...)
				if withCanary {
					more, err := doctor.Canaries(ctx, io.sys, e, exe, name)
					if err != nil {
						return err
					}
					lines = append(lines, more...)
				}
			}
			return cmp.Or(unknown, io.printDoctor(list, lines, problemsOnly))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&config, "config", "", "the engine's main configuration `file` (default: where it usually is)")
	flags.BoolVar(&withCanary, "canary", false, "run a container by each runtime that leads to oci-add-hooks")
	flags.BoolVar(&problemsOnly, "problems-only", false, "print warnings and errors alone")
	flags.StringVar(&name, "profile", "", "the `name` of the only runtime by which to run a container")
	flags.StringVar(&binDir, "bin-dir", "", binDirUsage)
	must(cmd.RegisterFlagCompletionFunc("profile", completeProfile))
	must(cmd.MarkFlagFilename("config"))
	complete(cmd, "bin-dir")
	cmd.ValidArgs = engines.Names
	cmd.Args = cobra.MaximumNArgs(1)
	defineHostRoot(cmd)
	return cmd
}

// examined returns the engines to look at.
func (s *streams) examined(args []string, config string) ([]engine.Engine, error) {
	if len(args) == 0 {
		return engines.Here(s.sys)
	}
	if config != "" {
		abs, err := filepath.Abs(config)
		if err != nil {
			return nil, err
		}
		config = abs
	}
	e, err := engines.New(s.sys, args[0], config)
	if err != nil {
		return nil, usageError(err.Error())
	}
	return []engine.Engine{e}, nil
}

func (s *streams) printDoctor(list []engine.Engine, lines []doctor.Line, problemsOnly bool) error {
	errs, warnings := 0, 0
	for _, l := range lines {
		switch l.Status {
		case doctor.Error:
			errs++
		case doctor.Warning:
			warnings++
		}
	}
	if problemsOnly {
		lines = slices.DeleteFunc(lines, func(l doctor.Line) bool { return l.Status == doctor.OK })
	}
	if s.AsJSON {
		if err := s.JSON(struct {
			Lines    []doctor.Line `json:"lines"`
			Errors   int           `json:"errors"`
			Warnings int           `json:"warnings"`
		}{lines, errs, warnings}); err != nil {
			return err
		}
	} else {
		s.printDoctorLines(list, lines)
		s.Printf("%s examined: %s, %s\n", ui.Count(len(list), "engine"), ui.Count(errs, "error"), ui.Count(warnings, "warning"))
	}
	if errs > 0 {
		return errProblems
	}
	return nil
}

// printDoctorLines prints a table for each engine of which there is anything to print.
func (s *streams) printDoctorLines(list []engine.Engine, lines []doctor.Line) {
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
		s.Printf("%s %s\n", s.Paint(ui.Bold, e.Name()), ui.Escape(e.Config()))
		s.Table([]string{"STATUS", "RUNTIME", "ABOUT", ""}, rows)
		s.Printf("\n")
	}
}
