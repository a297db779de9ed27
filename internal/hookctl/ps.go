package hookctl

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/inventory"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/profiles"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

func newPs(u *ui.UI, sys system.System) *cobra.Command {
	var opts inventory.Options
	var roots []string
	var binDir, records string
	var onlyProblems bool
	cmd := &cobra.Command{
		Use:   "ps [--profile NAME]... [--expect NAME] [--problems]",
		Short: "list containers with their hooks, and report missing hooks",
		Long: "Lists the containers of Docker, containerd, CRI-O and Podman, and those of runc or crun without an engine, with the hooks in their config.json. " +
			"The state compares these with the hooks that the container's profile adds today:\n\n" +
			"  complete  it has them all\n" +
			"  changed   it has others, for example those of an older version of the profile\n" +
			"  missing   it goes through the profile but has none of its hooks\n" +
			"  none      it does not go through oci-add-hooks\n" +
			"  unknown   it cannot be compared; the reason is shown\n\n" +
			"The shim or conmon that watches a running container shows its profile; for a stopped container, the engine's configuration does. Nothing shows " +
			"the profile of a container that a person started with runc or crun, or of a Podman container that has ended: --profile NAME compares these with a profile.\n\n" +
			"Of supervised hooks, the last run of each is reported if it failed, even if the failure was ignored. A container that is gone although its poststop " +
			"hooks did not run is reported too.\n\n" +
			"HOOKS counts all hooks in config.json, also those of the engine itself, such as Docker's libnetwork-setkey. hookctl believes an engine's process only if it is root's, " +
			"runs on the host, and only root can write its program; a note names any other, whose containers are not listed.\n\n" +
			"--expect NAME reports the containers that should have gone through that profile and did not: those to which it would add hooks.\n\n" +
			"Exit status: 0 if nothing is wrong, else 1.",
		Example: "  hookctl ps --problems\n  hookctl ps --expect gpu-hooks --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			named := slices.Clone(opts.Profiles)
			if opts.Expect != "" {
				named = append(named, opts.Expect)
			}
			for _, name := range named {
				if err := namesProfile(name); err != nil {
					return err
				}
			}
			if err := areDirectories(roots); err != nil {
				return err
			}
			var err error
			if opts.Exe, err = program.Find(binDir); err != nil && binDir != "" {
				return err
			}
			var ran inventory.Records
			var torn int
			var unread error
			path, err := recordsPath(sys, records)
			if err != nil {
				u.Note(err.Error() + "; the results of hooks are not shown")
			} else {
				ran, torn, unread = inventory.ReadRecords(path)
			}
			scan := container.Look(sys, roots...)
			v := inventory.New(sys, opts)
			list := v.Note(v.List(scan.Containers), ran, scan.Containers)
			for _, name := range named {
				goes := func(e inventory.Entry) bool { return e.Through && e.Profile == name }
				if err := profiles.Missing(sys, opts.Exe, name); err != nil && !slices.ContainsFunc(list, goes) {
					return err
				}
			}
			problems := slices.ContainsFunc(list, inventory.Entry.IsWrong)
			listed := len(list)
			if onlyProblems {
				list = slices.DeleteFunc(list, func(e inventory.Entry) bool { return !e.IsWrong() })
			}
			if u.AsJSON {
				err = u.JSON(struct {
					Containers []inventory.Entry `json:"containers"`
				}{list})
			} else {
				err = nil
				switch {
				case len(list) > 0:
					printInventory(u, list)
				case listed > 0:
					u.Printf("no container has a problem\n")
				case scan.Unknown() == nil:
					u.Printf("no containers\n")
				}
			}
			if err != nil {
				return err
			}
			noteTorn(u, path, torn)
			if why := scan.Strangers(); len(why) == 1 {
				u.Note(why[0] + "; its containers are not listed")
			} else if len(why) > 1 {
				u.Note(fmt.Sprintf("%s; the same holds for %d more, and their containers are not listed", why[0], len(why)-1))
			}
			if err := scan.Unknown(); err != nil {
				return fmt.Errorf("there may be more containers; %s", container.Because(err))
			}
			if unread != nil {
				return fmt.Errorf("the results of hooks are not known: %w", unread)
			}
			if problems {
				return errProblems
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&opts.Profiles, "profile", nil, "only containers of the profile with this `name`, and those of an unknown profile, compared with it (repeatable)")
	flags.StringVar(&opts.Expect, "expect", "", "the `name` of the profile that containers should go through")
	flags.BoolVar(&onlyProblems, "problems", false, "only containers with problems")
	flags.StringArrayVar(&roots, "root", nil, "another `directory` of a runtime's state to look for containers in (runc --root; repeatable)")
	defineBinDir(cmd, &binDir)
	addRecordsFlag(cmd, &records)
	complete(cmd, "root")
	completeProfiles(cmd, sys, "profile")
	completeProfiles(cmd, sys, "expect")
	defineHostRoot(cmd)
	return cmd
}

// stateColours are the colours of the states.
var stateColours = map[inventory.State]ui.Colour{
	inventory.Complete: ui.Green, inventory.Changed: ui.Yellow, inventory.Missing: ui.Red, inventory.None: ui.Dim, inventory.Unknown: ui.Yellow,
}

func printInventory(u *ui.UI, list []inventory.Entry) {
	var rows [][]ui.Cell
	for _, e := range list {
		has := counts(func(stage hooks.Stage) int { return len(e.Hooks[stage]) })
		engine := e.Engine
		if !e.Running {
			engine += ", stopped"
		}
		rows = append(rows, []ui.Cell{ui.Bold.Cell(e.ShortID()), ui.Plain.Cell(e.Name), ui.Dim.Cell(e.Image), ui.Plain.Cell(engine),
			ui.Plain.Cell(e.Profile), ui.Plain.Cell(strings.Join(has, ", ")), stateColours[e.State].Cell(string(e.State))})
	}
	u.Table([]string{"CONTAINER", "NAME", "IMAGE", "ENGINE", "PROFILE", "HOOKS", "STATE"}, rows)
	before := "\n"
	for _, e := range list {
		for _, problem := range e.Problems {
			u.Printf("%s%s: %s\n", before, u.Paint(ui.Bold, e.Title()), u.Paint(ui.Plain, problem))
			before = ""
		}
	}
	before = "\n"
	for _, r := range reasons(list) {
		u.Printf("%s%s: %s\n", before, u.Paint(ui.Dim, r.of), u.Paint(ui.Dim, r.reason))
		before = ""
	}
}

// reason is why some containers have their state; of names the containers.
type reason struct{ of, reason string }

// reasons returns the reasons that are not also problems, each once.
func reasons(list []inventory.Entry) (reasons []reason) {
	var order []string
	of := map[string][]string{}
	for _, e := range list {
		if e.Reason == "" || slices.Contains(e.Problems, e.Reason) {
			continue
		}
		if of[e.Reason] == nil {
			order = append(order, e.Reason)
		}
		of[e.Reason] = append(of[e.Reason], e.Title())
	}
	const named = 3
	for _, text := range order {
		titles := of[text]
		if more := len(titles) - named; more > 1 {
			titles = append(titles[:named:named], fmt.Sprintf("%d more", more))
		}
		reasons = append(reasons, reason{strings.Join(titles, ", "), text})
	}
	return reasons
}

// areDirectories returns an error if a path given by --root is not a directory.
func areDirectories(roots []string) error {
	for _, root := range roots {
		st, err := os.Stat(root)
		if err == nil && !st.IsDir() {
			err = errors.New("it is not a directory")
		}
		if err != nil {
			return fmt.Errorf("--root %s: %w; give a directory of a runtime's state", root, report.Plain(err))
		}
	}
	return nil
}
