// Package docker knows dockerd: daemon.json, and how a running dockerd is made to read it again.
package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/tomledit"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// docker is dockerd, which has runtimes in `runtimes` and `default-runtime` of daemon.json.
type docker struct {
	config string
	daemon *engine.Daemon
}

// New returns the dockerd whose configuration is the file config. If that is empty, it is the one that runs, or that of
// the usual file.
func New(sys system.System, config string) (engine.Engine, error) {
	kind := engine.Kind{Program: "dockerd", Usual: "/etc/docker/daemon.json", Config: []string{"--config-file"}, Letters: true}
	daemon, err := kind.Find(sys, config)
	if err != nil {
		return nil, err
	}
	return &docker{config: daemon.Config, daemon: daemon}, nil
}

func (*docker) Name() string     { return "docker" }
func (*docker) Program() string  { return "dockerd" }
func (d *docker) Config() string { return d.config }

func (d *docker) Daemon() *engine.Daemon { return d.daemon }

func (*docker) Advice(engine.Runtime) string { return "" }

func (d *docker) Plan(_ context.Context, r engine.Runtime, read func(string) ([]byte, error)) ([]change.File, error) {
	if err := d.contradiction(r); err != nil {
		return nil, err
	}
	text, err := read(d.config)
	if err != nil {
		return nil, err
	}
	text, marked := bytes.CutPrefix(text, byteOrderMark)
	if text, err = d.plan(r, text); err != nil {
		return nil, err
	}
	if marked {
		text = slices.Concat(byteOrderMark, text)
	}
	return []change.File{{Path: d.config, After: text, Mode: 0o644}}, nil
}

// byteOrderMark is the UTF-8 byte order mark, which may precede daemon.json since dockerd 23.0.
var byteOrderMark = []byte("\ufeff")

// plan returns a daemon.json with a runtime added.
func (d *docker) plan(r engine.Runtime, text []byte) ([]byte, error) {
	if len(r.PodAnnotations) > 0 {
		return nil, engine.ErrNoAnnotations
	}
	if r.Name == builtIn {
		return nil, engine.Reserved(d, r.Name)
	}
	daemon, err := d.parse(text)
	if err != nil {
		return nil, err
	}
	if m, ok := daemon.runtimes.find(r.Name); ok {
		return nil, daemon.file.At(m.start, "", fmt.Sprintf("there is a runtime %q already, and hookctl did not put it there", r.Name),
			"remove it, or choose another name for the profile")
	}
	own := tomledit.Quote(r.Name) + `: {"path": ` + tomledit.Quote(r.Link) + "}"
	if daemon.runtimes.exists() {
		text = daemon.runtimes.insert(daemon.file, own)
	} else {
		indent, unit := daemon.root.indents(daemon.file)
		text = daemon.root.set(daemon.file, runtimes, "{"+indent+unit+own+indent+"}")
	}
	if r.Default {
		if daemon, err = d.parse(text); err != nil {
			return nil, err
		}
		text = daemon.root.set(daemon.file, defaultRuntime, tomledit.Quote(r.Name))
	}
	return text, nil
}

const (
	runtimes       = "runtimes"
	defaultRuntime = "default-runtime"
)

func (d *docker) Without(_ string, text []byte, was engine.Installed) ([]byte, error) {
	text, marked := bytes.CutPrefix(text, byteOrderMark)
	text, err := d.without(text, was)
	if marked && err == nil && text != nil {
		text = slices.Concat(byteOrderMark, text)
	}
	return text, err
}

