package hookctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engines"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/node"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// newNode returns the commands that the containers of deploy/kubernetes run. They do the work of other commands on the
// node, whose file system is mounted in the container. They are idempotent: called again, they do only what is still
// missing.
func newNode(u *ui.UI, sys system.System) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "from a container, install a profile on a Kubernetes node or remove it",
		Long: "The commands that a Kubernetes DaemonSet runs on each node: `install` and `remove` in a privileged container that sees the node's processes and has the node's " +
			"file system mounted, `wait` and `status` in an unprivileged one.",
		Example: "  hookctl node install containerd --profile gpu-hooks --hooks /hooks/hooks.json --host-root /host\n" +
			"  hookctl node status --profile gpu-hooks\n" +
			"  hookctl node remove containerd --profile gpu-hooks --host-root /host",
	}
	cmd.AddCommand(newNodeInstall(u, sys), newNodeRemove(u, sys), newNodeStatus(u, sys), newNodeWait(u))
	return cmd
}

// nodeOptions are the options of the commands that change the node.
type nodeOptions struct {
	node             node.Node
	hostRoot, config string
}

func (o *nodeOptions) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.node.Profile, "profile", "", "the `name` of the profile")
	flags.StringVar(&o.hostRoot, "host-root", "", "the `directory` where the node's file system is mounted")
	flags.StringVar(&o.node.BinDir, "bin-dir", node.BinDir, "the `directory` on the node for the programs and the link")
	flags.BoolVar(&o.node.DryRun, "dry-run", false, "check everything, show what would be done, and do nothing")
	require(cmd, "profile", "host-root")
	complete(cmd, "host-root", "bin-dir")
	cmd.ValidArgs = engines.Names
	cmd.Args = cobra.ExactArgs(1)
}

// on calls f to change the node. It prints at once what f reports, errors included, so that a pod's log keeps the
// order.
func (o *nodeOptions) on(cmd *cobra.Command, u *ui.UI, sys system.System, name string, prepare func() error, f func(context.Context, *node.Node) error) (err error) {
	if u.AsJSON {
		return usageError("this command prints no JSON")
	}
	n := &o.node
	if err := namesProfile(n.Profile); err != nil {
		return err
	}
	// Files of the container are read before the node's file system replaces the container's.
	if err := prepare(); err != nil {
		return err
	}
	if err := enterRoot(o.hostRoot); err != nil {
		return err
	}
	if n.Engine, err = engines.New(sys, name, o.config); err != nil {
		return err
	}
	n.System = sys
	n.Say = func(text string) {
		lines := strings.Split(text, "\n")
		for i, line := range lines {
			lines[i] = ui.Escape(line)
		}
		u.Printf("%s\n", strings.Join(lines, "\n"))
		_ = u.Flush() // an error is kept and reported at the end
	}
	n.Changed = func(f change.File) {
		s := stepOf(f)
		s.Text = "" // a program's
		s.print(u, n.DryRun)
		_ = u.Flush()
	}
	n.Findings = u.FindingsToStderr
	return interruptible(cmd, func(ctx context.Context) error { return f(ctx, n) })
}

