package hooks

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// rule is a file of a hooks directory, in either version of the format: a hook, its stages, and its conditions.
type rule struct {
	file    *jsonfile.File
	path    string // the path of the hook's program
	members []member
	stages  []Stage // with createRuntime instead of prestart
	when    when
	refused jsonfile.Errors // the errors in the file because of which the hook must not be added
}

// member is a member of the hook object, with the bytes of the file as its value.
type member struct {
	name  string
	value []byte
}

// version010 and version100 are the versions of the format. A file without a version has version 0.1.0.
const (
	version010 = "0.1.0"
	version100 = "1.0.0"
)

// ruleReader reads one file.
type ruleReader struct {
	*jsonfile.Reader
	file *jsonfile.File
	rule *rule
	seen expressions

	// Version 0.1.0 has two names for each of these members. They hold the name that the file has.
	stagesMember, annotationsMember string
	values                          []string // the annotations of version 0.1.0
	arguments                       []byte   // the arguments of version 0.1.0
	args, env, timeout              []byte   // members of version 1.0.0
	pathJSON                        []byte

	hasPath, hasStages bool // the member is not missing, but may be invalid
}

// readRule reads a file of a hooks directory. seen holds the expressions of files that were read before, so that equal
// expressions are shared. If the file has several errors, the error is a jsonfile.Errors.
func readRule(f *jsonfile.File, seen expressions) (*rule, error) {
	r := &ruleReader{Reader: f.Strict(), file: f, rule: &rule{file: f}, seen: seen}
	var members func(name string) error
	err := r.Object(func(name string) error {
		if name == "version" {
			version, err := r.version()
			if members == nil {
				members = r.members(version)
			}
			return err
		}
		if members == nil { // the version is not the first member, which is rare
			members = r.members(findVersion(f))
		}
		return members(name)
	})
	if err == nil {
		if members == nil {
			r.members(version010)
		}
		r.complete()
		if err = r.Finish(); err != nil {
			err = append(jsonfile.All(err), r.rule.refused...).Err() // these too are to be corrected
		}
	}
	if err != nil {
		return nil, err
	}
	r.putTogether()
	return r.rule, nil
}

// members returns the function that reads a member of a file with the given version. For an unknown version it reads
// nothing, because the meaning of the members is unknown.
func (r *ruleReader) members(version string) func(name string) error {
	switch version {
	case version100:
		return r.member100
	case version010:
		r.rule.when.any = true
		return r.member010
	}
	r.hasPath, r.hasStages = true, true
	return func(string) error { return nil }
}

// findVersion returns the version of a file in which it is not the first member. It returns "" if the version is
// unknown.
func findVersion(f *jsonfile.File) string {
	version := version010
	r := ruleReader{Reader: f.Lenient()}
	_ = r.Object(func(name string) (err error) { // the complete reading of the file finds an error again
		if name == "version" {
			version, err = r.version()
		}
		return err
	})
	return version
}

// version reads the version. It returns "" if the version is unknown.
func (r *ruleReader) version() (string, error) {
	if r.null() {
		return version010, nil
	}
	version, err := r.String()
	switch {
	case err != nil:
		return "", err
	case version == "":
		return version010, nil
	case version != version010 && version != version100:
		return "", r.Fail(fmt.Sprintf("version %q is not known", version), "write 1.0.0 (or 0.1.0 for the old format)")
	}
	return version, nil
}

// null reports whether the next value is null, which counts as an absent member in both versions.
func (r *ruleReader) null() bool { return r.Kind() == 'n' }

func (r *ruleReader) member100(name string) error {
	if err := r.MisspeltCase(name, "version", "hook", "when", "stages"); err != nil {
		r.hasPath, r.hasStages = r.hasPath || strings.EqualFold(name, "hook"), r.hasStages || strings.EqualFold(name, "stages")
		return err
	}
	switch {
	case r.null():
		return nil
	case name == "hook":
		r.hasPath = r.Kind() != '{'
		return r.Object(r.hookMember)
	case name == "when":
		return r.Object(r.whenMember)
	case name == "stages":
		return r.stages(name)
	}
	return nil
}

func (r *ruleReader) hookMember(name string) (err error) {
	r.hasPath = r.hasPath || strings.EqualFold(name, "path") && !r.null()
	if err := r.MisspeltCase(name, "path", "args", "env", "timeout"); err != nil {
		return err
	}
	if r.null() {
		return nil
	}
	switch name {
	case "path":
		return r.path()
	case "args":
		r.args, err = r.list()
	case "env":
		r.env, err = r.list()
	case "timeout":
		r.timeout, err = r.seconds()
	}
	return err
}

// whenMembers are the members of a member `when`.
var whenMembers = []string{"always", "annotations", "commands", "hasBindMounts"}

