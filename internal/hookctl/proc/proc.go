// Package proc reads the processes of a system, and reports which of them hookctl believes.
//
// A process chooses its own arguments, so a name such as dockerd proves nothing. Rule 31 says whose word counts: a process
// of root's, in the initial user namespace and in this PID namespace, whose program is a file that root alone can write.
// A file that such a process names is opened below the root directory of that process, and within limits.
//
// It knows /proc. It does not know what an engine is.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

const (
	// MaxFile is the size in bytes of the largest file that is read. An engine's configuration has some 20 kB.
	MaxFile = 4 << 20

	// maxArgs is the size in bytes of the longest command line that is read.
	maxArgs = 128 << 10
)

// Process is a process as it was when it was listed.
type Process struct {
	PID  int
	Args []string // its arguments, at least one, as it shows them itself
	Exe  string   // the path of its program in its own file system; empty if it cannot be read
	Dir  string   // its directory in /proc, as hookctl opens it

	// Letters says that its program takes `-HVALUE` for `-H VALUE`; the parsers of others take `-address` for --address.
	Letters bool

	cmdline []byte
	start   string // the time at which it started, which with the PID tells it from any other process
	sys     system.System
}

// List returns the processes of a system, in the order of their PIDs. The kernel's threads and zombies, which have no
// arguments, are not among them. An error says that there may be more than were found.
func List(sys system.System) ([]Process, error) {
	// Whoever may not see the first process may not see those of others, and there is none where /proc is not mounted.
	if _, err := os.Stat(sys.Path("proc/1")); err != nil {
		return nil, fmt.Errorf("the processes of others cannot be examined: %w", report.Plain(err))
	}
	entries, err := os.ReadDir(sys.Path("proc"))
	if err != nil {
		return nil, fmt.Errorf("%s cannot be examined: %w", sys.Path("proc"), report.Plain(err))
	}
	var list []Process
	var unread []error
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		p, err := read(sys, pid)
		switch {
		case Gone(err):
		case err == errLong && p.Trusted() != nil:
		case err != nil:
			unread = append(unread, fmt.Errorf("%s cannot be examined: %w", p.Dir, report.Plain(err)))
		case len(p.Args) > 0:
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b Process) int { return a.PID - b.PID })
	return list, errors.Join(unread...)
}

// Gone reports whether an error means that a file is not there, or that a process ended while it was examined.
func Gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }

// errLong is an error about a process whose arguments are read in part.
var errLong = fmt.Errorf("its command line is longer than %d KiB", maxArgs>>10)

// read reads one process. Its files are opened below its directory, which stays that of this process when another
// process gets its PID.
func read(sys system.System, pid int) (Process, error) {
	p := Process{PID: pid, Dir: sys.Path("proc/" + strconv.Itoa(pid)), sys: sys}
	dir, err := openDir(p.Dir)
	if err != nil {
		return p, err
	}
	defer unix.Close(dir)
	if p.cmdline, err = readAt(dir, "cmdline", maxArgs+1); err != nil || len(p.cmdline) == 0 {
		return p, err
	}
	if p.start, err = startTime(dir); err != nil {
		return p, err
	}
	for arg := range strings.SplitSeq(strings.TrimSuffix(string(p.cmdline), "\x00"), "\x00") {
		p.Args = append(p.Args, arg)
	}
	link := make([]byte, unix.PathMax)
	if n, err := unix.Readlinkat(dir, "exe", link); err == nil {
		p.Exe = strings.TrimSuffix(string(link[:n]), " (deleted)") // as after an upgrade
	}
	if len(p.cmdline) > maxArgs {
		return p, errLong
	}
	return p, nil
}

// Name returns what a process calls itself: the last element of its first argument.
func (p Process) Name() string { return filepath.Base(p.Args[0]) }

