package inject

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/launch"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// Supervisor is the name of the program that runs supervised hooks. It is in the directory of oci-add-hooks.
const Supervisor = "oci-run-hook"

const (
	defaultTimeout  = 30 // the default timeout of a supervised hook, in seconds
	supervisorGrace = 5  // how many seconds longer the runtime waits for the supervisor
)

// Supervised is how a supervised hook is run.
type Supervised struct {
	Timeout int          // in seconds
	Policy  string       // the failure policy: fail or ignore
	Why     hooks.Reason // why a failure is ignored, if facts about the container decided that
}

// String returns the supervision as a person reads it: "supervised: 30 s, fail".
func (s *Supervised) String() string {
	text := fmt.Sprintf("supervised: %d s, %s", s.Timeout, s.Policy)
	if s.Why != nil {
		text += " (" + s.Why.String() + ")"
	}
	return text
}

// superviser replaces hooks by supervised ones.
type superviser struct {
	facts   hooks.Container
	self    string // the path of oci-add-hooks; "" for this program
	program string // the path of the supervisor; "" until it has been looked for
	records string // the path of the records; "" if it is unknown, which the supervisor reports
}

// entry returns the hook object that replaces a supervised hook in config.json, and how the hook is supervised. The
// supervisor has the hook's environment. If the hook has none, the supervisor gets only a PATH, because some runtimes
// would otherwise give it the container's environment (CVE-2025-23266). place is the hook's JSON pointer in a hook
// file, or the name of its file in a directory.
func (s *superviser) entry(how *hooks.Supervision, stage hooks.Stage, file, place, profile string, hook jsontext.Value) (jsontext.Value, *Supervised, error) {
	if s.program == "" {
		var err error
		if s.program, err = FindSupervisor(s.self, how); err != nil {
			return nil, nil, err
		}
		s.records, _ = report.Records()
	}
	policy, why, err := how.FailurePolicy(stage, s.facts)
	if err != nil {
		return nil, nil, &jsonfile.Error{Path: file, Problem: err.Error(), Remedy: hooks.NoCommandRemedy, Err: err}
	}
	run := &Supervised{Timeout: defaultTimeout, Policy: policy, Why: why}
	if how.Timeout > 0 {
		run.Timeout = how.Timeout
	}
	path, args, env := jsontext.Value(nil), jsontext.Value(nil), quoted(nil, "PATH="+launch.SystemPath)
	env = append(append([]byte{'['}, env...), ']')
	r := (&jsonfile.File{Path: file, Data: hook}).Lenient()
	err = r.Object(func(name string) error {
		if r.Kind() == 'n' {
			return nil
		}
		value, err := r.Value()
		switch name {
		case "path":
			path = value
		case "args":
			args = bytes.TrimSpace(value[1 : len(value)-1])
		case "env":
			env = value
		case "timeout":
			run.Timeout, _ = strconv.Atoi(string(value)) // package hooks has checked it
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if absolute, err := filepath.Abs(file); err == nil {
		file = absolute
	}
	options := []string{Supervisor, "--stage=" + string(stage), "--profile=" + profile, "--file=" + file, "--place=" + place,
		"--timeout=" + strconv.Itoa(run.Timeout), "--failure-policy=" + policy}
	if how.Record == hooks.RecordStatus {
		options = append(options, "--record="+how.Record)
	}
	if s.records != "" {
		options = append(options, "--log="+s.records)
	}
	text := quoted([]byte(`{"path":`), s.program)
	text = append(text, `,"args":[`...)
	for _, o := range options {
		text = append(quoted(text, o), ',')
	}
	text = append(append(text, `"--",`...), path...)
	if len(args) == 0 {
		args = path // as runtimes do
	}
	text = append(append(text, ','), args...)
	text = append(append(text, `],"env":`...), env...)
	text = strconv.AppendInt(append(text, `,"timeout":`...), min(int64(run.Timeout)+supervisorGrace, 1<<31-1), 10)
	return append(text, '}'), run, nil
}

// quoted appends a JSON string. A byte that is not UTF-8 becomes U+FFFD.
func quoted(to []byte, text string) []byte {
	to, _ = jsontext.AppendQuote(to, text)
	return to
}

// FindSupervisor returns the path of the supervisor, in the directory of the oci-add-hooks at self; "" is this program.
// If the supervisor cannot be used, it returns an error about the member that asks for supervision.
func FindSupervisor(self string, how *hooks.Supervision) (string, error) {
	program, err := findSupervisor(self)
	if err != nil {
		return "", how.Refuse("asks for supervised hooks, but "+err.Error(), fmt.Sprintf("install %s beside oci-add-hooks, or remove \"supervise\"", Supervisor), err)
	}
	return program, nil
}

func findSupervisor(self string) (string, error) {
	var err error
	if self == "" {
		self, err = os.Executable()
	} else {
		self, err = filepath.EvalSymlinks(self) // as os.Executable does in that program
	}
	if err != nil {
		return "", fmt.Errorf("the path of oci-add-hooks is unknown: %w", report.Plain(err))
	}
	program := filepath.Join(filepath.Dir(self), Supervisor)
	var st unix.Stat_t
	switch err := unix.Stat(program, &st); {
	case err != nil:
		return "", fmt.Errorf("%s cannot be used: %w", program, report.Plain(err))
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return "", fmt.Errorf("%s is not a regular file", program)
	}
	if err := unix.Faccessat(unix.AT_FDCWD, program, unix.X_OK, unix.AT_EACCESS); err != nil {
		return "", fmt.Errorf("%s may not be executed: %w", program, report.Plain(err))
	}
	return program, nil
}

// profileName returns a hook file's name as a profile, for messages and records.
func profileName(file string) string { return strings.TrimSuffix(filepath.Base(file), ".json") }
