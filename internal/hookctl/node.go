package hookctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engines"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/profile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// newNode gives the commands that the containers of deploy/kubernetes run. They do on the node, whose file system is
// mounted in the container, what other commands do; called again, they do what is still to be done.
func newNode(io *streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "from a container, install a profile on the Kubernetes node, and remove it again",
		Long: "The commands that a Kubernetes DaemonSet runs on each node, in a privileged container that sees the node's processes and has the node's " +
			"file system mounted. They print what they do as text alone.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newNodeInstall(io), newNodeRemove(io), newNodeWait(io))
	return cmd
}

// nodeBinDir is the usual folder for the programs on a node: /opt can mostly be written to, even where /usr cannot.
const nodeBinDir = "/opt/oci-add-hooks/bin"

// nodeRun is a folder of the node that is empty after each start of it.
const nodeRun = "/run"

// nodeWork is what is to be done on a node.
type nodeWork struct {
	enrolment
	hostRoot string
	hooks    string // the hook file, in the container
}

func (w *nodeWork) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&w.profile, "profile", "", "the `name` of the profile")
	flags.StringVar(&w.hostRoot, "host-root", "", "the `folder` where the node's file system is mounted")
	flags.StringVar(&w.binDir, "bin-dir", nodeBinDir, "the `folder` of the node for the programs and the link")
	must(errors.Join(cmd.MarkFlagRequired("profile"), cmd.MarkFlagRequired("host-root")))
	complete(cmd, "host-root", "bin-dir")
	cmd.ValidArgs = engines.Names
	cmd.Args = cobra.ExactArgs(1)
}

func (w *nodeWork) begin(io *streams, engine string) error {
	if io.AsJSON {
		return usageError("hookctl node prints no JSON")
	}
	w.engine, w.reload = engine, true
	_, err := w.find() // rather now than when half is done
	return err
}

func newNodeInstall(io *streams) *cobra.Command {
	var w nodeWork
	cmd := &cobra.Command{
		Use:   "install ENGINE --profile NAME --hooks FILE --host-root DIR",
		Short: "copy the programs to the node, add a profile there and install it",
		Long: "Copies oci-add-hooks and hookctl from the container to the node, adds the profile NAME, and makes the node's ENGINE know it, as " +
			"`hookctl profile add` and `hookctl install --reload` do. What is so already stays, and if that is all, the engine is not restarted. " +
			"Programs are replaced in one step, of which running containers notice nothing.",
		Example: "  hookctl node install containerd --profile gpu-hooks --hooks /hooks/hooks.json --host-root /host",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.begin(io, args[0]); err != nil {
				return err
			}
			// What the container has is read before the node's file system takes the place of its own.
			programs, err := ownPrograms()
			if err != nil {
				return err
			}
			hookFile, err := os.ReadFile(w.hooks)
			if err != nil {
				return fmt.Errorf("%s cannot be read: %w", w.hooks, report.Plain(err))
			}
			if err := enterRoot(w.hostRoot); err != nil {
				return err
			}
			return io.nodeInstall(cmd, w, programs, hookFile)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&w.hooks, "hooks", "", "the hook `file`, in the container")
	flags.StringVar(&w.config, "config", "", "the engine's main configuration `file`, on the node (default: where it usually is)")
	flags.StringArrayVar(&w.podAnnotations, "pod-annotation", nil, "the `glob` of pods' annotations that containerd shall let through\nto containers, for conditions to see (repeatable)")
	must(errors.Join(cmd.MarkFlagRequired("hooks"), cmd.MarkFlagFilename("hooks"), cmd.MarkFlagFilename("config")))
	w.define(cmd)
	return cmd
}

