package check

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/inject"
)

// patience is the shortest time in seconds that an engine waits for a container to be created. The kubelet's
// runtimeRequestTimeout is 2 minutes by default; conmon's callers wait 4 minutes.
const patience = 120

// patience warns of a supervised hook that may run longer than engines wait. At poststop, nothing waits for a
// container.
func (c *checker) patience(h hook) {
	if !slices.ContainsFunc(h.stages, func(s hooks.Stage) bool { return s != hooks.Poststop }) {
		return
	}
	at, seconds := h.node, h.supervision.Timeout
	if h.timeout != nil {
		at = h.timeout
		seconds, _ = strconv.Atoi(string(h.timeout.raw)) // it is a number, or the file was refused
	}
	if seconds > patience {
		c.warn("patience", at, fmt.Sprintf("the hook may run for %d s, and engines wait less: Kubernetes for %d s", seconds, patience),
			fmt.Sprintf("give it a timeout of at most %d", patience))
	}
}

// neverSupervised warns of a hook that asks for supervision but runs in the container, where there is no supervisor.
func (c *checker) neverSupervised(h hook, hint string) {
	if slices.Contains(h.stages, hooks.StartContainer) {
		c.warn("supervise", h.node, "startContainer hooks run in the container and are never supervised: this one is added as it is, "+
			"without the time limit, failure policy and record of supervise", hint)
	}
}

// supervisor notes an error if hooks ask for supervision but the supervisor is not beside oci-add-hooks, which then
// refuses to start a container.
func (c *checker) supervisor(file *hooks.File) {
	if how := file.Supervised(); how != nil && c.program != "" {
		_, err := inject.FindSupervisor(c.program, how)
		c.fail(err)
	}
}
