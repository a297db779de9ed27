package hooks

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// when holds the conditions of a file, with the meaning that they have in go.podman.io/common/pkg/hooks.
type when struct {
	any            bool // version 0.1.0: one condition must hold; in 1.0.0 all must hold
	always         asked
	hasBindMounts  asked
	annotations    []pair
	commands       []*expression
	commandTexts   []string
	commandsMember string // the name of the member in the file
}

// asked is a condition that is absent, false or true.
type asked byte

const (
	notAsked asked = iota
	askedFalse
	askedTrue
)

// pair is a condition on annotations: an annotation must exist whose name matches key and whose value matches value.
type pair struct {
	key, value *expression
	text       [2]string
}

// facts is a container as conditions see it.
type facts struct {
	Container
	annotations [][2]string // names and values, sorted, so that reasons are the same in each run
}

func (f *facts) sorted() [][2]string {
	if f.annotations == nil && len(f.Annotations) > 0 {
		f.annotations = make([][2]string, 0, len(f.Annotations))
		for name, value := range f.Annotations {
			f.annotations = append(f.annotations, [2]string{name, value})
		}
		slices.SortFunc(f.annotations, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	}
	return f.annotations
}

// match reports whether the conditions hold for a container, and why. It returns an error if a condition asks for the
// command and the container's process has none.
func (w *when) match(c *facts) (bool, Reason, error) {
	// The reason for "yes" is all conditions if all must hold, or the first one that holds. The reason for "no" is the
	// reverse.
	var reason Reason
	decided := func(f Finding) bool {
		if f.Holds == w.any {
			reason = Reason{f}
			return true
		}
		reason = append(reason, f)
		return false
	}
	if w.always != notAsked && decided(w.always.finding(Finding{About: Always, Holds: true}, "always")) {
		return w.any, reason, nil
	}
	if w.hasBindMounts != notAsked && decided(w.hasBindMounts.finding(
		Finding{About: BindMounts, Holds: len(c.BindMounts) > 0, Found: c.BindMounts}, "hasBindMounts")) {
		return w.any, reason, nil
	}
	for i := range w.annotations {
		if decided(w.annotations[i].find(c)) {
			return w.any, reason, nil
		}
	}
	switch {
	case len(w.commands) == 0:
	case !c.HasProcess: // the condition does not count
		return !w.any && len(reason) > 0, append(reason, Finding{About: NoProcess}), nil
	case len(c.Args) == 0:
		return false, nil, errors.New("the container's command is asked for, and process.args in its config.json is empty")
	default:
		if decided(w.findCommand(c)) {
			return w.any, reason, nil
		}
	}
	if len(reason) == 0 {
		return false, Reason{{About: NoCondition}}, nil
	}
	return !w.any, reason, nil
}

// NoCommandRemedy is the remedy if a condition asks for the command of a container that has none.
const NoCommandRemedy = "give the container a command, or ask for something else"

// finding returns ifTrue for a condition that is true in the file, or else the finding that it is false in the file.
func (a asked) finding(ifTrue Finding, condition string) Finding {
	if a == askedTrue {
		return ifTrue
	}
	return Finding{About: Off, Wanted: []string{condition}}
}

func (p *pair) find(c *facts) Finding {
	annotations := c.sorted()
	f := Finding{About: Annotation, Wanted: p.text[:], Of: len(annotations)}
	for i := range annotations {
		if p.key.match(annotations[i][0]) && p.value.match(annotations[i][1]) {
			f.Holds, f.Found = true, annotations[i][:]
			break
		}
	}
	return f
}

func (w *when) findCommand(c *facts) Finding {
	for i, e := range w.commands {
		if e.match(c.Args[0]) {
			return Finding{About: Command, Holds: true, Wanted: w.commandTexts[i : i+1], Found: c.Args[:1]}
		}
	}
	return Finding{About: Command, Wanted: w.commandTexts, Found: c.Args[:1]}
}

// Reason says why a hook is added or not added: it holds the findings that decided it.
type Reason []Finding

// String returns the reason for a person.
func (r Reason) String() string {
	parts := make([]string, len(r))
	for i, f := range r {
		parts[i] = f.String()
	}
	return strings.Join(parts, "; ")
}

// Finding is the result of one condition, or a fact because of which the conditions do not matter.
type Finding struct {
	About  About
	Holds  bool
	Wanted []string // for an annotation, the expressions for name and value; for the command, its expressions; else the condition
	Found  []string // the annotation's name and value; the command; the bind mounts; the masking file
	Of     int      // the number of the container's annotations
}

// About says what a finding is about.
type About byte

const (
	Always      About = iota // the condition always
	Annotation               // one pair of the condition annotations
	Command                  // the condition commands
	BindMounts               // the condition hasBindMounts
	Off                      // the condition always or hasBindMounts is false: it holds for no container
	NoProcess                // the condition commands does not count: the container has no process
	NoCondition              // the file has no condition
	NoStage                  // the file names no stage
	NoFile                   // the name is a dangling link, or the file was removed
	Mask                     // a file of this name in a later directory
	Sandbox                  // the container is a pod's sandbox
)

// String returns the finding for a person.
func (f Finding) String() string {
	switch f.About {
	case Always:
		return "always"
	case Off:
		return f.Wanted[0] + " is false, which holds for no container"
	case Annotation:
		asked := "annotation " + show(f.Wanted[0]) + "=" + show(f.Wanted[1])
		switch {
		case f.Holds:
			return asked + " matches " + show(f.Found[0]) + "=" + show(f.Found[1])
		case f.Of == 1:
			return asked + " does not match the only annotation"
		}
		return fmt.Sprintf("%s matches none of %d annotations", asked, f.Of)
	case Command:
		if f.Holds {
			return "command " + show(f.Wanted[0]) + " matches " + show(f.Found[0])
		}
		wanted := make([]string, len(f.Wanted))
		for i, w := range f.Wanted {
			wanted[i] = show(w)
		}
		return "command " + strings.Join(wanted, ", ") + " does not match " + show(f.Found[0])
	case BindMounts:
		switch {
		case f.Holds && len(f.Found) > 1:
			return fmt.Sprintf("bind mounts at %s and %d more", show(f.Found[0]), len(f.Found)-1)
		case f.Holds:
			return "bind mount at " + show(f.Found[0])
		}
		return "no bind mounts"
	case NoProcess:
		return "no process whose command could match"
	case NoCondition:
		return "no condition is given"
	case NoStage:
		return "no stage is given"
	case NoFile:
		return "the name leads to no file"
	case Mask:
		return "masked by " + f.Found[0]
	case Sandbox:
		return "sandbox"
	}
	return "unknown"
}

// show returns text for a line: in quotes if it is empty or has unprintable characters, and truncated if it is long.
func show(text string) string {
	const most = 100
	if len(text) > most {
		text = text[:most] + "..."
	}
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// expressions are the expressions that have been read, by their text.
type expressions map[string]*expression

// get returns the expression, or the problem with it.
func (e expressions) get(text string) (expr *expression, problem string) {
	if expr, met := e[text]; met {
		return expr, ""
	}
	// It is parsed now, to find out whether it is valid. Compiling costs more, and most expressions are never used.
	if _, err := syntax.Parse(text, syntax.Perl); err != nil {
		var at *syntax.Error
		if errors.As(err, &at) {
			return nil, fmt.Sprintf("not a regular expression: %s: %q", at.Code, at.Expr)
		}
		return nil, "not a regular expression"
	}
	expr = &expression{text: text}
	e[text] = expr
	return expr, ""
}

// expression is a valid regular expression (RE2), which is compiled at its first use.
type expression struct {
	text string
	re   *regexp.Regexp
}

// match reports whether the expression matches somewhere in s.
func (e *expression) match(s string) bool {
	if e.re == nil {
		e.re = regexp.MustCompile(e.text)
	}
	return e.re.MatchString(s)
}
