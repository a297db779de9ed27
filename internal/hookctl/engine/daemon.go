package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// Daemon is an engine's daemon: the one that runs with a configuration, or the fact that none does.
type Daemon struct {
	Program string        // the name of its program
	Config  string        // the path of its main configuration file
	Process *proc.Process // nil if none runs
	Doubt   string        // why one may run nevertheless; empty if nothing suggests that

	kind Kind
	sys  system.System
}

// Kind says how the daemons of an engine are distinguished.
type Kind struct {
	Program string
	Usual   string                           // the path of the configuration that is read by default
	Config  []string                         // the options that name another
	Except  func(config string) (other bool) // reports whether that configuration is of another engine's daemon; may be nil

	Letters bool // as proc.Process has it

	// Variables maps names in the daemon's environment to the options that they stand for.
	Variables map[string]string
}

// Find returns the daemon that reads the configuration config. If config is empty, it is the one that reads the usual
// file, or the only one that runs. Only processes count that are believed (rule 31), share the system's root directory,
// and see the system's file at that path.
func (k Kind) Find(sys system.System, config string) (*Daemon, error) {
	d := &Daemon{Program: k.Program, Config: config, kind: k, sys: sys}
	all, err := proc.List(sys)
	if err != nil {
		d.Doubt = err.Error()
	}
	all = slices.DeleteFunc(all, func(p proc.Process) bool {
		// Docker's own hook is dockerd's program under the name libnetwork-setkey.
		return p.Name() != k.Program || answers(p.Args)
	})
	isDaemon := map[int]bool{}
	for _, p := range all {
		isDaemon[p.PID] = true
	}
	var running []proc.Process
	reads := map[int]string{}
	for _, p := range all {
		if isDaemon[p.Parent] {
			continue // a daemon forks, and dockerd calls its own program for a part of its work
		}
		p.Letters = k.Letters
		at, err := k.examine(&p)
		if config == "" && k.Except != nil && k.Except(at) {
			continue
		}
		if err != nil {
			d.Doubt = err.Error()
			continue
		}
		running, reads[p.PID] = append(running, p), at
	}
	reading := func(path string) []proc.Process {
		return slices.DeleteFunc(slices.Clone(running), func(p proc.Process) bool { return !sameFile(reads[p.PID], path) })
	}
	chosen := reading(k.Usual)
	switch {
	case config != "":
		chosen = reading(config)
	case len(chosen) == 0:
		chosen = running
	}
	if len(chosen) > 1 {
		several := &Several{}
		for _, p := range chosen {
			if !slices.ContainsFunc(several.Configs, func(path string) bool { return sameFile(path, reads[p.PID]) }) {
				several.Configs = append(several.Configs, reads[p.PID])
			}
		}
		remedy := "choose one with --config FILE"
		if len(several.Configs) == 1 {
			remedy = "a change of that file is judged by one of them: start each with a file of its own, or stop the others meanwhile"
		}
		several.text = fmt.Sprintf("several daemons %s run:%s; %s", k.Program, k.lines(chosen, reads), remedy)
		return nil, several
	}
	if config == "" {
		d.Config = k.usual()
	}
	if len(chosen) == 1 {
		d.Process, d.Doubt = &chosen[0], ""
		if config == "" {
			d.Config = reads[chosen[0].PID]
		}
	} else if len(running) > 0 {
		d.Doubt = "others run:" + k.lines(running, reads)
	}
	return d, nil
}

// answers reports whether a daemon's program was called to answer a question and end, such as dockerd --validate or
// containerd config dump. hookctl itself calls it so.
func answers(argv []string) bool {
	for i, arg := range argv {
		switch arg {
		case "--help", "-h", "--version", "-v", "--validate":
			return true
		case "config", "version":
			if i > 0 && (!strings.HasPrefix(argv[i-1], "-") || strings.Contains(argv[i-1], "=")) { // else an option's value
				return true
			}
		}
	}
	return false
}