func newNodeRemove(io *streams) *cobra.Command {
	var w nodeWork
	cmd := &cobra.Command{
		Use:   "remove ENGINE --profile NAME --host-root DIR",
		Short: "when no container uses a profile any more, remove all that install brought",
		Long: "Waits until no container of the node uses the profile NAME, naming those that do. Then it undoes what `hookctl node install` did: " +
			"the engine's configuration, the link and the profile, and the programs if no other link leads to them. If some of it is gone already, it removes the rest.",
		Example: "  hookctl node remove containerd --profile gpu-hooks --host-root /host",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.begin(io, args[0]); err != nil {
				return err
			}
			if err := enterRoot(w.hostRoot); err != nil {
				return err
			}
			return io.nodeRemove(cmd, w)
		},
	}
	w.define(cmd)
	return cmd
}

func newNodeWait(io *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "wait",
		Short: "do nothing, until told to end",
		Long:  "Does nothing, until SIGTERM or SIGINT tells it to end: for a pod whose work was done by an init container.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM)
			defer stop()
			io.Printf("nothing more is done until told to end\n")
			err := io.Flush()
			<-ctx.Done()
			return err
		},
	}
}

// copied is a program that is copied to a node.
type copied struct {
	name string
	text []byte
}

// ownPrograms reads this program and the runtime beside it.
func ownPrograms() (programs []copied, err error) {
	runtime, err := findProgram("")
	if err != nil {
		return nil, err
	}
	for _, p := range []struct{ name, path string }{{cmdline.Name, runtime}, {"hookctl", "/proc/self/exe"}} {
		text, err := os.ReadFile(p.path)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", p.path, report.Plain(err))
		}
		programs = append(programs, copied{p.name, text})
	}
	return programs, nil
}

func (s *streams) nodeInstall(cmd *cobra.Command, w nodeWork, programs []copied, hookFile []byte) error {
	unlock, err := lockNode()
	if err != nil {
		return err
	}
	defer unlock()
	var copies []step
	for _, p := range programs {
		c, err := planCopy(p, w.binDir)
		if err != nil {
			return err
		}
		copies = append(copies, c)
	}
	if err := s.carryOut(manner{}, copies); err != nil {
		return err
	}
	program := filepath.Join(w.binDir, cmdline.Name)
	if err := exec.Command(program, "--version").Run(); err != nil {
		return fmt.Errorf("%s cannot be executed there: %w; give a folder that is not mounted noexec by --bin-dir", program, report.Plain(err))
	}
	// The hook file is checked on the node, where its hooks are to be.
	copied := filepath.Join(nodeRun, "oci-add-hooks-"+w.profile+".json")
	if err := change.Place(copied, change.WriteFile(hookFile, 0o644), os.Rename); err != nil {
		return fmt.Errorf("%s cannot be written: %w", copied, report.Plain(err))
	}
	defer os.Remove(copied)
	if err := s.addProfile(program, w.profile, copied, nil, "", manner{}); err != nil {
		return err
	}
	if err := s.onNode(cmd, w, w.planInstall); err != nil {
		return err
	}
	s.Printf("this node is ready: %s knows %s\n", w.engine, w.profile)
	return nil
}

func (s *streams) nodeRemove(cmd *cobra.Command, w nodeWork) error {
	program := filepath.Join(w.binDir, cmdline.Name)
	if err := s.waitUntilUnused(cmd.Context(), program, w.profile); err != nil {
		return err
	}
	unlock, err := lockNode()
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.onNode(cmd, w, w.planUninstall); err != nil {
		return err
	}
	// A container may have been started meanwhile. Now that the engine does not know the profile, none will be.
	if err := s.waitUntilUnused(cmd.Context(), program, w.profile); err != nil {
		return err
	}
	if err := refuseInstalled(s.sys, w.profile); err != nil {
		return err // another engine knows it
	}
	steps, err := planNodeRemoval(program, w.profile)
	if err != nil {
		return err
	}
	if err := s.carryOut(manner{}, steps); err != nil {
		return err
	}
	folders := []string{profile.Dir, s.sys.State, filepath.Join(s.sys.State, w.engine), w.binDir}
	if w.binDir == nodeBinDir {
		folders = slices.Insert(folders, 0, filepath.Dir(nodeBinDir))
	}
	change.RemoveFolders(folders)
	s.Printf("nothing of %s is left on this node\n", w.profile)
	return nil
}

