package try

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hooklog"
	"github.com/awslabs/oci-add-hooks/internal/hookrun"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/inject"
)

// A recorder writes these files into a directory:
//
//	7.task           what to run: the seventh task, written before the container is created
//	7-RANDOM/        a call of it: a runtime may call a hook twice, or not at all
//	    begin        when it began
//	    end          how it ended; missing if the recorder itself was killed
//	    stdout
//	    stderr
//	    record       the supervisor's record of a supervised hook
//	alive            a FIFO that hookctl holds open for writing: when it closes, the recorder ends what it runs
const (
	beginFile, endFile, stdoutFile, stderrFile = "begin", "end", "stdout", "stderr"
	recordFile                                 = "record"
	aliveFile                                  = "alive"
)

// patience is how long processes that a hook has started may keep the hook's output open after its end. Longer is a
// problem.
const patience = time.Second

// maxOutput is how many bytes of a stream are shown. One more is kept, to know whether there was more.
const maxOutput = 64 << 10

// A task is a program that the recorder runs: a hook, or the container's command.
type task struct {
	Path  string        `json:"path"`
	Args  []string      `json:"args"`
	Limit time.Duration `json:"limit"` // the time after which it is ended; 0 for none
	Own   time.Duration `json:"own"`   // the hook's own timeout; 0 for none
	Grace time.Duration `json:"grace"` // how much longer it may run after hookctl was interrupted

	Container  bool `json:"container"`  // it is the container's command, not a hook
	Supervised int  `json:"supervised"` // the index in Args of the -- after the supervisor's options, before the hook's command; 0 if not supervised

	supervised *inject.Supervised // how the hook is run; nil if it is not supervised
	stage      hooks.Stage        // empty for the container's command
	file       string             // the file that a hook comes from
	dir        string             // the directory in which it is recorded
	name       string             // the name under which it is recorded
}

// begin and end are the records of a call. Times are nanoseconds since 1970, because a sandbox may have its own
// monotonic clock.
type begin struct {
	Time int64 `json:"time"`
}

type end struct {
	Time        int64  `json:"time"`
	Status      int    `json:"status"` // the exit status; as in a shell, 128 plus the signal's number if one ended it
	Signal      string `json:"signal"`
	Error       string `json:"error"`       // why it could not be started
	Hung        bool   `json:"hung"`        // it was ended after Limit
	OutOfTime   bool   `json:"outOfTime"`   // it was ended after Own
	Held        bool   `json:"held"`        // processes that it had started kept its output open
	Interrupted bool   `json:"interrupted"` // it was ended because hookctl was

	Left []survivor `json:"left,omitempty"` // processes that the hook has left running
}

func (t *task) write(n int) error {
	t.name = strconv.Itoa(n)
	return writeJSON(filepath.Join(t.dir, t.name+".task"), t)
}

func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// record runs the task in the file base.task, records its result, and returns its exit status. The task gets the
// environment, the standard input and the working directory that the runtime gave this process.
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
	if t.Supervised > 0 {
		t.Args = slices.Insert(t.Args, t.Supervised, "--log="+filepath.Join(dir, recordFile))
	}
	ended := t.run(stdout, stderr, closed(filepath.Join(filepath.Dir(base), aliveFile)))
	if err := writeJSON(filepath.Join(dir, endFile), ended); err != nil {
		return 1, err
	}
	// The runtime may report what a hook printed. If nobody reads it, that is no error.
	signal.Ignore(syscall.SIGPIPE)
	replay(os.Stdout, stdout)
	replay(os.Stderr, stderr)
	if ended.Error != "" {
		fmt.Fprintln(os.Stderr, ended.Error)
	}
	return ended.Status, nil
}

