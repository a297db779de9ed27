package engines

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// criCases are the tests of pods. Each has a runtime handler of its own, whose BinaryName is a profile link.
var criCases = []struct {
	name string
	test func(t *testing.T, k kubelet, c container)
}{
	{"create-to-delete", testPodCreateToDelete},
	{"pod-annotation", testPodAnnotation},
	{"pod-bind-mounts", testPodBindMounts},
	{"hook-file", testPodHookFile},
	{"skipSandboxes", testPodSkipSandboxes},
	{"supervised", testPodSupervised},
	{"refused", testPodRefused},
	{"refused-by-directory", testPodRefusedByDirectory},
	{"container-refused", testPodContainerRefused},
}

// TestCRI reaches the program as Kubernetes does: a pod is a sandbox and its containers, each started by the runtime
// that the pod's handler names.
func TestCRI(t *testing.T) {
	withEach(t, testCRI, "containerd", "containerd-shim-runc-v2", "ctr")
}

func testCRI(t *testing.T) {
	engine := "cri-" + path.Base(t.Name()) // the records of hooks name the profile
	var registered []profile
	for _, rt := range runtimes {
		for _, test := range criCases {
			registered = append(registered, newProfile(t, profileName(engine, rt, test.name), rt))
		}
	}
	k := startKubelet(t, registered)
	for _, rt := range runtimes {
		t.Run(rt, func(t *testing.T) {
			needRuntime(t, rt)
			for _, test := range criCases {
				leaf(t, test.name, func(t *testing.T) {
					t.Parallel()
					name := profileName(engine, rt, test.name)
					c := container{name: name, profile: newProfile(t, name, rt), dir: scratch(t)}
					t.Cleanup(func() {
						if t.Failed() {
							c.profile.record(t, c.dir)
							k.removeAll(t, c)
							kill(inContainer(t, c))
						}
					})
					test.test(t, k, c)
					if left := k.has(t, c); len(left) > 0 {
						t.Errorf("%s remains", left)
					}
					wantDeleted(t, c.dir)
				})
			}
		})
	}
	leaf(t, "nothing-left", func(t *testing.T) { wantNothingLeft(t, "containerd") })
}

// A kubelet makes the calls to containerd that Kubernetes' node agent makes.
type kubelet struct {
	cri.RuntimeServiceClient
	containerd containerd
}

