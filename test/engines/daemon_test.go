package engines

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startDaemon starts an engine's daemon, waits until ready returns "", and stops it at the end of the test. If the test
// fails, it shows the end of the daemon's log.
func startDaemon(t testing.TB, cmd *exec.Cmd, ready func() string) {
	t.Helper()
	log := outputFile(t)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			cmd.Process.Kill()
			t.Errorf("%v did not end", cmd.Args)
		}
		if t.Failed() {
			t.Logf("the end of the log of %v:\n%s", cmd.Args, lastLines(contents(t, log), 20))
		}
	})
	eventually(t, cmd.Args[0]+" to start", func() string {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%v ended: %v", cmd.Args, err)
		default:
		}
		return ready()
	})
}

// inUnit puts a process into a cgroup with the name that the cgroup of its systemd unit has.
func inUnit(t *testing.T, pid int, unit string) {
	t.Helper()
	root := "/sys/fs/cgroup/systemd"
	if _, err := os.Stat(root); err != nil {
		root = "/sys/fs/cgroup"
	}
	write(t, root+cgroup+"/"+unit+"/cgroup.procs", fmt.Sprint(pid))
}

func lastLines(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
