package hooks

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// Supervision says how a hook is supervised. It combines the members `supervise` of the hook file and of the hook.
// Hooks that run in the container, at startContainer, are never supervised.
type Supervision struct {
	Timeout int    // in seconds, for a hook without one; 0 if none is given
	Policy  string // failurePolicy: "fail" or "ignore"; "" if none is given
	Record  string // "output" or "status"; "" if none is given

	ignoreWhen *when // nil if there is no ignoreFailureWhen
	at         error // an error at the place of the member, without a problem
}

// Refuse returns an error about the member `supervise` that asks for the supervision. err is its cause.
func (s *Supervision) Refuse(problem, remedy string, err error) error {
	var at *jsonfile.Error
	if !errors.As(s.at, &at) {
		return err
	}
	about := *at
	about.Problem, about.Remedy, about.Err = problem, remedy, err
	return &about
}

// The values of failurePolicy.
const (
	FailurePolicyFail   = "fail"
	FailurePolicyIgnore = "ignore"
)

// RecordStatus is the value of record that excludes a hook's output from its record.
const RecordStatus = "status"

// AsksFacts reports whether FailurePolicy needs facts about the container.
func (s *Supervision) AsksFacts() bool { return s != nil && s.ignoreWhen != nil }

// FailurePolicy returns the failure policy of a hook at a stage for container c, "fail" or "ignore". It also returns
// the reason if facts about the container decided it.
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
		// The container has ended. In runc a failure would prevent the other poststop hooks.
		return FailurePolicyIgnore, nil, nil
	}
	return FailurePolicyFail, nil, nil
}

// Supervised returns how the hooks of the file's directories, or else the first supervised hook of the file, are
// supervised. It returns nil if none is.
func (f *File) Supervised() *Supervision {
	how := f.Supervision
	for _, h := range f.Hooks {
		how = cmp.Or(how, h.Supervision)
	}
	return how
}

// supervise is the value of a member `supervise`.
type supervise struct {
	Supervision
	off bool // the value is false
}

// superviseMembers are the members of a member `supervise`.
var superviseMembers = []string{"timeout", "failurePolicy", "ignoreFailureWhen", "record"}

const superviseRemedy = `write true, or an object as in {"timeout": 30, "failurePolicy": "fail"}`

// readSupervise reads the value of a member `supervise`. It returns nil if the value is null.
func readSupervise(r *jsonfile.Reader) (*supervise, error) {
	s := &supervise{Supervision: Supervision{at: r.Fail("", "")}}
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
				// In a hooks directory an unknown condition is ignored. Here, a misspelt condition would ignore more
				// failures than intended.
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

// oneOf reads a string that must be a or b.
func oneOf(r *jsonfile.Reader, a, b string) (string, error) {
	text, err := r.String()
	if err == nil && text != a && text != b {
		err = r.Fail(fmt.Sprintf("%q is not known", text), fmt.Sprintf("write %q or %q", a, b))
	}
	return text, err
}

// supervision returns the supervision of a hook, or nil if it is not supervised. file and hook are the members
// `supervise` of the hook file and of the hook; each may be nil.
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
