package try

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// The first arguments that select the roles in which a runtime calls hookctl.
const (
	recordRole  = "try:record"  // runs a task and records it
	exampleRole = "try:example" // a hook of the example
	processRole = "try:process" // the container's process, unless a command is given
)

// IsRole reports whether this process was started in one of the roles. If so, the caller calls Role instead of the
// command line.
func IsRole(argv []string) bool { return len(argv) > 1 && strings.HasPrefix(argv[1], "try:") }

// Role does the work of the role, and returns the exit status.
func Role(argv []string) int {
	var err error
	status := 0
	switch role := argv[1]; {
	case role == recordRole && len(argv) == 3:
		status, err = record(argv[2])
	case role == exampleRole && len(argv) == 3:
		err = exampleHook(argv[2])
	case role == processRole && len(argv) == 2:
		err = containerProcess()
	default:
		err = fmt.Errorf("no such role: %q", argv[1:])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "hookctl: %v\n", err)
		return max(status, 1)
	}
	return status
}

// exampleHook prints what a hook of that stage finds.
func exampleHook(stage string) error {
	var state struct {
		Status string
		Pid    int
	}
	if err := json.NewDecoder(os.Stdin).Decode(&state); err != nil {
		return fmt.Errorf("the container's state on standard input: %w", err)
	}
	where := "the container's network"
	if os.Getenv(networkEnv) == network() {
		where = "the runtime's network"
	}
	fmt.Printf("The container is %s, its process is %d. This hook has %s.\n", state.Status, state.Pid, where)
	if stage == "poststop" {
		fmt.Fprintln(os.Stderr, "What a hook prints to standard error is shown as well.")
	}
	time.Sleep(5 * time.Millisecond)
	return nil
}

// networkEnv is the environment variable that tells an example's hook the network namespace of the runtime.
const networkEnv = "RUNTIME_NETWORK"

// network returns the name of the network namespace of this process.
func network() string {
	name, _ := os.Readlink("/proc/self/ns/net")
	return name
}

// containerProcess runs until its standard input ends, which is when all poststart hooks have run.
func containerProcess() error {
	fmt.Println("The container runs.")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}
