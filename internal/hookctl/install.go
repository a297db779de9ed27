package hookctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/doctor"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engines"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/profiles"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
)

// enrolment is what install and uninstall are asked for.
type enrolment struct {
	config                    string // empty for the one that the engine's daemon reads, or the usual one
	profile                   string
	binDir                    string
	dryRun, reload, force     bool
	isDefault, canary, prints bool     // of install
	podAnnotations            []string // of install
}

func (r *enrolment) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&r.profile, "profile", "", "the `name` of the profile")
	flags.StringVar(&r.config, "config", "", "the engine's main configuration `file` (default: the one that its\nrunning daemon reads, or else the usual one)")
	flags.StringVar(&r.binDir, "bin-dir", "", binDirUsage)
	flags.BoolVar(&r.dryRun, "dry-run", false, "show the change to each file, and do nothing")
	flags.BoolVar(&r.reload, "reload", false, "have the engine read its configuration, and ask it whether it knows\nthe change (without it, the command to run is printed)")
	must(cmd.MarkFlagRequired("profile"))
	must(cmd.RegisterFlagCompletionFunc("profile", completeProfile))
	must(cmd.MarkFlagFilename("config"))
	complete(cmd, "bin-dir")
	cmd.ValidArgs = engines.Names
	cmd.Args = cobra.ExactArgs(1)
	defineHostRoot(cmd)
}

