package hookctl

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

func newProfileUsers(io *streams) *cobra.Command {
	var binDir string
	cmd := &cobra.Command{
		Use:   "users [NAME]...",
		Short: "list the containers that engines control by a profile's link",
		Long: "Lists the containers that an engine controls by the link NAME, or with the profile " + filepath.Join(profile.Dir, "NAME.json") + "; " +
			"without NAME, by oci-add-hooks in any way. While there are any, their link, their profile and its runtime have to stay as they are.\n\n" +
			"Containers of Docker, of containerd's shim for runc, of Podman and of CRI-O are found, and of those that are stopped Docker's: they could " +
			"not be started again. Those that a person started by the link are not.\n\n" +
			"Exit status: 0 if there are none, 1 if there are some or it cannot be told.",
		Example: "  hookctl profile users gpu-hooks",
		RunE: func(_ *cobra.Command, names []string) error {
			for _, name := range names {
				if err := namesProfile(name); err != nil {
					return err
				}
			}
			program, err := findProgram(binDir)
			if err != nil {
				return err
			}
			matches := func(word string) bool { return callsProgram(word, program) }
			if len(names) > 0 {
				var links []string
				for _, name := range names {
					links = append(links, knownLinks(program, name)...)
				}
				matches = func(word string) bool { return usesAny(word, links) }
			}
			list, unknown := container.Using(matches)
			if err := io.printUsers(list, unknown); err != nil {
				return err
			}
			if unknown != nil {
				return fmt.Errorf("which containers there are cannot be told for certain; try as root:%s", inset(unknown.Error()))
			}
			if len(list) > 0 {
				return errProblems
			}
			return nil
		},
		ValidArgsFunction: completeProfile,
	}
	cmd.Flags().StringVar(&binDir, "bin-dir", "", binDirUsage)
	complete(cmd, "bin-dir")
	defineHostRoot(cmd)
	return cmd
}

// refuseInUse gives an error that begins with what, and names the containers whose engine controls them by one of links, or
// with the profile that is called as one of them; or it says that this cannot be told.
func refuseInUse(links []string, what string) error {
	list, err := users(links)
	return refuse(what, list, err)
}

// refuseRunning does the same for those containers alone that run: others could be started again whatever changes.
func refuseRunning(links []string, what string) error {
	list, err := users(links)
	return refuse(what, slices.DeleteFunc(list, func(use container.Use) bool { return !use.Running }), err)
}

func users(links []string) ([]container.Use, error) {
	return container.Using(func(word string) bool { return usesAny(word, links) })
}

func refuse(what string, list []container.Use, unknown error) error {
	if len(list) > 0 {
		var lines []string
		for _, use := range list {
			lines = append(lines, ui.Escape(use.String()))
		}
		return fmt.Errorf("%s while these containers need it; stop and remove them, or give --force and lose control of them:%s",
			what, inset(strings.Join(lines, "\n")))
	}
	if unknown != nil {
		return fmt.Errorf("%s: whether containers need it cannot be told; try as root, or give --force if you know that none does:%s",
			what, inset(unknown.Error()))
	}
	return nil
}

// inset gives lines that follow a message.
func inset(lines string) string { return "\n  " + strings.ReplaceAll(lines, "\n", "\n  ") }

// knownLinks gives the links NAME to program that are known of, and the one that would be beside it.
func knownLinks(program, name string) []string {
	return append(linksTo(program, name), filepath.Join(filepath.Dir(program), name))
}

// usesAny says whether a word of an engine's call is one of links, leads to it, or has the call use the profile of its
// name. A name alone, which is looked up who knows where, is taken for the link.
func usesAny(word string, links []string) bool {
	for _, link := range links {
		name := filepath.Base(link)
		if !filepath.IsAbs(word) {
			if filepath.Base(word) == name {
				return true
			}
			continue
		}
		called := filepath.Base(word) == name && (leadsTo(word, link) || isProgram(word)) // by another link, and the same name
		if called || sameEntry(word, profilePath(name)) || name != cmdline.Name && leadsOver(word, link) {
			return true
		}
	}
	return false
}

// callsProgram says whether a word of an engine's call is program, or leads to it.
func callsProgram(word, program string) bool {
	if !filepath.IsAbs(word) {
		name := filepath.Base(word)
		return name == cmdline.Name || len(linksTo(program, name)) > 0
	}
	return leadsOver(word, program) || leadsTo(word, program)
}

// isProgram says whether a path leads to oci-add-hooks, be it another copy than the one that hookctl found.
func isProgram(path string) bool {
	end, err := filepath.EvalSymlinks(path)
	return err == nil && filepath.Base(end) == cmdline.Name
}

// leadsOver says whether path is link, or a link to it, or a link to such a link. What link leads to does not matter: it
// may have been taken away.
func leadsOver(path, link string) bool {
	for range 40 { // as many as the kernel follows
		if sameEntry(path, link) {
			return true
		}
		target, err := os.Readlink(path)
		if err != nil {
			return false
		}
		if !filepath.IsAbs(target) {
			dir, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				return false
			}
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return false
}

// sameEntry says whether two paths are the same name in the same folder. Unlike sameName it needs nothing to be there.
func sameEntry(a, b string) bool {
	return filepath.Clean(a) == filepath.Clean(b) ||
		filepath.Base(a) == filepath.Base(b) && leadsTo(filepath.Dir(a), filepath.Dir(b))
}

func (s *streams) printUsers(list []container.Use, unknown error) error {
	if s.AsJSON {
		return s.JSON(struct {
			Containers []container.Use `json:"containers"`
		}{append([]container.Use{}, list...)})
	}
	if len(list) == 0 {
		if unknown == nil {
			s.Printf("no container needs it\n")
		}
		return nil
	}
	var rows [][]ui.Cell
	for _, use := range list {
		state := ui.Dim.Cell("stopped")
		if use.Running {
			state = ui.Green.Cell("running")
		}
		rows = append(rows, []ui.Cell{ui.Bold.Cell(use.ID), ui.Plain.Cell(use.Engine), state, ui.Plain.Cell(use.Call())})
	}
	s.Table([]string{"CONTAINER", "ENGINE", "STATE", "BY"}, rows)
	return nil
}
