// Package cluster takes docs/kubernetes.md step by step through real Kubernetes clusters, of one node and of three. A
// cluster is etcd, API server, controller manager and scheduler, and for each node kubelet, systemd and containerd, in
// namespaces of their own (cluster.sh, node.sh).
//
// `make test-cluster` runs it. It is not part of `make test`, because building its programs takes some 20 minutes,
// once.
package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	profile   = "record-stages"
	namespace = "oci-add-hooks-" + profile
	label     = "oci-add-hooks/" + profile
	image     = "registry.example.com/oci-add-hooks"
	records   = "/var/log/container-stages.log" // on the node, written by the example's hooks
)

func TestCluster(t *testing.T) {
	for _, containerd := range []string{"2", "1"} {
		t.Run("containerd "+containerd, func(t *testing.T) { rollOut(t, start(t, containerd, 1)) })
	}
}

// TestManyNodes follows the section of that name in docs/kubernetes.md.
func TestManyNodes(t *testing.T) { pace(t, start(t, "2", 3)) }

// cluster is a running cluster, and the copy of deploy/kubernetes that is applied to it.
type cluster struct {
	*testing.T
	deploy string
	nodes  []string
}

func start(t *testing.T, containerd string, nodes int) cluster {
	c := cluster{T: t, deploy: filepath.Join(t.TempDir(), "kubernetes")}
	for i := range nodes {
		c.nodes = append(c.nodes, fmt.Sprint("node", i+1))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.output("./admin.sh", "kubectl", "get", "pods,nodes,events", "-A", "-o", "wide"))
		}
		c.do("./cluster.sh", "down")
	})
	c.do("./cluster.sh", "up", containerd, fmt.Sprint(nodes))
	if err := os.CopyFS(c.deploy, os.DirFS("../../deploy/kubernetes")); err != nil {
		t.Fatal(err)
	}
	return c
}

