// Package engines is the table of engines: a new one is a directory below engine, and a row here.
package engines

import (
	"fmt"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine/containerd"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine/crio"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine/docker"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine/podman"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// Names are those of the engines.
var Names = []string{"docker", "containerd", "crio", "podman"}

var constructors = map[string]func(config string) engine.Engine{
	"docker":     docker.New,
	"containerd": containerd.New,
	"crio":       crio.New,
	"podman":     podman.New,
}

// New returns the engine of a name, whose main configuration is the file config; its usual one if that is empty.
func New(name, config string) (engine.Engine, error) {
	construct, ok := constructors[name]
	if !ok {
		return nil, fmt.Errorf("there is no engine %q: it is one of %s", name, strings.Join(Names, ", "))
	}
	return construct(config), nil
}

// Here returns the engines that are on this system: with their usual configuration, and with others in which hookctl has
// installed something.
func Here(sys system.System) (list []engine.Engine, err error) {
	for _, name := range Names {
		e, err := New(name, "")
		if err != nil {
			return nil, err
		}
		if here(e) {
			list = append(list, e)
		}
		others, err := registration.Configs(sys, name)
		if err != nil {
			return nil, err
		}
		for _, config := range others {
			if config == e.Config() {
				continue
			}
			other, err := New(name, config)
			if err != nil {
				return nil, err
			}
			list = append(list, other)
		}
	}
	return list, nil
}

// here reports whether an engine is on this system: its program, or a configuration.
func here(e engine.Engine) bool {
	if _, err := command.Find(e.Program()); err == nil {
		return true
	}
	text, err := change.Read(e.Config())
	return err != nil || text != nil
}
