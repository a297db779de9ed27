package hookctl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

func newProfile(io *streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "list, add and remove the profiles by which engines choose hooks, and tell who uses them",
		Long: "A profile NAME is the hook file " + filepath.Join(profile.Dir, "NAME.json") + " and a link called NAME to oci-add-hooks. " +
			"An engine whose runtime is that link adds the hooks of that file.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newProfileList(io), newProfileAdd(io), newProfileRemove(io), newProfileUsers(io))
	return cmd
}

const binDirUsage = "the `folder` in which oci-add-hooks is, and its links are (default: beside hookctl, else in PATH)"

func newProfileList(io *streams) *cobra.Command {
	var binDir string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the profiles, with their links, runtimes and hooks",
		Long: "Lists the profiles in " + profile.Dir + ", with the links that lead to oci-add-hooks, the runtime and the hooks of each.\n\n" +
			"Exit status: 1 if a profile is broken, or its runtime is not found, else 0.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			program, err := findProgram(binDir)
			if err != nil && binDir != "" {
				return err
			}
			list, err := listProfiles(program)
			if err != nil {
				return err
			}
			if io.AsJSON {
				err = io.JSON(struct {
					Profiles []listed `json:"profiles"`
				}{list})
			} else {
				io.printProfiles(list, program)
			}
			for _, p := range list {
				if err == nil && p.Error != "" {
					err = errProblems
				}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&binDir, "bin-dir", "", binDirUsage)
	complete(cmd, "bin-dir")
	defineHostRoot(cmd)
	return cmd
}

// listed is a profile as it is listed.
type listed struct {
	Name      string              `json:"name"`
	File      string              `json:"file"`
	Links     []string            `json:"links"`
	Runtime   string              `json:"runtime,omitempty"`
	Hooks     map[hooks.Stage]int `json:"hooks"` // how many at each stage that has any
	HooksDirs []string            `json:"hooksDirs"`
	Error     string              `json:"error,omitempty"` // what the runtime refuses
}

func listProfiles(program string) ([]listed, error) {
	names, err := profileNames()
	if err != nil {
		return nil, fmt.Errorf("the profiles cannot be read: %w", err)
	}
	list := []listed{}
	for _, name := range names {
		p := listed{Name: name, File: profilePath(name), Links: linksTo(program, name), Hooks: map[hooks.Stage]int{}, HooksDirs: []string{}}
		uses, err := profile.Load(cmdline.Call{Kind: cmdline.AddHooks, HookFiles: []string{p.File}})
		if err != nil {
			p.Error = err.Error()
			list = append(list, p)
			continue
		}
		p.Runtime = uses.Runtime
		if _, err := findRuntime(program, uses.Runtime); err != nil {
			p.Error = err.Error()
		}
		for _, h := range uses.Files[0].Hooks {
			p.Hooks[h.Stage]++
		}
		p.HooksDirs = append(p.HooksDirs, uses.Dirs...)
		list = append(list, p)
	}
	return list, nil
}

// linksTo gives what is called name, in the folder of program, in folders and in those of PATH, and is program.
func linksTo(program, name string, folders ...string) []string {
	links := []string{}
	target, err := os.Stat(program)
	if err != nil {
		return links
	}
	seen := map[string]bool{}
	folders = append(append([]string{filepath.Dir(program)}, folders...), filepath.SplitList(os.Getenv("PATH"))...)
	for _, folder := range folders {
		link := filepath.Join(folder, name)
		if st, err := os.Stat(link); err == nil && filepath.IsAbs(link) && os.SameFile(st, target) && !seen[link] {
			seen[link] = true
			links = append(links, link)
		}
	}
	return links
}