func (r *ruleReader) whenMember(name string) error {
	if err := r.MisspeltCase(name, whenMembers...); err != nil {
		return err
	}
	w := &r.rule.when
	switch {
	case r.null():
		return nil
	case name == "always":
		return r.asked(&w.always)
	case name == "hasBindMounts":
		return r.asked(&w.hasBindMounts)
	case name == "commands":
		return r.commands(name)
	case name == "annotations":
		return r.Object(func(key string) error {
			keyExpr, err := r.expression(key)
			if err != nil {
				r.Note(err) // the value may have an error too
			}
			value, err := r.String()
			if err != nil {
				return err
			}
			valueExpr, err := r.expression(value)
			w.annotations = append(w.annotations, pair{keyExpr, valueExpr, [2]string{key, value}})
			return err
		})
	}
	return nil
}

func (r *ruleReader) member010(name string) (err error) {
	if err := r.MisspeltCase(name, "version", "hook", "arguments", "stages", "stage", "cmds", "cmd",
		"annotations", "annotation", "hasbindmounts"); err != nil {
		r.hasPath, r.hasStages = r.hasPath || strings.EqualFold(name, "hook"), r.hasStages || strings.EqualFold(name, "stages") || strings.EqualFold(name, "stage")
		return err
	}
	if r.null() {
		return nil
	}
	switch name {
	case "hook":
		r.hasPath = true
		if r.Kind() == '{' { // probably the version is missing
			if _, err := r.Value(); err != nil {
				return err
			}
			return r.Fail("must be a string in the old format, 0.1.0, which a file without a version has",
				`add "version": "1.0.0"`)
		}
		return r.path()
	case "arguments":
		r.arguments, err = r.list()
		return err
	case "stages", "stage":
		if err := r.once(r.stagesMember, name); err != nil {
			return err
		}
		return r.stages(name)
	case "cmds", "cmd":
		if err := r.once(r.rule.when.commandsMember, name); err != nil {
			return err
		}
		return r.commands(name)
	case "annotations", "annotation":
		if err := r.once(r.annotationsMember, name); err != nil {
			return err
		}
		r.annotationsMember = name
		r.values, err = r.Strings()
		return err
	case "hasbindmounts":
		return r.asked(&r.rule.when.hasBindMounts)
	}
	return nil
}

// once returns an error if the file also has the member under its other name.
func (r *ruleReader) once(before, name string) error {
	if before == "" {
		return nil
	}
	return r.Fail(fmt.Sprintf("%q and %q mean the same", before, name), "keep one of them")
}

func (r *ruleReader) path() (err error) {
	r.rule.path, err = r.String()
	if err != nil {
		return err
	}
	r.pathJSON = r.Raw()
	if r.rule.path == "" {
		return r.Fail("the hook's path is empty", "give the absolute path of a program")
	}
	r.refuse(checkPath(r.Reader, r.rule.path))
	return nil
}

// list reads an array of strings. It returns the bytes of the array.
func (r *ruleReader) list() ([]byte, error) {
	start := r.Next()
	err := r.Array(func() error {
		if r.Kind() != '"' {
			_, err := r.String() // returns the error
			return err
		}
		_, err := r.Value()
		return err
	})
	if err != nil {
		return nil, err // End may be before start
	}
	return r.Since(start), nil
}

// seconds reads a timeout. It returns the bytes of the number.
func (r *ruleReader) seconds() ([]byte, error) {
	kind := r.Kind()
	text, err := r.Value()
	if err != nil {
		return nil, err
	}
	switch _, err := strconv.ParseInt(string(text), 10, 64); {
	case errors.Is(err, strconv.ErrRange): // Podman's library refuses it
		return nil, checkTimeout(r.Reader)
	case kind != '0' || err != nil:
		return nil, r.Fail("the timeout is not an integer, in seconds", "write it in digits alone")
	}
	r.refuse(checkTimeout(r.Reader))
	return text, nil
}

// refuse notes an error because of which the hook must not be added. err may be nil.
func (r *ruleReader) refuse(err error) { r.rule.refused = append(r.rule.refused, jsonfile.All(err)...) }

func (r *ruleReader) stages(name string) error {
	r.stagesMember, r.hasStages = name, true
	return r.Array(func() error {
		text, err := r.String()
		if err != nil {
			return err
		}
		stage := Stage(text)
		switch {
		case stage == precreate: // it is an error only if the conditions hold, as Podman then runs the hook
			r.refuse(r.Fail(precreateFault, precreateRemedy))
		case !known(stage):
			return unknownStage(r.Reader, text)
		case stage == Prestart:
			stage = CreateRuntime
		}
		r.rule.stages = append(r.rule.stages, stage)
		return nil
	})
}

func (r *ruleReader) commands(name string) error {
	w := &r.rule.when
	w.commandsMember = name
	return r.Array(func() error {
		text, err := r.String()
		if err != nil {
			return err
		}
		expr, err := r.expression(text)
		w.commands, w.commandTexts = append(w.commands, expr), append(w.commandTexts, text)
		return err
	})
}