func (d *docker) without(text []byte, was engine.Installed) ([]byte, error) {
	daemon, err := d.parse(text)
	if err != nil {
		return nil, err
	}
	before := was.Before(d.config)
	old, err := d.parse(before)
	if err != nil {
		return nil, err
	}
	if m, ok := daemon.runtimes.find(was.Name); ok {
		var entry struct{ Path string }
		if err := json.Unmarshal(m.value(daemon.file), &entry); err != nil || entry.Path != was.Link {
			return nil, daemon.file.At(m.start, "", fmt.Sprintf("somebody has changed the runtime %q since: it does not call %s", was.Name, was.Link),
				"remove it manually, or have it call that again")
		}
	}
	if m, ok := daemon.root.find(defaultRuntime); ok && m.is(daemon.file, tomledit.Quote(was.Name)) {
		if m, ok := old.root.find(defaultRuntime); ok {
			text = daemon.root.set(daemon.file, defaultRuntime, string(m.value(old.file)))
		} else {
			text = daemon.root.remove(daemon.file, defaultRuntime)
		}
		if daemon, err = d.parse(text); err != nil {
			return nil, err
		}
	}
	switch {
	case len(daemon.runtimes.members) == 1 && !old.runtimes.exists():
		if _, ours := daemon.runtimes.find(was.Name); !ours {
			break
		}
		if m, ok := old.root.find(runtimes); ok { // its value is null
			text = daemon.root.set(daemon.file, runtimes, string(m.value(old.file)))
		} else {
			text = daemon.root.remove(daemon.file, runtimes)
		}
	default:
		text = daemon.runtimes.remove(daemon.file, was.Name)
	}
	if daemon, err = d.parse(text); err != nil {
		return nil, err
	}
	if len(daemon.root.members) == 0 && before == nil {
		return nil, nil
	}
	return text, nil
}

// View returns the content of daemon.json, if dockerd accepts it with its own flags. dockerd can report that since
// version 23.
func (d *docker) View(ctx context.Context) (*engine.View, error) {
	text, err := change.Read(d.config)
	if err != nil {
		return nil, err
	}
	daemon, err := d.parse(text)
	if err != nil {
		return nil, err
	}
	v := &engine.View{Runtimes: []string{"runtimes"}, Standard: []string{defaultRuntime}}
	if err := json.Unmarshal(daemon.file.Data, &v.Tree); err != nil {
		return nil, fmt.Errorf("%s: %w", d.config, err)
	}
	if name := v.Default(); name != "" && name != builtIn && !isShim(name) && !v.Knows(name) && d.flagged()[name] == "" {
		m, _ := daemon.root.find(defaultRuntime)
		return nil, daemon.file.At(m.after, "", fmt.Sprintf("the default runtime %q is not among the runtimes: dockerd does not start", name),
			"add it to runtimes, or name another")
	}
	program, err := d.daemon.Path()
	if err != nil || text == nil {
		return v, nil // no dockerd to ask, or no file to ask about
	}
	help, err := command.Output(ctx, program, "--help")
	if err != nil {
		return nil, err
	}
	if !strings.Contains(help, "--validate") && bytes.HasPrefix(text, byteOrderMark) {
		return nil, fmt.Errorf("%s begins with a byte order mark, which this dockerd refuses (23.0 and later accept it): save it without one", d.config)
	}
	if strings.Contains(help, "--validate") {
		if _, err := command.Output(ctx, program, append([]string{"--validate", "--config-file", d.config}, d.args()...)...); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// isShim reports whether dockerd reads a runtime's name as a shim of containerd's, which need not be registered: a
// path, or a name such as io.containerd.runsc.v1.
func isShim(name string) bool { return strings.HasPrefix(name, "/") || strings.Count(name, ".") >= 2 }

// daemonFile is a daemon.json with the places of its members.
type daemonFile struct {
	file           *jsonfile.File
	root, runtimes object
}

// read reads members of daemon.json into settings. A file that is empty or missing has none.
func (d *docker) read(settings any) error {
	text, err := change.Read(d.config)
	if err != nil {
		return err
	}
	daemon, err := d.parse(text)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(daemon.file.Data, settings); err != nil {
		return fmt.Errorf("%s: %w", d.config, err)
	}
	return nil
}

// parse returns an error for a file that dockerd would refuse or read differently. A file that is empty or missing has
// no members.
func (d *docker) parse(text []byte) (*daemonFile, error) {
	text = bytes.TrimPrefix(text, byteOrderMark)
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return nil, fmt.Errorf("%s is UTF-16: save it as UTF-8", d.config)
	}
	if now := bytes.TrimSpace(text); len(now) == 0 || string(now) == "null" {
		text = []byte("{}\n") // as dockerd reads it
	}
	f := &daemonFile{file: &jsonfile.File{Path: d.config, Data: text}}
	r := f.file.Strict()
	root, err := readObject(r, func(name string) (err error) {
		if name == runtimes && !bytes.HasPrefix(text[r.Next():], []byte("null")) { // null means the same as no member
			f.runtimes, err = readObject(r, nil)
			return err
		}
		return r.MisspeltCase(name, runtimes, defaultRuntime)
	})
	f.root = root
	if err == nil {
		err = r.Finish()
	}
	return f, err
}
