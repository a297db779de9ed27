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

// newNode returns the commands that the containers of deploy/kubernetes run. They do on the node, whose file system is
// mounted in the container, what other commands do; called again, they do what is still missing.
func newNode(u *ui.UI, sys system.System) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "from a container, install a profile on the Kubernetes node, and remove it again",
		Long: "The commands that a Kubernetes DaemonSet runs on each node: `install` and `remove` in a privileged container that sees the node's processes and has the node's " +
			"file system mounted, `wait` and `status` in one without rights.",
		Example: "  hookctl node install containerd --profile gpu-hooks --hooks /hooks/hooks.json --host-root /host\n" +
			"  hookctl node status --profile gpu-hooks\n" +
			"  hookctl node remove containerd --profile gpu-hooks --host-root /host",
	}
	cmd.AddCommand(newNodeInstall(u, sys), newNodeRemove(u, sys), newNodeStatus(u, sys), newNodeWait(u))
	return cmd
}

// nodeOptions are those of the commands that change the node.
type nodeOptions struct {
	node             node.Node
	hostRoot, config string
}

func (o *nodeOptions) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.node.Profile, "profile", "", "the `name` of the profile")
	flags.StringVar(&o.hostRoot, "host-root", "", "the `directory` where the node's file system is mounted")
	flags.StringVar(&o.node.BinDir, "bin-dir", node.BinDir, "the `directory` of the node for the programs and the link")
	flags.BoolVar(&o.node.DryRun, "dry-run", false, "look at everything, show what would be done, and do nothing")
	must(errors.Join(cmd.MarkFlagRequired("profile"), cmd.MarkFlagRequired("host-root")))
	complete(cmd, "host-root", "bin-dir")
	cmd.ValidArgs = engines.Names
	cmd.Args = cobra.ExactArgs(1)
}

// on has f change the node. What f says is printed at once, errors among it: a pod's log keeps the order.
func (o *nodeOptions) on(cmd *cobra.Command, u *ui.UI, sys system.System, name string, prepare func() error, f func(context.Context, *node.Node) error) (err error) {
	if u.AsJSON {
		return usageError("this command prints no JSON")
	}
	n := &o.node
	if err := namesProfile(n.Profile); err != nil {
		return err
	}
	// What the container has is read before the node's file system takes the place of its own.
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
		_ = u.Flush() // an error stays, and is told in the end
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
			"`hookctl profile add` and `hookctl install --reload` do. In the end it runs a container by the profile, without a network and a registry, and removes it. " +
			"If anything fails, everything is put back.\n\n" +
			"What is so already stays, and if that is all, the engine does not read its configuration again. " +
			"Programs are replaced in one step, of which running containers notice nothing.",
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
	flags.StringArrayVar(&o.node.PodAnnotations, "pod-annotation", nil, "the `glob` of pods' annotations that containerd lets through to containers, for conditions to see (repeatable)")
	flags.BoolVar(&canary, "canary", true, "run a container by the profile before the node is ready; without this option, where the engine has what that takes; =false does without")
	must(errors.Join(cmd.MarkFlagRequired("hooks"), cmd.MarkFlagFilename("hooks"), cmd.MarkFlagFilename("config")))
	o.define(cmd)
	return cmd
}

func newNodeRemove(u *ui.UI, sys system.System) *cobra.Command {
	var o nodeOptions
	cmd := &cobra.Command{
		Use:   "remove ENGINE --profile NAME --host-root DIR",
		Short: "once no container uses a profile, remove it from the node",
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
		Short: "report whether a profile is on the node as it was installed",
		Long: "Looks at what `hookctl node install` put on the node: the programs, the link, the profile, and the entry in the engine's configuration. It only reads, and needs no rights: " +
			"of the node's file system, /etc, the directory of the programs and /var/lib/oci-add-hooks are enough.\n\n" +
			"Exit status: 0 if all is as it was installed, else 1.",
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
	must(cmd.MarkFlagRequired("profile"))
	complete(cmd, "host-root")
	return cmd
}

// printStatus prints the parts of an installation, those that are not as they were on lines of their own: a probe's output
// is cut.
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
		Short:   "do nothing, until told to end",
		Long:    "Does nothing, until SIGTERM or SIGINT tells it to end: for a pod whose work was done by an init container.",
		Example: "  hookctl node wait",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interruptible(cmd, func(ctx context.Context) error {
				u.Printf("nothing more is done until told to end\n")
				err := u.Flush()
				<-ctx.Done()
				return err
			})
		},
	}
}
