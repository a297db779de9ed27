package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	text, err := read(d.config)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(string(text)) == "" {
		text = []byte("{}\n")
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
	was := &daemonFile{}
	if before := recorded.before(); strings.TrimSpace(string(before)) != "" {
		if was, err = d.parse(before); err != nil {
			return nil, err
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

// Watch has dockerd judge the file, if it is one that can (Docker 23 and later).
func (d *docker) Watch(name string) (func(bool) error, error) {
	return func(expected bool) error {
		text, err := change.Read(d.config)
		if err != nil || text == nil {
			return err
		}
		daemon, err := d.parse(text)
		if err != nil {
			return err
		}
		if _, there := daemon.runtimes.find(name); there != expected {
			return fmt.Errorf("%s was changed in between", d.config)
		}
		program, err := find("dockerd")
		if err != nil {
			return nil // nobody is there to ask
		}
		help, err := output(program, "--help")
		if err != nil || !strings.Contains(help, "--validate") {
			return err
		}
		_, err = output(program, "--validate", "--config-file", d.config)
		return err
	}, nil
}

func (d *docker) Reload() Reload {
	return Reload{
		Command: "systemctl reload docker",
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

// pid gives the number of the dockerd that runs with this configuration.
func (d *docker) pid() (int, error) {
	path := "/var/run/docker.pid"
	text, err := change.Read(d.config)
	if err != nil {
		return 0, err
	}
	var settings struct {
		Pidfile string `json:"pidfile"`
	}
	if len(bytes.TrimSpace(text)) > 0 {
		if err := json.Unmarshal(text, &settings); err != nil {
			return 0, fmt.Errorf("%s: %w", d.config, err)
		}
	}
	if settings.Pidfile != "" {
		path = settings.Pidfile
	}
	text, err = os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("dockerd does not run: there is no %s; start it, and it reads the configuration", path)
	}
	if err != nil {
		return 0, fmt.Errorf("%s cannot be read: %w", path, report.Plain(err))
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	exe, linkErr := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil || linkErr != nil || filepath.Base(strings.TrimSuffix(exe, " (deleted)")) != "dockerd" {
		return 0, fmt.Errorf("%s does not lead to a dockerd that runs", path)
	}
	return pid, nil
}

// daemonFile is a daemon.json: where its members stand.
type daemonFile struct {
	file           *jsonfile.File
	root, runtimes object
}

// parse refuses what dockerd would refuse or read in another way.
func (d *docker) parse(text []byte) (*daemonFile, error) {
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