func (s *streams) printProfiles(list []listed, program string) {
	if len(list) == 0 {
		s.Printf("there are no profiles in %s\n", profile.Dir)
		return
	}
	var rows [][]ui.Cell
	for _, p := range list {
		var hold []string
		for _, stage := range hooks.Stages() {
			if n := p.Hooks[stage]; n > 0 {
				hold = append(hold, fmt.Sprintf("%d %s", n, stage))
			}
		}
		hold = append(hold, p.HooksDirs...)
		what := ui.Plain.Cell(strings.Join(hold, ", "))
		if p.Error != "" {
			what = ui.Red.Cell("broken: " + p.Error)
		}
		link := ui.Plain.Cell(strings.Join(p.Links, ", "))
		if len(p.Links) == 0 {
			link = ui.Yellow.Cell("none")
			if program == "" {
				link = ui.Yellow.Cell("unknown")
			}
		}
		rows = append(rows, []ui.Cell{ui.Bold.Cell(p.Name), link, ui.Plain.Cell(p.Runtime), what})
	}
	s.Table([]string{"PROFILE", "LINK", "RUNTIME", "HOOKS"}, rows)
	if program == "" {
		s.Printf("\noci-add-hooks is neither beside hookctl nor in PATH; say where it is by --bin-dir, to see the links\n")
	}
}

func newProfileAdd(io *streams) *cobra.Command {
	var hookFile, runtime, binDir string
	var hooksDirs []string
	var how manner
	cmd := &cobra.Command{
		Use:   "add NAME [--hooks FILE] [--hooks-dir DIR]... [--runtime RUNTIME]",
		Short: "write a profile and make its link",
		Long: "Checks the hooks, writes the profile " + filepath.Join(profile.Dir, "NAME.json") + " and makes the link NAME beside oci-add-hooks.\n\n" +
			"The profile names its runtime first and by its whole path, so that containers stay under control even if the rest of the file breaks. " +
			"The runtime is RUNTIME, else the one that FILE names, else runc.\n\n" +
			"What hookctl did not write, or what was changed since, is not overwritten without --force. Neither is a profile given another " +
			"runtime while containers run that engines control by the link (hookctl profile users NAME): they could no longer be stopped. " +
			"A link of that name which leads elsewhere is replaced with --force alone, a program or a folder never.",
		Example: "  hookctl profile add gpu-hooks --hooks ./gpu-hooks.json --runtime crun\n" +
			"  hookctl profile add site-hooks --hooks-dir /etc/containers/oci/hooks.d --dry-run",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name := args[0]
			if err := namesProfile(name); err != nil {
				return err
			}
			if hookFile == "" && len(hooksDirs) == 0 {
				return usageError("say which hooks: by --hooks FILE or --hooks-dir DIR")
			}
			program, err := findProgram(binDir)
			if err != nil {
				return err
			}
			return io.addProfile(program, name, hookFile, hooksDirs, runtime, how)
		},
		ValidArgsFunction: completeProfile,
	}
	flags := cmd.Flags()
	flags.StringVar(&hookFile, "hooks", "", "the hook `file`")
	flags.StringArrayVar(&hooksDirs, "hooks-dir", nil, "a hooks `directory` (repeatable)")
	flags.StringVar(&runtime, "runtime", "", "the `name` or path of the low-level runtime")
	flags.StringVar(&binDir, "bin-dir", "", binDirUsage)
	how.define(cmd, "overwrite a profile that hookctl did not write or somebody changed,\neven with another runtime under running containers, and replace a link that leads elsewhere\n(never a program or a folder)")
	complete(cmd, "hooks-dir", "bin-dir")
	defineHostRoot(cmd)
	return cmd
}

func (s *streams) addProfile(program, name, hookFile string, hooksDirs []string, runtime string, how manner) error {
	content, err := s.compose(program, hookFile, hooksDirs, runtime)
	if err != nil {
		return err
	}
	text, err := content.marshal()
	if err != nil {
		return err
	}
	file, err := planFile(s.sys, profilePath(name), text, content.Runtime, filepath.Join(filepath.Dir(program), name), how.force)
	if err != nil {
		return err
	}
	link, err := planLink(program, content.Runtime, name, how.force)
	if err != nil {
		return err
	}
	return s.carryOut(how, []step{file, link})
}

