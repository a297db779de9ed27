package hookctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/profiles"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
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
			"It finds containers of Docker, of containerd's shim for runc, of Podman and of CRI-O, and of those that are stopped Docker's: they could " +
			"not be started again. It does not find those that a person started by the link.\n\n" +
			"It believes an engine's process if that is root's, on the host, and its program is a file that root alone can write. Another process that " +
			"names the profile is reported on standard error, and counts for nothing.\n\n" +
			"Exit status: 0 if there are none, 1 if there are some or it cannot be told.",
		Example: "  hookctl profile users gpu-hooks",
		RunE: func(_ *cobra.Command, names []string) error {
			for _, name := range names {
				if err := namesProfile(name); err != nil {
					return err
				}
			}
			exe, err := program.Find(binDir)
			if err != nil {
				return err
			}
			matches := program.Calls(exe)
			if len(names) > 0 {
				matches = program.Uses(io.sys, links(exe, names))
			}
			scan := container.Look(io.sys)
			list, unknown := scan.Using(matches)
			if len(list) == 0 && unknown == nil {
				if err := missing(io.sys, exe, names); err != nil {
					return err
				}
			}
			claims := scan.Claims(matches)
			if err := printUsers(io.UI, list, claims, unknown); err != nil {
				return err
			}
			io.noteClaims(claims)
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

func links(exe string, names []string) (links []string) {
	for _, name := range names {
		links = append(links, program.Known(exe, name)...)
	}
	return links
}

// missing returns an error if there is neither a profile nor a link of a name.
func missing(sys system.System, exe string, names []string) error {
	for _, name := range names {
		if _, err := os.Lstat(sys.Profile(name)); errors.Is(err, fs.ErrNotExist) && len(program.LinksTo(exe, name)) == 0 {
			return profiles.None(sys, name)
		}
	}
	return nil
}

// refuseInUse returns an error that begins with what, and names the containers whose engine controls them by one of links, or
// with the profile that is called as one of them; or it says that this cannot be told.
func (s *streams) refuseInUse(links []string, what string) error {
	list, err := s.users(links)
	return container.Refuse(what, list, err)
}

// refuseRunning does the same for those containers alone that run: others could be started again whatever changes.
func (s *streams) refuseRunning(links []string, what string) error {
	list, err := s.users(links)
	return container.Refuse(what, slices.DeleteFunc(list, func(use container.Use) bool { return !use.Running }), err)
}

// users returns the containers that need one of links, and reports the processes that name one and are not believed.
func (s *streams) users(links []string) ([]container.Use, error) {
	scan, matches := container.Look(s.sys), program.Uses(s.sys, links)
	s.noteClaims(scan.Claims(matches))
	return scan.Using(matches)
}

func (s *streams) noteClaims(claims []container.Claim) {
	for _, claim := range claims {
		s.Note(claim.Why + "; what it says of containers is ignored")
	}
}

// inset returns lines that follow a message.
func inset(lines string) string { return "\n  " + strings.ReplaceAll(lines, "\n", "\n  ") }

func printUsers(u *ui.UI, list []container.Use, claims []container.Claim, unknown error) error {
	if u.AsJSON {
		return u.JSON(struct {
			Containers []container.Use   `json:"containers"`
			Claims     []container.Claim `json:"claims,omitempty"`
		}{append([]container.Use{}, list...), claims})
	}
	if len(list) == 0 {
		if unknown == nil {
			u.Printf("no container needs it\n")
		}
		return nil
	}
	var rows [][]ui.Cell
	for _, use := range list {
		state := ui.Dim.Cell("stopped")
		if use.Running {
			state = ui.Green.Cell("running")
		}
		if use.Forgotten {
			state = ui.Yellow.Cell(use.State())
		}
		rows = append(rows, []ui.Cell{ui.Bold.Cell(use.Title()), ui.Plain.Cell(use.Engine), state, ui.Plain.Cell(use.Call())})
	}
	u.Table([]string{"CONTAINER", "ENGINE", "STATE", "BY"}, rows)
	return nil
}
