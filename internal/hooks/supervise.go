package hooks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// Supervision is how a supervised hook is run: what the members `supervise` of its hook file and of the hook itself come
// to. Hooks that run in the container, at startContainer, are never supervised.
type Supervision struct {
	Timeout int    // in seconds, for a hook without one; 0 if none is given
	Policy  string // failurePolicy: "fail" or "ignore"; "" if none is given
	Record  string // "output" or "status"; "" if none is given

	ignoreWhen *when // nil if there is no ignoreFailureWhen
}

// The values of failurePolicy.
const (
	FailurePolicyFail   = "fail"
	FailurePolicyIgnore = "ignore"
)

// RecordStatus is the value of record that keeps what a hook prints out of its record.
const RecordStatus = "status"

// AsksFacts reports whether FailurePolicy asks about the container.
func (s *Supervision) AsksFacts() bool { return s != nil && s.ignoreWhen != nil }

// FailurePolicy returns what a failure of a hook of that stage means for container c, "fail" or "ignore", and why, where
// the container decided it.
func (s *Supervision) FailurePolicy(stage Stage, c Container) (string, Reason, error) {
	if s.ignoreWhen != nil {
		ignore, reason, err := s.ignoreWhen.match(&facts{Container: c})
		if err != nil {
			return "", nil, fmt.Errorf("ignoreFailureWhen: %w", err)
		}
		if ignore {
			return FailurePolicyIgnore, reason, nil
		}
	}
	switch {
	case s.Policy != "":
		return s.Policy, nil, nil
	case stage == Poststop:
		// The container is gone. In runc a failure would keep the other poststop hooks from running.
		return FailurePolicyIgnore, nil, nil
	}
	return FailurePolicyFail, nil, nil
}

// Supervises reports whether hooks of the file, or of its directories, are supervised.
func (f *File) Supervises() bool {
	return f.Supervision != nil || slices.ContainsFunc(f.Hooks, func(h Hook) bool { return h.Supervision != nil })
}

// supervise is a member `supervise` as it is written.
type supervise struct {
	Supervision
	off bool // it is false
}

// superviseMembers are the members of a member `supervise`.
var superviseMembers = []string{"timeout", "failurePolicy", "ignoreFailureWhen", "record"}

const superviseRemedy = `write true, or an object as in {"timeout": 30, "failurePolicy": "fail"}`

// readSupervise reads the value of a member `supervise`; it is nil if that is null.
func readSupervise(r *jsonfile.Reader) (*supervise, error) {
	s := &supervise{}
	switch r.Kind() {
	case 'n':
		_, err := r.Value()
		return nil, err
	case 't', 'f':
		yes, err := r.Bool()
		s.off = !yes
		return s, err
	case '{', 0:
	default:
		return nil, r.Mismatch("true, false or an object", superviseRemedy)
	}
	err := r.Object(func(name string) (err error) {
		if err := r.MisspeltCase(name, superviseMembers...); err != nil {
			return err
		}
		if !slices.Contains(superviseMembers, name) {
			return r.Fail(fmt.Sprintf("unknown member %q of supervise", name), jsonfile.DidYouMean(name, superviseMembers...)+"its members are "+strings.Join(superviseMembers, ", "))
		}
		if r.Kind() == 'n' {
			return nil // as if it were absent
		}
		switch name {
		case "timeout":
			s.Timeout, err = readTimeout(r)
		case "failurePolicy":
			s.Policy, err = oneOf(r, FailurePolicyFail, FailurePolicyIgnore)
		case "record":
			s.Record, err = oneOf(r, "output", RecordStatus)
		case "ignoreFailureWhen":
			conditions := ruleReader{Reader: r, rule: &rule{}, seen: expressions{}}
			err = r.Object(func(name string) error {
				// A misspelt condition that is ignored, as one of a hooks directory is, has more failures ignored than are meant.
				if !slices.ContainsFunc(whenMembers, func(known string) bool { return strings.EqualFold(name, known) }) {
					return r.Fail(fmt.Sprintf("unknown member %q of ignoreFailureWhen", name), jsonfile.DidYouMean(name, whenMembers...)+"its members are "+strings.Join(whenMembers, ", "))
				}
				return conditions.whenMember(name)
			})
			s.ignoreWhen = &conditions.rule.when
		}
		return err
	})
	return s, err
}

// oneOf reads a string that is one of two.
func oneOf(r *jsonfile.Reader, a, b string) (string, error) {
	text, err := r.String()
	if err == nil && text != a && text != b {
		err = r.Fail(fmt.Sprintf("%q is not known", text), fmt.Sprintf("write %q or %q", a, b))
	}
	return text, err
}

// supervision returns how a hook is run, given the members `supervise` of its file and of itself, each of which may be nil;
// nil if it is not supervised.
func supervision(file, hook *supervise) *Supervision {
	if hook == nil {
		hook = file
	}
	if hook == nil || hook.off {
		return nil
	}
	s := hook.Supervision
	if file != nil {
		if s.Timeout == 0 {
			s.Timeout = file.Timeout
		}
		if s.Policy == "" {
			s.Policy = file.Policy
		}
		if s.Record == "" {
			s.Record = file.Record
		}
		if s.ignoreWhen == nil {
			s.ignoreWhen = file.ignoreWhen
		}
	}
	return &s
}
