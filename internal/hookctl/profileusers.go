package hookctl

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/profiles"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

func newProfileUsers(u *ui.UI, sys system.System) *cobra.Command {
	var binDir string
	cmd := &cobra.Command{
		Use:   "users [NAME]...",
		Short: "list the containers that engines control by a profile's link",
		Long: "Lists the containers that an engine controls by the link NAME, or with the profile " + filepath.Join(profile.Dir, "NAME.json") + "; " +
			"without NAME, those that it controls through oci-add-hooks in any way. While there are any, do not change or remove their link, their profile or its runtime.\n\n" +
			"It finds containers of Docker, of containerd's shim for runc, of Podman and of CRI-O. Of stopped containers it finds only Docker's, which could " +
			"not be started again. It does not find containers that a person started through the link.\n\n" +
			"It trusts an engine's process only if it is root's and on the host, and only root can write its program. Any other process that " +
			"names the profile is reported on standard error and not counted.\n\n" +
			"Exit status: 0 if there are none, 1 if there are some, or if there may be some that hookctl cannot examine.",
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
				var links []string
				for _, name := range names {
					links = append(links, program.Known(exe, name)...)
				}
				matches = program.Uses(sys, links)
			}
			scan := container.Look(sys)
			list, unknown := scan.Using(matches)
			for _, name := range names {
				if err := profiles.Missing(sys, exe, name); err != nil && len(list) == 0 && unknown == nil {
					return err
				}
			}
			claims := scan.Claims(matches)
			if err := printUsers(u, list, claims, unknown); err != nil {
				return err
			}
			noteClaims(u, claims)
			if unknown != nil {
				return fmt.Errorf("not all containers can be seen; %s", container.Because(unknown))
			}
			if len(list) > 0 {
				return errProblems
			}
			return nil
		},
		ValidArgsFunction: completion(sys),
	}
	defineBinDir(cmd, &binDir)
	defineHostRoot(cmd)
	return cmd
}

func noteClaims(u *ui.UI, claims []container.Claim) {
	for _, claim := range claims {
		u.Note(claim.Why + "; what it says about containers is ignored")
	}
}

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
