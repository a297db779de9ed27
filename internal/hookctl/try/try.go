// Package try runs a throwaway container with hooks under a real runtime, and reports the result of each hook.
//
// The hooks are added to its config.json as for any container (package inject). Then this program replaces each hook,
// in the role of a recorder that runs the hook (package hookrun) and records the result. The package knows how to
// create, start and delete a container, how to leave nothing behind, and how to remove what a killed try left. It draws
// nothing and knows no command line.
package try

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/inject"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/launch"
	"github.com/awslabs/oci-add-hooks/internal/profile"
	plain "github.com/awslabs/oci-add-hooks/internal/report"
)

// Options says what to try, and how.
type Options struct {
	Files       []string // hook files; without them and Dirs, an example is tried
	Dirs        []string // hooks directories
	Runtime     string   // a name or path; if empty, the one that a hook file names, else runc or crun
	RuntimeArgs []string // given to the runtime before its command
	Rootfs      string   // the container's root file system; empty for one that holds only this program
	Command     []string // the command to run in Rootfs; without Rootfs, conditions see it as the container's command but it is not run
	Annotations map[string]string
	Mounts      []Mount
	Timeout     time.Duration // after which a hook or Command counts as hanging
	Progress    func(*Report) // called some times a second with a report of what has happened so far; nil for no calls
}

// Mount is a bind mount of the container.
type Mount struct {
	Source, Destination string // absolute paths
	ReadOnly            bool
}

// Paths in the container: the directory in which recorders there write, and this program. They are on the container's
// own /dev, so that no mount point is created in Rootfs.
const (
	mountedAt      = "/dev/hookctl"
	mountedProgram = mountedAt + "/hookctl"
)

// After an interruption, a poststop hook may run for poststopGrace, and a runtime has grace beyond that to clean up.
const (
	poststopGrace = 2 * time.Second
	grace         = 5 * time.Second
)

// Run runs a container with the hooks of opts. When ctx ends, it ends the container and reports what happened until
// then. It returns an error only if the container could not be tried at all. It leaves nothing behind; what it cannot
// remove is a problem in the report or part of the error.
func Run(ctx context.Context, opts Options) (report *Report, err error) {
	c := &container{ctx: ctx, opts: opts}
	defer func() {
		notes, left := c.cleanUp()
		if report == nil {
			err = errors.Join(err, left)
			return
		}
		report.Notes, report.CleanedUp = append(report.Notes, notes...), len(notes) > 0
		if left != nil {
			report.Problems = append(report.Problems, left.Error())
		}
	}()
	if err := c.prepare(); err != nil {
		return nil, err
	}
	begin := time.Now().UnixNano()
	stop := c.watch(begin)
	problems := c.live()
	end := time.Now().UnixNano()
	stop()
	return c.report(begin, end, problems)
}

// container is the throwaway container.
type container struct {
	ctx     context.Context
	opts    Options
	dir     string   // the temporary directory that holds everything
	lock    *os.File // dir, locked
	notes   []string // about what killed tries had left
	id      string
	runtime string
	tasks   []*task // the hooks, and last the container's command
	plan    *inject.Plan
	alive   []*os.File // FIFOs that are open for writing while the recorders may run
	created []string   // what the runtime creates in Rootfs, to be removed
	size    int64      // of this program, in bytes
	others  []int      // children that this process had before, which it leaves alone
	untidy  bool       // a call of the runtime failed and may have left something
}

func (c *container) inside() string  { return filepath.Join(c.dir, "inside") }  // mounted in the container
func (c *container) outside() string { return filepath.Join(c.dir, "outside") } // not visible there
func (c *container) bundle() string  { return filepath.Join(c.dir, "bundle") }

// prepare creates the bundle.
func (c *container) prepare() (err error) {
	if err := c.opts.check(); err != nil {
		return err
	}
	if c.others, err = proc.Children(os.Getpid()); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := WantStatic(program); err != nil {
		return err
	}
	st, err := os.Stat(program)
	if err != nil {
		return err
	}
	c.size = st.Size()
	c.notes = sweep()
	if c.dir, err = makeTemp(); err != nil {
		return c.inTemp(err)
	}
	if c.lock, err = LockDirectory(c.dir); err != nil {
		return c.inTemp(err)
	}
	if err := (remains{}).write(c.dir); err != nil {
		return c.inTemp(err)
	}
	c.id = filepath.Base(c.dir)
	uses, err := c.profile(program)
	if err != nil {
		return err
	}
	if c.runtime, err = c.opts.findRuntime(uses); err != nil {
		return err
	}
	empty := filepath.Join(c.bundle(), "rootfs")
	rootfs := cmp.Or(c.opts.Rootfs, empty)
	for _, dir := range []string{c.inside(), c.outside(), c.bundle(), empty} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return c.inTemp(err)
		}
	}
	for _, dir := range []string{c.inside(), c.outside()} {
		if err := c.keepAlive(filepath.Join(dir, aliveFile)); err != nil {
			return c.inTemp(err)
		}
	}
	// The container gets a copy, because root in the container can write to it.
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.inside(), filepath.Base(mountedProgram)), text, 0o755); err != nil {
		return c.inTemp(err)
	}

	own := []string{mountedProgram, processRole}
	command := c.opts.Command
	if len(command) == 0 {
		command = own
	}
	config, path := newConfig(rootfs, c.opts, command), filepath.Join(c.bundle(), "config.json")
	if err := config.write(path); err != nil {
		return c.inTemp(err)
	}
	if c.plan, err = inject.Make(uses, path, c.id); err != nil {
		return err
	}
	if c.opts.Rootfs == "" {
		config.Process.Args = own
	}
	if c.tasks, err = config.instrument(c.plan, c.inside(), c.outside(), program, c.opts); err != nil {
		return c.inTemp(err)
	}
	if c.opts.Rootfs != "" {
		if c.created, err = missingBelow(rootfs, config.Mounts); err != nil {
			return err
		}
	}
	if err := (remains{c.runtime, c.opts.RuntimeArgs, c.created}).write(c.dir); err != nil {
		return c.inTemp(err)
	}
	return c.inTemp(config.write(path))
}

