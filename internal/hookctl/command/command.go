// Package command runs other programs: an engine's own, or its client.
//
// Each has a context, a time limit and a limit on its output, so that none can hang hookctl or exhaust its memory
// (issue 11). It does not know what the programs do.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/launch"
)

const (
	// Patience is the time limit of a program, unless a call sets another.
	Patience = 30 * time.Second

	// MaxOutput is the limit on a program's output to one stream, in bytes. An engine's whole configuration takes some
	// 20 kB.
	MaxOutput = 16 << 20
)

// Find returns the path of a program, from PATH or the system's directories, because an administrator's PATH may not
// include those of daemons.
func Find(program string) (string, error) {
	for _, dir := range filepath.SplitList(os.Getenv("PATH") + ":" + launch.SystemPath) {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil && filepath.IsAbs(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: it is neither in PATH nor in any of the directories %s", program, launch.SystemPath)
}

// Output runs a program and returns what it prints on standard output.
func Output(ctx context.Context, program string, args ...string) (string, error) {
	return OutputWithin(ctx, Patience, program, args...)
}

// OutputWithin is Output with another time limit. An error names the call, and what the program prints on standard
// error or the limit that it exceeded. The program and its children are killed at a limit, and when ctx ends.
func OutputWithin(ctx context.Context, limit time.Duration, program string, args ...string) (string, error) {
	return output(ctx, limit, false, program, args)
}

// Bare is OutputWithin with neither this directory nor this environment, since both may be another user's. A process
// that the program leaves behind and that keeps its output open is killed, which is an error.
func Bare(ctx context.Context, limit time.Duration, program string, args ...string) (string, error) {
	return output(ctx, limit, true, program, args)
}

func output(ctx context.Context, limit time.Duration, bare bool, program string, args []string) (string, error) {
	call := strings.Join(append([]string{program}, args...), " ")
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(within, program, args...)
	if bare {
		cmd.Dir, cmd.Env = "/", []string{"PATH=" + launch.SystemPath}
	}
	// hookctl handles an interrupt from the terminal, and kills the whole group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // the program gets that signal when this thread ends
	defer runtime.UnlockOSThread()
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second // a process that it leaves behind may keep its output open
	stdout, stderr := &bounded{exceeded: cancel}, &bounded{exceeded: cancel}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	left := errors.Is(err, exec.ErrWaitDelay)
	if left && bare {
		_ = cmd.Cancel()
	}
	switch {
	case stdout.full || stderr.full:
		return "", fmt.Errorf("%s: it printed more than %d MiB, and was killed", call, MaxOutput>>20)
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s: interrupted: %w", call, context.Cause(ctx))
	case within.Err() != nil:
		return "", fmt.Errorf("%s: no answer within %v, and was killed", call, limit)
	case left && bare:
		return "", fmt.Errorf("%s: what it left running kept its output open, and was killed", call)
	case err != nil && !left:
		if said := strings.TrimSpace(stderr.String()); said != "" {
			return "", fmt.Errorf("%s: %w: %s", call, err, said)
		}
		return "", fmt.Errorf("%s: %w", call, err)
	}
	return stdout.String(), nil
}

// bounded keeps what is written to it, up to MaxOutput bytes.
type bounded struct {
	strings.Builder
	full     bool
	exceeded func()
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > MaxOutput {
		if !b.full {
			b.full = true
			b.exceeded()
		}
		return len(p), nil // the program is already killed; the rest of its output is dropped
	}
	return b.Builder.Write(p)
}
