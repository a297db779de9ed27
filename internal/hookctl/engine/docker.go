package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// docker is dockerd, which knows runtimes by `runtimes` and `default-runtime` in daemon.json.
type docker struct{ config string }

func (*docker) Name() string     { return "docker" }
func (d *docker) Config() string { return d.config }

func (d *docker) Plan(r Runtime, read func(string) ([]byte, error)) ([]change.File, error) {
	if len(r.PodAnnotations) > 0 {
		return nil, errNoAnnotations
	}
	if r.Name == "runc" {
		return nil, reserved(d, r.Name)
	}
	text, err := read(d.config)
	if err != nil {
		return nil, err
	}
	daemon, err := d.parse(text)
	if err != nil {
		return nil, err
	}
	if m, ok := daemon.runtimes.find(r.Name); ok {
		return nil, daemon.file.At(m.start, "", fmt.Sprintf("there is a runtime %q already, and hookctl did not put it there", r.Name),
			"take it out, or take another name for the profile")
	}
	own := quoted(r.Name) + `: {"path": ` + quoted(r.Link) + "}"
	if daemon.runtimes.exists() {
		text = daemon.runtimes.insert(daemon.file, own)
	} else {
		indent, unit := daemon.root.indents(daemon.file)
		text = daemon.root.insert(daemon.file, `"runtimes": {`+indent+unit+own+indent+"}")
	}
	if r.Default {
		if daemon, err = d.parse(text); err != nil {
			return nil, err
		}
		text = daemon.root.set(daemon.file, defaultRuntime, quoted(r.Name))
	}
	return []change.File{{Path: d.config, After: text, Mode: 0o644}}, nil
}

const defaultRuntime = "default-runtime"

var errNoAnnotations = errors.New("--pod-annotation is for containerd alone: this engine lets a container's annotations through")

func (d *docker) Without(_ string, text []byte, r *Record) ([]byte, error) {
	daemon, err := d.parse(text)
	if err != nil {
		return nil, err
	}
	recorded, _ := r.file(d.config)
	was, err := d.parse(recorded.before())
	if err != nil {
		return nil, err
	}
	if m, ok := daemon.runtimes.find(r.Name); ok {
		var entry struct{ Path string }
		if err := json.Unmarshal(m.value(daemon.file), &entry); err != nil || entry.Path != r.Link {
			return nil, daemon.file.At(m.start, "", fmt.Sprintf("somebody has changed the runtime %q since: it does not call %s", r.Name, r.Link),
				"take it out by hand, or have it call that again")
		}
	}
	if m, ok := daemon.root.find(defaultRuntime); ok && m.is(daemon.file, quoted(r.Name)) {
		if old, ok := was.root.find(defaultRuntime); ok {
			text = daemon.root.set(daemon.file, defaultRuntime, string(old.value(was.file)))
		} else {
			text = daemon.root.remove(daemon.file, defaultRuntime)
		}
		if daemon, err = d.parse(text); err != nil {
			return nil, err
		}
	}
	switch {
	case len(daemon.runtimes.members) == 1 && !was.runtimes.exists():
		if _, ours := daemon.runtimes.find(r.Name); ours {
			text = daemon.root.remove(daemon.file, "runtimes")
		}
	default:
		text = daemon.runtimes.remove(daemon.file, r.Name)
	}
	if daemon, err = d.parse(text); err != nil {
		return nil, err
	}
	if len(daemon.root.members) == 0 && recorded.Before == nil {
		return nil, nil
	}
	return text, nil
}

// view is what daemon.json says, if dockerd takes it: one of version 23 or later can say so.
func (d *docker) view() (*view, error) {
	text, err := change.Read(d.config)
	if err != nil {
		return nil, err
	}
	daemon, err := d.parse(text)
	if err != nil {
		return nil, err
	}
	v := &view{runtimes: []string{"runtimes"}, standard: []string{defaultRuntime}}
	if err := json.Unmarshal(daemon.file.Data, &v.tree); err != nil {
		return nil, fmt.Errorf("%s: %w", d.config, err)
	}
	program, err := find("dockerd")
	if err != nil || text == nil {
		return v, nil // nobody is there to ask, or nothing to ask about
	}
	help, err := output(program, "--help")
	if err != nil {
		return nil, err
	}
	if strings.Contains(help, "--validate") {
		if _, err := output(program, "--validate", "--config-file", d.config); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (d *docker) Reload() Reload {
	return Reload{
		Command: "kill -HUP $(cat " + d.pidfile() + ")",
		Effect:  "dockerd reads its configuration anew, by SIGHUP; no container is touched",
		Do: func() error {
			pid, err := d.pid()
			if err != nil {
				return err
			}
			return unix.Kill(pid, unix.SIGHUP)
		},
	}
}

// restart is Reload for a file that names no default runtime any more: on SIGHUP, dockerd keeps the one that it has
// (Docker 20.10, as seen).
func (d *docker) restart() Reload {
	return Reload{
		Command: "systemctl restart docker",
		Effect: "dockerd keeps a default runtime that is no longer named until it starts anew, which ends its containers, unless live-restore is set; " +
			`or write "default-runtime": "runc" into ` + d.config + ", and kill -HUP $(cat " + d.pidfile() + ") is enough",
		Do: func() error {
			return fmt.Errorf("dockerd keeps a default runtime that %s no longer names: do without --reload, and restart it, which ends its containers, unless live-restore is set; "+
				`or write "default-runtime": "runc" into that file first`, d.config)
		},
	}
}

// pidfile gives the path of the file in which dockerd writes its number.
func (d *docker) pidfile() string {
	var settings struct {
		Pidfile string `json:"pidfile"`
	}
	text, err := change.Read(d.config)
	if err == nil && json.Unmarshal(text, &settings) == nil && settings.Pidfile != "" {
		return settings.Pidfile
	}
	return "/var/run/docker.pid" // and what is wrong with the file, others say
}

// pid gives the number of the dockerd that runs with this configuration.
func (d *docker) pid() (int, error) {
	path := d.pidfile()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("dockerd does not run: there is no %s; start it, and it reads the configuration", path)
	}
	if err != nil {
		return 0, fmt.Errorf("%s cannot be read: %w", path, report.Plain(err))
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || !runs(pid, "dockerd") {
		return 0, fmt.Errorf("%s does not lead to a dockerd that runs; start it, and it reads the configuration", path)
	}
	if argv, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err != nil || !reads(strings.Split(string(argv), "\x00"), d.config) {
		return 0, fmt.Errorf("the dockerd of %s (process %d) reads another configuration than %s; give its own by --config", path, pid, d.config)
	}
	return pid, nil
}

// daemonFile is a daemon.json: where its members stand.
type daemonFile struct {
	file           *jsonfile.File
	root, runtimes object
}

// parse refuses what dockerd would refuse or read in another way. A file that is empty or not there holds nothing.
func (d *docker) parse(text []byte) (*daemonFile, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}\n") // as dockerd takes it
	}
	f := &daemonFile{file: &jsonfile.File{Path: d.config, Data: text}}
	r := f.file.Strict()
	root, err := readObject(r, func(name string) (err error) {
		if name == "runtimes" {
			f.runtimes, err = readObject(r, nil)
			return err
		}
		return r.MisspeltCase(name, "runtimes", defaultRuntime)
	})
	f.root = root
	if err == nil {
		err = r.Finish()
	}
	return f, err
}

func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string can always be encoded
	}
	return string(b)
}