// Several is an error about several daemons, of which the user has to select one.
type Several struct {
	Configs []string // the paths of the configurations that they read
	text    string
}

func (e *Several) Error() string { return e.text }

// Renew finds the daemon that reads the same configuration again, for example after a restart.
func (d *Daemon) Renew() error {
	now, err := d.kind.Find(d.sys, d.Config)
	if err == nil {
		d.Process, d.Doubt = now.Process, now.Doubt
	}
	return err
}

// examine returns the path of the configuration that a process reads, and an error if the process is not believed or
// the file is not the system's. It puts the options from the environment before the arguments, which take precedence.
func (k Kind) examine(p *proc.Process) (config string, err error) {
	shares, err := p.SharesRoot()
	if err == nil {
		err = p.Trusted()
	}
	if err == nil && !shares {
		err = fmt.Errorf("process %d (%s) has another root directory", p.PID, k.Program)
	}
	for _, name := range slices.Sorted(maps.Keys(k.Variables)) {
		value := ""
		if err == nil {
			value, err = p.Variable(name)
		}
		if value != "" {
			p.Args = slices.Insert(slices.Clone(p.Args), 1, k.Variables[name]+"="+value)
		}
	}
	config = k.read(*p)
	if err != nil {
		return config, err
	}
	sees, err := p.Sees(config)
	if err == nil && !sees {
		err = fmt.Errorf("process %d (%s) has another file at %s, because of a mount of its own", p.PID, k.Program, config)
	}
	return config, err
}

// usual returns the path of the configuration that a daemon reads if it is started here without options.
func (k Kind) usual() string {
	for name, option := range k.Variables {
		if slices.Contains(k.Config, option) {
			return cmp.Or(os.Getenv(name), k.Usual)
		}
	}
	return k.Usual
}

// read returns the path of the configuration that a process reads.
func (k Kind) read(p proc.Process) string {
	path := p.Option(k.Config...)
	if path == "" {
		return k.Usual
	}
	if !filepath.IsAbs(path) {
		if dir, err := os.Readlink(filepath.Join(p.Dir, "cwd")); err == nil {
			path = filepath.Join(dir, path)
		}
	}
	return filepath.Clean(path)
}

func (k Kind) lines(list []proc.Process, reads map[int]string) string {
	var b strings.Builder
	for _, p := range list {
		fmt.Fprintf(&b, "\n  process %d reads %s", p.PID, reads[p.PID])
	}
	return b.String()
}

// sameFile reports whether two paths are equal, or lead to the same file.
func sameFile(a, b string) bool {
	return a == b || program.LeadsTo(a, b)
}

// Options returns the values of the options with these names that the daemon was started with.
func (d *Daemon) Options(names ...string) []string {
	if d.Process == nil {
		return nil
	}
	return d.Process.Options(names...)
}

// Option returns the last value of these options; empty if the daemon was not started with one.
func (d *Daemon) Option(names ...string) string {
	if d.Process == nil {
		return ""
	}
	return d.Process.Option(names...)
}

// Path returns the path of the program to ask about the configuration: the daemon's, or the installed one if none runs.
func (d *Daemon) Path() (string, error) {
	if d.Process == nil {
		return command.Find(d.Program)
	}
	if filepath.Base(d.Process.Exe) == d.Program && sameFile(d.Process.Exe, filepath.Join(d.Process.Dir, "exe")) {
		return d.Process.Exe, nil
	}
	// k3s has one program for all of its commands, by their names. A program at that path that is not the running one
	// has been replaced, as by an upgrade.
	if path := filepath.Join(filepath.Dir(d.Process.Exe), d.Program); sameFile(path, filepath.Join(d.Process.Dir, "exe")) {
		return path, nil
	}
	return filepath.Join(d.Process.Dir, "exe"), nil
}

// Judged says which program judges the configuration if no daemon runs; empty if one does.
func (d *Daemon) Judged() string {
	if d.Process != nil {
		return ""
	}
	text := d.none()
	if path, err := command.Find(d.Program); err == nil {
		return text + ": the configuration is judged by the installed " + path
	}
	return text + ", and none is installed: the configuration is judged by hookctl alone"
}