// Option returns the value of the last of its options that has one of these names, as `NAME VALUE` or `NAME=VALUE`, or "".
func (p Process) Option(names ...string) string {
	if values := p.Options(names...); len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

// Options returns the values of all its options that have one of these names, in their order.
func (p Process) Options(names ...string) (values []string) {
	for i, arg := range p.Args[1:] {
		name, value, joined := strings.Cut(arg, "=")
		if p.Letters && len(arg) > 2 && arg[0] == '-' && arg[1] != '-' {
			name, value, joined = arg[:2], strings.TrimPrefix(arg[2:], "="), true
		}
		if !slices.Contains(names, name) {
			continue
		}
		if !joined {
			if i+2 >= len(p.Args) {
				continue
			}
			value = p.Args[i+2]
		}
		values = append(values, value)
	}
	return values
}

// Without returns its arguments but the first, less the options that have one of these names, with their values.
func (p Process) Without(names ...string) (args []string) {
	for i := 1; i < len(p.Args); i++ {
		name, _, joined := strings.Cut(p.Args[i], "=")
		switch {
		case !slices.Contains(names, name):
			args = append(args, p.Args[i])
		case !joined:
			i++
		}
	}
	return args
}

// Variable returns the value of a variable of its environment as it was when its program started; empty if there is none.
func (p Process) Variable(name string) (string, error) {
	dir, err := p.open()
	if err != nil {
		return "", err
	}
	defer unix.Close(dir)
	text, err := readAt(dir, "environ", maxArgs)
	if err != nil {
		return "", fmt.Errorf("%s/environ cannot be read: %w", p.Dir, report.Plain(err))
	}
	for variable := range strings.SplitSeq(string(text), "\x00") {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value, nil
		}
	}
	return "", nil
}

// Trusted returns nil if rule 31 has this process believed, else why not. The users that count are root, and the one who
// runs hookctl. An error that is fs.ErrPermission means that it cannot be told: hookctl has not the rights to examine it.
func (p Process) Trusted() error {
	dir, err := p.open()
	if err != nil {
		return fmt.Errorf("%s cannot be examined: %w", p.Dir, report.Plain(err))
	}
	defer unix.Close(dir)
	if err := p.examine(dir); err != nil {
		return fmt.Errorf("process %d (%s) is not believed: %w", p.PID, p.Name(), err)
	}
	// Whoever executes a program of more rights has other arguments from then on.
	if now, err := readAt(dir, "cmdline", maxArgs+1); err != nil || !bytes.Equal(now, p.cmdline) {
		return fmt.Errorf("process %d (%s) is not believed: it has executed another program meanwhile", p.PID, p.Name())
	}
	return nil
}

func (p Process) examine(dir int) error {
	uids, err := uids(dir)
	if err != nil {
		return err
	}
	for _, uid := range uids { // all of them: anyone may call a set-user-ID program dockerd
		if !isOurs(uid) {
			return fmt.Errorf("it is of the user with the ID %d", uid)
		}
	}
	// Rootless engines have a user namespace of the user's own, so that one is no reason against a process of that user.
	if rootless := !slices.Contains(uids, 0); !rootless {
		if err := p.sameNamespace(dir, "user"); err != nil {
			return err
		}
	}
	if err := p.sameNamespace(dir, "pid"); err != nil {
		return err
	}
	var exe unix.Stat_t
	if err := unix.Fstatat(dir, "exe", &exe, 0); err != nil {
		return fmt.Errorf("its program cannot be examined: %w", report.Plain(err))
	}
	switch {
	case !isOurs(exe.Uid) || exe.Mode&0o022 != 0:
		return fmt.Errorf("others than root can write its program %s", p.Exe)
	case exe.Mode&(unix.S_ISUID|unix.S_ISGID) != 0:
		return fmt.Errorf("its program %s is set-user-ID or set-group-ID: anyone may call it anything", p.Exe)
	}
	shares, err := p.sharesRoot(dir)
	if err != nil {
		return err
	}
	// A container may have the host's PIDs, but not its files. A service may have files of its own, but not its program.
	var seen unix.Stat_t
	if !shares && (unix.Stat(p.sys.Path(p.Exe), &seen) != nil || !same(seen, exe)) {
		return fmt.Errorf("its program %s is not a file of this system", p.Exe)
	}
	return nil
}