func newProfileRemove(io *streams) *cobra.Command {
	var binDir string
	var how manner
	cmd := &cobra.Command{
		Use:     "remove NAME",
		Aliases: []string{"rm"},
		Short:   "remove a profile and its link",
		Long: "Removes the profile " + filepath.Join(profile.Dir, "NAME.json") + " and the link NAME beside oci-add-hooks.\n\n" +
			"While an engine controls containers by them (hookctl profile users NAME), it refuses without --force: they could not be stopped, or " +
			"started again, any more. Those that a person started by the link are not found: stop them first.\n\n" +
			"A file that hookctl did not write, or that was changed since, is not removed without --force; nor is one while another link " +
			"NAME to oci-add-hooks is found, which would be left without it: beside hookctl, in --bin-dir and PATH alone are they looked for. What is called NAME and is no " +
			"link to oci-add-hooks is never removed.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name := args[0]
			if err := namesProfile(name); err != nil {
				return err
			}
			program, err := findProgram(binDir)
			if err != nil {
				return err
			}
			beside, _ := findProgram("") // another link may be where links are made without --bin-dir
			steps, err := planRemoval(program, name, linksTo(program, name, filepath.Dir(beside)), how.force)
			if err == nil && !how.force {
				err = refuseInstalled(io.sys, name)
			}
			if err == nil && !how.force {
				err = refuseInUse(io.sys, []string{filepath.Join(filepath.Dir(program), name)}, "the profile "+name+" cannot be removed")
			}
			if err != nil {
				return err
			}
			return io.carryOut(how, steps)
		},
		ValidArgsFunction: completeProfile,
	}
	cmd.Flags().StringVar(&binDir, "bin-dir", "", binDirUsage)
	how.define(cmd, "remove a profile that hookctl did not write or somebody changed,\nor that engines, containers or another link NAME need")
	complete(cmd, "bin-dir")
	defineHostRoot(cmd)
	return cmd
}

// manner is how changes are made.
type manner struct{ dryRun, force bool }

func (m *manner) define(cmd *cobra.Command, force string) {
	cmd.Flags().BoolVar(&m.dryRun, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().BoolVar(&m.force, "force", false, force)
}

func namesProfile(name string) error {
	if !profile.ValidName(name) {
		return usageError(fmt.Sprintf("%q is no name for a profile: take a letter or digit, then letters, digits, '.', '_' and '-'", name))
	}
	return nil
}

// compose gives what a profile is made of, after it has checked that. It tells of what it finds.
func (s *streams) compose(program, hookFile string, hooksDirs []string, runtime string) (*profileText, error) {
	var paths []string
	if hookFile != "" {
		paths = append(paths, hookFile)
	}
	for i, dir := range hooksDirs {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		hooksDirs[i] = abs
		if st, err := os.Stat(abs); err != nil || !st.IsDir() {
			return nil, fmt.Errorf("%s is not a hooks directory", dir)
		}
	}
	result := check.Files(program, append(paths, hooksDirs...))
	s.FindingsToStderr(result.Findings) // what this command does goes to standard output
	if errs, _ := result.Count(); errs > 0 {
		return nil, errors.New("nothing was written: oci-add-hooks would refuse these hooks")
	}
	text := &profileText{HooksDirs: hooksDirs}
	if hookFile != "" {
		checked := result.File(hookFile)
		if checked == nil {
			return nil, fmt.Errorf("%s is not a hook file; give a hooks directory by --hooks-dir", hookFile)
		}
		if err := text.take(checked); err != nil {
			return nil, err
		}
	}
	if runtime != "" {
		text.Runtime = runtime
	}
	if text.Runtime == "" {
		text.Runtime = "runc"
	}
	path, err := findRuntime(program, text.Runtime)
	if err != nil {
		return nil, err
	}
	text.Runtime, err = filepath.Abs(path)
	return text, err
}