// NotReloaded is the reason why an engine cannot be made to read its configuration, and the remedy. Without is the
// remedy that leaves the reload to the user. First is a step that makes a reload possible.
type NotReloaded struct{ Problem, Without, First string }

func (e NotReloaded) Error() string {
	return e.Problem + "; run it without --reload, " + e.Without
}

// none says that no daemon runs.
func (d *Daemon) none() string {
	text := "no running " + d.Program + " reads " + d.Config
	if d.Doubt != "" {
		text += " (" + d.Doubt + ")"
	}
	return text
}

// AtStart returns the Reload of a daemon that does not run.
func (d *Daemon) AtStart() Reload {
	effect := d.Program + " reads the configuration when it starts"
	return Reload{Effect: effect, Refused: NotReloaded{d.none() + ": there is nothing to reload", "and " + effect, "start it first"}}
}

// Restart returns the Reload of a daemon that reads its configuration when it starts.
func (d *Daemon) Restart() Reload {
	if d.Process == nil {
		return d.AtStart()
	}
	unit := d.unit()
	r := Reload{
		Command: "systemctl restart " + unit,
		Effect:  "running containers and pods run on; until it is back, none can be started or stopped",
		Do: func(ctx context.Context) error {
			systemctl, err := command.Find("systemctl")
			if err == nil {
				_, err = command.OutputWithin(ctx, restarting, systemctl, "restart", unit)
			}
			return err
		},
	}
	if unit == "" {
		r.Command = "restart " + d.Program + " as it was started"
		problem := fmt.Sprintf("%s (process %d) has to be restarted to read %s, but no unit of systemd runs it", d.Program, d.Process.PID, d.Config)
		r.Refused = NotReloaded{problem, "then restart it as it was started", "start it by one"}
	}
	return r
}

// restarting is the time limit of a restart.
const restarting = 2 * time.Minute

// unit returns the systemd unit that runs the daemon, according to its cgroups; empty if there is none. The unit of k3s
// also runs a containerd of its own, and that of Docker may.
func (d *Daemon) unit() string {
	text, err := os.ReadFile(filepath.Join(d.Process.Dir, "cgroup"))
	if err != nil {
		return "" // it has ended
	}
	for part := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return r == '/' || r == '\n' }) {
		if strings.HasSuffix(part, ".service") {
			return part
		}
	}
	return ""
}

// Settled repeats ask until it returns nil, or until ctx or patience ends. A daemon knows a change only some time after
// it was made to read it.
func Settled(ctx context.Context, patience time.Duration, ask func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := ask(within)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted: %w", context.Cause(ctx))
		case <-within.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Get sends an HTTP request to an address (a path for a unix socket), and returns the answer.
func Get(ctx context.Context, network, address, path string) ([]byte, error) {
	client := http.Client{Timeout: command.Patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine"+path, nil)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	text, err := answer(client.Do(request))
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		err = noAnswer(begun)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: GET %s: %w", address, path, err)
	}
	return text, nil
}

func answer(r *http.Response, err error) ([]byte, error) {
	if err != nil {
		return nil, errors.Unwrap(err) // without the URL
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, command.MaxOutput))
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.Status, bytes.TrimSpace(text))
	}
	return text, err
}

// OfGRPC returns the error of a call of a daemon by gRPC, which began at a time, as it is shown.
func OfGRPC(err error, begun time.Time) error {
	switch status.Code(err) {
	case codes.DeadlineExceeded:
		return noAnswer(begun)
	case codes.Canceled:
		return context.Canceled
	}
	return errors.New(status.Convert(err).Message())
}

// noAnswer returns the error about a daemon that was asked at a time and does not answer.
func noAnswer(begun time.Time) error {
	return fmt.Errorf("no answer within %v", time.Since(begun).Round(time.Second))
}
