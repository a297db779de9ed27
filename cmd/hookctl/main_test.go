package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc/proctest"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

var update = flag.Bool("update", false, "write into the scripts what their cmp commands find instead of what they expect")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"hookctl": func() {
			sys := system.System{Root: os.Getenv("SYSTEM"), State: os.Getenv("STATE"), Profiles: os.Getenv("PROFILES")}
			profile.Dir = sys.Profiles
			run(sys)
		},
	})
}

// TestScripts is the contract of the command line: one script for each kind of finding, and for each promise of the
// other commands. Profiles are in $PROFILES. Engines' files and processes are in $SYSTEM; at first no process runs
// there. Scripts have these commands of their own:
//
//	status N COMMAND...  runs a command, which must exit with status N
//	expand FILE...       puts the values of variables into files
//	process SYSTEM PID ARG...  puts a process of this user into the /proc of a system
func TestScripts(t *testing.T) {
	syscall.Umask(0o022) // a hook file that anyone may write to is refused
	testscript.Run(t, testscript.Params{
		Dir:                filepath.Join("testdata", "script"),
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			bin := filepath.Join(env.WorkDir, "bin")
			env.Setenv("PROFILES", filepath.Join(env.WorkDir, "profiles"))
			env.Setenv("NEWER", newer)
			env.Setenv("STATE", filepath.Join(env.WorkDir, "state"))
			env.Setenv("SYSTEM", filepath.Join(env.WorkDir, "system"))
			env.Setenv("PATH", bin+":"+env.Getenv("PATH"))
			for _, dir := range []string{"system/proc/1", "profiles", "bin"} {
				if err := os.MkdirAll(filepath.Join(env.WorkDir, dir), 0o755); err != nil {
					return err
				}
			}
			return nil
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":  cmdStatus,
			"expand":  cmdExpand,
			"process": cmdProcess,
		},
	})
}

// newer is the directory of the engines that test/newer pins, once they are built.
var newer, _ = filepath.Abs("../../bin/newer")

// condition answers [root]; [newer]: whether these engines are built; [docker20]: whether the dockerd that is installed
// is of version 20; [containerd1]: whether the containerd that is installed is of version 1; and [mount]: whether a
// command can have mounts of its own in the places of the conventional hooks directories.
func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "newer":
		_, err := os.Stat(filepath.Join(newer, "containerd"))
		return err == nil, nil
	case "docker20":
		version, err := exec.Command("dockerd", "--version").Output()
		return err == nil && bytes.Contains(version, []byte(" 20.")), nil
	case "containerd1":
		version, err := exec.Command("containerd", "--version").Output()
		return err == nil && regexp.MustCompile(` v?1\.`).Match(version), nil
	case "mount":
		return exec.Command("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/etc/containers").Run() == nil &&
			exec.Command("test", "-d", "/usr/share/containers").Run() == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

func cmdProcess(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 || neg {
		ts.Fatalf("usage: process SYSTEM PID ARG...")
	}
	pid, err := strconv.Atoi(args[1])
	ts.Check(err)
	_, err = proctest.Add(ts.MkAbs(args[0]), pid, args[2:]...)
	ts.Check(err)
}

func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg {
		ts.Fatalf("usage: status N COMMAND...")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		got = "another: " + err.Error()
		if status, ok := exitStatus(err); ok {
			got = strconv.Itoa(status)
		}
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, not %s", got, args[0])
	}
}

func exitStatus(err error) (status int, ok bool) {
	n, scanErr := fmt.Sscanf(err.Error(), "exit status %d", &status)
	return status, n == 1 && scanErr == nil
}

func cmdExpand(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		path := ts.MkAbs(name)
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(path, []byte(text), 0o644))
	}
}