func isOurs(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

// sameNamespace returns an error if a process has not the namespace of that kind that the system's first process has, or
// hookctl where that may not be examined.
func (p Process) sameNamespace(dir int, kind string) error {
	var own, initial unix.Stat_t
	if err := unix.Fstatat(dir, "ns/"+kind, &own, 0); err != nil {
		return fmt.Errorf("its %s namespace cannot be examined: %w", kind, report.Plain(err))
	}
	if unix.Stat(p.sys.Path("proc/1/ns/"+kind), &initial) != nil {
		if err := unix.Stat("/proc/self/ns/"+kind, &initial); err != nil {
			return fmt.Errorf("the %s namespace of hookctl cannot be examined: %w", kind, report.Plain(err))
		}
	}
	if !same(own, initial) {
		return fmt.Errorf("it is in another %s namespace", kind)
	}
	return nil
}

// SharesRoot reports whether the root directory of a process is the system's.
func (p Process) SharesRoot() (bool, error) {
	dir, err := p.open()
	if err != nil {
		return false, fmt.Errorf("%s cannot be examined: %w", p.Dir, report.Plain(err))
	}
	defer unix.Close(dir)
	return p.sharesRoot(dir)
}

func (p Process) sharesRoot(dir int) (bool, error) {
	var own, systems unix.Stat_t
	if err := unix.Fstatat(dir, "root", &own, 0); err != nil {
		return false, fmt.Errorf("its root directory cannot be examined: %w", report.Plain(err))
	}
	if err := unix.Stat(p.sys.Root, &systems); err != nil {
		return false, fmt.Errorf("%s cannot be examined: %w", p.sys.Root, report.Plain(err))
	}
	return same(own, systems), nil
}

// Sees reports whether what a process has at a path is what the system has there: it may have mounts of its own.
func (p Process) Sees(path string) (bool, error) {
	var own, systems unix.Stat_t
	fd, err := p.openBelow(path, unix.O_PATH|unix.O_CLOEXEC)
	if err == nil {
		err = unix.Fstat(fd, &own)
		unix.Close(fd)
	}
	if err != nil && !Gone(err) {
		return false, fmt.Errorf("what process %d has at %s cannot be examined: %w", p.PID, path, report.Plain(err))
	}
	here := unix.Stat(p.sys.Path(path), &systems)
	return (err == nil) == (here == nil) && same(own, systems), nil
}

// Files is a file system. Nothing in it is waited for. A path is one of that file system; an error has it as hookctl sees it.
type Files struct {
	Root string // its root directory, as hookctl opens it

	open func(path string, flags int) (fd int, err error)
}

// Below returns the file system whose root is the directory root, of which paths are paths of this process: a link in it may
// lead elsewhere.
func Below(root string) Files {
	return Files{root, func(path string, flags int) (int, error) { return unix.Open(filepath.Join(root, path), flags, 0) }}
}

// Files returns the file system of a process: the system's if its root directory is that of the system, else one in which
// links lead to nothing outside that root directory.
func (p Process) Files() Files {
	if shares, err := p.SharesRoot(); err == nil && shares && p.sys.Root == "/" {
		return Below("/")
	}
	return Files{p.Dir + "/root", p.openBelow}
}

// Open opens a regular file.
func (f Files) Open(path string) (*os.File, error) {
	file, st, err := f.openAny(path, 0)
	if err == nil && !st.Mode().IsRegular() {
		_ = file.Close()
		return nil, fmt.Errorf("%s %w", file.Name(), ErrNotRegular)
	}
	return file, err
}

// ReadDir returns what a directory has, in the order of names.
func (f Files) ReadDir(path string) ([]fs.DirEntry, error) {
	dir, _, err := f.openAny(path, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", dir.Name(), report.Plain(err))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

func (f Files) openAny(path string, flags int) (*os.File, fs.FileInfo, error) {
	shown := filepath.Join(f.Root, path)
	fd, err := f.open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY|flags)
	if err != nil {
		return nil, nil, fmt.Errorf("%s cannot be opened: %w", shown, report.Plain(err))
	}
	file := os.NewFile(uintptr(fd), shown)
	st, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, nil, fmt.Errorf("%s cannot be examined: %w", shown, report.Plain(err))
	}
	return file, st, nil
}

// ErrNotRegular is the end of an error about what is no regular file.
var ErrNotRegular = errors.New("is not a regular file")

// Read returns the text of a regular file of at most MaxFile bytes.
func (f Files) Read(path string) ([]byte, error) {
	file, err := f.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s cannot be read: %w", file.Name(), report.Plain(err))
	case len(text) > MaxFile:
		return nil, fmt.Errorf("%s is larger than %d MiB", file.Name(), MaxFile>>20)
	}
	return text, nil
}

