// Package hooks knows what can be added to a container: the six stages, hook files, hooks directories in the format of
// oci-hooks(5), and the conditions under which a hook of such a directory is added, each answering with its reason.
//
// It does not know where a container's facts come from, nor what becomes of the hooks it gives.
package hooks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// Stage is a stage of a container's life at which hooks run, by its name in config.json (runtime specification,
// config.md, POSIX-platform hooks).
type Stage string

// The six stages.
const (
	Prestart        Stage = "prestart" // deprecated by the specification in favour of the next three
	CreateRuntime   Stage = "createRuntime"
	CreateContainer Stage = "createContainer"
	StartContainer  Stage = "startContainer" // the one stage whose hooks' paths lie in the container
	Poststart       Stage = "poststart"
	Poststop        Stage = "poststop"
)

// precreate is a stage of Podman's own, for files of hooks directories: Podman runs the hook before it calls the runtime,
// and takes config.json from its standard output. No runtime has it.
const precreate Stage = "precreate"

const (
	precreateFault  = `stage "precreate" is Podman's own: Podman runs the hook before it calls the runtime, and takes config.json from the hook's output; no runtime has this stage`
	precreateRemedy = "keep the hook where Podman alone reads it"
)

// Stages lists the stages in the order in which a container comes to them.
func Stages() []Stage {
	return []Stage{Prestart, CreateRuntime, CreateContainer, StartContainer, Poststart, Poststop}
}

// stageNames lists the stages for a message.
func stageNames() string { return strings.Join(knownStages(), ", ") }

func knownStages() []string {
	names := make([]string, 0, 6)
	for _, s := range Stages() {
		names = append(names, string(s))
	}
	return names
}

// unknownStage returns an error about a stage, read last, that there is not.
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
	Path  string         // the program, absolute
	JSON  jsontext.Value // the hook object to be written, if it is not supervised

	// Supervision is how it is run; nil if it is not supervised.
	Supervision *Supervision
}

// Container is what conditions ask about a container.
type Container struct {
	ID          string // as the engine gave it to the runtime; empty if it is not known
	Annotations map[string]string
	HasProcess  bool     // config.json has a process
	Args        []string // process.args: the command and its arguments
	BindMounts  []string // the destinations of the bind mounts that the user asked for (an approximation, see bundle)
}

// sandboxMarks are the annotations by which containerd and CRI-O mark the sandbox ("pause") container of a Kubernetes pod
// and its other containers: whether it is one, and the id of the pod's.
var sandboxMarks = []struct{ kind, id string }{
	{"io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"},
	{"io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID"},
}

// IsSandbox reports whether the container is the sandbox of a Kubernetes pod, to judge by marks that its engine alone can
// have made: users write annotations too, but cannot know a container's id before it is made. So the id beside a mark
// must be this container's, and no mark may say otherwise.
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