// rollOut takes a profile through its life on a cluster of one node, in the order of docs/kubernetes.md.
func rollOut(t *testing.T, c cluster) {
	before := c.snapshot("node1")
	c.kubectl("run", "plain", "--image=busybox:stable", "--restart=Never", "--", "sleep", "3600")
	c.kubectl("wait", "--for=condition=Ready", "pod/plain", "--timeout=120s")

	t.Log("rollout")
	c.pushImage("1")
	c.apply()
	c.kubectl("label", "node", "node1", label+"=install")
	c.rolledOut("install")
	log := c.kubectl("-n", namespace, "logs", "daemonset/"+profile+"-install", "-c", "install")
	if !strings.Contains(log, "/opt/oci-add-hooks/bin/oci-add-hooks") || !strings.Contains(log, "this node is ready") {
		t.Errorf("the log of the installer is incomplete:\n%s", log)
	}
	c.kubectl("apply", "-f", c.deploy+"/example/pod.yaml")
	c.kubectl("wait", "--for=condition=Ready", "pod/example", "--timeout=120s")
	c.hasRun("createRuntime")

	// The features come from containerd through the kubelet: pods may ask of the handler what they may ask of runc.
	// containerd 1.6 reports none for either. The kubelet writes them some time after the handler's first pod.
	c.eventually("the node's status has the features of runc for the handler too", func() bool {
		return c.handler(profile) == c.handler("runc")
	})
	c.Run("user namespace", func(t *testing.T) { c.with(t).userNamespace() })
	c.Run("recursive read-only mount", func(t *testing.T) { c.with(t).recursiveReadOnly() })

	t.Log("hooks changed")
	changed := c.hooks()
	changed.Hooks["poststart"] = []hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo changed >>" + records}}}
	c.setHooks(changed)
	c.apply()
	c.rolledOut("install")
	c.run("second")
	c.hasRun("changed")

	t.Log("image upgraded")
	pid := c.pid("example")
	c.pushImage("2")
	c.apply()
	c.rolledOut("install")
	if now := c.pid("example"); now != pid {
		t.Errorf("the running pod is now process %s, and was %s", now, pid)
	}
	c.run("third")

	t.Log("hook file broken: neither it nor the programs of another image are copied")
	installed := c.installed("node1")
	broken := c.hooks()
	broken.Hooks["poststart"] = []hook{{Path: "relative/path"}}
	c.setHooks(broken)
	c.pushImage("3")
	c.apply()
	c.installerSays("not absolute")
	if diff := cmp.Diff(installed, c.installed("node1")); diff != "" {
		t.Errorf("the node was changed:\n%s", diff)
	}
	c.run("fourth") // with the profile that the node had
	c.setHooks(changed)
	c.apply()
	c.rolledOut("install")

	t.Log("failing hook: the canary keeps it off the node")
	installed = c.installed("node1")
	c.setHooks(failing())
	c.apply()
	c.installerSays("the canary", "no device")
	c.run("fifth")
	c.setHooks(changed)
	c.apply()
	c.rolledOut("install")
	if diff := cmp.Diff(installed, c.installed("node1")); diff != "" {
		t.Errorf("the node was changed:\n%s", diff)
	}

	t.Log("profile broken on the node: its pods cannot be stopped, the probe says so, and it is repaired")
	const file = "/etc/oci-add-hooks/" + profile + ".json"
	c.on("node1", "truncate", "--size=10", file) // before its "runtime"
	c.kubectl("delete", "pod", "second", "--wait=false", "--grace-period=1")
	c.eventually("the probe says what differs", func() bool {
		return strings.Contains(c.kubectl("-n", namespace, "describe", "pods"), file+": it was changed since it was installed")
	})
	if status := c.output("./node.sh", "enter", "node1", "/opt/oci-add-hooks/bin/hookctl", "node", "status", "--profile", profile); !strings.Contains(status, "it was changed since it was installed") {
		t.Errorf("hookctl node status does not say what differs:\n%s", status)
	}
	if pods := c.kubectl("get", "pods"); !strings.Contains(pods, "second") {
		t.Errorf("the pod second ended without its runtime:\n%s", pods)
	}
	c.on("node1", "rm", file)
	c.kubectl("-n", namespace, "delete", "pods", "-l", "app.kubernetes.io/component=install")
	c.rolledOut("install")
	c.kubectl("wait", "--for=delete", "pod/second", "--timeout=120s")

	t.Log("removal with a running pod")
	c.kubectl("label", "nodes", "-l", label+"=install", label+"=remove", "--overwrite")
	c.eventually("the remover waits for the pod, by its name", func() bool {
		return strings.Contains(c.output("./admin.sh", "kubectl", "-n", namespace, "logs", "daemonset/"+profile+"-remove", "-c", "remove"), "default/example/main, ")
	})
	c.kubectl("delete", "pod", "example", "third", "fourth", "fifth", "--grace-period=1")
	c.rolledOut("remove")
	c.kubectl("label", "nodes", "-l", label+"=remove", label+"-")
	c.setHooks(failing()) // edited but not applied: its ConfigMap has another name
	c.kubectl("delete", "-k", c.deploy, "--ignore-not-found")
	c.kubectl("wait", "--for=condition=Ready", "pod/plain", "--timeout=60s")
	c.kubectl("delete", "pod", "plain", "--grace-period=1")
	c.eventually("the pods' directories are gone", func() bool {
		return c.kubectl("get", "pods", "-A", "-o", "name") == ""
	})
	c.on("node1", "rm", "-f", records) // written by the example's hooks
	c.isAsBefore("node1", before)
}

// userNamespace runs pods that have a user namespace.
func (c cluster) userNamespace() {
	c.feature("userNamespaces", "userns", "default", `
		"hostUsers": false,
		"volumes": [{"name": "data", "emptyDir": {}}],
		"containers": [{
			"name": "main", "image": "busybox:stable", "args": ["sleep", "3600"],
			"volumeMounts": [{"name": "data", "mountPath": "/data"}]}]`,
		`read -r first outside rest </proc/self/uid_map && [ $first = 0 ] && [ $outside != 0 ] && touch /data/file`)
}

// recursiveReadOnly runs pods with a directory of the node in which something else is mounted.
func (c cluster) recursiveReadOnly() {
	c.on("node1", "sh", "-c", "mkdir -p /tmp/tree/sub && mount -t tmpfs tmpfs /tmp/tree/sub")
	c.feature("recursiveReadOnlyMounts", "rro", "kube-system", `
		"volumes": [{"name": "tree", "hostPath": {"path": "/tmp/tree"}}],
		"containers": [{
			"name": "main", "image": "busybox:stable", "args": ["sleep", "3600"],
			"volumeMounts": [{"name": "tree", "mountPath": "/tree", "readOnly": true, "recursiveReadOnly": "Enabled"}]}]`,
		`[ -d /tree/sub ] && ! touch /tree/sub/file`)
}