func (r *ruleReader) asked(to *asked) error {
	yes, err := r.Bool()
	*to = askedFalse
	if yes {
		*to = askedTrue
	}
	return err
}

// expression returns the expression with the given text, which was read last.
func (r *ruleReader) expression(text string) (*expression, error) {
	expr, problem := r.seen.get(text)
	if problem != "" {
		return nil, r.Fail(problem, expressionRemedy)
	}
	return expr, nil
}

const expressionRemedy = "conditions are regular expressions of Go (RE2)"

// complete notes an error for each missing member, and combines the annotations of version 0.1.0 into one condition.
func (r *ruleReader) complete() {
	rule := r.rule
	switch {
	case r.hasPath:
	case rule.when.any:
		r.Note(rule.fail("the hook is missing", `add "hook", the path of a program`))
	default:
		r.Note(rule.fail("the hook's path is missing", `add "hook": {"path": ...}`, "hook"))
	}
	if !r.hasStages {
		r.Note(rule.fail("the stages are missing", `add "stages", a list of `+stageNames()))
	}
	if r.annotationsMember != "" {
		// Podman's library joins them into one expression, which the value of an annotation with any name must match.
		// So an empty list matches every annotation.
		value := strings.Join(r.values, "|")
		key, _ := r.seen.get(".*")
		expr, problem := r.seen.get(value)
		if problem != "" {
			r.Note(rule.fail(problem, expressionRemedy, r.annotationsMember))
		}
		rule.when.annotations = []pair{{key, expr, [2]string{".*", value}}}
	}
}

// putTogether sets the members of the hook object.
func (r *ruleReader) putTogether() {
	if r.arguments != nil {
		r.args = r.withPath(r.arguments)
	}
	r.rule.members = append(make([]member, 0, 4), member{"path", r.pathJSON})
	for _, m := range []member{{"args", r.args}, {"env", r.env}, {"timeout", r.timeout}} {
		if m.value != nil && !emptyArray(m.value) {
			r.rule.members = append(r.rule.members, m)
		}
	}
}

func emptyArray(value []byte) bool {
	return value[0] == '[' && len(bytes.Trim(value[1:], " \t\r\n]")) == 0
}

// withPath returns the arguments with the hook's path before them, because version 0.1.0 omits argv[0].
func (r *ruleReader) withPath(arguments []byte) []byte {
	args := append([]byte{'['}, r.pathJSON...)
	if !emptyArray(arguments) {
		args = append(args, ',')
	}
	return append(args, arguments[1:]...)
}

// hook returns the hook object. The values of its members have the bytes of the file. It omits a member that is null or
// an empty array, as Podman does.
func (r *rule) hook() jsontext.Value {
	b := []byte{'{'}
	for i, m := range r.members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, m.name...)
		b = append(b, '"', ':')
		b = append(b, m.value...)
	}
	return append(b, '}')
}

// mustNot returns an error if the hook must not be added.
func (r *rule) mustNot() error {
	if err := r.refused.Err(); err != nil {
		return err
	}
	return r.file.RefuseUntrusted()
}

// refuse returns an error if the hook must not be added, or cannot run.
func (r *rule) refuse(asked programs) error {
	if err := r.mustNot(); err != nil {
		return err
	}
	inContainer := true
	for _, s := range r.stages {
		inContainer = inContainer && s == StartContainer
	}
	if inContainer {
		return nil
	}
	if err := asked.find(r.path); err != nil {
		names := []string{"hook", "path"}
		if r.when.any {
			names = names[:1]
		}
		problem, remedy := ProgramMissing(r.path, err)
		return r.fail(problem, remedy, names...)
	}
	return nil
}

// ProgramMissing returns the problem and the remedy for a hook whose program cannot be found.
func ProgramMissing(path string, err error) (problem, remedy string) {
	return fmt.Sprintf("the hook's program %s cannot be found: %v", path, report.Plain(err)), "install it, or correct the path"
}

// failCommands returns an error about the condition on commands.
func (r *rule) failCommands(err error) error {
	if r.when.any {
		return r.fail(err.Error(), NoCommandRemedy, r.when.commandsMember)
	}
	return r.fail(err.Error(), NoCommandRemedy, "when", r.when.commandsMember)
}

// fail returns an error about the value of the nested member that names lead to. If it is missing, the error is about
// the innermost object that exists.
func (r *rule) fail(problem, remedy string, names ...string) error {
	var found error
	at := r.file.Strict()
	var look func(names []string) error
	look = func(names []string) error {
		if len(names) == 0 || at.Kind() != '{' {
			_, err := at.Value()
			found = at.Fail(problem, remedy)
			return err
		}
		return at.Object(func(name string) error {
			if name != names[0] {
				return nil
			}
			return look(names[1:])
		})
	}
	if err := look(names); err != nil {
		return err
	}
	if found == nil && len(names) > 0 { // the member is missing
		return r.fail(problem, remedy, names[:len(names)-1]...)
	}
	return found
}
