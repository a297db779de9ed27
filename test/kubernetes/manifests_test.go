// Package kubernetes tests deploy/kubernetes with the code of Kubernetes and kustomize. It starts no containers:
// test/engines tries the image and its commands on a real containerd.
package kubernetes

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	node "k8s.io/api/node/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

const directory = "../../deploy/kubernetes"

// manifests are the objects that `kubectl apply -k` would send, and the example pod.
type manifests struct {
	namespace core.Namespace
	hooks     core.ConfigMap
	class     node.RuntimeClass
	install   apps.DaemonSet
	remove    apps.DaemonSet
	pod       core.Pod
}

// build builds the kustomization and decodes it.
func build(t *testing.T, fs filesys.FileSystem, directory string) manifests {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, directory)
	if err != nil {
		t.Fatal(err)
	}
	var m manifests
	found := map[string]bool{}
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		into := map[string]any{
			"v1 Namespace":                    &m.namespace,
			"v1 ConfigMap":                    &m.hooks,
			"node.k8s.io/v1 RuntimeClass":     &m.class,
			"apps/v1 DaemonSet":               &m.install,
			"apps/v1 DaemonSet of the remove": &m.remove,
		}
		kind := r.GetApiVersion() + " " + r.GetKind()
		if strings.HasSuffix(r.GetName(), "-remove") {
			kind += " of the remove"
		}
		if into[kind] == nil || found[kind] {
			t.Fatalf("unexpected: %s %s", kind, r.GetName())
		}
		found[kind] = true
		decode(t, text, into[kind])
	}
	if len(found) != 5 {
		t.Fatalf("kustomize built only %v", found)
	}
	text, err := fs.ReadFile(filepath.Join(directory, "example/pod.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	decode(t, text, &m.pod)
	return m
}

// decode decodes YAML as an API server does with fieldValidation=Strict: an unknown field, one in a different letter
// case and a duplicate one are errors.
func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	data, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		t.Fatal(err)
	}
	strict, err := json.UnmarshalStrict(data, into)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range strict {
		t.Errorf("%T: %v", into, err)
	}
}

// TestManifests checks the manifests as they are, and after the renaming that docs/kubernetes.md describes.
func TestManifests(t *testing.T) {
	t.Run("as-they-are", func(t *testing.T) {
		check(t, build(t, filesys.MakeFsOnDisk(), directory), "record-stages")
	})
	t.Run("renamed", func(t *testing.T) {
		fs := edited(t, func(path, text string) string {
			if strings.HasSuffix(path, ".yaml") {
				text = strings.ReplaceAll(text, "record-stages", "gpu-hooks")
			}
			return text
		})
		check(t, build(t, fs, "/deploy"), "gpu-hooks")
	})
}

