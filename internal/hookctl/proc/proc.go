// Package proc reads the processes of a system, and reports which of them hookctl believes.
//
// A process chooses its own arguments, so a name such as dockerd proves nothing. Rule 31 says which processes hookctl
// believes: those of root, in the initial user namespace and in this PID namespace, whose program only root can write.
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
	// MaxFile is the size limit of a file that is read, in bytes. An engine's configuration takes some 20 kB.
	MaxFile = 4 << 20

	// maxArgs is the length limit of a command line, in bytes.
	maxArgs = 128 << 10
)

// Process is a process at the time it was listed.
type Process struct {
	PID    int
	Parent int      // the PID of its parent
	Args   []string // its arguments, at least one, as the process itself presents them
	Exe    string   // the path of its program in its own file system; empty if it cannot be read
	Dir    string   // its directory in /proc, as this process opens it

	// Letters is set if its program accepts `-HVALUE` for `-H VALUE`. Other programs' parsers read `-address` as
	// --address.
	Letters bool

	cmdline []byte
	start   string // its start time, which with the PID distinguishes it from any other process
	sys     system.System
}

// List returns the processes of a system, ordered by PID. Kernel threads and zombies, which have no arguments, are not
// included. An error means that there may be more than were found.
func List(sys system.System) ([]Process, error) {
	// A user who may not see the first process may not see those of others. Where /proc is not mounted, there is no
	// first process.
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

// Gone reports whether an error means that a file does not exist, or that a process ended while it was examined.
func Gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }

// errLong is an error about a process whose arguments are too long to be read completely.
var errLong = fmt.Errorf("its command line is longer than %d KiB", maxArgs>>10)

// read reads one process. It opens files below the process's directory, which remains that of this process even if
// another one gets its PID.
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
	fields, err := stat(dir)
	if err != nil {
		return p, err
	}
	p.start = fields[startField]
	if p.Parent, err = strconv.Atoi(fields[parentField]); err != nil {
		return p, err
	}
	for arg := range strings.SplitSeq(strings.TrimSuffix(string(p.cmdline), "\x00"), "\x00") {
		p.Args = append(p.Args, arg)
	}
	link := make([]byte, unix.PathMax)
	if n, err := unix.Readlinkat(dir, "exe", link); err == nil {
		p.Exe = strings.TrimSuffix(string(link[:n]), " (deleted)") // the suffix appears after an upgrade
	}
	if len(p.cmdline) > maxArgs {
		return p, errLong
	}
	return p, nil
}

// Name returns the base name of the first argument of a process, which the process itself can change.
func (p Process) Name() string { return filepath.Base(p.Args[0]) }

// Option returns the last value of the options with one of these names, as `NAME VALUE` or `NAME=VALUE`, or "".
func (p Process) Option(names ...string) string {
	if values := p.Options(names...); len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

// Options returns the values of all options with one of these names, in order.
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

// Without returns the arguments except the first, without the options that have one of these names and their values.
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

// Variable returns the value of a variable in its environment at the start of its program, empty if there is none.
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

// Trusted returns nil if hookctl believes this process according to rule 31, else the reason why not. The users that it
// accepts are root and the one who runs hookctl. An error that is fs.ErrPermission means that hookctl may not examine
// the process, and cannot decide.
func (p Process) Trusted() error {
	dir, err := p.open()
	if err != nil {
		return fmt.Errorf("%s cannot be examined: %w", p.Dir, report.Plain(err))
	}
	defer unix.Close(dir)
	if err := p.examine(dir); err != nil {
		return fmt.Errorf("process %d (%s) is not believed: %w", p.PID, p.Name(), err)
	}
	// A process that has executed a program with more rights has other arguments since.
	if now, err := readAt(dir, "cmdline", maxArgs+1); err != nil || !bytes.Equal(now, p.cmdline) {
		return fmt.Errorf("process %d (%s) is not believed: it has executed another program meanwhile", p.PID, p.Name())
	}
	return nil
}

func (p Process) examine(dir int) error {
	uids, capabilities, err := status(dir)
	if err != nil {
		return err
	}
	for _, uid := range uids { // all of them, because anyone may call a set-user-ID program dockerd
		if !isOurs(uid) {
			return fmt.Errorf("it is a process of the user with the ID %d", uid)
		}
	}
	// Rootless engines have a user namespace of their own, so it is no reason against a process of that user.
	rootless := !slices.Contains(uids, 0)
	if !rootless {
		if err := p.sameNamespace(dir, "user"); err != nil {
			return err
		}
	}
	if err := p.sameNamespace(dir, "PID"); err != nil {
		return err
	}
	// A container may share the host's PIDs and have the host's programs mounted.
	if !rootless && capabilities&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return errors.New("it has no CAP_SYS_ADMIN, without which an engine starts no container")
	}
	var exe unix.Stat_t
	if err := unix.Fstatat(dir, "exe", &exe, 0); err != nil {
		return fmt.Errorf("its program cannot be examined: %w", report.Plain(err))
	}
	switch {
	case !isOurs(exe.Uid) || exe.Mode&0o022 != 0:
		return fmt.Errorf("users other than root can write its program %s", p.Exe)
	case exe.Mode&(unix.S_ISUID|unix.S_ISGID) != 0:
		return fmt.Errorf("its program %s is set-user-ID or set-group-ID: anyone may run it under any name", p.Exe)
	}
	shares, err := p.sharesRoot(dir)
	if err != nil {
		return err
	}
	// A container may share the host's PIDs, but not its files. A service may have files of its own, but not its
	// program.
	var seen unix.Stat_t
	if !shares && (unix.Stat(p.sys.Path(p.Exe), &seen) != nil || !same(seen, exe)) {
		return fmt.Errorf("its program %s is not a file of this system", p.Exe)
	}
	return nil
}

