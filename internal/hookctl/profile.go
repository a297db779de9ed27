package hookctl

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engines"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/profiles"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

func newProfile(u *ui.UI, sys system.System) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "list, add and remove profiles, and list the containers that use them",
		Long: "A profile NAME is the hook file " + filepath.Join(profile.Dir, "NAME.json") + " and a link called NAME to oci-add-hooks. " +
			"An engine whose runtime is that link adds the hooks of that file.",
		Example: "  hookctl profile list\n" +
			"  hookctl profile add gpu-hooks --hooks ./gpu-hooks.json\n" +
			"  hookctl profile users gpu-hooks\n" +
			"  hookctl profile remove gpu-hooks",
	}
	cmd.AddCommand(newProfileList(u, sys), newProfileAdd(u, sys), newProfileRemove(u, sys), newProfileUsers(u, sys))
	return cmd
}

// defineBinDir adds the option --bin-dir to a command.
func defineBinDir(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "bin-dir", "", "the `directory` that has oci-add-hooks and its links (default: beside hookctl, else in PATH)")
	complete(cmd, "bin-dir")
}

func newProfileList(u *ui.UI, sys system.System) *cobra.Command {
	var binDir string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the profiles, with their links, runtimes and hooks",
		Long: "Lists the profiles in " + profile.Dir + ", each with its links to oci-add-hooks, its runtime and its hooks.\n\n" +
			"Exit status: 1 if a profile is broken, or its runtime is not found, else 0.",
		Example: "  hookctl profile list",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			exe, err := program.Find(binDir)
			if err != nil && binDir != "" {
				return err
			}
			list, err := profiles.List(sys, exe)
			if err != nil {
				return err
			}
			if u.AsJSON {
				err = u.JSON(struct {
					Profiles []profiles.Profile `json:"profiles"`
				}{list})
			} else {
				printProfiles(u, sys, list, exe)
			}
			for _, p := range list {
				if err == nil && p.Error != "" {
					err = errProblems
				}
			}
			return err
		},
	}
	defineBinDir(cmd, &binDir)
	defineHostRoot(cmd)
	return cmd
}

func printProfiles(u *ui.UI, sys system.System, list []profiles.Profile, exe string) {
	if len(list) == 0 {
		u.Printf("there are no profiles in %s\n", ui.Escape(sys.Profiles))
		return
	}
	var rows [][]ui.Cell
	for _, p := range list {
		what := ui.Plain.Cell(strings.Join(append(counts(func(stage hooks.Stage) int { return p.Hooks[stage] }), p.HooksDirs...), ", "))
		if p.Error != "" {
			what = ui.Red.Cell("broken: " + p.Error)
		}
		link := ui.Plain.Cell(strings.Join(p.Links, ", "))
		switch {
		case exe == "":
			link = ui.Yellow.Cell("unknown")
		case len(p.Links) == 0:
			link = ui.Yellow.Cell("none")
		}
		rows = append(rows, []ui.Cell{ui.Bold.Cell(p.Name), link, ui.Plain.Cell(p.Runtime), what})
	}
	u.Table([]string{"PROFILE", "LINK", "RUNTIME", "HOOKS"}, rows)
	if exe == "" {
		u.Printf("\noci-add-hooks is neither beside hookctl nor in PATH: to see the links, give its directory with --bin-dir\n")
	}
}

// counts returns a text such as "2 prestart" for each stage that has hooks.
func counts(at func(hooks.Stage) int) (texts []string) {
	for _, stage := range hooks.Stages() {
		if n := at(stage); n > 0 {
			texts = append(texts, fmt.Sprintf("%d %s", n, stage))
		}
	}
	return texts
}

