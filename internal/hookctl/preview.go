package hookctl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/inject"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

func newPreview(io *streams) *cobra.Command {
	var bundle, id, name string
	var hookFiles, hooksDirs, roots []string
	cmd := &cobra.Command{
		Use:   "preview [--bundle DIR | --id ID] [--profile NAME | --hook-config-path FILE... --hooks-dir DIR...]",
		Short: "show what would be added to a bundle, and why",
		Long: "Shows what oci-add-hooks would add to a bundle, and why: a row for each hook, then the change to config.json, as " +
			"a unified diff of its indented form. Nothing is written.\n\n" +
			"Exit status: 1 if the low-level runtime is not found, without which no container starts, else 0.\n\n" +
			"The bundle is the working directory, or DIR, or that of the container of Docker, containerd, Podman, CRI-O, runc or crun " +
			"whose id is, or begins with, ID. A container that was started with these hooks has them already.",
		Example: "  hookctl preview --bundle ./bundle --hook-config-path ./hooks.json\n" +
			"  hookctl preview --id 4f1c --profile gpu-hooks",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			uses, err := resolve(name, hookFiles, hooksDirs)
			if err != nil {
				return err
			}
			p := preview{Hooks: []decision{}}
			program, _ := findProgram("")
			if p.Runtime, err = findRuntime(program, uses.Runtime); err != nil {
				p.Error = err.Error()
			}
			if id != "" {
				found, err := container.Find(io.sys, id, roots)
				if err != nil {
					return err
				}
				p.Container, bundle, id = &found, found.Bundle, found.ID
			} else if id, err = idOf(bundle); err != nil {
				return err
			}
			if err := p.fill(uses, filepath.Join(bundle, "config.json"), id); err != nil {
				return err
			}
			if io.AsJSON {
				if err := io.JSON(p); err != nil {
					return err
				}
			} else {
				io.printPreview(p)
			}
			if p.Error != "" {
				return errProblems
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&bundle, "bundle", ".", "the bundle's `folder`")
	flags.StringVar(&id, "id", "", "a container's `id`, or how it begins")
	flags.StringArrayVar(&roots, "root", nil, "a `folder` of runtimes' state to look for the id in (runc --root), besides the usual ones (repeatable)")
	flags.StringVar(&name, "profile", "", "the `name` of a profile")
	flags.StringArrayVar(&hookFiles, "hook-config-path", nil, "a hook `file` (repeatable)")
	flags.StringArrayVar(&hooksDirs, "hooks-dir", nil, "a hooks `directory` (repeatable)")
	cmd.MarkFlagsMutuallyExclusive("bundle", "id")
	cmd.MarkFlagsMutuallyExclusive("profile", "hook-config-path")
	cmd.MarkFlagsMutuallyExclusive("profile", "hooks-dir")
	complete(cmd, "bundle", "root", "hooks-dir")
	must(cmd.RegisterFlagCompletionFunc("profile", completeProfile))
	return cmd
}

// resolve gives what a call with these options uses, as the runtime finds it.
func resolve(name string, hookFiles, hooksDirs []string) (profile.Profile, error) {
	switch {
	case name != "" && !profile.ValidName(name):
		return profile.Profile{}, usageError(fmt.Sprintf("%q is no name for a profile", name))
	case name != "":
		hookFiles = []string{profilePath(name)}
	case len(hookFiles)+len(hooksDirs) == 0:
		return profile.Profile{}, usageError("say which hooks: by --profile NAME, or by --hook-config-path FILE and --hooks-dir DIR")
	}
	return profile.Load(cmdline.Call{Kind: cmdline.AddHooks, HookFiles: hookFiles, HooksDirs: hooksDirs})
}

// preview is what would be added.
type preview struct {
	Config    string               `json:"config"`
	Container *container.Container `json:"container,omitempty"`
	Runtime   string               `json:"runtime"`         // the path of the low-level runtime; empty if it is not found
	Error     string               `json:"error,omitempty"` // why it is not found: nothing is added then
	Hooks     []decision           `json:"hooks"`
	Changes   bool                 `json:"changes"`
	Diff      string               `json:"diff"`
}

// decision is what becomes of one hook.
type decision struct {
	Stage   string         `json:"stage"` // empty if the hook names none
	Path    string         `json:"path"`
	File    string         `json:"file"`
	Verdict inject.Verdict `json:"verdict"`
	Reason  string         `json:"reason,omitempty"`

	Supervised *supervised `json:"supervised,omitempty"`
}

// supervised is how a supervised hook would be run.
type supervised struct {
	Timeout       int    `json:"timeout"` // in seconds
	FailurePolicy string `json:"failurePolicy"`
	Reason        string `json:"reason,omitempty"` // why a failure is ignored, where the container decides it

	text string
}

// idOf returns the id that a container of a bundle most likely has: engines name the bundle's directory by it.
func idOf(bundle string) (string, error) {
	dir, err := filepath.Abs(bundle)
	if filepath.Base(dir) == "userdata" { // Podman's and CRI-O's
		dir = filepath.Dir(dir)
	}
	return filepath.Base(dir), err
}

// fill makes the plan that the runtime would carry out.
func (p *preview) fill(uses profile.Profile, config, id string) error {
	p.Config = config
	before, err := jsonfile.Read(config)
	if err != nil {
		return err
	}
	plan, err := inject.Make(uses, config, id)
	if err != nil {
		return err
	}
	for _, d := range plan.Decisions {
		row := decision{Stage: string(d.Stage), Path: d.Path, File: d.File, Verdict: d.Verdict}
		if d.Reason != nil {
			row.Reason = d.Reason.String()
		}
		if s := d.Supervised; s != nil {
			row.Supervised = &supervised{Timeout: s.Timeout, FailurePolicy: s.Policy, Reason: s.Why.String(), text: s.String()}
		}
		p.Hooks = append(p.Hooks, row)
	}
	if plan.Text == nil {
		return nil
	}
	p.Changes = true
	old, err := indented(before.Data)
	if err != nil {
		return err
	}
	new, err := indented(plan.Text)
	if err != nil {
		return err
	}
	p.Diff = ui.UnifiedDiff(config, old, config+" with hooks", new)
	return nil
}

// indented gives JSON with each member and element in a line of its own, and all else as it was.
func indented(text []byte) ([]byte, error) {
	v := jsontext.Value(text).Clone()
	if err := v.Indent(jsontext.WithIndent("    ")); err != nil {
		return nil, errors.New("config.json was changed while it was read; try again")
	}
	return append(v, '\n'), nil
}

func (s *streams) printPreview(p preview) {
	if p.Container != nil {
		s.Printf("container %s\n", ui.Escape(p.Container.String()))
	}
	if p.Error == "" {
		s.Printf("runtime %s\n\n", ui.Escape(p.Runtime))
	} else {
		s.Printf("%s\n%s\n\n", s.Paint(ui.Red, "runtime none: "+p.Error),
			"oci-add-hooks would refuse to start the container; with a runtime this would be added:")
	}
	if len(p.Hooks) == 0 {
		s.Printf("there are no hooks to add\n")
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
			reason = strings.TrimPrefix(reason+"; "+h.Supervised.text, "; ")
		}
		verdict := map[inject.Verdict]ui.Colour{inject.Added: ui.Green, inject.AlreadyThere: ui.Cyan, inject.NotAdded: ui.Yellow}[h.Verdict]
		rows = append(rows, []ui.Cell{ui.Bold.Cell(stage), ui.Plain.Cell(h.Path), ui.Plain.Cell(h.File), verdict.Cell(string(h.Verdict)), ui.Plain.Cell(reason)})
	}
	s.Table([]string{"STAGE", "PATH", "FROM", "VERDICT", "REASON"}, rows)
	s.Printf("\n")
	if !p.Changes {
		s.Printf("%s stays as it is\n", ui.Escape(p.Config))
		return
	}
	s.Diff(p.Diff)
}

// profilePath gives the path of a profile's hook file.
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

// complete has options completed by the names of folders.
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