// feature runs a pod with runc and one with the handler, and in each a command that succeeds if the pod has what its spec
// asks for. If the pod does not start with runc, the test is skipped, with the reason from Kubernetes. It waits for less
// time if the node's status does not have the feature.
func (c cluster) feature(feature, name, namespace, spec, has string) {
	c.Helper()
	timeout := "60s"
	if !strings.Contains(c.handler("runc"), feature) {
		timeout = "15s"
	}
	for _, class := range []string{"null", strconv.Quote(profile)} {
		if class != "null" {
			name += "-" + profile
		}
		manifest := filepath.Join(c.TempDir(), "pod.json")
		text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": %q, "namespace": %q}, "spec": {"runtimeClassName": %s, %s}}`,
			name, namespace, class, spec)
		if err := os.WriteFile(manifest, []byte(text), 0o644); err != nil {
			c.Fatal(err)
		}
		c.kubectl("apply", "-f", manifest)
		defer c.kubectl("delete", "-f", manifest, "--grace-period=1")
		waits := exec.Command("./admin.sh", "kubectl", "wait", "--for=condition=Ready", "--timeout="+timeout, "-f", manifest)
		switch out, err := waits.CombinedOutput(); {
		case err != nil && class == "null":
			c.Skip(c.kubectl("-n", namespace, "get", "events", "--field-selector", "type=Warning,reason!=MissingClusterDNS,involvedObject.name="+name,
				"-o", "jsonpath={.items[*].message}"))
		case err != nil:
			c.Fatalf("%s\n%s", out, c.output("./admin.sh", "kubectl", "describe", "-f", manifest))
		}
		c.kubectl("-n", namespace, "exec", name, "--", "sh", "-c", has)
		if class != "null" {
			c.hasRun(`"io.kubernetes.cri.sandbox-name":"` + name + `"`)
		}
	}
}

// pace rolls a profile out to several nodes, one at a time.
func pace(t *testing.T, c cluster) {
	before := map[string]string{}
	for _, node := range c.nodes {
		before[node] = c.snapshot(node)
	}
	untouched := func() {
		t.Helper()
		for _, node := range c.nodes {
			c.isAsBefore(node, before[node])
		}
	}
	c.pushImage("1")

	t.Log("hold: a node that cannot be installed reports that, and no node is changed")
	const file = "/etc/oci-add-hooks/" + profile + ".json"
	c.on("node2", "sh", "-c", "mkdir /etc/oci-add-hooks && echo {} >"+file)
	c.hold(true)
	c.apply()
	c.kubectl("label", "nodes", "--all", label+"=install")
	c.installerSays(file + " is not as hookctl wrote it")
	c.eventually("the others could be installed", func() bool { return c.ready("install") == "2" })
	c.on("node2", "rm", "-r", "/etc/oci-add-hooks")
	c.rolledOut("install")
	untouched()

	t.Log("release: one node at a time")
	c.hold(false)
	c.apply()
	c.rolledOut("install")
	c.oneAtATime("install")

	t.Log("failing hooks stop the rollout, which is undone")
	installed := map[string]string{}
	for _, node := range c.nodes {
		installed[node] = c.installed(node)
	}
	c.setHooks(failing())
	c.apply()
	c.installerSays("the canary", "no device")
	if ready := c.ready("install"); ready != "2" {
		t.Errorf("%s nodes are ready, not the 2 whose turn has not come", ready)
	}
	c.do("sed", "-i", "s/maxUnavailable: 1/maxUnavailable: 2/", c.deploy+"/install.yaml")
	c.apply()
	c.eventually("the rollout takes up another maxUnavailable", func() bool { return c.ready("install") == "1" })
	c.kubectl("-n", namespace, "rollout", "undo", "daemonset/"+profile+"-install")
	c.rolledOut("install")
	for _, node := range c.nodes {
		if diff := cmp.Diff(installed[node], c.installed(node)); diff != "" {
			t.Errorf("%s was changed:\n%s", node, diff)
		}
	}

	t.Log("removal: one node at a time")
	c.hold(true)
	c.apply()
	c.kubectl("label", "nodes", "--all", label+"=remove", "--overwrite")
	c.rolledOut("remove")
	for _, node := range c.nodes {
		if diff := cmp.Diff(installed[node], c.installed(node)); diff != "" {
			t.Errorf("%s was changed:\n%s", node, diff)
		}
	}
	c.hold(false)
	c.apply()
	c.rolledOut("remove")
	c.oneAtATime("remove")
	c.kubectl("label", "nodes", "--all", label+"-")
	c.kubectl("delete", "-k", c.deploy, "--ignore-not-found")
	for _, node := range c.nodes {
		c.on(node, "rm", "-f", records) // written by the canary's hooks
	}
	untouched()
}