// run runs the task until it ends, hangs for too long, or gone is closed. What it prints goes to stdout and stderr.
func (t *task) run(stdout, stderr *os.File, gone <-chan struct{}) end {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-gone
		time.Sleep(t.Grace)
		cancel()
	}()
	// The recorder enforces the runtime's own limit as the runtime does. It ends only a hook's first process; others
	// that this has started may delay the start of the container.
	limit, own := t.Limit, false
	if t.Own > 0 && (limit == 0 || t.Own < limit) {
		limit, own = t.Own, true
	}
	hook := hookrun.Hook{Path: t.Path, Args: t.Args, Env: os.Environ(), Stdin: os.Stdin, Limit: limit,
		Stdout: &keeper{stdout, maxOutput + 1}, Stderr: &keeper{stderr, maxOutput + 1}}
	if !t.Container {
		hook.Patience = patience
	} else if path, err := exec.LookPath(t.Path); err == nil {
		hook.Path = path
	}
	o := hookrun.Run(ctx, hook)
	e := end{Time: o.End.UnixNano(), Status: o.Status, Interrupted: o.Result == hookrun.Interrupted, Held: o.Held,
		Hung: o.Result == hookrun.TimedOut && !own, OutOfTime: o.Result == hookrun.TimedOut && own}
	switch {
	case o.Result == hookrun.NotStarted:
		e.Error, e.Status = o.Err.Error(), 126
		if errors.Is(o.Err, os.ErrNotExist) {
			e.Status = 127
		}
	case o.Result == hookrun.OK && !t.Container:
		e.Left = survivors()
	case o.Signal != 0:
		e.Signal = unix.SignalName(o.Signal)
		e.Status = 128 + int(o.Signal)
	}
	return e
}

// keeper writes the beginning of a task's output to a file and discards the rest. So a task that prints without end
// neither fills the disk nor waits for a reader.
type keeper struct {
	file *os.File
	room int // how many more bytes the file takes; in total one more than is shown, which shows that there was more
}

func (k *keeper) Write(p []byte) (int, error) {
	n, err := k.file.Write(p[:min(len(p), k.room)])
	if k.room -= n; err != nil {
		k.room = 0 // no space left; the task must not notice
	}
	return len(p), nil
}

// closed returns a channel that is closed when nobody holds the FIFO at path open for writing any more. If the FIFO
// cannot be opened (gVisor has no FIFOs of the host), the channel is never closed.
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

// replay prints what a task printed, up to maxOutput.
func replay(to io.Writer, from *os.File) {
	io.Copy(to, io.NewSectionReader(from, 0, maxOutput))
}

// calls returns the recorded calls of a task. A program in the container may have written to the directory, so calls
// follows no link out of it and waits for no FIFO.
func (t *task) calls() ([]Call, error) {
	dir, err := os.OpenRoot(t.dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := os.ReadDir(t.dir)
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
		c.begin, c.end, c.Held = b.Time, ended.Time, ended.Held
		if hasEnded && c.Result != NotStarted {
			if c.Signal = ended.Signal; c.Signal == "" {
				c.ExitStatus = &ended.Status
			}
		}
		c.Stdout, c.Truncated = readOutput(dir, filepath.Join(e.Name(), stdoutFile), c.Truncated)
		c.Stderr, c.Truncated = readOutput(dir, filepath.Join(e.Name(), stderrFile), c.Truncated)
		if t.Supervised > 0 {
			_, err := hooklog.Read(filepath.Join(t.dir, e.Name(), recordFile), func(r *hooklog.Record) error { c.take(r); return nil })
			if err != nil {
				return nil, err
			}
		}
		calls = append(calls, c)
	}
	return calls, nil
}

// take replaces the result of a call by the supervisor's record of the hook.
func (c *Call) take(r *hooklog.Record) {
	if c.Result != OK && c.Result != Failed {
		return // the supervisor itself was ended
	}
	c.Result, c.ExitStatus, c.Signal, c.Error, c.Ignored = Result(r.Result), r.ExitStatus, r.Signal, r.Error, r.Ignored
	c.Stdout, c.Stderr, c.Truncated = r.Stdout, r.Stderr, r.Truncated
}

func (e end) result(hasEnded bool) Result {
	switch {
	case !hasEnded:
		return Killed
	case e.OutOfTime:
		return TimedOut
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

// readOutput reads a regular file up to maxOutput. It reports whether there is more; true if truncated is.
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
