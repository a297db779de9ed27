package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "update the files in the scripts that their cmp commands compare")

// The paths of the programs and directories that TestMain creates.
var (
	binDir      string // the directory of the two programs
	program     string // oci-add-hooks
	fakeRuntime string // fakert, which replaces a low-level runtime; no system directory has that name
	profilesDir string // replaces /etc/oci-add-hooks
	workRoot    string // the parent of the scripts' work directories
	recordsRoot string // the parent of the fake runtimes' records, which must not appear in the work directories
)

// TestMain builds the programs. The tests run the real program in a process, because it ends with execve.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	syscall.Umask(0o022) // a world-writable hook file is refused
	tmp, err := os.MkdirTemp("", "oci-add-hooks-test-")
	if err == nil {
		tmp, err = filepath.EvalSymlinks(tmp)
	}
	if err == nil {
		err = os.Chmod(tmp, 0o755) // another user makes some of the calls
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if f := flag.Lookup("testwork"); f == nil || f.Value.String() != "true" {
		defer os.RemoveAll(tmp)
	}
	binDir, profilesDir = filepath.Join(tmp, "bin"), filepath.Join(tmp, "profiles")
	workRoot, recordsRoot = filepath.Join(tmp, "work"), filepath.Join(tmp, "records")
	program, fakeRuntime = filepath.Join(binDir, "oci-add-hooks"), filepath.Join(binDir, "fakert")
	for _, dir := range []string{binDir, profilesDir, workRoot, recordsRoot} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	flags := "-s -w -X main.version=1.2.3 -X main.commit=c0ffee -X github.com/awslabs/oci-add-hooks/internal/profile.Dir=" + profilesDir
	for _, cmd := range []*exec.Cmd{
		exec.Command("make", "--no-print-directory", "-C", "../..", "runtime", "BIN="+binDir, "LDFLAGS="+flags), // the program that is shipped
		exec.Command("go", "build", "-trimpath", "-o", fakeRuntime, "./testdata/fakeruntime"),
	} {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+os.Getenv("GOFLAGS")+" -buildvcs=false")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n%s", cmd, err, out)
			return 1
		}
	}
	return m.Run()
}

// TestScripts is the contract of the command line. There is a script for each promise, and for each defect that tools
// of this kind have had. Scripts have these commands of their own:
//
//	call PROGRAM ARG...    runs the program, which must exec the runtime
//	! call PROGRAM ARG...  runs the program, which must refuse
//	got PATH ARG...        compares the arguments that the runtime got, including argv[0]
//	changed FILE...        compares the list of all files that the last call changed
//	logged json|text FILE  compares the last line of a log with what the last call wrote to standard error
//
// call also checks what holds for every call (call_test.go). $BIN is the directory of the programs, and $PROFILES that
// of the profiles. $WORK/bin is in PATH before $BIN.
func TestScripts(t *testing.T) {
	work, err := os.MkdirTemp(workRoot, "") // each run of -count needs a new one
	if err == nil {
		err = os.Chmod(work, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                filepath.Join("testdata", "script"),
		WorkdirRoot:        work,
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			last := &lastCall{records: filepath.Join(recordsRoot, filepath.Base(work)+"-"+filepath.Base(env.WorkDir))}
			env.Values[lastKey{}] = last
			env.Setenv("BIN", binDir)
			env.Setenv("PROFILES", profilesDir)
			env.Setenv("FAKERT_RECORD", last.records)
			env.Setenv("PATH", strings.Join([]string{filepath.Join(env.WorkDir, "bin"), binDir, os.Getenv("PATH")}, ":"))
			return os.Mkdir(filepath.Join(env.WorkDir, "bin"), 0o755)
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"call":    cmdCall,
			"got":     cmdGot,
			"changed": cmdChanged,
			"logged":  cmdLogged,
		},
	})
}

// condition evaluates the conditions [root], whether the user is root, and [mount], whether a script can mount file
// systems.
func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "mount":
		return exec.Command("unshare", "--mount", "mount", "-t", "tmpfs", "none", workRoot).Run() == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}
