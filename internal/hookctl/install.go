package hookctl

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engines"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
)

// enrolment is what install and uninstall are asked for.
type enrolment struct {
	engine                           string
	config                           string // empty for the usual one
	profile                          string
	binDir                           string
	isDefault, dryRun, reload, force bool
	noCanary                         bool
	podAnnotations                   []string
	canary                           string // what the container has shown that was started before it became the default
}

func (r *enrolment) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&r.profile, "profile", "", "the `name` of the profile")
	flags.StringVar(&r.config, "config", "", "the engine's main configuration `file` (default: where it usually is)")
	flags.StringVar(&r.binDir, "bin-dir", "", binDirUsage)
	flags.BoolVar(&r.dryRun, "dry-run", false, "show the change to each file, and do nothing")
	flags.BoolVar(&r.reload, "reload", false, "have the engine read its configuration anew (else the command for it is printed)")
	must(cmd.MarkFlagRequired("profile"))
	must(cmd.RegisterFlagCompletionFunc("profile", completeProfile))
	must(cmd.MarkFlagFilename("config"))
	complete(cmd, "bin-dir")
	cmd.ValidArgs = engines.Names
	cmd.Args = cobra.ExactArgs(1)
	defineHostRoot(cmd)
}

const engineConfigs = "The files: docker: /etc/docker/daemon.json. containerd: a file of its own in /etc/containerd/conf.d, imported by config.toml; " +
	"in a configuration of version 2 a marked block at the end of config.toml. crio: a file in /etc/crio/crio.conf.d. podman: a file in /etc/containers/containers.conf.d. " +
	"What was changed is remembered in "

func newInstall(io *streams) *cobra.Command {
	var r enrolment
	cmd := &cobra.Command{
		Use:   "install ENGINE --profile NAME",
		Short: "make an engine know a profile as a runtime",
		Long: "Makes an engine (docker, containerd, crio or podman) know a profile, as a runtime of that name. Every byte of its configuration that is not " +
			"about that stays as it was, and so does, as the engine itself reads it, everything else that it says; else all is put back. The engine is not " +
			"restarted without --reload.\n\n" + engineConfigs + io.sys.State + ".",
		Example: "  hookctl install docker --profile gpu-hooks --dry-run\n  hookctl install containerd --profile gpu-hooks --pod-annotation 'com.example.*' --reload",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.engine = args[0]
			if r.noCanary && !r.isDefault {
				return usageError("--no-canary is for --default")
			}
			return io.install(cmd, r)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&r.isDefault, "default", false, "make it the runtime of containers that ask for none, too, if nothing is\nwrong with it and it has started a container (hookctl doctor --canary)")
	flags.BoolVar(&r.noCanary, "no-canary", false, "with --default, start no container first: for an image that is being built")
	flags.StringArrayVar(&r.podAnnotations, "pod-annotation", nil, "the `glob` of pods' annotations that containerd shall let through\nto containers, for conditions to see (repeatable)")
	r.define(cmd)
	return cmd
}

func newUninstall(io *streams) *cobra.Command {
	var r enrolment
	cmd := &cobra.Command{
		Use:   "uninstall ENGINE --profile NAME",
		Short: "take back what install did",
		Long: "Takes back what `hookctl install` did. A file that nobody has changed since is as it was before; of another, hookctl's own part is taken out alone. " +
			"The profile and its link stay.\n\n" +
			"It refuses while a container uses the profile, since its engine could not stop it any more.",
		Example: "  hookctl uninstall docker --profile gpu-hooks --reload",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.engine = args[0]
			return io.uninstall(cmd, r)
		},
	}
	cmd.Flags().BoolVar(&r.force, "force", false, "do so even if containers use the profile")
	r.define(cmd)
	return cmd
}

func (s *streams) install(cmd *cobra.Command, r enrolment) error {
	if r.isDefault && !r.noCanary && !r.dryRun {
		return s.installDefault(cmd, r)
	}
	e, plan, err := r.planInstall(cmd.Context(), s.sys)
	if err != nil {
		return err
	}
	return s.carryOutPlan(cmd, r, e, plan)
}

func (s *streams) uninstall(cmd *cobra.Command, r enrolment) error {
	e, plan, err := r.planUninstall(cmd.Context(), s.sys)
	if err != nil {
		return err
	}
	if plan == nil {
		return fmt.Errorf("hookctl has not installed %s for %s: %s has nothing of it; what was registered by hand is to be taken out by hand", r.profile, r.engine, s.sys.State)
	}
	return s.carryOutPlan(cmd, r, e, plan)
}

func (r *enrolment) planInstall(ctx context.Context, sys system.System) (engine.Engine, *registration.Plan, error) {
	e, err := r.find()
	if err != nil {
		return nil, nil, err
	}
	link, err := r.link()
	if err != nil {
		return nil, nil, err
	}
	plan, err := registration.Install(ctx, sys, e, engine.Runtime{Name: r.profile, Link: link, Default: r.isDefault, PodAnnotations: r.podAnnotations})
	return e, plan, err
}

