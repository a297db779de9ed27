package hooklog

import (
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// Record is the record of one run of a hook. A line of the file has all members. exitStatus is null if the hook did not
// exit.
type Record struct {
	Time          time.Time `json:"time"`    // when the hook started; RFC 3339, UTC
	Seconds       float64   `json:"seconds"` // how long it ran, to the microsecond
	Stage         string    `json:"stage"`
	Path          string    `json:"path"`
	Args          []string  `json:"args"`         // including argv[0]; truncated after MaxText bytes
	Container     string    `json:"container"`    // the container's id
	PodNamespace  string    `json:"podNamespace"` // the Kubernetes pod's, from the annotations of containerd or CRI-O
	PodName       string    `json:"podName"`
	ContainerName string    `json:"containerName"` // the container's name in the pod
	Bundle        string    `json:"bundle"`
	Profile       string    `json:"profile"`    // the name of the profile, or of the hook file without .json
	File          string    `json:"file"`       // the path of the file that defines the hook
	Place         string    `json:"place"`      // its JSON pointer in the hook file, or the name of its file in a hooks directory
	Result        string    `json:"result"`     // ok, failed, timed out, not started
	ExitStatus    *int      `json:"exitStatus"` // nil if the hook did not exit
	Signal        string    `json:"signal"`     // the name of the signal that ended the hook; SIGKILL if it timed out
	Error         string    `json:"error"`      // why it was not started, which processes could not be killed, or that Signal was sent to its parent
	Ignored       bool      `json:"ignored"`    // the hook failed, and the container started nevertheless
	Stdout        string    `json:"stdout"`     // the end of the hook's standard output; empty if it is not recorded
	Stderr        string    `json:"stderr"`     // the end of the hook's standard error; empty if it is not recorded
	Truncated     bool      `json:"truncated"`  // the hook printed more
}

// OK reports whether the hook succeeded.
func (r *Record) OK() bool { return r.Result == "ok" }

// MaxText is the maximum number of recorded bytes of a text that the creator of a container may choose.
const MaxText = 4 << 10

// line returns the record as a line of the file.
func (r *Record) line() []byte {
	w := writer{'{'}
	w.member("time")
	w.quote(r.Time.UTC().Format(time.RFC3339Nano))
	w.member("seconds")
	w = strconv.AppendFloat(w, r.Seconds, 'f', 6, 64)
	w.text("stage", r.Stage)
	w.text("path", r.Path)
	w.member("args")
	w = append(w, '[')
	room := MaxText
	for i, arg := range r.Args {
		if i > 0 {
			w = append(w, ',')
		}
		if room <= 0 {
			w.quote("...")
			break
		}
		w.quote(cut(arg, room))
		room -= len(arg) + 1
	}
	w = append(w, ']')
	w.text("container", r.Container)
	w.text("podNamespace", r.PodNamespace)
	w.text("podName", r.PodName)
	w.text("containerName", r.ContainerName)
	w.text("bundle", r.Bundle)
	w.text("profile", r.Profile)
	w.text("file", r.File)
	w.text("place", r.Place)
	w.member("result")
	w.quote(r.Result)
	w.member("exitStatus")
	if r.ExitStatus != nil {
		w = strconv.AppendInt(w, int64(*r.ExitStatus), 10)
	} else {
		w = append(w, "null"...)
	}
	w.text("signal", r.Signal)
	w.text("error", r.Error)
	w.member("ignored")
	w = strconv.AppendBool(w, r.Ignored)
	w.member("stdout")
	w.quote(r.Stdout)
	w.member("stderr")
	w.quote(r.Stderr)
	w.member("truncated")
	w = strconv.AppendBool(w, r.Truncated)
	return append(w, '}', '\n')
}

// writer is the text of an unfinished JSON object.
type writer []byte

func (w *writer) member(name string) {
	if len(*w) > 1 {
		*w = append(*w, ',')
	}
	w.quote(name)
	*w = append(*w, ':')
}

// quote appends a JSON string. It replaces an invalid byte by U+FFFD.
func (w *writer) quote(text string) { *w, _ = jsontext.AppendQuote(*w, text) }

func (w *writer) text(name, text string) {
	w.member(name)
	w.quote(cut(text, MaxText))
}

func cut(text string, most int) string {
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// text returns the member of that name, if it is a text.
func (r *Record) text(name string) *string {
	switch name {
	case "stage":
		return &r.Stage
	case "path":
		return &r.Path
	case "container":
		return &r.Container
	case "podNamespace":
		return &r.PodNamespace
	case "podName":
		return &r.PodName
	case "containerName":
		return &r.ContainerName
	case "bundle":
		return &r.Bundle
	case "profile":
		return &r.Profile
	case "file":
		return &r.File
	case "place":
		return &r.Place
	case "result":
		return &r.Result
	case "signal":
		return &r.Signal
	case "error":
		return &r.Error
	case "stdout":
		return &r.Stdout
	case "stderr":
		return &r.Stderr
	}
	return nil
}

// parse parses a line of the file. It ignores unknown members.
func parse(line []byte) (*Record, error) {
	if rec := written(string(line)); rec != nil {
		return rec, nil
	}
	return parseAny(line)
}

// parseAny does what parse does, for lines of any program.
func parseAny(line []byte) (*Record, error) {
	rec := &Record{}
	r := (&jsonfile.File{Path: "record", Data: line}).Strict()
	err := r.Object(func(name string) (err error) {
		switch text := rec.text(name); {
		case text != nil:
			*text, err = r.String()
		case name == "time":
			var at string
			if at, err = r.String(); err == nil {
				rec.Time, err = time.Parse(time.RFC3339Nano, at)
			}
		case name == "seconds":
			var number jsontext.Value
			if number, err = r.Value(); err == nil {
				rec.Seconds, err = strconv.ParseFloat(string(number), 64)
			}
		case name == "exitStatus" && r.Kind() != 'n':
			var number jsontext.Value
			if number, err = r.Value(); err == nil {
				status := 0
				status, err = strconv.Atoi(string(number))
				rec.ExitStatus = &status
			}
		case name == "args":
			rec.Args, err = r.Strings()
		case name == "ignored":
			rec.Ignored, err = r.Bool()
		case name == "truncated":
			rec.Truncated, err = r.Bool()
		}
		return err
	})
	if err == nil {
		err = r.Finish()
	}
	if err == nil && (rec.Result == "" || !rec.happened()) {
		err = errors.New("the line has no result, or no possible time")
	}
	return rec, err
}

// happened reports whether the record's time and duration are possible. Programs that draw or forward a record count
// nanoseconds since 1970, so other values would be out of range.
func (r *Record) happened() bool {
	const aCentury = 100 * 365 * 24 * 60 * 60 // in seconds
	return r.Time.Unix() >= 0 && r.Time.Unix() < 2*aCentury && r.Seconds >= 0 && r.Seconds < aCentury
}
