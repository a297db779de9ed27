package engines

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// noSandbox is the reason why no test can run here, "" if tests can.
var noSandbox string

// counted holds what summarize prints.
var counted struct {
	sync.Mutex
	ran     int
	skipped []string
}

// leaf runs a subtest and counts it.
func leaf(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		t.Cleanup(func() {
			if !t.Skipped() {
				counted.Lock()
				defer counted.Unlock()
				counted.ran++
			}
		})
		test(t)
	})
}

// skip skips the test, with all of its subtests, and counts it.
func skip(t testing.TB, format string, args ...any) {
	t.Helper()
	reason := fmt.Sprintf(format, args...)
	counted.Lock()
	counted.skipped = append(counted.skipped, t.Name()+": "+reason)
	counted.Unlock()
	t.Skip("skipped: " + reason)
}

// need skips the test unless the programs are installed and there is a sandbox to run them in.
func need(t testing.TB, programs ...string) {
	t.Helper()
	if noSandbox != "" {
		skip(t, "%s", noSandbox)
	}
	if noRootfs != "" {
		skip(t, "%s", noRootfs)
	}
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			skip(t, "%s is not installed (apt-get install %s)", name, debianPackage(name))
		}
	}
}

func debianPackage(program string) string {
	switch program {
	case "docker", "dockerd":
		return "docker.io"
	case "ctr", "containerd-shim-runc-v2":
		return "containerd"
	case "newuidmap":
		return "uidmap"
	}
	return program
}

// summarize ends the run's output, so that skipped tests are not overlooked.
func summarize() {
	fmt.Fprintf(os.Stdout, "test/engines: %d tests ran, %d skipped", counted.ran, len(counted.skipped))
	if len(counted.skipped) > 0 {
		fmt.Fprint(os.Stdout, ":\n  "+strings.Join(counted.skipped, "\n  "))
	}
	fmt.Fprintln(os.Stdout)
}
