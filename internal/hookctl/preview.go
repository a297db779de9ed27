package hookctl

import (
	"cmp"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/inventory"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/preview"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/profiles"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/inject"
)

func newPreview(u *ui.UI, sys system.System) *cobra.Command {
	var bundle, id, name string
	var call cmdline.Call
	var roots []string
	var next bool
	cmd := &cobra.Command{
		Use:   "preview [--bundle DIR | --id ID [--next]] [--profile NAME | --hook-config-path FILE... --hooks-dir DIR...]",
		Short: "show what would be added to a bundle, or which hooks a container has",
		Long: "Shows what oci-add-hooks would add to a bundle, and why: a row for each hook, then the change to config.json, as " +
			"a unified diff of its indented form. Nothing is written. The bundle is the working directory, or DIR.\n\n" +
			"With --id it shows the hooks of a container of Docker, containerd, Podman, CRI-O, runc or crun, and compares them with those that its profile " +
			"adds today, as hookctl ps does. ID is the container's id, the beginning of it, or its name. The profile is the one that the container was created with, " +
			"or the given one. With --next it shows what the profile would add if the container were created today.\n\n" +
			"Exit status: 1 if the low-level runtime is not found, without which no container starts, or if a container has other hooks than its profile adds, else 0.",
		Example: "  hookctl preview --bundle ./bundle --hook-config-path ./hooks.json\n" +
			"  hookctl preview --id web\n" +
			"  hookctl preview --id 4f1c --profile gpu-hooks --next",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if name != "" {
				if err := cmp.Or(namesProfile(name), profiles.Exists(sys, name)); err != nil {
					return err
				}
				call.Name = name
			}
			given := name != "" || len(call.HookFiles)+len(call.HooksDirs) > 0
			exe, _ := program.Find("")
			v := inventory.New(sys, inventory.Options{Exe: exe})
			switch {
			case next && id == "":
				return usageError("--next needs --id: without both, preview shows what would be added to a bundle")
			case id == "" && !given:
				return usageError("say which hooks: by --profile NAME, or by --hook-config-path FILE and --hooks-dir DIR")
			case id == "":
				p, err := preview.Bundle(v, call, bundle)
				if err != nil {
					return err
				}
				return printPreview(u, p)
			}
			if err := areDirectories(roots); err != nil {
				return err
			}
			found, err := container.Find(sys, id, roots)
			if err != nil {
				return err
			}
			if next {
				var by *cmdline.Call
				if given {
					by = &call
				}
				p, err := preview.Next(v, by, found)
				if err != nil {
					return err
				}
				return printPreview(u, p)
			}
			entry := v.Entry(found)
			if given {
				entry = v.Compare(found, call)
			}
			if err := printHooks(u, entry); err != nil {
				return err
			}
			if entry.IsWrong() {
				return errProblems
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&bundle, "bundle", ".", "the bundle's `directory`")
	flags.StringVar(&id, "id", "", "a container's `id`, the beginning of it, or its name")
	flags.BoolVar(&next, "next", false, "with --id, show what would be added today")
	flags.StringArrayVar(&roots, "root", nil, "another `directory` of a runtime's state to look for the id in (runc --root; repeatable)")
	flags.StringVar(&name, "profile", "", "the `name` of a profile")
	flags.StringArrayVar(&call.HookFiles, "hook-config-path", nil, "a hook `file` (repeatable)")
	flags.StringArrayVar(&call.HooksDirs, "hooks-dir", nil, "a hooks `directory` (repeatable)")
	cmd.MarkFlagsMutuallyExclusive("bundle", "id")
	cmd.MarkFlagsMutuallyExclusive("profile", "hook-config-path")
	cmd.MarkFlagsMutuallyExclusive("profile", "hooks-dir")
	complete(cmd, "bundle", "root", "hooks-dir")
	completeProfiles(cmd, sys, "profile")
	return cmd
}

// printHooks shows the hooks that a container has.
func printHooks(u *ui.UI, e inventory.Entry) error {
	if u.AsJSON {
		type hook struct {
			Stage string `json:"stage"`
			Path  string `json:"path"`
			File  string `json:"file,omitempty"` // empty if unknown
		}
		shown := struct {
			Container inventory.Entry `json:"container"`
			Hooks     []hook          `json:"hooks"`
		}{e, []hook{}}
		e.Each(func(place inventory.Place, path, file string) {
			shown.Hooks = append(shown.Hooks, hook{string(place.Stage), path, file})
		})
		return u.JSON(shown)
	}
	u.Printf("container %s (%s, %s)\n", ui.Escape(e.Whole()), ui.Escape(e.Engine), ui.Escape(e.Bundle))
	if e.Profile != "" {
		u.Printf("profile %s\n", ui.Escape(e.Profile))
	}
	state := u.Paint(stateColours[e.State], string(e.State))
	if e.Reason != "" {
		state += ": " + ui.Escape(e.Reason)
	}
	u.Printf("state %s\n\n", state)
	var rows [][]ui.Cell
	e.Each(func(place inventory.Place, path, file string) {
		rows = append(rows, []ui.Cell{ui.Bold.Cell(string(place.Stage)), ui.Plain.Cell(path), ui.Plain.Cell(file)})
	})
	switch {
	case len(rows) == 0 && e.Read:
		u.Printf("it has no hooks\n")
	case len(rows) > 0:
		u.Table([]string{"STAGE", "PATH", "FROM"}, rows)
	}
	before := "\n"
	for _, problem := range e.Problems {
		if problem != e.Reason {
			u.Printf("%s%s\n", before, u.Paint(ui.Yellow, problem))
			before = ""
		}
	}
	return nil
}

func printPreview(u *ui.UI, p *preview.Preview) (err error) {
	if p.Error != "" {
		err = errProblems
	}
	if u.AsJSON {
		return errors.Join(u.JSON(p), err)
	}
	if p.Container != nil {
		u.Printf("container %s\n", ui.Escape(p.Container.String()))
	}
	if p.Error == "" {
		u.Printf("runtime %s\n\n", ui.Escape(p.Runtime))
	} else {
		u.Printf("%s\n%s\n\n", u.Paint(ui.Red, "runtime none: "+p.Error),
			"oci-add-hooks would refuse to start the container; with a runtime this would be added:")
	}
	if len(p.Hooks) == 0 {
		u.Printf("there are no hooks to add\n")
		return err
	}
	var rows [][]ui.Cell
	for _, h := range p.Hooks {
		stage := h.Stage
		if stage == "" {
			stage = "-"
		}
		reason := h.Reason
		if h.Supervised != nil {
			reason = strings.TrimPrefix(reason+"; "+h.Supervised.Text, "; ")
		}
		verdict := map[inject.Verdict]ui.Colour{inject.Added: ui.Green, inject.AlreadyThere: ui.Cyan, inject.NotAdded: ui.Yellow}[h.Verdict]
		rows = append(rows, []ui.Cell{ui.Bold.Cell(stage), ui.Plain.Cell(h.Path), ui.Plain.Cell(h.File), verdict.Cell(string(h.Verdict)), ui.Plain.Cell(reason)})
	}
	u.Table([]string{"STAGE", "PATH", "FROM", "VERDICT", "REASON"}, rows)
	u.Printf("\n")
	if len(p.Without) > 0 {
		u.Printf("config.json is shown without these hooks, which may be from an older version of the profile: %s\n\n", ui.Escape(strings.Join(p.Without, ", ")))
	}
	if !p.Changes {
		u.Printf("%s stays as it is\n", ui.Escape(p.Config))
		return err
	}
	u.Diff(p.Diff)
	return err
}
