// Package engines is the table of engines: a new engine is a directory below engine, and a row here.
package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine/containerd"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine/crio"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine/docker"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine/podman"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

var table = []struct {
	name string
	new  func(sys system.System, config string) (engine.Engine, error)
}{
	{"docker", docker.New},
	{"containerd", containerd.New},
	{"crio", crio.New},
	{"podman", podman.New},
}

// Names are the names of the engines.
var Names = func() (names []string) {
	for _, row := range table {
		names = append(names, row.name)
	}
	return names
}()

// New returns the engine of a name, whose main configuration is the file config. If that is empty, it is the file that
// the running daemon reads, or else the usual one.
func New(sys system.System, name, config string) (engine.Engine, error) {
	if config != "" {
		abs, err := filepath.Abs(config)
		if err != nil {
			return nil, err
		}
		config = abs
		if st, err := os.Stat(config); err == nil && !st.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a regular file: --config takes the engine's main configuration file", config)
		}
	}
	for _, row := range table {
		if row.name == name {
			return row.new(sys, config)
		}
	}
	return nil, fmt.Errorf("there is no engine %q: it is one of %s", name, strings.Join(Names, ", "))
}

// Recorded returns an engine with the configuration in which hookctl has installed a profile, the record of that, and
// the record's text. If config is not empty, another configuration than config is an error.
func Recorded(sys system.System, name, profile, config string) (engine.Engine, *registration.Record, []byte, error) {
	record, text, err := registration.ReadRecord(sys, name, profile)
	if err != nil {
		return nil, nil, nil, err
	}
	if record == nil {
		return nil, nil, nil, fmt.Errorf("hookctl has not installed %s for %s: there is no record of it in %s; remove manually what was registered manually", profile, name, sys.State)
	}
	e, err := New(sys, name, config)
	if config == "" && (err != nil || e.Config() != record.Config) {
		e, err = New(sys, name, record.Config)
	}
	if err == nil && e.Config() != record.Config {
		err = fmt.Errorf("%s is installed in %s", profile, record.Config)
	}
	return e, record, text, err
}

// Installed returns the records of a profile's installations, in all engines.
func Installed(sys system.System, profile string) (records []*registration.Record, err error) {
	for _, name := range Names {
		record, _, err := registration.ReadRecord(sys, name, profile)
		if err != nil {
			return nil, err
		}
		if record != nil {
			records = append(records, record)
		}
	}
	return records, nil
}

// RefuseInstalled returns an error if hookctl has installed a profile with an engine.
func RefuseInstalled(sys system.System, profile string) error {
	records, err := Installed(sys, profile)
	if err != nil {
		return err
	}
	if len(records) > 0 {
		return fmt.Errorf("the profile %s cannot be removed while %s knows it: hookctl uninstall %s --profile %[1]s", profile, records[0].Config, records[0].Engine)
	}
	return nil
}

// RefuseRegistered returns an error if the link of a profile is a runtime of an engine, or if that is unknown.
func RefuseRegistered(ctx context.Context, sys system.System, profile, link string) error {
	list, unknown := Here(sys)
	uses, hidden := program.Uses(sys, []string{link}), program.Hides(link)
	return registration.Refuse(ctx, "the profile "+profile+" cannot be removed", list, unknown, func(word string) bool {
		return uses(word) && (hidden == "" || strings.Contains(word, "/")) // else a name by which the engine then finds the hidden program
	})
}

// Here returns the engines on this system: with the configuration that the running daemon reads, or the usual one; with
// each, if several daemons run; and with others in which hookctl has installed something. If there is an error, some
// are missing.
func Here(sys system.System) (list []engine.Engine, err error) {
	var errs []error
	for _, name := range Names {
		e, err := New(sys, name, "")
		var several *engine.Several
		if err != nil && !errors.As(err, &several) {
			errs = append(errs, err)
			continue
		}
		var configs []string
		if several != nil {
			configs = several.Configs
		} else if here(e) {
			list = append(list, e)
		}
		installed, err := registration.Configs(sys, name)
		if err != nil {
			errs = append(errs, err)
		}
		for _, config := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(configs, installed)))) {
			if e != nil && config == e.Config() {
				continue
			}
			other, err := New(sys, name, config)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			list = append(list, other)
		}
	}
	return list, errors.Join(errs...)
}

// here reports whether an engine is on this system: its program, or a configuration.
func here(e engine.Engine) bool {
	if d := e.Daemon(); d != nil && d.Process != nil {
		return true
	}
	if _, err := command.Find(e.Program()); err == nil {
		return true
	}
	text, err := change.Read(e.Config())
	return err != nil || text != nil
}