// edited returns a file system in which /deploy has the edited files of the directory.
func edited(t *testing.T, edit func(path, text string) string) filesys.FileSystem {
	t.Helper()
	fs := filesys.MakeFsInMemory()
	for _, pattern := range []string{"*.yaml", "*/*.yaml", "*.json"} {
		paths, err := filepath.Glob(filepath.Join(directory, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := filepath.Rel(directory, path)
			if err := fs.WriteFile(filepath.Join("/deploy", name), []byte(edit(path, string(text)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	return fs
}

// TestHold tests the component hold, as the kustomization's comment describes it: the DaemonSets are dry runs that
// become ready, mount nothing that would have to be created, and do not differ otherwise.
func TestHold(t *testing.T) {
	fs := edited(t, func(path, text string) string {
		return strings.ReplaceAll(text, "# components:\n#   - hold\n", "components:\n  - hold\n")
	})
	held, m := build(t, fs, "/deploy"), build(t, filesys.MakeFsOnDisk(), directory)
	for _, sets := range [][2]*apps.DaemonSet{{&m.install, &held.install}, {&m.remove, &held.remove}} {
		spec := &sets[0].Spec.Template.Spec
		spec.InitContainers[0].Args = append(spec.InitContainers[0].Args, "--dry-run")
		spec.Containers[0].ReadinessProbe, spec.Containers[0].VolumeMounts = nil, nil
		want(t, "held", *sets[1], *sets[0])
	}
}

func check(t *testing.T, m manifests, name string) {
	const key = "oci-add-hooks/"
	t.Run("names", func(t *testing.T) {
		want(t, "the handler", m.class.Handler, name)
		want(t, "the RuntimeClass", m.class.Name, name)
		want(t, "the example's class", *m.pod.Spec.RuntimeClassName, name)
		for _, errs := range [][]string{
			validation.IsQualifiedName(key + name), validation.IsDNS1123Label(m.class.Handler),
			validation.IsDNS1123Subdomain(m.install.Name), validation.IsDNS1123Subdomain(m.remove.Name),
		} {
			if len(errs) > 0 {
				t.Error(errs)
			}
		}
		for _, set := range []apps.DaemonSet{m.install, m.remove} {
			want(t, "the namespace", set.Namespace, m.namespace.Name)
			if args := set.Spec.Template.Spec.InitContainers[0].Args; !slices.Contains(args, "--profile="+name) {
				t.Errorf("the profile is not %s in %q", name, args)
			}
		}
	})
	// One label selects the nodes for the installer and for the remover. Pods run on the nodes of the installer.
	t.Run("nodes", func(t *testing.T) {
		want(t, "the installer's nodes", m.install.Spec.Template.Spec.NodeSelector,
			map[string]string{"kubernetes.io/os": "linux", key + name: "install"})
		want(t, "the remover's nodes", m.remove.Spec.Template.Spec.NodeSelector,
			map[string]string{"kubernetes.io/os": "linux", key + name: "remove"})
		want(t, "the pods' nodes", m.class.Scheduling.NodeSelector, map[string]string{key + name: "install"})
	})
	t.Run("selectors", func(t *testing.T) {
		sets := []apps.DaemonSet{m.install, m.remove}
		for i, set := range sets {
			selector, err := meta.LabelSelectorAsSelector(set.Spec.Selector)
			if err != nil {
				t.Fatal(err)
			}
			if pod := set.Spec.Template.Labels; !selector.Matches(labels.Set(pod)) {
				t.Errorf("%s does not select its own pods, labelled %v", set.Name, pod)
			}
			if pod := sets[1-i].Spec.Template.Labels; selector.Matches(labels.Set(pod)) {
				t.Errorf("%s selects the other's pods, labelled %v", set.Name, pod)
			}
		}
	})
	t.Run("hook-file", func(t *testing.T) {
		text := m.hooks.Data["hooks.json"]
		if file, err := hooks.ParseFile(&jsonfile.File{Path: "hooks.json", Data: []byte(text)}); err != nil {
			t.Error(err)
		} else if len(file.Hooks) == 0 {
			t.Error("the ConfigMap's hook file has no hooks")
		}
		spec := m.install.Spec.Template.Spec
		want(t, "the ConfigMap that is mounted", volume(t, spec, "hooks").ConfigMap.Name, m.hooks.Name)
		if !strings.HasPrefix(m.hooks.Name, name+"-") {
			t.Errorf("the name of the ConfigMap, %s, does not depend on its content: a change would not be rolled out", m.hooks.Name)
		}
		installer := spec.InitContainers[0]
		for _, mount := range installer.VolumeMounts {
			if mount.Name == "hooks" && !slices.Contains(installer.Args, "--hooks="+mount.MountPath+"/hooks.json") {
				t.Errorf("the hook file is mounted in %s, and the arguments are %q", mount.MountPath, installer.Args)
			}
		}
	})
	// The container that keeps running is unprivileged, and the privileged one ends.
	t.Run("rights", func(t *testing.T) {
		for _, mode := range []string{"enforce", "warn", "audit"} {
			want(t, "the namespace's level to "+mode, m.namespace.Labels["pod-security.kubernetes.io/"+mode], "privileged")
		}
		for _, set := range []apps.DaemonSet{m.install, m.remove} {
			spec := set.Spec.Template.Spec
			if len(spec.InitContainers) != 1 || len(spec.Containers) != 1 {
				t.Fatalf("%s has other containers", set.Name)
			}
			if token := spec.AutomountServiceAccountToken; token == nil || *token {
				t.Errorf("%s gets a token", set.Name)
			}
			if root := spec.InitContainers[0].SecurityContext; !*root.Privileged {
				t.Errorf("%s cannot write to the node", set.Name)
			}
			if !spec.HostPID {
				t.Errorf("%s does not see the node's processes", set.Name)
			}
			wait := spec.Containers[0]
			c := wait.SecurityContext
			if c.Privileged != nil || *c.AllowPrivilegeEscalation || !*c.RunAsNonRoot || *c.RunAsUser == 0 || !*c.ReadOnlyRootFilesystem ||
				!reflect.DeepEqual(c.Capabilities, &core.Capabilities{Drop: []core.Capability{"ALL"}}) {
				t.Errorf("the remaining container of %s has privileges: %+v", set.Name, c)
			}
			for _, mount := range wait.VolumeMounts {
				if path := volume(t, spec, mount.Name).HostPath.Path; !mount.ReadOnly || path == "/" || mount.MountPath != "/host"+path {
					t.Errorf("the remaining container of %s has %s at %s", set.Name, path, mount.MountPath)
				}
			}
			for _, container := range append(spec.Containers, spec.InitContainers...) {
				want(t, "the termination message policy of "+container.Name, container.TerminationMessagePolicy, core.TerminationMessageFallbackToLogsOnError)
			}
		}
	})
	// The pod is ready as long as the node is as it was installed.
	t.Run("ready", func(t *testing.T) {
		installer, wait := m.install.Spec.Template.Spec.InitContainers[0], m.install.Spec.Template.Spec.Containers[0]
		probe := wait.ReadinessProbe
		want(t, "the probe", probe.Exec.Command, []string{"/usr/local/bin/hookctl", "node", "status", "--profile=" + name, "--host-root=/host"})
		want(t, "the probe's period", probe.PeriodSeconds, 30)
		for _, arg := range probe.Exec.Command[3:] {
			if !slices.Contains(installer.Args, arg) {
				t.Errorf("the installer does not have %s", arg)
			}
		}
	})
	// The two differ only where they must.
	t.Run("alike", func(t *testing.T) {
		install, remove := m.install.Spec.Template.Spec, m.remove.Spec.Template.Spec
		removes := &remove.InitContainers[0]
		installs := &install.InitContainers[0]
		var args []string
		for _, arg := range installs.Args {
			switch {
			case arg == "install":
				args = append(args, "remove")
			case !strings.HasPrefix(arg, "--hooks="):
				args = append(args, arg)
			}
		}
		want(t, "the remover's arguments", removes.Args, args)
		removes.Args, removes.Name, remove.NodeSelector = installs.Args, installs.Name, install.NodeSelector
		removes.VolumeMounts = append(removes.VolumeMounts, installs.VolumeMounts[len(removes.VolumeMounts):]...)
		remove.Volumes = append(remove.Volumes, install.Volumes[len(remove.Volumes):]...)
		remove.Containers[0].ReadinessProbe, remove.Containers[0].VolumeMounts = install.Containers[0].ReadinessProbe, install.Containers[0].VolumeMounts
		want(t, "the remover", remove, install)
		want(t, "the host", volume(t, install, "host").HostPath.Path, "/")
	})
}

// Kubernetes accepts the YAML in the pages: a container, and a RuntimeClass with a pod that selects it.
func TestPages(t *testing.T) {
	decode(t, yamlOf(t, "kubernetes.md"), &core.Container{})
	var class node.RuntimeClass
	var pod core.Pod
	first, second, _ := strings.Cut(string(yamlOf(t, "engines.md")), "\n---\n")
	decode(t, []byte(first), &class)
	decode(t, []byte(second), &pod)
	if pod.Spec.RuntimeClassName == nil || *pod.Spec.RuntimeClassName != class.Name {
		t.Errorf("the pod of docs/engines.md does not select the RuntimeClass %s", class.Name)
	}
}

// yamlOf returns the only YAML block in a page.
func yamlOf(t *testing.T, page string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllSubmatch(text, -1)
	if len(blocks) != 1 {
		t.Fatalf("docs/%s has %d blocks of YAML, not one", page, len(blocks))
	}
	return blocks[0][1]
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// volume returns a pod's volume. It fails the test if no container mounts it.
func volume(t *testing.T, spec core.PodSpec, name string) core.VolumeSource {
	t.Helper()
	mounted := false
	for _, container := range append(spec.Containers, spec.InitContainers...) {
		for _, mount := range container.VolumeMounts {
			mounted = mounted || mount.Name == name
		}
	}
	for _, v := range spec.Volumes {
		if v.Name == name && mounted {
			return v.VolumeSource
		}
	}
	t.Fatalf("there is no volume %q that is mounted", name)
	return core.VolumeSource{}
}