// planUninstall gives no plan if there is nothing that was installed.
func (r *enrolment) planUninstall(_ context.Context, sys system.System) (engine.Engine, *registration.Plan, error) {
	e, err := r.find()
	if err != nil {
		return nil, nil, err
	}
	rec, text, err := registration.ReadRecord(sys, r.engine, r.profile)
	if err != nil || rec == nil {
		return e, nil, err
	}
	if rec.Config != e.Config() {
		if r.config != "" {
			return nil, nil, fmt.Errorf("%s is installed in %s", r.profile, rec.Config)
		}
		if e, err = engines.New(r.engine, rec.Config); err != nil {
			return nil, nil, err
		}
	}
	if !r.force {
		if err := refuseInUse(sys, []string{rec.Link}, fmt.Sprintf("%s cannot be uninstalled", r.profile)); err != nil {
			return nil, nil, err
		}
	}
	plan, err := registration.Uninstall(sys, e, rec, text)
	return e, plan, err
}

// refuseInstalled gives an error if an engine has been made to know a profile: its link is the engine's runtime.
func refuseInstalled(sys system.System, name string) error {
	for _, e := range engines.Names {
		rec, _, err := registration.ReadRecord(sys, e, name)
		if err != nil {
			return err
		}
		if rec != nil {
			return fmt.Errorf("the profile %s cannot be removed while %s knows it: hookctl uninstall %s --profile %s", name, rec.Config, e, name)
		}
	}
	return nil
}

// find gives the engine.
func (r *enrolment) find() (engine.Engine, error) {
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
	e, err := engines.New(r.engine, r.config)
	if err != nil {
		return nil, usageError(err.Error())
	}
	return e, nil
}

// link gives the path of the profile's link, by which an engine is to call it.
func (r *enrolment) link() (string, error) {
	program, err := findProgram(r.binDir)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(profilePath(r.profile)); err != nil {
		return "", fmt.Errorf("there is no profile %s: make it by hookctl profile add %s", profilePath(r.profile), r.profile)
	}
	link := filepath.Join(filepath.Dir(program), r.profile)
	if !leadsTo(link, program) {
		return "", fmt.Errorf("%s is no link to %s: make it by hookctl profile add %s, or say where it is by --bin-dir", link, program, r.profile)
	}
	return link, nil
}

// filed is the change to a file, as it is told.
type filed struct {
	Path   string `json:"path"`
	Action string `json:"action"` // write, create or remove
	Diff   string `json:"diff,omitempty"`
}

// told gives the change to a file, as a unified diff; that to hookctl's own record is nobody's concern.
func (s *streams) told(f change.File) filed {
	t := filed{Path: f.Path, Action: "write"}
	switch {
	case f.Before == nil:
		t.Action = "create"
	case f.After == nil:
		t.Action = "remove"
	}
	if !strings.HasPrefix(f.Path, s.sys.State+"/") {
		t.Diff = ui.UnifiedDiff(f.Path, f.Before, f.Path, f.After)
	}
	return t
}

// carryOutPlan carries a plan out, unless that is not wanted, and tells of it.
func (s *streams) carryOutPlan(cmd *cobra.Command, r enrolment, e engine.Engine, plan *registration.Plan) error {
	reload := plan.Reload()
	if !r.dryRun && plan.Changes() {
		ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
		defer stop()
		if err := plan.CarryOut(ctx, r.reloads(plan)...); err != nil {
			return err
		}
		if plan.Note != "" {
			s.Note(plan.Note)
		}
	}
	return s.printPlan(r, s.changed(plan), reload)
}

// reloads gives the step by which the engine reads its configuration anew, if that is wanted: and the old one, if it fails.
func (r *enrolment) reloads(plan *registration.Plan) []registration.Step {
	if !r.reload {
		return nil
	}
	reload := plan.Reload()
	return []registration.Step{{Do: reload.Do, Undo: reload.Do}}
}

// changed gives the files that a plan changes.
func (s *streams) changed(plan *registration.Plan) []filed {
	files := []filed{}
	for _, f := range plan.Files {
		if !f.Same() {
			files = append(files, s.told(f))
		}
	}
	return files
}

func (s *streams) printPlan(r enrolment, files []filed, reload engine.Reload) error {
	next := reload
	if done := r.reload && !r.dryRun; done == (len(files) > 0) { // it has read it, or there was nothing to read
		next = engine.Reload{}
	}
	if s.AsJSON {
		return s.JSON(struct {
			Engine  string  `json:"engine"`
			Profile string  `json:"profile"`
			DryRun  bool    `json:"dryRun"`
			Files   []filed `json:"files"`
			Command string  `json:"reloadCommand,omitempty"`
			Effect  string  `json:"reloadEffect,omitempty"`
			Canary  string  `json:"canary,omitempty"`
		}{r.engine, r.profile, r.dryRun, files, next.Command, next.Effect, r.canary})
	}
	if len(files) == 0 {
		s.Printf("nothing to do: it is so already\n")
		if r.reload && next.Command != "" {
			s.Printf("if %s has not read it yet: %s\n  (%s)\n", r.engine, s.Paint(ui.Bold, next.Command), next.Effect)
		}
		return nil
	}
	would := ""
	if r.dryRun {
		would = "would "
	}
	switch {
	case r.canary != "":
		s.Printf("%s %s\n", s.Paint(ui.Green, "canary"), ui.Escape(r.canary))
	case r.dryRun && r.isDefault && !r.noCanary:
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
	switch {
	case next.Command != "":
		s.Printf("%s has to read it: %s\n  (%s)\n", r.engine, s.Paint(ui.Bold, next.Command), next.Effect)
	case r.reload && !r.dryRun && reload.Command != "":
		s.Printf("%s has been told to read it: %s\n", r.engine, reload.Effect)
	}
	return nil
}