// Open opens a regular file of a process's file system.
func (p Process) Open(path string) (*os.File, error) { return p.Files().Open(path) }

// Read returns the text of a regular file of a process's file system, of at most MaxFile bytes.
func (p Process) Read(path string) ([]byte, error) { return p.Files().Read(path) }

// openBelow opens what path leads to below the root directory of a process (Linux 5.6).
func (p Process) openBelow(path string, flags int) (int, error) {
	dir, err := p.open()
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	root, err := unix.Openat(dir, "root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	how := &unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(root, path, how)
	for err == unix.EAGAIN || err == unix.EINTR { // a directory was renamed meanwhile
		fd, err = unix.Openat2(root, path, how)
	}
	return fd, err
}

// open opens the directory of a process in /proc, if it is still that of this process.
func (p Process) open() (int, error) {
	dir, err := openDir(p.Dir)
	if err != nil {
		return -1, err
	}
	start, err := startTime(dir)
	if err == nil && start != p.start {
		err = unix.ESRCH
	}
	if err != nil {
		unix.Close(dir)
		return -1, err
	}
	return dir, nil
}

func openDir(path string) (int, error) {
	return unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// readAt returns what a file of a process's directory has, which is at most max bytes long.
func readAt(dir int, name string, max int64) ([]byte, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	if st, err := file.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is not a regular file", name))
	}
	text, err := io.ReadAll(io.LimitReader(file, max))
	return text, err
}

// startTime returns when a process started, in ticks since the machine did: proc(5), the 22nd field of stat. The second
// field is a name in parentheses, which may have anything in it.
func startTime(dir int) (string, error) {
	fields, err := stat(dir)
	if err != nil {
		return "", err
	}
	return fields[19], nil
}

// stat returns what a process's stat file has after the name: proc(5), /proc/PID/stat, from its third field on.
func stat(dir int) ([]string, error) {
	text, err := readAt(dir, "stat", 4096)
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return nil, errors.New("its stat file is not understood")
	}
	return fields, nil
}

// Started returns when a process of this system started, as startTime does; "" if there is none.
func Started(pid int) string {
	dir, err := openDir("/proc/" + strconv.Itoa(pid))
	if err != nil {
		return ""
	}
	defer unix.Close(dir)
	start, _ := startTime(dir) // "" with an error
	return start
}

// Children returns the PIDs of a process's children in this system, whichever of its threads they belong to; of those that
// have ended too, unless they were waited for.
func Children(parent int) (children []int, err error) {
	entries, err := os.ReadDir("/proc")
	for _, e := range entries {
		pid, notPID := strconv.Atoi(e.Name())
		if notPID != nil {
			continue
		}
		dir, gone := openDir("/proc/" + e.Name())
		if gone != nil {
			continue
		}
		if fields, err := stat(dir); err == nil && fields[1] == strconv.Itoa(parent) {
			children = append(children, pid)
		}
		unix.Close(dir)
	}
	return children, err
}

// Runs reports whether a process runs: one that has ended, and is waited for by its parent, does not. start is the time at
// which it started, in clock ticks since the machine did; 0 if it is not known.
func Runs(sys system.System, pid int, start uint64) bool {
	dir, err := openDir(sys.Path("proc/" + strconv.Itoa(pid)))
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	fields, err := stat(dir)
	return err == nil && fields[0] != "Z" && fields[0] != "X" && (start == 0 || fields[19] == strconv.FormatUint(start, 10))
}

// uids returns the real, effective, saved and file system's user ID of a process: proc(5), status.
func uids(dir int) (ids []uint32, err error) {
	status, err := readAt(dir, "status", 64<<10)
	if err != nil {
		return nil, report.Plain(err)
	}
	for line := range strings.Lines(string(status)) {
		fields, ok := strings.CutPrefix(line, "Uid:")
		if !ok {
			continue
		}
		for field := range strings.FieldsSeq(fields) {
			id, err := strconv.ParseUint(field, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("its user IDs are not understood: %q", line)
			}
			ids = append(ids, uint32(id))
		}
	}
	if len(ids) != 4 {
		return nil, errors.New("its user IDs are not in its status file")
	}
	return ids, nil
}

func same(a, b unix.Stat_t) bool { return a.Dev == b.Dev && a.Ino == b.Ino }