func newInstall(io *streams) *cobra.Command {
	var r enrolment
	var noCanary bool
	cmd := &cobra.Command{
		Use:   "install ENGINE --profile NAME",
		Short: "register a profile with an engine as a runtime",
		Long: "Registers a profile with an engine (docker, containerd, crio or podman) as a runtime of that name. No other byte of the engine's configuration " +
			"changes, and nothing else that the engine itself makes of it; otherwise everything is restored.\n\n" +
			"The engine is judged as it runs: by its daemon's program, options and configuration, or by what is installed if none runs. Without --reload it is " +
			"not reloaded.\n\n" +
			"The files: docker: /etc/docker/daemon.json. containerd: a file of its own in a directory that config.toml imports, or in conf.d beside it; " +
			"in a configuration of version 2 a marked block at the end of config.toml. crio: a file in /etc/crio/crio.conf.d. podman: a file in /etc/containers/containers.conf.d. " +
			"What was changed is recorded in " + io.sys.State + ".",
		Example: "  hookctl install docker --profile gpu-hooks --dry-run\n  hookctl install containerd --profile gpu-hooks --pod-annotation 'com.example.*' --reload\n" +
			"  hookctl install containerd --profile gpu-hooks --print",
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case noCanary && !r.isDefault:
				return usageError("--no-canary is for --default")
			case r.prints && (r.dryRun || r.reload):
				return usageError("--print changes nothing: do without --dry-run and --reload")
			}
			r.canary = r.isDefault && !noCanary
			return io.changing(cmd.Context(), r.dryRun || r.prints, func(ctx context.Context) error {
				return io.install(ctx, args[0], r)
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&r.isDefault, "default", false, "make it the runtime of containers that ask for none, too, once it has\nstarted a container (hookctl doctor --canary)")
	flags.BoolVar(&noCanary, "no-canary", false, "with --default, start no container first: for an image that is being built")
	flags.BoolVar(&r.prints, "print", false, "print what to add to the engine's configuration, and do nothing: for a\nfile that hookctl does not change, as a template")
	flags.BoolVar(&r.force, "force", false, "install a profile with errors that may be gone later, as a missing program;\nnever one that oci-add-hooks itself refuses")
	flags.StringArrayVar(&r.podAnnotations, "pod-annotation", nil, "the `glob` of pods' annotations that containerd passes to containers,\nfor conditions to see (repeatable)")
	r.define(cmd)
	return cmd
}

func (s *streams) install(ctx context.Context, name string, r enrolment) error {
	e, err := s.engine(name, &r)
	if err != nil {
		return err
	}
	runtime, err := s.runtime(r)
	if err != nil {
		return err
	}
	if r.prints {
		block, err := e.Block(ctx, runtime)
		if err != nil {
			return err
		}
		if s.AsJSON {
			return s.JSON(struct {
				Engine  string `json:"engine"`
				Profile string `json:"profile"`
				Config  string `json:"config"`
				Block   string `json:"block"`
			}{name, r.profile, e.Config(), block})
		}
		s.Printf("%s\n", strings.TrimSuffix(block, "\n"))
		return nil
	}
	if !r.canary || r.dryRun {
		plan, err := registration.Install(ctx, s.sys, e, runtime)
		if err != nil {
			return err
		}
		return s.carryOutPlan(ctx, e, plan, r)
	}
	shown := ""
	plan, err := registration.Default(ctx, s.sys, e, runtime, r.reload, func(ctx context.Context) (err error) {
		shown, err = s.tryDefault(ctx, r, e)
		return err
	})
	if err != nil {
		return err
	}
	return s.printPlan(e, plan, r, shown)
}

// engine returns the engine of a name, and makes the path of its configuration absolute.
func (s *streams) engine(name string, r *enrolment) (engine.Engine, error) {
	if err := namesProfile(r.profile); err != nil {
		return nil, err
	}
	if r.config != "" {
		abs, err := filepath.Abs(r.config)
		if err != nil {
			return nil, err
		}
		r.config = abs
	}
	e, err := engines.New(s.sys, name, r.config)
	if unknown := engines.Unknown(""); errors.As(err, &unknown) {
		return nil, usageError(err.Error())
	}
	return e, err
}

// runtime returns a profile as an engine is to know it, if there is nothing wrong with it.
func (s *streams) runtime(r enrolment) (runtime engine.Runtime, err error) {
	exe, err := program.Find(r.binDir)
	if err != nil {
		return runtime, err
	}
	path := profilePath(r.profile)
	if _, err := os.Stat(path); err != nil {
		return runtime, fmt.Errorf("there is no profile %s: make it by hookctl profile add %s", path, r.profile)
	}
	link := profiles.Link(exe, r.profile)
	if !program.LeadsTo(link, exe) {
		return runtime, fmt.Errorf("%s is no link to %s: make it by hookctl profile add %s, or say where it is by --bin-dir", link, exe, r.profile)
	}
	findings := check.Files(exe, []string{path}).Findings
	if err := profiles.Judge(findings, r.profile+" is not installed", "installs it all the same", r.force); err != nil {
		s.FindingsToStderr(findings)
		return runtime, err
	}
	return engine.Runtime{Name: r.profile, Link: link, Default: r.isDefault, PodAnnotations: r.podAnnotations}, nil
}

// tryDefault has the runtime start a container, and returns what that has shown.
func (s *streams) tryDefault(ctx context.Context, r enrolment, e engine.Engine) (string, error) {
	exe, err := program.Find(r.binDir)
	if err != nil {
		return "", err
	}
	lines, err := doctor.Canaries(ctx, s.sys, e, exe, r.profile)
	if err != nil {
		return "", err
	}
	if len(lines) == 0 {
		return "", errors.New("the engine's configuration cannot be read: hookctl doctor " + e.Name() + " says why")
	}
	line := lines[0]
	if line.Status == doctor.Error {
		return "", fmt.Errorf("%s does not become the default: %s; where the engine cannot run, --no-canary does without a container", r.profile, line.Message)
	}
	return line.Message, nil
}

// carryOutPlan carries a plan out, unless that is not wanted, and prints what it is.
func (s *streams) carryOutPlan(ctx context.Context, e engine.Engine, plan *registration.Plan, r enrolment) error {
	var err error
	switch {
	case r.dryRun:
	case !plan.Changes() && r.reload:
		var unread bool
		if unread, err = plan.Unread(ctx); unread {
			err = s.reloading(ctx, plan)
		}
	case r.reload:
		err = s.reloading(ctx, plan)
	case plan.Changes():
		err = plan.CarryOut(ctx)
	}
	if err != nil {
		return err
	}
	return s.printPlan(e, plan, r, "")
}

// reloading carries a plan out, and has the engine read it.
func (s *streams) reloading(ctx context.Context, plan *registration.Plan) error {
	reload, err := plan.Reloading(ctx)
	var notRunning engine.NotRunning
	if errors.As(err, &notRunning) {
		return fmt.Errorf("%w; run it without --reload: it reads the configuration when it starts", err)
	}
	if err != nil {
		return err
	}
	return plan.CarryOut(ctx, reload)
}

// filed is the change to a file, as it is printed.
type filed struct {
	Path   string `json:"path"`
	Action string `json:"action"` // write, create or remove
	Diff   string `json:"diff,omitempty"`
}

// changes returns the changes of a plan. A diff is shown of all but hookctl's own records.
func (s *streams) changes(plan *registration.Plan) []filed {
	files := []filed{}
	for _, f := range plan.Files {
		if f.Same() {
			continue
		}
		change := filed{Path: f.Path, Action: action(f)}
		if !strings.HasPrefix(f.Path, s.sys.State+"/") {
			change.Diff = ui.UnifiedDiff(f.Path, f.Before, f.Path, f.After)
		}
		files = append(files, change)
	}
	return files
}

func action(f change.File) string {
	switch {
	case f.Before == nil:
		return "create"
	case f.After == nil:
		return "remove"
	}
	return "write"
}

// printPlan prints a plan that was carried out, or would be. canary is what a container has shown.
func (s *streams) printPlan(e engine.Engine, plan *registration.Plan, r enrolment, canary string) error {
	for _, note := range plan.Notes {
		s.Note(note)
	}
	files, reload := s.changes(plan), plan.Reload()
	judged := ""
	if d := e.Daemon(); d != nil {
		judged = d.Judged()
	}
	next := engine.Reload{}
	if len(files) > 0 && (!r.reload || r.dryRun) {
		next = reload
	}
	if s.AsJSON {
		return s.JSON(struct {
			Engine  string  `json:"engine"`
			Profile string  `json:"profile"`
			DryRun  bool    `json:"dryRun"`
			Judged  string  `json:"judged,omitempty"` // by what, if no daemon runs
			Files   []filed `json:"files"`
			Command string  `json:"reloadCommand,omitempty"`
			Effect  string  `json:"reloadEffect,omitempty"`
			Read    bool    `json:"reloaded"`
			Canary  string  `json:"canary,omitempty"`
		}{e.Name(), r.profile, r.dryRun, judged, files, next.Command, next.Effect, plan.Reloaded, canary})
	}
	if len(files) == 0 && !plan.Reloaded {
		s.Printf("nothing to do: already installed\n")
		return nil
	}
	would := ""
	if r.dryRun {
		would = "would "
	}
	switch {
	case canary != "":
		s.Printf("%s %s\n", s.Paint(ui.Green, "canary"), ui.Escape(canary))
	case r.dryRun && r.canary:
		s.Printf("would first start a container by it, which a dry run does not\n")
	}
	for _, f := range files {
		paint := ui.Green
		if f.Action == "remove" {
			paint = ui.Yellow
		}
		s.Printf("%s %s\n", s.Paint(paint, would+f.Action), ui.Escape(f.Path))
		if r.dryRun {
			s.Diff(f.Diff)
		}
	}
	if judged != "" {
		s.Printf("%s\n", ui.Escape(judged))
	}
	switch {
	case next.Command != "":
		s.Printf("to apply the change, run: %s\n  (%s)\n", s.Paint(ui.Bold, next.Command), ui.Escape(next.Effect))
	case reload.Command != "" && !r.dryRun:
		s.Printf("%s has read it: %s\n", e.Name(), reload.Effect)
	}
	return nil
}