// planNodeRemoval plans to remove the link and the profile, and the programs if no other link leads to them.
func planNodeRemoval(program, name string) (steps []step, err error) {
	link := filepath.Join(filepath.Dir(program), name)
	if there(profilePath(name)) || there(link) {
		if steps, err = planRemoval(program, name, linksTo(program, name), false); err != nil {
			return nil, err
		}
	}
	entries, err := os.ReadDir(filepath.Dir(program))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s cannot be read: %w", filepath.Dir(program), report.Plain(err))
	}
	for _, e := range entries {
		if path := filepath.Join(filepath.Dir(program), e.Name()); path != link && path != program && leadsTo(path, program) {
			return steps, nil
		}
	}
	for _, path := range []string{program, filepath.Join(filepath.Dir(program), "hookctl")} {
		if there(path) {
			steps = append(steps, step{Action: "remove", Path: path, do: func() error { return os.Remove(path) }})
		}
	}
	return steps, nil
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// onNode carries out a plan for the engine, which reads its configuration anew if it changes, or if it did and it is not
// known whether the engine has read it since: this program may be ended at any moment.
func (s *streams) onNode(cmd *cobra.Command, w nodeWork, makePlan func(context.Context, system.System) (engine.Engine, *registration.Plan, error)) error {
	e, plan, err := makePlan(cmd.Context(), s.sys)
	if err != nil {
		return err
	}
	unread := filepath.Join(nodeRun, "oci-add-hooks-"+w.engine+"-"+w.profile+"-unread")
	changes := plan != nil && plan.Changes()
	if !changes && !there(unread) {
		return nil
	}
	if err := os.WriteFile(unread, nil, 0o600); err != nil {
		return fmt.Errorf("%s cannot be written: %w", unread, report.Plain(err))
	}
	if changes {
		err = s.carryOutPlan(cmd, w.enrolment, e, plan)
	} else if reload := e.Reload(nil); reload.Command != "" {
		err = reload.Do(cmd.Context())
	}
	if err != nil {
		return err
	}
	return os.Remove(unread)
}

// lockNode waits until no other of these commands is at work on the node: there is one for each profile.
func lockNode() (unlock func(), err error) {
	dir, err := os.Open(nodeRun)
	if err == nil {
		err = unix.Flock(int(dir.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return nil, fmt.Errorf("%s of the node cannot be locked: %w", nodeRun, report.Plain(err))
	}
	return func() { dir.Close() }, nil
}

// planCopy plans to put a program into a folder.
func planCopy(p copied, binDir string) (step, error) {
	path := filepath.Join(binDir, p.name)
	s := step{Action: "write", Path: path}
	old, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(old, p.text):
		s.Action = "keep"
	case err == nil, errors.Is(err, fs.ErrNotExist):
		s.do = func() error { return change.Place(path, change.WriteFile(p.text, 0o755), os.Rename) }
	default:
		return s, fmt.Errorf("%s cannot be read: %w", path, report.Plain(err))
	}
	return s, nil
}

// waitUntilUnused waits until no container uses a profile, and tells which do.
func (s *streams) waitUntilUnused(ctx context.Context, program, name string) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM)
	defer stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for told := ""; ; {
		list, err := users(s.sys, links(program, []string{name}))
		if err != nil {
			return fmt.Errorf("whether containers use %s cannot be told, and nothing is removed: %w", name, err)
		}
		if len(list) == 0 {
			return nil
		}
		var lines []string
		for _, use := range list {
			lines = append(lines, ui.Escape(use.String()))
		}
		if text := strings.Join(lines, "\n"); text != told {
			told = text
			s.Printf("waiting for %s to end:%s\n", ui.Count(len(list), "container"), inset(text))
			_ = s.Flush() // an error stays, and is told in the end
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("told to end while containers use %s", name)
		case <-tick.C:
		}
	}
}
