package try

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
)

// stop makes the recorders end what they run.
func (c *container) stop() {
	for _, f := range c.alive {
		f.Close()
	}
}

// live takes the container through its life as an engine does, and returns the problems.
func (c *container) live() (problems []string) {
	// Orphans become children of this process: the container's process, for which it waits, and processes that hooks
	// leave.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return []string{fmt.Sprintf("this process cannot become a subreaper: %v", err)}
	}
	defer context.AfterFunc(c.ctx, c.stop)()

	note := func(err error) bool {
		if err != nil {
			problems = append(problems, err.Error())
			c.untidy = true
		}
		return err == nil
	}
	stdin, hold, err := os.Pipe() // hookctl's own command ends when its standard input ends; the user's gets none
	if !note(err) {
		return problems
	}
	defer hold.Close()
	if c.opts.Rootfs != "" {
		hold.Close()
	}
	pidFile := filepath.Join(c.dir, "pid")
	well := note(c.call(c.ctx, stdin, "create", "--bundle", c.bundle(), "--pid-file", pidFile, c.id))
	stdin.Close()
	pid := 0
	if well {
		pid, err = c.process(pidFile)
		well = note(err)
	}
	well = well && note(c.call(c.ctx, nil, "start", c.id))
	if well {
		hold.Close()
		well = note(c.wait(pid))
	}
	if well && note(c.call(context.WithoutCancel(c.ctx), nil, "delete", c.id)) {
		return problems
	}
	err = c.call(context.WithoutCancel(c.ctx), nil, "delete", "--force", c.id)
	if well {
		note(err)
	}
	return problems
}

// call calls the runtime. If that fails, the error has the runtime's own message.
func (c *container) call(ctx context.Context, stdin *os.File, command string, args ...string) error {
	if err := ctx.Err(); err != nil {
		return errors.New("interrupted")
	}
	log, stderr := filepath.Join(c.dir, command+".log"), filepath.Join(c.dir, command+".stderr")
	out, err := os.Create(stderr)
	if err != nil {
		return err
	}
	defer out.Close()
	global := append([]string{"--root", filepath.Join(c.dir, "state"), "--log", log, "--log-format", "json"}, c.opts.RuntimeArgs...)
	cmd := exec.Command(c.runtime, slices.Concat(global, []string{command}, args)...)
	if stdin != nil {
		cmd.Stdin = stdin
	}
	cmd.Stderr = out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C must reach only this process, which handles it
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { err = cmd.Wait(); close(done) }()
	go c.reapWhile(done, cmd.Process.Pid)
	if !c.within(ctx, done) {
		cmd.Process.Kill()
		<-done
		return fmt.Errorf("%s %s did not end and was killed", filepath.Base(c.runtime), command)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return fmt.Errorf("%s %s: %s", filepath.Base(c.runtime), command, cmp.Or(lastError(log), lastLine(stderr), err.Error()))
}

// reapWhile reaps ended children of this process until the runtime's call, whose pid is call, is done. gVisor's delete
// waits until its sandbox is gone, which it is not as a zombie.
func (c *container) reapWhile(done <-chan struct{}, call int) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		children, _ := proc.Children(os.Getpid()) // the next tick may find more
		for _, pid := range children {
			if pid != call && !slices.Contains(c.others, pid) {
				unix.Wait4(pid, nil, unix.WNOHANG, nil)
			}
		}
	}
}

// within reports whether done is closed in time: as long as all hooks may take or, after an interruption, poststop
// hooks.
func (c *container) within(ctx context.Context, done <-chan struct{}) bool {
	each := func(limit time.Duration) <-chan time.Time {
		return time.After(time.Duration(len(c.tasks))*limit + grace)
	}
	limit := each(c.opts.Timeout)
	select {
	case <-done:
		return true
	case <-limit:
		return false
	case <-ctx.Done():
	}
	select {
	case <-done:
		return true
	case <-each(poststopGrace):
		return false
	}
}

// process returns the pid of the container's process, which the runtime's create has written to a file.
func (c *container) process(pidFile string) (pid int, err error) {
	text, err := os.ReadFile(pidFile)
	if err == nil {
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if err != nil {
		return 0, fmt.Errorf("%s is no OCI runtime: its create succeeded, but wrote no process id to the file of --pid-file; name another by --runtime", c.runtime)
	}
	return pid, nil
}

// wait waits for the container's process, which the runtime has orphaned to this one.
func (c *container) wait(pid int) error {
	done := make(chan struct{})
	go func() {
		for err := error(unix.EINTR); err == unix.EINTR; {
			_, err = unix.Wait4(pid, nil, 0, nil)
		}
		close(done)
	}()
	if !c.within(c.ctx, done) {
		return errors.New("the container's process did not end and was killed")
	}
	return nil
}

// lastError returns the last error in a runtime's JSON log, which is where engines read it too; "" if there is none.
func lastError(path string) (message string) {
	text, _ := os.ReadFile(path)
	for line := range bytes.Lines(text) {
		var entry struct{ Level, Msg string }
		if json.Unmarshal(line, &entry) == nil && (entry.Level == "error" || entry.Level == "fatal") {
			message = strings.TrimSpace(entry.Msg)
		}
	}
	return message
}

func lastLine(path string) string {
	text, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
