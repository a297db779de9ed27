package hookctl

import (
	"context"
	"fmt"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/canary"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/doctor"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engines"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
)

func newDoctor(io *streams) *cobra.Command {
	var config, name, binDir string
	var withCanary bool
	cmd := &cobra.Command{
		Use:   "doctor [ENGINE]",
		Short: "say how engines come to call oci-add-hooks, and what is wrong on the way",
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
			engines, err := io.examined(args, config)
			if err != nil {
				return err
			}
			program, err := findProgram(binDir)
			if err != nil && (withCanary || binDir != "") {
				return err
			}
			lines := []doctor.Line{}
			for _, e := range engines {
				lines = append(lines, doctor.Examine(cmd.Context(), io.sys, e, program)...)
				if withCanary {
					more, err := canaries(cmd.Context(), e, program, name)
					if err != nil {
						return err
					}
					lines = append(lines, more...)
				}
			}
			return io.printDoctor(engines, lines)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&config, "config", "", "the engine's main configuration `file` (default: where it usually is)")
	flags.BoolVar(&withCanary, "canary", false, "run a container by each runtime that leads to oci-add-hooks")
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

// examined gives the engines that are meant.
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
	e, err := engines.New(args[0], config)
	if err != nil {
		return nil, usageError(err.Error())
	}
	return []engine.Engine{e}, nil
}

// canaries runs a container by each runtime of an engine that leads to oci-add-hooks, or by the one called name.
func canaries(ctx context.Context, e engine.Engine, program, name string) (lines []doctor.Line, err error) {
	registered, err := e.Registered(ctx)
	if err != nil {
		return nil, nil // which has been told
	}
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	line := doctor.Line{Engine: e.Name(), Config: e.Config(), About: "canary"}
	for _, entry := range registered.Entries {
		if name != "" && entry.Name != name || name == "" && !doctor.Concerns(entry, program) {
			continue
		}
		line.Runtime = entry.Name
		proof, err := runCanary(ctx, e, entry, program)
		lines = append(lines, judged(line, proof, err))
		if ctx.Err() != nil {
			return nil, fmt.Errorf("interrupted, at the canary of %s: %s", entry.Name, lines[len(lines)-1].Message)
		}
	}
	if name != "" && len(lines) == 0 {
		line.Runtime, line.Status = name, doctor.Error
		line.Message, line.Remedy = "the engine's configuration has no such runtime", "hookctl install "+e.Name()+" --profile "+name
		lines = append(lines, line)
	}
	return lines, nil
}

// runCanary runs a container by a runtime as an engine has it.
func runCanary(ctx context.Context, e engine.Engine, entry engine.Entry, program string) (canary.Proof, error) {
	uses, _, _, err := doctor.Uses(entry, program)
	if err != nil {
		return canary.Proof{}, err
	}
	return canary.Run(ctx, canary.Options{Engine: e, Runtime: entry.Name, Link: entry.Path, Program: program, Uses: uses})
}

// judged gives the line about a canary.
func judged(line doctor.Line, proof canary.Proof, err error) doctor.Line {
	switch {
	case err != nil:
		line.Status, line.Message = doctor.Error, err.Error()
	case proof.Hooks == 0:
		line.Status, line.Message = doctor.Warning, "not proven by a hook: a container ran, and its engine calls "+proof.Calls+", but no hook of the profile is for it"
		line.Remedy = "run a container that the profile's conditions are for, and see hookctl preview --id ID"
	default:
		line.Status, line.Message = doctor.OK, fmt.Sprintf("a container ran; its engine calls %s, and its config.json holds %s of the profile", proof.Calls, ui.Count(proof.Hooks, "hook"))
	}
	return line
}

func (s *streams) printDoctor(engines []engine.Engine, lines []doctor.Line) error {
	errs, warnings := 0, 0
	for _, l := range lines {
		switch l.Status {
		case doctor.Error:
			errs++
		case doctor.Warning:
			warnings++
		}
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
		s.printDoctorLines(engines, lines)
		s.Printf("%s examined: %s, %s\n", ui.Count(len(engines), "engine"), ui.Count(errs, "error"), ui.Count(warnings, "warning"))
	}
	if errs > 0 {
		return errProblems
	}
	return nil
}

// printDoctorLines prints a table for each engine.
func (s *streams) printDoctorLines(engines []engine.Engine, lines []doctor.Line) {
	colours := map[doctor.Status]ui.Colour{doctor.OK: ui.Green, doctor.Warning: ui.Yellow, doctor.Error: ui.Red}
	for _, e := range engines {
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
		s.Printf("%s %s\n", s.Paint(ui.Bold, e.Name()), ui.Escape(e.Config()))
		s.Table([]string{"STATUS", "RUNTIME", "ABOUT", ""}, rows)
		s.Printf("\n")
	}
}