func isOurs(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

// sameNamespace returns an error if a process has another namespace of that kind than the system's first process, or
// than hookctl if that of the first process may not be examined.
func (p Process) sameNamespace(dir int, kind string) error {
	var own, initial unix.Stat_t
	file := "ns/" + strings.ToLower(kind)
	if err := unix.Fstatat(dir, file, &own, 0); err != nil {
		return fmt.Errorf("its %s namespace cannot be examined: %w", kind, report.Plain(err))
	}
	if unix.Stat(p.sys.Path("proc/1/"+file), &initial) != nil {
		if err := unix.Stat("/proc/self/"+file, &initial); err != nil {
			return fmt.Errorf("the %s namespace of hookctl cannot be examined: %w", kind, report.Plain(err))
		}
	}
	if !same(own, initial) {
		return fmt.Errorf("it is in another %s namespace, as processes in containers are", kind)
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

// Sees reports whether a process has the same file at a path as the system. It may have mounts of its own.
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

// Files is a file system. Opening a file in it never blocks. Its methods take paths in that file system; an error has
// the path as hookctl sees it.
type Files struct {
	Root string // its root directory, as this process opens it

	process *Process // the process whose file system it is; nil if it is this process's
}

// Below returns the part of this process's file system below root. Links in it may lead out of it.
func Below(root string) Files { return Files{Root: root} }

// Files returns the file system of a process: the system's if they share the root directory, else one in which links
// cannot lead out of the process's root directory.
func (p Process) Files() Files {
	if shares, err := p.SharesRoot(); err == nil && shares {
		return Below(p.sys.Root)
	}
	return Files{p.Dir + "/root", &p}
}

// Own reports whether Root and a path in the file system, joined, are a path to the same file in this process.
func (f Files) Own() bool { return f.process == nil }

func (f Files) open(path string, flags int) (fd int, err error) {
	if f.Own() {
		return unix.Open(filepath.Join(f.Root, path), flags, 0)
	}
	return f.process.openBelow(path, flags)
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

// ReadDir returns the entries of a directory, sorted by name.
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

// ErrNotRegular is wrapped by an error about a file that is not regular.
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

// openBelow opens path below the root directory of a process, links resolved (Linux 5.6).
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

// open opens the directory of a process in /proc, if it still belongs to this process.
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

// readAt returns the content of a file in a process's directory, at most max bytes.
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

// startTime returns when a process started, in ticks since boot: proc(5), the 22nd field of stat. The second field is a
// name in parentheses, which may contain any character.
func startTime(dir int) (string, error) {
	fields, err := stat(dir)
	if err != nil {
		return "", err
	}
	return fields[startField], nil
}

// The places of the parent's PID and of the start time among the fields that stat returns.
const (
	parentField = 1
	startField  = 19
)

// stat returns the fields of a process's stat file after the name: proc(5), /proc/PID/stat, from the third field on.
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

// Started returns the start time of a process of this system, as startTime does; "" if there is no such process.
func Started(pid int) string {
	dir, err := openDir("/proc/" + strconv.Itoa(pid))
	if err != nil {
		return ""
	}
	defer unix.Close(dir)
	start, _ := startTime(dir) // "" with an error
	return start
}

// Children returns the PIDs of a process's children in this system, of all its threads. Ended children are included
// until they are waited for.
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
		if fields, err := stat(dir); err == nil && fields[parentField] == strconv.Itoa(parent) {
			children = append(children, pid)
		}
		unix.Close(dir)
	}
	return children, err
}

// Runs reports whether a process runs. A zombie does not. start is its start time in clock ticks since boot; 0 if
// unknown.
func Runs(sys system.System, pid int, start uint64) bool {
	dir, err := openDir(sys.Path("proc/" + strconv.Itoa(pid)))
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	fields, err := stat(dir)
	return err == nil && fields[0] != "Z" && fields[0] != "X" && (start == 0 || fields[startField] == strconv.FormatUint(start, 10))
}

// status returns the real, effective, saved and file system user ID of a process, and its effective capabilities:
// proc(5), status.
func status(dir int) (uids []uint32, capabilities uint64, err error) {
	text, err := readAt(dir, "status", 64<<10)
	if err != nil {
		return nil, 0, report.Plain(err)
	}
	values := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		values[name] = strings.Fields(value)
	}
	for _, field := range values["Uid"] {
		id, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			return nil, 0, fmt.Errorf("its user IDs are not understood: %q", values["Uid"])
		}
		uids = append(uids, uint32(id))
	}
	if len(uids) != 4 {
		return nil, 0, errors.New("its user IDs are not in its status file")
	}
	capabilities, _ = strconv.ParseUint(strings.Join(values["CapEff"], ""), 16, 64) // none if they cannot be read
	return uids, capabilities, nil
}

func same(a, b unix.Stat_t) bool { return a.Dev == b.Dev && a.Ino == b.Ino }
