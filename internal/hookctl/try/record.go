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

// maxOutput is how many bytes of a stream are shown.
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
	ended := t.run(stdout, stderr, closed(filepath.Join(filepath.Dir(base), aliveFile)))
	ended.Time = time.Now().UnixNano()
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

// run runs the task until it ends, hangs for too long, or gone is closed.
func (t *task) run(stdout, stderr *os.File, gone <-chan struct{}) (e end) {
	// A runtime that ends a hook, its timeout being over, ends this process. The parent-death signal then ends the
	// hook too; it comes when the thread ends that started it.
	runtime.LockOSThread()
	cmd := exec.Command(t.Path)
	cmd.Args = t.Args
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr // files, so that what it leaves running does not delay us
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		e.Error, e.Status = err.Error(), 126
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
			e.Status = 127
		}
		return e
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
	switch ws := cmd.ProcessState.Sys().(syscall.WaitStatus); {
	case ws.Signaled():
		e.Signal = unix.SignalName(ws.Signal())
		e.Status = 128 + int(ws.Signal())
	default:
		e.Status = ws.ExitStatus()
	}
	return e
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