// hold adds the component hold to the kustomization, or removes it.
func (c cluster) hold(on bool) {
	held, released := "\ncomponents:\n  - hold\n", "\n# components:\n#   - hold\n"
	if on {
		held, released = released, held
	}
	path := c.deploy + "/kustomization.yaml"
	text, err := os.ReadFile(path)
	if err == nil && !strings.Contains(string(text), held) {
		err = fmt.Errorf("%s does not contain %q", path, held)
	}
	if err == nil {
		err = os.WriteFile(path, []byte(strings.Replace(string(text), held, released, 1)), 0o644)
	}
	if err != nil {
		c.Fatal(err)
	}
}

// oneAtATime checks that each node restarted its containerd during its turn, which lasts from the creation of its pod
// until the pod is ready, and that no two turns overlapped.
func (c cluster) oneAtATime(which string) {
	c.Helper()
	var pods struct {
		Items []struct {
			Metadata struct{ CreationTimestamp time.Time }
			Spec     struct{ NodeName string }
			Status   struct {
				Conditions []struct {
					Type               string
					LastTransitionTime time.Time
				}
			}
		}
	}
	text := c.kubectl("-n", namespace, "get", "pods", "-l", "app.kubernetes.io/component="+which, "--sort-by=.metadata.creationTimestamp", "-o", "json")
	if err := json.Unmarshal([]byte(text), &pods); err != nil {
		c.Fatal(err)
	}
	if len(pods.Items) != len(c.nodes) {
		c.Fatalf("there are %d pods, not %d", len(pods.Items), len(c.nodes))
	}
	var last time.Time
	for _, pod := range pods.Items {
		created, node := pod.Metadata.CreationTimestamp, pod.Spec.NodeName
		var ready time.Time
		for _, condition := range pod.Status.Conditions {
			if condition.Type == "Ready" {
				ready = condition.LastTransitionTime
			}
		}
		var seconds int64
		if _, err := fmt.Sscanf(c.on(node, "systemctl", "show", "containerd", "-p", "ActiveEnterTimestamp", "--timestamp=unix"), "ActiveEnterTimestamp=@%d", &seconds); err != nil {
			c.Fatal(err)
		}
		restarted := time.Unix(seconds, 0)
		c.Logf("%s: created %s, containerd restarted %s, ready %s", node, created.Format(time.TimeOnly), restarted.UTC().Format(time.TimeOnly), ready.Format(time.TimeOnly))
		if created.Before(last) || restarted.Before(created) || ready.Before(restarted) {
			c.Errorf("the turn of %s overlapped with another", node)
		}
		last = ready
	}
}

// ready returns on how many nodes a DaemonSet's pods are ready.
func (c cluster) ready(which string) string {
	return c.kubectl("-n", namespace, "get", "daemonset", profile+"-"+which, "-o", "jsonpath={.status.numberReady}")
}

// hookFile holds the members of deploy/kubernetes/hooks.json that are used here.
type hookFile struct {
	Runtime       string            `json:"runtime,omitempty"`
	SkipSandboxes bool              `json:"skipSandboxes,omitempty"`
	Hooks         map[string][]hook `json:"hooks"`
}

type hook struct {
	Path    string   `json:"path"`
	Args    []string `json:"args,omitempty"`
	Env     []string `json:"env,omitempty"`
	Timeout int      `json:"timeout,omitempty"`
}

func (c cluster) hooks() (f hookFile) {
	text, err := os.ReadFile(c.deploy + "/hooks.json")
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		err = d.Decode(&f)
	}
	if err != nil {
		c.Fatal(err)
	}
	return f
}

func (c cluster) setHooks(f hookFile) {
	text, err := json.Marshal(f)
	if err == nil {
		err = os.WriteFile(c.deploy+"/hooks.json", text, 0o644)
	}
	if err != nil {
		c.Fatal(err)
	}
}

// failing returns a hook file whose hook fails.
func failing() hookFile {
	return hookFile{Runtime: "runc", Hooks: map[string][]hook{
		"createRuntime": {{Path: "/bin/sh", Args: []string{"sh", "-c", "echo no device >&2; exit 3"}}},
	}}
}

// pushImage builds the image with a tag, pushes it, and has the manifests use it.
func (c cluster) pushImage(tag string) {
	c.do("./admin.sh", "make", "-C", "../..", "image", "IMAGE="+image+":"+tag, "VERSION=v0.0."+tag)
	c.do("./admin.sh", "docker", "push", image+":"+tag)
	c.do("sed", "-i", `s/newTag: .*/newTag: "`+tag+`"/`, c.deploy+"/kustomization.yaml")
}

