// Package hooks defines what can be added to a container. It knows the six stages, reads hook files and hooks
// directories in the format of oci-hooks(5), and evaluates the conditions under which a hook of such a directory is
// added. Each decision has a reason.
//
// It does not know where the facts about a container come from, or what is done with the hooks that it returns.
package hooks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// Stage is a stage of a container's life at which hooks run. Its value is the name in config.json (runtime
// specification, config.md, POSIX-platform hooks).
type Stage string

// The six stages.
const (
	Prestart        Stage = "prestart" // deprecated by the specification in favour of the next three
	CreateRuntime   Stage = "createRuntime"
	CreateContainer Stage = "createContainer"
	StartContainer  Stage = "startContainer" // the only stage whose hooks' paths are paths in the container
	Poststart       Stage = "poststart"
	Poststop        Stage = "poststop"
)

// precreate is a stage that only Podman has, for files of hooks directories. Podman runs the hook before it calls the
// runtime, and takes config.json from its standard output.
const precreate Stage = "precreate"

const (
	precreateFault  = `stage "precreate" is Podman's own: Podman runs the hook before it calls the runtime, and takes config.json from the hook's output; no runtime has this stage`
	precreateRemedy = "keep the hook where Podman alone reads it"
)

// Stages returns the stages in the order in which a container reaches them.
func Stages() []Stage {
	return []Stage{Prestart, CreateRuntime, CreateContainer, StartContainer, Poststart, Poststop}
}

// stageNames returns the list of stages for a message.
func stageNames() string { return strings.Join(knownStages(), ", ") }

func knownStages() []string {
	names := make([]string, 0, 6)
	for _, s := range Stages() {
		names = append(names, string(s))
	}
	return names
}

// unknownStage returns an error about an unknown stage, which was read last.
func unknownStage(r *jsonfile.Reader, name string) error {
	if strings.EqualFold(name, string(precreate)) {
		return r.Fail(precreateFault, precreateRemedy)
	}
	return r.Fail(fmt.Sprintf("unknown stage %q", name), jsonfile.DidYouMean(name, knownStages()...)+"the stages are "+stageNames())
}

func known(s Stage) bool { return slices.Contains(Stages(), s) }

// Hook is a hook that may be added to a stage.
type Hook struct {
	Stage Stage
	Path  string         // the absolute path of the program
	JSON  jsontext.Value // the hook object for config.json, if the hook is not supervised

	// Supervision says how the hook is supervised; nil if it is not.
	Supervision *Supervision
}

// Container holds the facts about a container that conditions need.
type Container struct {
	ID          string // the id that the engine passed to the runtime; empty if it is unknown
	Annotations map[string]string
	HasProcess  bool     // config.json has a process
	Args        []string // process.args: the command and its arguments
	BindMounts  []string // the destinations of the bind mounts that the user asked for (an approximation, see bundle)
}

// sandboxMarks are the annotations with which containerd and CRI-O mark the containers of a Kubernetes pod: whether the
// container is the sandbox ("pause") container, and the id of the pod's sandbox.
var sandboxMarks = []struct{ kind, id string }{
	{"io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"},
	{"io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID"},
}

// IsSandbox reports whether the container is the sandbox of a Kubernetes pod. It trusts only annotations that the
// engine must have set: users set annotations too, but cannot know a container's id in advance. So the id beside the
// mark must be this container's, and no mark may contradict it (rule 22).
func (c Container) IsSandbox() bool {
	marked := false
	for _, mark := range sandboxMarks {
		kind, hasKind := c.Annotations[mark.kind]
		id, hasID := c.Annotations[mark.id]
		if !hasKind && !hasID {
			continue
		}
		if kind != "sandbox" || id != c.ID || c.ID == "" {
			return false
		}
		marked = true
	}
	return marked
}
