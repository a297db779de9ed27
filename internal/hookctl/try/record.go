package try

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

// What is recorded lies in a folder as files:
//
//	7.task           what to run: the seventh task, written before the container is created
//	7-RANDOM/        a call of it: a runtime may call a hook twice, or not at all
//	    begin        when it began
//	    end          how it ended; missing if the recorder itself was killed
//	    stdout
//	    stderr
//	alive            a FIFO that hookctl holds open for writing: when it closes, whatever runs is to end
const (
	beginFile, endFile, stdoutFile, stderrFile = "begin", "end", "stdout", "stderr"
	aliveFile                                  = "alive"
)

// maxOutput is how many bytes of a stream are shown. One more is kept.
const maxOutput = 64 << 10

// A task is a program that the recorder runs: a hook, or the container's command.
type task struct {
	Path  string        `json:"path"`
	Args  []string      `json:"args"`
	Limit time.Duration `json:"limit"` // the time after which it is ended; 0 for none
	Grace time.Duration `json:"grace"` // how much longer it may run after hookctl was interrupted

	stage  hooks.Stage // empty for the container's command
	file   string      // the file that a hook comes from
	own    int         // the timeout that a hook has of its own, in seconds; 0 for none
	folder string      // where it is recorded
	name   string      // and under which name
}

// begin and end are what is recorded of a call. Times are since 1970: a sandbox may have a monotonic clock of its own.
type begin struct {
	Time int64 `json:"time"` // in nanoseconds
}

type end struct {
	Time        int64  `json:"time"`
	Status      int    `json:"status"` // the exit status; 128 and the signal's number if one ended it, as a shell has it
	Signal      string `json:"signal"`
	Error       string `json:"error"`       // why it could not be started
	Hung        bool   `json:"hung"`        // it was ended after Limit
	Interrupted bool   `json:"interrupted"` // it was ended because hookctl was
}

func (t *task) write(n int) error {
	t.name = strconv.Itoa(n)
	return writeJSON(filepath.Join(t.folder, t.name+".task"), t)
}

func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// record runs the task that is written at base with the arguments, the environment, the standard input and the working
// folder that the runtime gave this process, writes down what came of it, and gives its exit status.
func record(base string) (status int, err error) {
	var t task
	text, err := os.ReadFile(base + ".task")
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	if err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp(filepath.Split(base + "-"))
	if err != nil {
		return 1, err
	}
	stdout, err := os.Create(filepath.Join(dir, stdoutFile))
	if err != nil {
		return 1, err
	}
	stderr, err := os.Create(filepath.Join(dir, stderrFile))
	if err != nil {
		return 1, err
	}
	if err := writeJSON(filepath.Join(dir, beginFile), begin{time.Now().UnixNano()}); err != nil {
		return 1, err
	}
	ended, err := t.run(stdout, stderr, closed(filepath.Join(filepath.Dir(base), aliveFile)))
	if err != nil {
		return 1, err
	}
	if err := writeJSON(filepath.Join(dir, endFile), ended); err != nil {
		return 1, err
	}
	// The runtime may have something to say about what a hook printed, or nobody listens.
	signal.Ignore(syscall.SIGPIPE)
	replay(os.Stdout, stdout)
	replay(os.Stderr, stderr)
	if ended.Error != "" {
		fmt.Fprintln(os.Stderr, ended.Error)
	}
	return ended.Status, nil
}

// run runs the task until it ends, hangs for too long, or gone is closed. What it prints comes to stdout and stderr.
func (t *task) run(stdout, stderr *os.File, gone <-chan struct{}) (e end, err error) {
	// A runtime that ends a hook, its timeout being over, ends this process. The parent-death signal then ends the
	// hook too; it comes when the thread ends that started it.
	runtime.LockOSThread()
	cmd := exec.Command(t.Path)
	cmd.Args = t.Args
	cmd.Stdin = os.Stdin
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := newStream(stdout)
	if err != nil {
		return e, err
	}
	errs, err := newStream(stderr)
	if err != nil {
		return e, err
	}
	cmd.Stdout, cmd.Stderr = out.write, errs.write
	err = cmd.Start()
	out.write.Close()
	errs.write.Close()
	if err != nil {
		e.Time = time.Now().UnixNano()
		e.Error, e.Status = err.Error(), 126
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
			e.Status = 127
		}
		return e, nil
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	var limit <-chan time.Time
	if t.Limit > 0 {
		limit = time.After(t.Limit)
	}
	select {
	case <-done:
	case <-limit:
		e.Hung = true
	case <-gone:
		select {
		case <-done:
		case <-time.After(t.Grace):
			e.Interrupted = true
		}
	}
	cmd.Process.Kill()
	<-done
	e.Time = time.Now().UnixNano()
	out.end()
	errs.end()
	switch ws := cmd.ProcessState.Sys().(syscall.WaitStatus); {
	case ws.Signaled():
		e.Signal = unix.SignalName(ws.Signal())
		e.Status = 128 + int(ws.Signal())
	default:
		e.Status = ws.ExitStatus()
	}
	return e, nil
}

