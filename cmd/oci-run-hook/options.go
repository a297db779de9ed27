package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/build"
)

// options are the options and arguments on the command line.
type options struct {
	stage, profile, file, place string // for messages and records; may be empty
	limit                       time.Duration
	ignore                      bool   // a failure is recorded, but the exit status is 0
	statusOnly                  bool   // the hook's output is not recorded
	records                     string // the path of the file of records; empty for the default

	path string   // the path of the hook's program
	args []string // the hook's arguments, including argv[0]

	help, version bool
}

// defaultLimit is the default time limit of a hook.
const defaultLimit = 30 * time.Second

// parse reads the arguments after argv[0].
func parse(args []string) (options, error) {
	o := options{limit: defaultLimit}
	policy := ""
	for len(args) > 0 && args[0] != "--" {
		name, value, hasValue := strings.Cut(args[0], "=")
		args = args[1:]
		switch {
		case name == "--help" && !hasValue:
			o.help = true
			return o, nil
		case name == "--version" && !hasValue:
			o.version = true
			return o, nil
		}
		var set func(string) error
		switch name {
		case "--stage":
			set = oneOf(&o.stage, stages...)
		case "--profile":
			set = text(&o.profile)
		case "--file":
			set = text(&o.file)
		case "--place":
			set = text(&o.place)
		case "--log":
			set = absolute(&o.records)
		case "--timeout":
			set = o.setLimit
		case "--failure-policy":
			set = oneOf(&policy, "fail", "ignore")
		case "--record":
			set = func(value string) error {
				var what string
				err := oneOf(&what, "output", "status")(value)
				o.statusOnly = what == "status"
				return err
			}
		default:
			return o, fmt.Errorf("unknown option %q; options come before --, the hook after it (see oci-run-hook --help)", name)
		}
		if !hasValue {
			if len(args) == 0 || args[0] == "--" {
				return o, fmt.Errorf("option %s has no value; see oci-run-hook --help", name)
			}
			value, args = args[0], args[1:]
		}
		if err := set(value); err != nil {
			return o, fmt.Errorf("option %s %w", name, err)
		}
	}
	if len(args) < 2 {
		return o, errors.New("no hook is given; use: oci-run-hook [OPTION]... -- PATH ARGV0 [ARG]...")
	}
	o.path, o.args = args[1], args[2:]
	if len(o.args) == 0 {
		o.args = []string{o.path}
	}
	if !filepath.IsAbs(o.path) {
		return o, fmt.Errorf("the hook's path %q is not absolute; give its whole path", o.path)
	}
	// By default a failure after the container's end is ignored: it cannot prevent a start, and in runc it would
	// prevent the other poststop hooks.
	o.ignore = policy == "ignore" || policy == "" && o.stage == "poststop"
	return o, nil
}

// stages are the stages of package hooks, which is too large to link for this list.
var stages = []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

func text(to *string) func(string) error {
	return func(value string) error {
		if value == "" {
			return errors.New("has an empty value; give it one, or omit the option")
		}
		*to = value
		return nil
	}
}

func absolute(to *string) func(string) error {
	return func(value string) error {
		if !filepath.IsAbs(value) {
			return fmt.Errorf("has the value %q, which is not an absolute path; give the whole path", value)
		}
		*to = value
		return nil
	}
}

func oneOf(to *string, values ...string) func(string) error {
	return func(value string) error {
		for _, v := range values {
			if v == value {
				*to = value
				return nil
			}
		}
		last := len(values) - 1
		return fmt.Errorf("has the value %q; use %s or %s", value, strings.Join(values[:last], ", "), values[last])
	}
}

func (o *options) setLimit(value string) error {
	seconds, err := strconv.ParseInt(value, 10, 32)
	if err != nil || seconds < 1 {
		return fmt.Errorf("has the value %q; give whole seconds, from 1 to 2147483647", value)
	}
	o.limit = time.Duration(seconds) * time.Second
	return nil
}

// hook returns the hook's stage, path and profile, for a message.
func (o *options) hook() string {
	name := "hook " + o.path
	if o.stage != "" {
		name = o.stage + " " + name
	}
	if o.profile != "" {
		name += " of " + o.profile
	}
	return name
}

// version and commit are set by the linker in a release.
var version, commit string

func printVersion() {
	version, commit := build.Of(version, commit)
	fmt.Printf("oci-run-hook version %s\ncommit: %s\n", version, commit)
}

const help = `oci-run-hook runs one lifecycle hook of a container with limits.

usage: oci-run-hook [OPTION]... -- PATH ARGV0 [ARG]...

oci-run-hook executes PATH with the arguments ARGV0, ARG..., and with its own
working directory, environment and standard input. When the time is up, it kills
the hook and all processes that the hook has started. If the hook fails, a line
on standard error names it and says why. Each run is appended to a file of
records, which hookctl log shows.

  --timeout SECONDS        the hook's time limit (30)
  --failure-policy POLICY  fail: if the hook fails, exit with its status or by its
                           signal (the default);
                           ignore: record a failure, and exit with status 0 (the
                           default for the stage poststop)
  --stage STAGE            the stage, for messages, the record and OCI_HOOK_STAGE:
                           prestart, createRuntime, createContainer,
                           startContainer, poststart or poststop
  --profile NAME           the profile, for messages and the record
  --file FILE              the file that defines the hook, for the record
  --place PLACE            where in FILE the hook is, for the record and metrics
  --record WHAT            output: record what the hook prints (the default);
                           status: record and show no output
  --log FILE               the file of records
                           (/var/log/oci-add-hooks/hooks.jsonl; for a user who is
                           not root, in $XDG_STATE_HOME or ~/.local/state);
                           /dev/null: record nothing
  --version, --help

The hook's environment also has OCI_CONTAINER_ID, OCI_CONTAINER_PID,
OCI_CONTAINER_BUNDLE and OCI_CONTAINER_STATUS, if the container's state on
standard input has them, and OCI_HOOK_STAGE, if --stage is given.

Exit status: the hook's; 124 if it timed out, 125 if oci-run-hook itself failed,
126 if the hook could not be executed, 127 if it was not found.
`
