package hookctl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/inventory"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/preview"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/inject"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

func newPreview(io *streams) *cobra.Command {
	var bundle, id, name string
	var call cmdline.Call
	var roots []string
	var next bool
	cmd := &cobra.Command{
		Use:   "preview [--bundle DIR | --id ID [--next]] [--profile NAME | --hook-config-path FILE... --hooks-dir DIR...]",
		Short: "show what would be added to a bundle, or which hooks a container has",
		Long: "Shows what oci-add-hooks would add to a bundle, and why: a row for each hook, then the change to config.json, as " +
			"a unified diff of its indented form. Nothing is written. The bundle is the working directory, or DIR.\n\n" +
			"With --id it shows the hooks that a container has, of Docker, containerd, Podman, CRI-O, runc or crun, and compares them with those that its profile " +
			"adds today, as hookctl ps does. ID is its id, the beginning of that, or its name. The profile is the one that the container was created by, " +
			"or the one that is given. With --next it shows what that would add to the container if it were created today.\n\n" +
			"Exit status: 1 if the low-level runtime is not found, without which no container starts, or if a container has other hooks than its profile adds, else 0.",
		Example: "  hookctl preview --bundle ./bundle --hook-config-path ./hooks.json\n" +
			"  hookctl preview --id web\n" +
			"  hookctl preview --id 4f1c --profile gpu-hooks --next",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if name != "" {
				if err := namesProfile(name); err != nil {
					return err
				}
				call.Name = name
			}
			given := name != "" || len(call.HookFiles)+len(call.HooksDirs) > 0
			exe, _ := program.Find("")
			v := inventory.New(io.sys, inventory.Options{Exe: exe})
			switch {
			case next && id == "":
				return usageError("--next is for --id: what would be added to a bundle is shown without it")
			case id == "" && !given:
				return usageError("say which hooks: by --profile NAME, or by --hook-config-path FILE and --hooks-dir DIR")
			case id == "":
				containerID, err := idOf(bundle)
				if err != nil {
					return err
				}
				return io.preview(v, call, exe, shownPreview{Config: filepath.Join(bundle, "config.json")}, filepath.Join(bundle, "config.json"), containerID)
			}
			if err := areDirectories(roots); err != nil {
				return err
			}
			found, err := container.Find(io.sys, id, roots)
			if err != nil {
				return err
			}
			if next {
				return io.previewNext(v, call, given, exe, found)
			}
			entry := v.Entry(found)
			if given {
				entry = v.Compare(found, call)
			}
			if err := printHooks(io.UI, entry); err != nil {
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
	flags.StringVar(&id, "id", "", "a container's `id`, how it begins, or its name")
	flags.BoolVar(&next, "next", false, "with --id, show what would be added today")
	flags.StringArrayVar(&roots, "root", nil, "a `directory` of runtimes' state to look for the id in (runc --root), besides the usual ones (repeatable)")
	flags.StringVar(&name, "profile", "", "the `name` of a profile")
	flags.StringArrayVar(&call.HookFiles, "hook-config-path", nil, "a hook `file` (repeatable)")
	flags.StringArrayVar(&call.HooksDirs, "hooks-dir", nil, "a hooks `directory` (repeatable)")
	cmd.MarkFlagsMutuallyExclusive("bundle", "id")
	cmd.MarkFlagsMutuallyExclusive("profile", "hook-config-path")
	cmd.MarkFlagsMutuallyExclusive("profile", "hooks-dir")
	complete(cmd, "bundle", "root", "hooks-dir")
	must(cmd.RegisterFlagCompletionFunc("profile", completeProfile))
	return cmd
}

// idOf returns the id that a container of a bundle most likely has: engines name the bundle's directory by it.
func idOf(bundle string) (string, error) {
	dir, err := filepath.Abs(bundle)
	if filepath.Base(dir) == "userdata" { // Podman's and CRI-O's
		dir = filepath.Dir(dir)
	}
	return filepath.Base(dir), err
}

// shownPreview is a preview as it is shown.
type shownPreview struct {
	Config    string               `json:"config"`
	Container *container.Container `json:"container,omitempty"`
	Runtime   string               `json:"runtime"`         // the path of the low-level runtime; empty if it is not found
	Error     string               `json:"error,omitempty"` // why it is not found: nothing is added then
	preview.Preview
	Diff string `json:"diff"`
}

// previewNext shows what would be added to a container if it were created today: by the call that is given, or else the one
// that it was created by.
func (s *streams) previewNext(v *inventory.Inventory, call cmdline.Call, given bool, exe string, found container.Container) error {
	if !given {
		created, through, err := v.Call(found)
		if err != nil {
			return err
		}
		if !through {
			return fmt.Errorf("nothing says that %s goes through oci-add-hooks; give --profile NAME", found.Title())
		}
		call = created
	}
	path, done, err := found.Config()
	if err != nil {
		return err
	}
	defer done()
	return s.preview(v, call, exe, shownPreview{Config: filepath.Join(found.Bundle, "config.json"), Container: &found}, path, found.ID)
}

// preview shows what a call would add to the config.json at path.
func (s *streams) preview(v *inventory.Inventory, call cmdline.Call, exe string, p shownPreview, path, id string) error {
	uses, err := v.Load(call)
	if err != nil {
		return err
	}
	if p.Runtime, err = program.FindRuntime(exe, uses.Runtime); err != nil {
		p.Error = err.Error()
	}
	if p.Preview, err = preview.Make(uses, path, id); err != nil {
		return err
	}
	if p.Changes {
		p.Diff = ui.UnifiedDiff(p.Config, p.Before, p.Config+" with hooks", p.After)
	}
	if s.AsJSON {
		if err := s.JSON(p); err != nil {
			return err
		}
	} else {
		printPreview(s.UI, p)
	}
	if p.Error != "" {
		return errProblems
	}
	return nil
}

// printHooks shows the hooks that a container has.
func printHooks(u *ui.UI, e inventory.Entry) error {
	if u.AsJSON {
		type hook struct {
			Stage string `json:"stage"`
			Path  string `json:"path"`
			File  string `json:"file,omitempty"` // empty if it is not known
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

func printPreview(u *ui.UI, p shownPreview) {
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
		return
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
	if !p.Changes {
		u.Printf("%s stays as it is\n", ui.Escape(p.Config))
		return
	}
	u.Diff(p.Diff)
}

// profilePath returns the path of a profile's hook file.
func profilePath(name string) string { return filepath.Join(profile.Dir, name+".json") }

// profileNames lists the profiles that there are.
func profileNames() (names []string, err error) {
	entries, err := os.ReadDir(profile.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && profile.ValidName(name) {
			names = append(names, name)
		}
	}
	return names, err
}

// completeProfile completes the name of a profile.
func completeProfile(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	names, err := profileNames()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// complete has options completed by the names of directories.
func complete(cmd *cobra.Command, flags ...string) {
	for _, flag := range flags {
		must(cmd.MarkFlagDirname(flag))
	}
}

// must panics if an option is not defined: a mistake in this package, which every test would find.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