func newNodeInstall(u *ui.UI, sys system.System) *cobra.Command {
	var o nodeOptions
	var hooks string
	var canary bool
	cmd := &cobra.Command{
		Use:   "install ENGINE --profile NAME --hooks FILE --host-root DIR",
		Short: "copy the programs to the node, add a profile there and install it",
		Long: "Checks the hook file on the node. Then copies oci-add-hooks, oci-run-hook and hookctl from the container to the node, adds the profile NAME, and registers it with the node's ENGINE, as " +
			"`hookctl profile add` and `hookctl install --reload` do. Finally it runs a container with the profile, without a network or a registry, and removes it. " +
			"If anything fails, everything is restored.\n\n" +
			"Called again, it changes only what differs; if nothing does, the engine does not reload its configuration. " +
			"Programs are replaced in one step, which running containers do not notice.",
		Example: "  hookctl node install containerd --profile gpu-hooks --hooks /hooks/hooks.json --host-root /host",
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("canary") {
				o.node.Canary = node.CanaryNever
				if canary {
					o.node.Canary = node.CanaryAlways
				}
			}
			var programs []node.Program
			hookFile := node.HookFile{Path: hooks}
			prepare := func() error {
				exe, err := program.Find("")
				if err != nil {
					return err
				}
				if programs, err = node.Programs(exe); err != nil {
					return err
				}
				if hookFile.Text, err = os.ReadFile(hooks); err != nil {
					return fmt.Errorf("%s cannot be read: %w", hooks, report.Plain(err))
				}
				return nil
			}
			return o.on(cmd, u, sys, args[0], prepare, func(ctx context.Context, n *node.Node) error { return n.Install(ctx, programs, hookFile) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&hooks, "hooks", "", "the hook `file`, in the container")
	flags.StringVar(&o.config, "config", "", "the engine's main configuration `file`, on the node (default: where it usually is)")
	flags.StringArrayVar(&o.node.PodAnnotations, "pod-annotation", nil, "the `glob` of pods' annotations that containerd passes to containers, for conditions to see (repeatable)")
	flags.BoolVar(&canary, "canary", true, "run a container with the profile before the node is ready (without this option: if the engine has the images that it needs; =false: never)")
	require(cmd, "hooks")
	must(errors.Join(cmd.MarkFlagFilename("hooks"), cmd.MarkFlagFilename("config")))
	o.define(cmd)
	return cmd
}

func newNodeRemove(u *ui.UI, sys system.System) *cobra.Command {
	var o nodeOptions
	cmd := &cobra.Command{
		Use:   "remove ENGINE --profile NAME --host-root DIR",
		Short: "remove a profile from the node once no container uses it",
		Long: "Waits until no container on the node uses the profile NAME, and lists those that do. Then removes what `hookctl node install` put there: the entry in ENGINE's " +
			"configuration, the link, the profile, and the programs if no other profile needs them.",
		Example: "  hookctl node remove containerd --profile gpu-hooks --host-root /host",
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.on(cmd, u, sys, args[0], func() error { return nil },
				func(ctx context.Context, n *node.Node) error { return n.Remove(ctx) })
		},
	}
	o.define(cmd)
	return cmd
}

func newNodeStatus(u *ui.UI, sys system.System) *cobra.Command {
	var name, hostRoot string
	cmd := &cobra.Command{
		Use:   "status --profile NAME [--host-root DIR]",
		Short: "report whether a profile is still on the node as installed",
		Long: "Looks at what `hookctl node install` put on the node: the programs, the link, the profile, and the entry in the engine's configuration. It only reads and needs no privileges. " +
			"Of the node's file system, it needs only /etc, the directory of the programs and /var/lib/oci-add-hooks.\n\n" +
			"Exit status: 0 if everything is as installed, else 1.",
		Example: "  hookctl node status --profile gpu-hooks",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := namesProfile(name); err != nil {
				return err
			}
			sys.Root = hostRoot
			parts, err := node.Status(sys, name)
			if err != nil {
				return err
			}
			return printStatus(u, parts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "profile", "", "the `name` of the profile")
	flags.StringVar(&hostRoot, "host-root", "/", "the `directory` where the node's file system is mounted")
	require(cmd, "profile")
	complete(cmd, "host-root")
	return cmd
}

// printStatus prints the parts of an installation. It also prints each changed part as an error on its own line, since
// the output of a probe is truncated.
func printStatus(u *ui.UI, parts []node.Part) (err error) {
	var rows [][]ui.Cell
	for _, p := range parts {
		state := ui.Green.Cell("ok")
		if p.Problem != "" {
			state, err = ui.Red.Cell("changed"), errProblems
			u.Error(fmt.Sprintf("%s %s: %s", p.Name, p.Path, p.Problem))
		}
		rows = append(rows, []ui.Cell{state, ui.Plain.Cell(p.Name), ui.Plain.Cell(p.Path)})
	}
	if u.AsJSON {
		return errors.Join(u.JSON(struct {
			Parts []node.Part `json:"parts"`
		}{parts}), err)
	}
	u.Table([]string{"STATE", "PART", "PATH"}, rows)
	return err
}

func newNodeWait(u *ui.UI) *cobra.Command {
	return &cobra.Command{
		Use:     "wait",
		Short:   "do nothing until a signal ends it",
		Long:    "Does nothing until SIGTERM or SIGINT ends it. It is for a pod whose work an init container has done.",
		Example: "  hookctl node wait",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interruptible(cmd, func(ctx context.Context) error {
				u.Printf("waiting for a signal to end; there is nothing more to do\n")
				err := u.Flush()
				<-ctx.Done()
				return err
			})
		},
	}
}