// criConfig is, for a major version of containerd, the CRI configuration without the handlers, and the name of the
// plugin that holds the handlers. Sandboxes ("pause" containers) run the image that is already there, so that no
// registry is needed.
var criConfig = map[int]struct{ plugin, config string }{
	1: {`plugins."io.containerd.grpc.v1.cri"`, `
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + image + `"
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
`},
	2: {`plugins."io.containerd.cri.v1.runtime"`, `
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "native"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "` + image + `"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
`},
}

// startKubelet starts a containerd with its CRI plugin and a handler for each profile.
func startKubelet(t *testing.T, registered []profile) kubelet {
	t.Helper()
	major := containerdMajor(t)
	plugin, config := criConfig[major].plugin, criConfig[major].config
	if plugin == "" {
		t.Fatalf("this test has no CRI configuration for containerd %d", major)
	}
	for _, p := range registered {
		config += `
[` + plugin + `.containerd.runtimes.` + p.name + `]
  runtime_type = "io.containerd.runc.v2"
  pod_annotations = ["com.example.*"]
[` + plugin + `.containerd.runtimes.` + p.name + `.options]
  BinaryName = "` + p.link + `"
`
	}
	c := startContainerd(t, "k8s.io", imageArchive(t, "/bin/sleep", "1000"), config)

	return connect(t, c)
}

// connect returns a kubelet for a containerd that has the image.
func connect(t *testing.T, c containerd) kubelet {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+c.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	eventually(t, "the CRI plugin to know the image", func() string {
		r, err := cri.NewImageServiceClient(conn).ImageStatus(patient(t), &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: image}})
		switch {
		case err != nil:
			return err.Error()
		case r.Image == nil:
			return "it does not"
		}
		return ""
	})
	return kubelet{cri.NewRuntimeServiceClient(conn), c}
}

// patient limits a call to the daemon to the time of a command.
func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// hostNetwork is for a pod that needs no network of its own.
var hostNetwork = &cri.NamespaceOption{Network: cri.NamespaceMode_NODE, Pid: cri.NamespaceMode_CONTAINER}

// pod returns the pod for a container; both have the container's name.
func pod(c container) *cri.PodSandboxConfig {
	return &cri.PodSandboxConfig{
		Metadata:    &cri.PodSandboxMetadata{Name: c.name, Uid: c.name, Namespace: "default"},
		Annotations: c.annotations,
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent:    cgroup,
			SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: hostNetwork},
		},
	}
}

// runSandbox creates the container's pod and starts its sandbox.
func (k kubelet) runSandbox(t *testing.T, c container) (id string, err error) {
	t.Helper()
	r, err := k.RunPodSandbox(patient(t), &cri.RunPodSandboxRequest{Config: pod(c), RuntimeHandler: c.profile.name})
	return r.GetPodSandboxId(), err
}

// runContainer starts a container in a sandbox. If the start fails after the creation, the container remains.
func (k kubelet) runContainer(t *testing.T, sandbox string, c container) (id string, err error) {
	t.Helper()
	var mounts []*cri.Mount
	if !c.unmounted {
		mounts = append(mounts, &cri.Mount{ContainerPath: c.dir, HostPath: c.dir})
	}
	created, err := k.CreateContainer(patient(t), &cri.CreateContainerRequest{
		PodSandboxId:  sandbox,
		SandboxConfig: pod(c),
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: c.name},
			Image:    &cri.ImageSpec{Image: image},
			Command:  c.args,
			Envs:     []*cri.KeyValue{{Key: markEnv, Value: []byte(c.name)}},
			Mounts:   mounts,
			Linux: &cri.LinuxContainerConfig{
				SecurityContext: &cri.LinuxContainerSecurityContext{NamespaceOptions: hostNetwork},
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.StartContainer(patient(t), &cri.StartContainerRequest{ContainerId: created.ContainerId})
	return created.ContainerId, err
}

// runPod runs a pod with a container until each is stopped, and removes them. It returns the ids of both.
func (k kubelet) runPod(t *testing.T, c container) (sandbox, container string) {
	t.Helper()
	sandbox, container = k.startPod(t, c)
	k.removeContainer(t, container)
	k.removePod(t, sandbox)
	return sandbox, container
}

// startPod starts a pod with a container, and returns the ids of both.
func (k kubelet) startPod(t *testing.T, c container) (sandbox, container string) {
	t.Helper()
	sandbox, err := k.runSandbox(t, c)
	if err != nil {
		t.Fatal(err)
	}
	if c.unmounted {
		c.args = []string{"sleep", "1000"}
	} else {
		c = c.command(sleeping(c.dir))
	}
	container, err = k.runContainer(t, sandbox, c)
	if err != nil {
		t.Fatal(err)
	}
	if !c.unmounted {
		wantSleeping(t, c.dir)
	}
	return sandbox, container
}

// removeContainer retries, as the kubelet does: on a busy machine a stop may find the shim gone, and containerd 2.4 may
// report for a moment that the container still runs.
func (k kubelet) removeContainer(t *testing.T, id string) {
	t.Helper()
	eventually(t, "the container to be removed", func() string {
		_, stop := k.StopContainer(patient(t), &cri.StopContainerRequest{ContainerId: id, Timeout: 1})
		_, remove := k.RemoveContainer(patient(t), &cri.RemoveContainerRequest{ContainerId: id})
		if err := errors.Join(stop, remove); err != nil {
			return err.Error()
		}
		return ""
	})
}

func (k kubelet) removePod(t *testing.T, id string) {
	t.Helper()
	if _, err := k.StopPodSandbox(patient(t), &cri.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		t.Error(err)
	}
	if _, err := k.RemovePodSandbox(patient(t), &cri.RemovePodSandboxRequest{PodSandboxId: id}); err != nil {
		t.Error(err)
	}
}

// sandboxes returns the ids of the container's pods.
func (k kubelet) sandboxes(t *testing.T, c container) []string {
	t.Helper()
	r, err := k.ListPodSandbox(patient(t), &cri.ListPodSandboxRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, s := range r.Items {
		if s.Metadata.Name == c.name {
			ids = append(ids, s.Id)
		}
	}
	return ids
}

// has lists what exists of a container and its pod.
func (k kubelet) has(t *testing.T, c container) []string {
	t.Helper()
	var what []string
	for _, id := range k.sandboxes(t, c) {
		what = append(what, "pod "+id)
	}
	r, err := k.ListContainers(patient(t), &cri.ListContainersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, ctr := range r.Containers {
		if ctr.Metadata.Name == c.name {
			what = append(what, "container "+ctr.Id)
		}
	}
	for _, p := range inContainer(t, c) {
		what = append(what, "process "+p.String())
	}
	return what
}

// removeAll removes the container's pods with everything in them.
func (k kubelet) removeAll(t *testing.T, c container) {
	t.Helper()
	for _, id := range k.sandboxes(t, c) {
		k.removePod(t, id)
	}
}

// wantCalls waits until that many hooks have run, and checks that they are these, each for the right container.
func wantCalls(t *testing.T, c container, names map[string]string, want []string) {
	t.Helper()
	eventually(t, "the hooks to run", func() string {
		if calls := recorded(t, c.dir); len(calls) < len(want) {
			return fmt.Sprintf("want %q, these ran: %+v", want, calls)
		}
		return ""
	})
	var got []string
	for _, call := range recorded(t, c.dir) {
		who, known := names[call.State.ID]
		if !known {
			t.Errorf("a hook got the state of the container %q, which is not in the pod", call.State.ID)
		}
		got = append(got, call.Label+" of the "+who)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the hooks that ran, in order (-want +got):\n%s", diff)
	}
}

// testPodCreateToDelete: the poststop hooks run when the pod's container and its sandbox are removed, and the low-level
// runtime no longer has either.
func testPodCreateToDelete(t *testing.T, k kubelet, c container) {
	follow(t, c)
	sandbox, container := k.startPod(t, c)
	wantAlive(t, c.dir, 2)
	k.removeContainer(t, container)
	k.removePod(t, sandbox)
	wantCalls(t, c, map[string]string{sandbox: "sandbox", container: "container"}, []string{
		"created of the sandbox", "created of the container",
		"deleted of the container", "supervised of the container", "directory of the container",
		"deleted of the sandbox", "supervised of the sandbox",
	})
	wantDeleted(t, c.dir)
}

// testPodAnnotation: a pod's annotation selects hooks for its container, if the handler's pod_annotations let it
// through. The sandbox has the same annotations and gets no hook.
func testPodAnnotation(t *testing.T, k kubelet, c container) {
	readRules(t, c, map[string]string{
		"10-always.json": `"when": {"always": true}, "stages": ["createContainer"]`,
		"20-gpu.json":    `"when": {"annotations": {"^com\\.example\\.gpu$": "^true$"}}, "stages": ["createContainer", "poststop"]`,
		"30-hidden.json": `"when": {"annotations": {"^org\\.example\\.gpu$": "^true$"}}, "stages": ["createContainer", "poststop"]`,
	})
	for _, pod := range []struct {
		annotation string
		want       []string
	}{
		{"true", []string{"10-always.json of the container", "20-gpu.json of the container", "20-gpu.json of the container"}},
		{"false", []string{"10-always.json of the container"}},
		{"", []string{"10-always.json of the container"}},
	} {
		c.annotations = map[string]string{"org.example.gpu": "true"}
		if pod.annotation != "" {
			c.annotations["com.example.gpu"] = pod.annotation
		}
		in := c
		in.dir = scratch(t)
		t.Run("annotation="+pod.annotation, func(t *testing.T) {
			sandbox, container := k.runPod(t, in)
			wantCalls(t, c, map[string]string{sandbox: "sandbox", container: "container"}, pod.want)
		})
		forget(t, c.dir)
	}
}

// testPodBindMounts: the mounts that the CRI plugin adds to every container of a pod do not count as the user's bind
// mounts.
func testPodBindMounts(t *testing.T, k kubelet, c container) {
	readRules(t, c, map[string]string{
		"10-always.json": `"when": {"always": true}, "stages": ["createContainer"]`,
		"20-mounts.json": `"when": {"hasBindMounts": true}, "stages": ["createContainer"]`,
	})
	for _, pod := range []struct {
		unmounted bool
		want      []string
	}{
		{true, []string{"10-always.json of the container"}},
		{false, []string{"10-always.json of the container", "20-mounts.json of the container"}},
	} {
		c.unmounted = pod.unmounted
		sandbox, container := k.runPod(t, c)
		wantCalls(t, c, map[string]string{sandbox: "sandbox", container: "container"}, pod.want)
		forget(t, c.dir)
	}
}

// readRules writes a hook file that names a hooks directory. The caller gives only the conditions and stages of the
// directory's files.
func readRules(t *testing.T, c container, rules map[string]string) {
	t.Helper()
	dir := c.dir + "/hooks.d"
	path := recorder(t, c.dir)
	for name, rest := range rules {
		writeRule(t, dir, name, fmt.Sprintf(`{"version": "1.0.0", "hook": {"path": %q, "args": ["hook", %q]}, %s}`, path, name, rest))
	}
	c.profile.writeJSON(t, map[string]any{"runtime": c.profile.runtime, "hooksDirs": []string{dir}})
}

// writeHooks writes a hook file with hooks of its own and a directory that has another hook for every container. It has
// no startContainer hook, since a sandbox has nothing mounted.
func writeHooks(t *testing.T, c container, skipSandboxes bool) {
	t.Helper()
	readRules(t, c, map[string]string{"10-always.json": `"when": {"always": true}, "stages": ["createRuntime"]`})
	path := recorder(t, c.dir)
	hooks := map[string]any{}
	for _, stage := range []string{"createRuntime", "poststop"} {
		hooks[stage] = []any{hook(path, stage)}
	}
	c.profile.writeJSON(t, map[string]any{
		"runtime":       c.profile.runtime,
		"hooks":         hooks,
		"hooksDirs":     []string{c.dir + "/hooks.d"},
		"skipSandboxes": skipSandboxes,
	})
}

// testPodHookFile: a hook file's hooks run twice for a pod with one container, because sandboxes get them too. Those of
// a directory run once.
func testPodHookFile(t *testing.T, k kubelet, c container) {
	writeHooks(t, c, false)
	sandbox, container := k.runPod(t, c)
	wantCalls(t, c, map[string]string{sandbox: "sandbox", container: "container"}, []string{
		"createRuntime of the sandbox",
		"createRuntime of the container", "10-always.json of the container",
		"poststop of the container", "poststop of the sandbox",
	})
}

// testPodSkipSandboxes: with skipSandboxes, sandboxes do not get the hook file's hooks.
func testPodSkipSandboxes(t *testing.T, k kubelet, c container) {
	writeHooks(t, c, true)
	sandbox, container := k.runPod(t, c)
	wantCalls(t, c, map[string]string{sandbox: "sandbox", container: "container"}, []string{
		"createRuntime of the container", "10-always.json of the container", "poststop of the container",
	})
}

// wantCRIError checks that an error of the CRI, which kubectl describe pod shows, contains the given words.
func wantCRIError(t *testing.T, err error, message ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, words := range message {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("the CRI does not say %q: %v", words, err)
		}
	}
}

func testPodRefused(t *testing.T, k kubelet, c container) {
	c.profile.write(t, broken)
	_, err := k.runSandbox(t, c)
	wantCRIError(t, err, brokenMessage(c.profile)...)
}

// testPodRefusedByDirectory: a broken directory also keeps a sandbox from starting, although it would get no hook from
// it.
func testPodRefusedByDirectory(t *testing.T, k kubelet, c container) {
	rules := c.dir + "/hooks.d"
	writeRule(t, rules, "10-malformed.json", malformed)
	c.profile.writeJSON(t, map[string]any{"runtime": c.profile.runtime, "hooksDirs": []string{rules}})
	_, err := k.runSandbox(t, c)
	wantCRIError(t, err, malformedMessage(rules+"/10-malformed.json")...)
}

// testPodContainerRefused: the directory breaks while the sandbox runs. The container does not start, and the pod can
// be removed.
func testPodContainerRefused(t *testing.T, k kubelet, c container) {
	rules := c.dir + "/hooks.d"
	writeRule(t, rules, "README", "empty so far")
	c.profile.writeJSON(t, map[string]any{"runtime": c.profile.runtime, "hooksDirs": []string{rules}})
	sandbox, err := k.runSandbox(t, c)
	if err != nil {
		t.Fatal(err)
	}
	writeRule(t, rules, "10-malformed.json", malformed)
	_, err = k.runContainer(t, sandbox, c.command(sleeping(c.dir)))
	wantCRIError(t, err, malformedMessage(rules+"/10-malformed.json")...)
	k.removePod(t, sandbox)
}
