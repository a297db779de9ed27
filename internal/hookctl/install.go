package hookctl

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/doctor"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engines"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/profiles"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
)

// enrolment holds the options of install and uninstall.
type enrolment struct {
	config                    string // empty for the one that the engine's daemon reads, or the usual one
	profile                   string
	binDir                    string
	dryRun, reload, force     bool
	isDefault, canary, prints bool     // of install
	podAnnotations            []string // of install
}

func (r *enrolment) define(cmd *cobra.Command, sys system.System) {
	flags := cmd.Flags()
	flags.StringVar(&r.profile, "profile", "", "the `name` of the profile")
	flags.StringVar(&r.config, "config", "", "the engine's main configuration `file` (default: the one that its running daemon reads, or else the usual one)")
	defineBinDir(cmd, &r.binDir)
	flags.BoolVar(&r.dryRun, "dry-run", false, "show the change to each file, and do nothing")
	flags.BoolVar(&r.reload, "reload", false, "make the engine reload its configuration, and ask it whether it knows the change (otherwise the command to run is printed)")
	require(cmd, "profile")
	completeProfiles(cmd, sys, "profile")
	must(cmd.MarkFlagFilename("config"))
	cmd.ValidArgs = engines.Names
	cmd.Args = cobra.ExactArgs(1)
	defineHostRoot(cmd)
}

