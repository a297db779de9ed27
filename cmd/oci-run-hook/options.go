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

// options is what the command line asks for.
type options struct {
	stage, profile, file string // for messages and records; may be empty
	limit                time.Duration
	ignore               bool   // a failure is recorded, and is none to the runtime
	statusOnly           bool   // what the hook prints is not recorded
	records              string // the records' file; empty for the user's own

	path string   // the hook's program
	args []string // with argv[0]

	help, version bool
}

// defaultLimit is the time that a hook has if nothing says otherwise.
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
	// Unless told otherwise, a failure after the container's end keeps nothing from starting, and in runc would keep the
	// other poststop hooks from running.
	o.ignore = policy == "ignore" || policy == "" && o.stage == "poststop"
	return o, nil
}

// stages are the names of package hooks, which would cost more than this.
var stages = []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

func text(to *string) func(string) error {
	return func(value string) error {
		if value == "" {
			return errors.New("has an empty value; give it one, or leave the option out")
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

// hook names the hook in a message: its stage, path and profile.
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

const help = `oci-run-hook runs a lifecycle hook of a container within bounds.

usage: oci-run-hook [OPTION]... -- PATH ARGV0 [ARG]...

PATH is executed with the arguments ARGV0, ARG..., and with the working
directory, the environment and the standard input of oci-run-hook. When its time
is up, the hook and all that it has started are killed. If it fails, a line on
standard error says which hook it was and why. What it did is appended to a file
of records, which hookctl log shows.

  --timeout SECONDS        the time that the hook has (30)
  --failure-policy POLICY  fail: a failure of the hook is one of oci-run-hook, with
                           the hook's exit status or signal (the default);
                           ignore: it is recorded, and the exit status is 0 (the
                           default for the stage poststop)
  --stage STAGE            the stage, for messages, the record and OCI_HOOK_STAGE:
                           prestart, createRuntime, createContainer,
                           startContainer, poststart or poststop
  --profile NAME           the profile, for messages and the record
  --file FILE              the file that the hook comes from, for the record
  --record WHAT            output: record what the hook prints (the default);
                           status: record and show no output
  --log FILE               the file of records
                           (/var/log/oci-add-hooks/hooks.jsonl; for a user who is
                           not root, in $XDG_STATE_HOME or ~/.local/state);
                           /dev/null: record nothing
  --version, --help

The hook's environment also has OCI_CONTAINER_ID, OCI_CONTAINER_PID,
OCI_CONTAINER_BUNDLE, OCI_CONTAINER_STATUS and OCI_HOOK_STAGE, as far as they are
known from the container's state on standard input and from --stage.

Exit status: the hook's; 124 if it timed out, 125 if oci-run-hook itself failed,
126 if the hook could not be executed, 127 if it was not found.
`