func newProfileAdd(u *ui.UI, sys system.System) *cobra.Command {
	var from profiles.Source
	var binDir string
	var o options
	cmd := &cobra.Command{
		Use:   "add NAME [--hooks FILE] [--hooks-dir DIR]... [--runtime RUNTIME]",
		Short: "write a profile and make its link",
		Long: "Checks the hooks, writes the profile " + filepath.Join(profile.Dir, "NAME.json") + " and makes the link NAME beside oci-add-hooks.\n\n" +
			"The profile names its runtime first and by its absolute path, so that containers stay under control even if the rest of the file breaks. " +
			"The runtime is RUNTIME, else the one that FILE names, else runc.\n\n" +
			"Without --force, hookctl does not overwrite a file that it did not write or that was changed since. It adds no hooks with which containers would " +
			"not start (see hookctl check). It does not change the runtime while engines control running containers by the link (see hookctl profile users): " +
			"these could no longer be stopped.\n\n" +
			"With --force it also makes a link that comes before another program of that name in PATH, and replaces a link NAME that leads elsewhere, but never a program or a directory. It never adds hooks that oci-add-hooks " +
			"itself refuses.",
		Example: "  hookctl profile add gpu-hooks --hooks ./gpu-hooks.json --runtime crun\n" +
			"  hookctl profile add site-hooks --hooks-dir /etc/containers/oci/hooks.d --dry-run",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if err := namesProfile(name); err != nil {
				return err
			}
			if short, isFile := strings.CutSuffix(name, ".json"); isFile {
				return usageError(fmt.Sprintf("%q is the name of a file: the profile is called %q, and hookctl writes its file %s", name, short, sys.Profile(short)))
			}
			if from.HookFile == "" && len(from.HooksDirs) == 0 {
				return usageError("say which hooks: by --hooks FILE or --hooks-dir DIR")
			}
			exe, err := program.Find(binDir)
			if err != nil {
				return err
			}
			return changing(cmd, u, sys, o.dryRun, func(ctx context.Context) error {
				content, findings, err := profiles.Compose(exe, from, o.force)
				u.FindingsToStderr(findings) // standard output is for the changes
				if err != nil {
					return err
				}
				plan, err := profiles.Add(sys, exe, name, content, o.force)
				if err == nil && plan.Runtime != "" && !o.force {
					err = refuse(u, sys, profiles.Link(exe, name), fmt.Sprintf("%s names the runtime %s, which cannot be changed", sys.Profile(name), plan.Runtime), true)
				}
				if err != nil {
					return err
				}
				if plan.Note != "" {
					u.Note(plan.Note)
				}
				u.FindingsToStderr(check.Exposure(sys.Profiles, filepath.Dir(exe)))
				return apply(ctx, u, sys, o, plan.Files)
			})
		},
		ValidArgsFunction: completion(sys),
	}
	flags := cmd.Flags()
	flags.StringVar(&from.HookFile, "hooks", "", "the hook `file`")
	flags.StringArrayVar(&from.HooksDirs, "hooks-dir", nil, "a hooks `directory` (repeatable)")
	flags.StringVar(&from.Runtime, "runtime", "", "the `name` or path of the low-level runtime")
	defineBinDir(cmd, &binDir)
	o.define(cmd, "overwrite a profile that hookctl did not write or that was changed, even with another runtime under running containers, or with hooks that do not start; replace a link that leads elsewhere, or hide a program of that name")
	complete(cmd, "hooks-dir")
	defineHostRoot(cmd)
	return cmd
}

func newProfileRemove(u *ui.UI, sys system.System) *cobra.Command {
	var binDir string
	var o options
	cmd := &cobra.Command{
		Use:     "remove NAME",
		Aliases: []string{"rm"},
		Short:   "remove a profile and its link",
		Long: "Removes the profile " + filepath.Join(profile.Dir, "NAME.json") + " and the link NAME beside oci-add-hooks.\n\n" +
			"Without --force it refuses while an engine is configured to use the profile, and while an engine controls containers by it (see hookctl profile " +
			"users): these could no longer be stopped or started again. It does not find containers that a person started through the link: stop " +
			"them first.\n\n" +
			"Without --force it also refuses to remove a file that hookctl did not write or that was changed since, and a profile that another link NAME to " +
			"oci-add-hooks needs. It looks for links beside hookctl, in --bin-dir and in PATH. It never removes a file called NAME that is not a link to oci-add-hooks.",
		Example: "  hookctl profile remove gpu-hooks --dry-run\n" +
			"  hookctl profile remove gpu-hooks",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if err := namesProfile(name); err != nil {
				return err
			}
			exe, err := program.Find(binDir)
			if err != nil {
				return err
			}
			return changing(cmd, u, sys, o.dryRun, func(ctx context.Context) error {
				beside, _ := program.Find("") // another link may be where links are made without --bin-dir
				plan, err := profiles.Remove(sys, exe, name, program.LinksTo(exe, name, filepath.Dir(beside)), o.force)
				if err != nil {
					return err
				}
				if !o.force {
					link := profiles.Link(exe, name)
					if err := engines.RefuseInstalled(sys, name); err != nil {
						return err
					}
					if err := refuse(u, sys, link, "the profile "+name+" cannot be removed", false); err != nil {
						return err
					}
					if err := engines.RefuseRegistered(ctx, sys, name, link); err != nil {
						return err
					}
				}
				return apply(ctx, u, sys, o, plan.Files)
			})
		},
		ValidArgsFunction: completion(sys),
	}
	defineBinDir(cmd, &binDir)
	o.define(cmd, "remove a profile that hookctl did not write or that was changed, or that engines, containers or another link NAME need")
	defineHostRoot(cmd)
	return cmd
}

func namesProfile(name string) error {
	if !profile.ValidName(name) {
		return usageError(fmt.Sprintf("%q is not a valid profile name: use a letter or digit, then letters, digits, '.', '_' and '-'", name))
	}
	return nil
}
