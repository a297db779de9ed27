// Package pod names the Kubernetes pod that a container belongs to.
//
// containerd and CRI-O record these names as annotations. Whoever starts a container by Docker, Podman or ctr can write
// the same annotations, so they count only if the container's bundle lies where containerd or CRI-O keep those of pods.
// The engine chooses that place, not the user.
//
// It does not know how containers are found, and what is done with the names.
package pod

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Names are the names of a pod and of a container in it. All are empty if the container belongs to no pod. Container is
// empty for a sandbox.
type Names struct {
	Namespace, Pod, Container string
}

// String returns NAMESPACE/POD/CONTAINER, without the parts that are empty.
func (n Names) String() string {
	parts := []string{n.Namespace, n.Pod, n.Container}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), "/")
}

// Of returns the names for the container with an id, a bundle (an absolute path) and annotations.
func Of(id, bundle string, annotations map[string]string) Names {
	switch {
	case id == "" || len(annotations) == 0:
	case isContainerd(id, bundle):
		return Containerd(annotations)
	case isCRIO(id, bundle):
		return CRIO(annotations)
	}
	return Names{}
}

// IsAnnotation reports whether Of examines annotations with this name.
func IsAnnotation(name string) bool { return strings.HasPrefix(name, "io.kubernetes.") }

// Containerd returns the names in the annotations of containerd's CRI.
func Containerd(annotations map[string]string) Names {
	return Names{annotations["io.kubernetes.cri.sandbox-namespace"], annotations["io.kubernetes.cri.sandbox-name"], annotations["io.kubernetes.cri.container-name"]}
}

// CRIO returns the names in the annotations of CRI-O.
func CRIO(annotations map[string]string) Names {
	n := Names{annotations["io.kubernetes.pod.namespace"], annotations["io.kubernetes.pod.name"], annotations["io.kubernetes.container.name"]}
	if n.Container == "POD" { // the sandbox
		n.Container = ""
	}
	return n
}

// ContainerdNamespace is the namespace in which containerd keeps the containers of pods.
const ContainerdNamespace = "k8s.io"

// isContainerd reports whether a bundle is that of a pod's container of containerd: STATE/io.containerd.runtime.v2.task/k8s.io/ID.
func isContainerd(id, bundle string) bool {
	return strings.HasSuffix(filepath.Clean(bundle), "/io.containerd.runtime.v2.task/"+ContainerdNamespace+"/"+id)
}

// isCRIO reports whether a bundle is that of a container of CRI-O: RUNROOT/DRIVER-containers/ID/userdata. Podman has such
// bundles too, but with an index of containers beside them that names the container. CRI-O's index is below another
// directory. A container whose index cannot be read counts as Podman's.
func isCRIO(id, bundle string) bool {
	containers, isBundle := strings.CutSuffix(filepath.Clean(bundle), "-containers/"+id+"/userdata")
	if !isBundle {
		return false
	}
	for _, index := range []string{"containers.json", "volatile-containers.json"} {
		text, err := os.ReadFile(containers + "-containers/" + index)
		if err != nil && !errors.Is(err, fs.ErrNotExist) || bytes.Contains(text, []byte(id)) {
			return false
		}
	}
	return true
}