func newInstall(u *ui.UI, sys system.System) *cobra.Command {
	var r enrolment
	var noCanary bool
	cmd := &cobra.Command{
		Use:   "install ENGINE --profile NAME",
		Short: "register a profile with an engine as a runtime",
		Long: "Registers a profile with an engine (docker, containerd, crio or podman) as a runtime of that name. No other byte of the engine's configuration " +
			"changes. If the engine then reads any other setting differently, everything is restored.\n\n" +
			"hookctl judges the engine as it runs: by its daemon's program, options and configuration, or by what is installed if no daemon runs. " +
			"Only --reload reloads the engine.\n\n" +
			"The files: docker: /etc/docker/daemon.json. containerd: a separate file in a directory that config.toml imports, or in conf.d beside it; " +
			"in a configuration of version 2, a marked block at the end of config.toml. crio: a file in /etc/crio/crio.conf.d. podman: a file in /etc/containers/containers.conf.d. " +
			"What was changed is recorded in " + sys.State + ".",
		Example: "  hookctl install docker --profile gpu-hooks --dry-run\n  hookctl install containerd --profile gpu-hooks --pod-annotation 'com.example.*' --reload\n" +
			"  hookctl install containerd --profile gpu-hooks --print",
		RunE: func(cmd *cobra.Command, args []string) error {
			switch err := namesProfile(r.profile); {
			case err != nil:
				return err
			case noCanary && !r.isDefault:
				return usageError("--no-canary needs --default")
			case r.prints && (r.dryRun || r.reload):
				return usageError("--print changes nothing: omit --dry-run and --reload")
			}
			r.canary = r.isDefault && !noCanary
			return changing(cmd, u, sys, r.dryRun || r.prints, func(ctx context.Context) error {
				return install(ctx, u, sys, args[0], r)
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&r.isDefault, "default", false, "also make it the default runtime, after it has started a test container (see hookctl doctor --canary)")
	flags.BoolVar(&noCanary, "no-canary", false, "with --default, do not start a test container first, such as when building an image")
	flags.BoolVar(&r.prints, "print", false, "print what to add to the engine's configuration, and do nothing: for a file that hookctl does not change, such as a template")
	flags.BoolVar(&r.force, "force", false, "install a profile even with errors that may be gone later, such as a missing program; never one that oci-add-hooks itself refuses")
	flags.StringArrayVar(&r.podAnnotations, "pod-annotation", nil, "the `glob` of pods' annotations that containerd passes to containers, for conditions to see (repeatable)")
	r.define(cmd, sys)
	return cmd
}

func install(ctx context.Context, u *ui.UI, sys system.System, name string, r enrolment) error {
	e, err := engines.New(sys, name, r.config)
	if err != nil {
		return err
	}
	exe, err := program.Find(r.binDir)
	if err != nil {
		return err
	}
	link, findings, err := profiles.Ready(sys, exe, r.profile, r.force)
	u.FindingsToStderr(findings)
	if err != nil {
		return err
	}
	runtime := engine.Runtime{Name: r.profile, Link: link, Default: r.isDefault, PodAnnotations: r.podAnnotations}
	switch {
	case r.prints:
		block, err := e.Block(ctx, runtime)
		if err != nil {
			return err
		}
		if u.AsJSON {
			return u.JSON(struct {
				Engine  string `json:"engine"`
				Profile string `json:"profile"`
				Config  string `json:"config"`
				Block   string `json:"block"`
			}{name, r.profile, e.Config(), block})
		}
		u.Printf("%s\n", strings.TrimSuffix(block, "\n"))
		return nil
	case r.canary && !r.dryRun:
		shown := ""
		plan, err := registration.Default(ctx, sys, e, runtime, r.reload, func(ctx context.Context) (err error) {
			shown, err = doctor.Prove(ctx, sys, e, exe, r.profile)
			return err
		})
		if err != nil {
			return err
		}
		return printPlan(u, sys, e, plan, r, shown)
	}
	plan, err := registration.Install(ctx, sys, e, runtime)
	if err != nil {
		return err
	}
	return perform(ctx, u, sys, e, plan, r)
}

// perform carries out a plan, unless it is a dry run, and prints it.
func perform(ctx context.Context, u *ui.UI, sys system.System, e engine.Engine, plan *registration.Plan, r enrolment) error {
	if !r.dryRun {
		if err := plan.Perform(ctx, r.reload); err != nil {
			return err
		}
	}
	return printPlan(u, sys, e, plan, r, "")
}

// steps returns the changes of a plan as they are printed, with a diff for each file but hookctl's own records.
func steps(sys system.System, plan *registration.Plan) []step {
	list := []step{}
	for _, f := range plan.Files {
		if f.Same() {
			continue
		}
		s := step{Action: "write", Path: f.Path}
		switch {
		case f.Before == nil:
			s.Action = "create"
		case f.After == nil:
			s.Action = "remove"
		}
		if !strings.HasPrefix(f.Path, sys.State+"/") {
			s.Diff = change.Diff(f.Path, f.Before, f.Path, f.After)
		}
		list = append(list, s)
	}
	return list
}

// printPlan prints a plan that was carried out, or that would be. canary is the result of the test container; empty if
// none ran.
func printPlan(u *ui.UI, sys system.System, e engine.Engine, plan *registration.Plan, r enrolment, canary string) error {
	for _, note := range plan.Notes {
		u.Note(note)
	}
	files, reload := steps(sys, plan), plan.Reload()
	judged := ""
	if d := e.Daemon(); d != nil {
		judged = d.Judged()
	}
	next := engine.Reload{}
	if len(files) > 0 && (!r.reload || r.dryRun) {
		next = reload
	}
	if u.AsJSON {
		return u.JSON(struct {
			Engine  string `json:"engine"`
			Profile string `json:"profile"`
			DryRun  bool   `json:"dryRun"`
			Judged  string `json:"judged,omitempty"` // by what the engine was judged, if no daemon runs
			Files   []step `json:"files"`
			Command string `json:"reloadCommand,omitempty"`
			Effect  string `json:"reloadEffect,omitempty"`
			Read    bool   `json:"reloaded"`
			Canary  string `json:"canary,omitempty"`
		}{e.Name(), r.profile, r.dryRun, judged, files, next.Command, next.Effect, plan.Reloaded, canary})
	}
	if len(files) == 0 && !plan.Reloaded {
		u.Printf("nothing to do: already installed\n")
		return nil
	}
	switch {
	case canary != "":
		u.Printf("%s %s\n", u.Paint(ui.Green, "canary"), ui.Escape(canary))
	case r.dryRun && r.canary:
		u.Printf("would first start a container with it; a dry run does not\n")
	}
	for _, f := range files {
		f.print(u, r.dryRun)
	}
	if judged != "" {
		u.Printf("%s\n", ui.Escape(judged))
	}
	switch {
	case next.Command != "":
		u.Printf("to apply the change, run: %s\n  (%s)\n", u.Paint(ui.Bold, next.Command), ui.Escape(next.Effect))
	case reload.Command != "" && !r.dryRun:
		u.Printf("%s has read it: %s\n", e.Name(), reload.Effect)
	case next.Effect != "":
		u.Printf("%s\n", next.Effect)
	}
	return nil
}