// inTemp returns an error for one that occurred in the temporary directory. It says what that directory must have.
func (c *container) inTemp(err error) error {
	if err == nil {
		return nil
	}
	const room = 1 << 20 // beside a copy of this program
	return fmt.Errorf("no container can be tried in %s: %w; set TMPDIR to a directory with %d MiB free from which programs may be executed",
		os.TempDir(), plain.Plain(err), (c.size+2*room-1)>>20)
}

// check returns an error for options that a runtime would refuse less clearly.
func (o Options) check() error {
	if o.Rootfs != "" {
		switch info, err := os.Stat(o.Rootfs); {
		case err != nil:
			return fmt.Errorf("--rootfs %s: %w", o.Rootfs, plain.Plain(err))
		case !info.IsDir():
			return fmt.Errorf("--rootfs %s: it is not a directory", o.Rootfs)
		}
	}
	for _, m := range o.Mounts {
		if _, err := os.Stat(m.Source); err != nil {
			return fmt.Errorf("--mount %s: %w", m.Source, plain.Plain(err))
		}
		switch at := m.Destination; {
		case at == "/":
			return fmt.Errorf("--mount %s: give another root file system by --rootfs", at)
		case at == "/dev" || at == mountedAt || strings.HasPrefix(at, mountedAt+"/"):
			return fmt.Errorf("--mount %s: hookctl's own files are there", at)
		}
	}
	return nil
}

// WantStatic returns an error if a program needs shared libraries, which a container may not have.
func WantStatic(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	is, err := program.ReadELF(file)
	if err == nil && is.Loader != "" {
		err = fmt.Errorf("%s needs shared libraries, which a container does not have; build it with CGO_ENABLED=0", path)
	}
	return err
}

// tempPrefix is the beginning of the name of a try's temporary directory.
const tempPrefix = "hookctl-try-"

// makeTemp creates a temporary directory from which programs can be executed, and returns its absolute path without
// links.
func makeTemp() (path string, err error) {
	dir, err := os.MkdirTemp("", tempPrefix)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.Remove(dir)
		}
	}()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err == nil && fs.Flags&unix.ST_NOEXEC != 0 {
		return "", errors.New("it is mounted noexec")
	}
	if path, err = filepath.Abs(dir); err != nil { // TMPDIR may be relative
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// profile returns the hooks to try.
func (c *container) profile(program string) (profile.Profile, error) {
	if len(c.opts.Files)+len(c.opts.Dirs) > 0 {
		return profile.Load(cmdline.Call{
			Kind: cmdline.AddHooks, HookFiles: c.opts.Files, HooksDirs: c.opts.Dirs, Runtime: c.opts.Runtime,
		})
	}
	text, err := example(program)
	if err != nil {
		return profile.Profile{}, err
	}
	file, err := hooks.ParseFile(&jsonfile.File{Path: "example", Data: text})
	if err != nil {
		return profile.Profile{}, err
	}
	return profile.Profile{Runtime: cmp.Or(c.opts.Runtime, "runc"), Files: []*hooks.File{file}}, nil
}

// findRuntime returns the path of the named runtime; if none is named, of runc, else of crun.
func (o Options) findRuntime(uses profile.Profile) (string, error) {
	path, err := launch.FindFor("/proc/self/exe", uses.Runtime)
	named := o.Runtime != "" || slices.ContainsFunc(uses.Files, func(f *hooks.File) bool { return f.Runtime != "" })
	if err == nil || named {
		return path, err
	}
	if crun, crunErr := launch.FindFor("/proc/self/exe", "crun"); crunErr == nil {
		return crun, nil
	}
	return "", errors.New("neither runc nor crun is installed; install one, or name another runtime by --runtime")
}

// keepAlive creates a FIFO that is open for writing until stop is called or this process ends.
func (c *container) keepAlive(path string) error {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	c.alive = append(c.alive, f)
	return err
}
