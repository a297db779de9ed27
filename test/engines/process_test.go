package engines

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is the time after which a command counts as hanging. A busy machine may take many times longer than a quiet
// one.
const patience = 4 * time.Minute

// An outcome is the result of a command.
type outcome struct {
	stdout, stderr string
	code           int
}

// said returns everything that a person would have seen.
func (o outcome) said() string { return o.stdout + o.stderr }

func (o outcome) String() string {
	return fmt.Sprintf("exit status %d\nstdout: %s\nstderr: %s", o.code, o.stdout, o.stderr)
}

// do runs a command to its end.
func do(t testing.TB, cmd *exec.Cmd) outcome {
	t.Helper()
	return start(t, cmd).wait(t)
}

// A started is a command that runs. Its output goes to files, because a container that is left running would hold a pipe
// open.
type started struct {
	cmd            *exec.Cmd
	stdout, stderr *os.File
	ended          chan struct{}
	timer          *time.Timer
}

func start(t testing.TB, cmd *exec.Cmd) started {
	t.Helper()
	c := started{cmd: cmd, stdout: outputFile(t), stderr: outputFile(t), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = c.stdout, c.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.timer = time.AfterFunc(patience, func() { cmd.Process.Kill() })
	go func() {
		cmd.Wait()
		close(c.ended)
	}()
	return c
}

func (c started) wait(t testing.TB) outcome {
	t.Helper()
	<-c.ended
	expired := !c.timer.Stop()
	o := outcome{contents(t, c.stdout), contents(t, c.stderr), c.cmd.ProcessState.ExitCode()}
	if expired {
		t.Fatalf("%v did not end within %v: %v", c.cmd.Args, patience, o)
	}
	return o
}

// waitFor waits until the command has printed text on its standard output, or has ended.
func (c started) waitFor(t testing.TB, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%v to print %q", c.cmd.Args, text), func() string {
		select {
		case <-c.ended:
			return ""
		default:
		}
		printed := contents(t, c.stdout)
		if strings.Contains(printed, text) {
			return ""
		}
		return fmt.Sprintf("it has printed %q", printed)
	})
}

// ok runs a command that must succeed.
func ok(t testing.TB, cmd *exec.Cmd) outcome {
	t.Helper()
	o := do(t, cmd)
	if o.code != 0 {
		t.Fatalf("%v: %v", cmd.Args, o)
	}
	return o
}

func outputFile(t testing.TB) *os.File {
	t.Helper()
	f, err := os.CreateTemp(work, "output-")
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(f.Name())
	t.Cleanup(func() { f.Close() })
	return f
}

func contents(t testing.TB, f *os.File) string {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	text := make([]byte, info.Size())
	if _, err := f.ReadAt(text, 0); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// scratch makes a directory with a short path.
func scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(work, "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// eventually waits until problem returns "".
func eventually(t testing.TB, what string, problem func() string) {
	t.Helper()
	start := time.Now()
	for {
		p := problem()
		if p == "" {
			return
		}
		if time.Since(start) > patience/2 {
			t.Fatalf("waited for %s: %s", what, p)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A process is a process of the sandbox.
type process struct {
	pid     int
	exe     string
	cmdline string
}

func (p process) String() string { return fmt.Sprintf("%d (%s): %.200s", p.pid, p.exe, p.cmdline) }

// processes returns the processes for which keep returns true. It leaves out zombies, which have no exe.
func processes(t testing.TB, keep func(p process) bool) []process {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []process
	for _, dir := range dirs {
		exe, err := os.Readlink(dir + "/exe")
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(dir))
		cmdline, _ := os.ReadFile(dir + "/cmdline")
		p := process{pid, exe, string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '}))}
		if keep(p) {
			found = append(found, p)
		}
	}
	return found
}

func kill(processes []process) {
	for _, p := range processes {
		syscall.Kill(p.pid, syscall.SIGKILL)
	}
}

// markEnv is the variable that marks a container's processes, independent of their engine.
const markEnv = "OCI_ADD_HOOKS_TEST_CONTAINER"

// inContainer returns the container's processes.
func inContainer(t testing.TB, c container) []process {
	t.Helper()
	return processes(t, func(p process) bool {
		env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
		return slices.Contains(strings.Split(string(env), "\x00"), markEnv+"="+c.name)
	})
}

// monitors returns the engine's processes that watch a container: shims, and Podman's conmon. They have the container's
// id on their command line.
func monitors(t testing.TB, c container) []process {
	t.Helper()
	calls := recorded(t, c.dir)
	if len(calls) == 0 {
		return nil
	}
	return processes(t, func(p process) bool { return strings.Contains(p.cmdline, " "+calls[0].State.ID+" ") })
}

// wantNothingLeft waits until only the sandbox's own processes and the given daemons run: no container, no shim or
// monitor, and no process of this project. It also checks that no low-level runtime has a container.
func wantNothingLeft(t testing.TB, daemons ...string) {
	t.Helper()
	eventually(t, "nothing to be left running", func() string {
		var left []string
		for _, p := range processes(t, func(p process) bool { return p.pid != 1 && p.pid != os.Getpid() }) {
			if !slices.Contains(daemons, filepath.Base(p.exe)) {
				left = append(left, p.String())
			}
		}
		return strings.Join(left, "\n")
	})
	wantListsEmpty(t)
}