// apply applies the manifests. The API server must not warn about them.
func (c cluster) apply() {
	c.Helper()
	if said := c.output("./admin.sh", "kubectl", "apply", "-k", c.deploy); strings.Contains(said, "Warning") || !strings.HasSuffix(said, "<nil>") {
		c.Fatalf("kubectl apply -k: %s", said)
	}
}

// installerSays waits until `kubectl describe pods` shows that an installer has failed, and the reason.
func (c cluster) installerSays(words ...string) {
	c.Helper()
	c.eventually(fmt.Sprintf("an installer fails, and says %q", words), func() bool {
		said := c.kubectl("-n", namespace, "get", "pods", "-o", "jsonpath={.items[*].status.initContainerStatuses[*].lastState.terminated.message}")
		for _, word := range words {
			if !strings.Contains(said, word) {
				return false
			}
		}
		return true
	})
}

// snapshot returns the files of a node.
func (c cluster) snapshot(node string) string { return c.do("./node.sh", "snapshot", node) }

// isAsBefore checks that a node has the same files as before.
func (c cluster) isAsBefore(node, before string) {
	c.Helper()
	if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(c.snapshot(node), "\n")); diff != "" {
		c.Errorf("%s was not restored:\n%s", node, diff)
	}
}

// installed returns the checksums of what is installed on a node.
func (c cluster) installed(node string) string {
	return c.on(node, "sh", "-c", "sha256sum /opt/oci-add-hooks/bin/* /etc/oci-add-hooks/* /etc/containerd/config.toml")
}

// on runs a command on a node, and returns its standard output.
func (c cluster) on(node string, command ...string) string {
	c.Helper()
	return c.do("./node.sh", append([]string{"enter", node}, command...)...)
}

// with returns the cluster for a subtest.
func (c cluster) with(t *testing.T) cluster {
	c.T = t
	return c
}

// rolledOut waits until a DaemonSet's pods have its current template and are ready.
func (c cluster) rolledOut(which string) {
	c.kubectl("-n", namespace, "rollout", "status", "daemonset/"+profile+"-"+which, "--timeout=300s")
}

// run starts a pod with the handler, and waits until it is ready. While a canary tries other hooks, its container may
// have to be started again.
func (c cluster) run(name string) {
	c.kubectl("run", name, "--image=busybox:stable", "--overrides", c.overrides(), "--", "sleep", "3600")
	c.kubectl("wait", "--for=condition=Ready", "pod/"+name, "--timeout=120s")
}

func (cluster) overrides() string {
	return fmt.Sprintf(`{"spec": {"runtimeClassName": %q}}`, profile)
}

// hasRun checks that the hooks' record on the node has each of the words.
func (c cluster) hasRun(words ...string) {
	text := c.on("node1", "cat", records)
	for _, word := range words {
		if !strings.Contains(text, word) {
			c.Errorf("no hook has written %q:\n%s", word, text)
		}
	}
}

// handler returns the features of a handler in the node's status.
func (c cluster) handler(name string) string {
	return c.kubectl("get", "node", "node1", "-o", `jsonpath={.status.runtimeHandlers[?(@.name=="`+name+`")].features}`)
}

// pid returns the PID of a pod's container on the node.
func (c cluster) pid(pod string) string {
	id := c.kubectl("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].containerID}")
	id = strings.TrimPrefix(id, "containerd://")
	return c.on("node1", "cat", "/run/containerd/io.containerd.runtime.v2.task/k8s.io/"+id+"/init.pid")
}

func (c cluster) kubectl(args ...string) string {
	return c.do("./admin.sh", append([]string{"kubectl"}, args...)...)
}

// do runs a command, which must succeed, and returns its standard output.
func (c cluster) do(name string, args ...string) string {
	c.Helper()
	cmd := exec.Command(name, args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		c.Fatalf("%v: %v\n%s%s", cmd, err, &stdout, &stderr)
	}
	return stdout.String()
}

// output runs a command and returns its output, also if it fails.
func (c cluster) output(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	return fmt.Sprintf("%s%v", out, err)
}

// eventually waits until holds returns true, for at most 5 minutes.
func (c cluster) eventually(what string, holds func() bool) {
	c.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !holds(); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			c.Fatalf("not within 5 minutes: %s", what)
		}
	}
}