// A stream is a pipe of which the beginning is kept in a file and the rest is lost, so that a task that prints without
// end neither fills the disk nor waits for a reader.
type stream struct {
	read, write *os.File
	keep        *os.File
	room        int           // what the file still takes; a byte more than is shown, which tells that there was more
	done        chan struct{} // closed when nobody reads any more
}

// newStream gives a stream that is read until its end.
func newStream(keep *os.File) (*stream, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s := &stream{read, write, keep, maxOutput + 1, make(chan struct{})}
	go func() { io.Copy(keeper{s}, read); close(s.done) }()
	return s, nil
}

// end takes what is in the pipe now, and closes it: what the task left running may hold it open for ever.
func (s *stream) end() {
	s.read.SetReadDeadline(time.Now())
	<-s.done
	s.read.SetReadDeadline(time.Time{})
	if conn, err := s.read.SyscallConn(); err == nil {
		waiting := 0
		conn.Control(func(fd uintptr) { waiting, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
		io.CopyN(keeper{s}, s.read, int64(waiting))
	}
	s.read.Close()
}

// keeper writes to a stream's file as long as there is room, and takes all.
type keeper struct{ *stream }

func (k keeper) Write(p []byte) (int, error) {
	n, err := k.keep.Write(p[:min(len(p), k.room)])
	if k.room -= n; err != nil {
		k.room = 0 // no space left; the task is not to notice
	}
	return len(p), nil
}

// closed gives a channel that is closed when nobody holds the FIFO at path open for writing any more. Where it cannot be
// opened (gVisor has no FIFOs of the host), that is never.
func closed(path string) <-chan struct{} {
	c := make(chan struct{})
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return c
	}
	go func() {
		if _, err := io.Copy(io.Discard, f); err == nil {
			close(c)
		}
	}()
	return c
}

// replay prints what a task printed, up to a size.
func replay(to io.Writer, from *os.File) {
	io.Copy(to, io.NewSectionReader(from, 0, maxOutput))
}

// calls gives what was recorded of a task. What lies in the folder may have been written by whatever ran in the
// container: it is not followed out of it, nor waited for.
func (t *task) calls() ([]Call, error) {
	dir, err := os.OpenRoot(t.folder)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := os.ReadDir(t.folder)
	if err != nil {
		return nil, err
	}
	var calls []Call
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), t.name+"-") {
			continue
		}
		var b begin
		var ended end
		if !readJSON(dir, filepath.Join(e.Name(), beginFile), &b) {
			continue // killed before it began
		}
		hasEnded := readJSON(dir, filepath.Join(e.Name(), endFile), &ended)
		c := t.call()
		c.Result = ended.result(hasEnded)
		c.Error = ended.Error
		c.begin, c.end = b.Time, ended.Time
		if hasEnded && c.Result != NotStarted {
			c.ExitStatus, c.Signal = &ended.Status, ended.Signal
		}
		c.Stdout, c.Truncated = readOutput(dir, filepath.Join(e.Name(), stdoutFile), c.Truncated)
		c.Stderr, c.Truncated = readOutput(dir, filepath.Join(e.Name(), stderrFile), c.Truncated)
		calls = append(calls, c)
	}
	return calls, nil
}

func (e end) result(hasEnded bool) Result {
	switch {
	case !hasEnded:
		return Killed
	case e.Error != "":
		return NotStarted
	case e.Hung:
		return Hung
	case e.Interrupted:
		return Interrupted
	case e.Status != 0:
		return Failed
	}
	return OK
}

func readJSON(dir *os.Root, name string, v any) bool {
	text, _ := readOutput(dir, name, false)
	return json.Unmarshal([]byte(text), v) == nil
}

// readOutput reads a regular file up to maxOutput, and says whether there is more, or was before.
func readOutput(dir *os.Root, name string, truncated bool) (string, bool) {
	f, err := dir.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", truncated
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", truncated
	}
	text, _ := io.ReadAll(io.LimitReader(f, maxOutput+1))
	if len(text) > maxOutput {
		return string(text[:maxOutput]), true
	}
	return string(text), truncated
}
