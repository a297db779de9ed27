// Package cluster takes docs/kubernetes.md step by step through a real Kubernetes cluster of one node: etcd, API server,
// controller manager, scheduler, kubelet, systemd and containerd, in namespaces of their own (cluster.sh, node.sh).
//
// It is not part of `make test`: its programs take some 20 minutes to build, once. `make test-cluster` runs it.
package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
		t.Run("containerd "+containerd, func(t *testing.T) { rollOut(t, start(t, containerd)) })
	}
}

// cluster is a cluster that runs, and the copy of deploy/kubernetes that is applied to it.
type cluster struct {
	*testing.T
	deploy string
}

func start(t *testing.T, containerd string) cluster {
	c := cluster{t, filepath.Join(t.TempDir(), "kubernetes")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.output("./admin.sh", "kubectl", "get", "pods,nodes,events", "-A", "-o", "wide"))
		}
		c.do("./cluster.sh", "down")
	})
	c.do("./cluster.sh", "up", containerd)
	if err := os.CopyFS(c.deploy, os.DirFS("../../deploy/kubernetes")); err != nil {
		t.Fatal(err)
	}
	return c
}

// rollOut is the life of a profile on a cluster, in the order of docs/kubernetes.md.
func rollOut(t *testing.T, c cluster) {
	before := c.do("./node.sh", "snapshot")
	c.kubectl("run", "plain", "--image=busybox:stable", "--restart=Never", "--", "sleep", "3600")
	c.kubectl("wait", "--for=condition=Ready", "pod/plain", "--timeout=120s")

	t.Log("rollout")
	c.pushImage("1")
	c.apply()
	c.kubectl("label", "node", "node1", label+"=install")
	c.rolledOut("install")
	log := c.kubectl("-n", namespace, "logs", "daemonset/"+profile+"-install", "-c", "install")
	if !strings.Contains(log, "/opt/oci-add-hooks/bin/oci-add-hooks") || !strings.Contains(log, "this node is ready") {
		t.Errorf("the log of the installer is not whole:\n%s", log)
	}
	c.kubectl("apply", "-f", c.deploy+"/example/pod.yaml")
	c.kubectl("wait", "--for=condition=Ready", "pod/example", "--timeout=120s")
	c.hasRun("createRuntime")
	// As the kubelet has it from containerd: what pods may ask of the handler is what they may ask of runc. containerd 1.6
	// says nothing of either.
	if own, runc := c.handler(profile), c.handler("runc"); own != runc {
		t.Errorf("the node's status has %q of the handler, and %q of runc", own, runc)
	}

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
		t.Errorf("the pod that ran is now process %s, and was %s", now, pid)
	}
	c.run("third")

	t.Log("hook file broken")
	broken := c.hooks()
	broken.Hooks["poststart"] = []hook{{Path: "relative/path"}}
	c.setHooks(broken)
	c.apply()
	c.eventually("the installer fails", func() bool {
		return strings.Contains(c.kubectl("-n", namespace, "describe", "pods"), "not absolute")
	})
	c.run("fourth") // by the profile that the node had
	c.setHooks(changed)
	c.apply()
	c.rolledOut("install")

	t.Log("hook that fails: the canary keeps it off the node")
	failing := changed
	failing.Hooks = map[string][]hook{"createRuntime": {{Path: "/bin/sh", Args: []string{"sh", "-c", "echo no device >&2; exit 3"}}}}
	c.setHooks(failing)
	c.apply()
	c.eventually("the installer says which hook fails", func() bool {
		said := c.kubectl("-n", namespace, "describe", "pods")
		return strings.Contains(said, "the canary") && strings.Contains(said, "no device")
	})
	c.run("fifth")
	c.setHooks(changed)
	c.apply()
	c.rolledOut("install")

	t.Log("removal with a running pod")
	c.kubectl("label", "nodes", "-l", label+"=install", label+"=remove", "--overwrite")
	c.eventually("the remover waits for the pod, by its name", func() bool {
		return strings.Contains(c.output("./admin.sh", "kubectl", "-n", namespace, "logs", "daemonset/"+profile+"-remove", "-c", "remove"), "example")
	})
	c.kubectl("delete", "pod", "example", "second", "third", "fourth", "fifth", "--grace-period=1")
	c.rolledOut("remove")
	c.kubectl("label", "nodes", "-l", label+"=remove", label+"-")
	c.kubectl("delete", "-k", c.deploy, "--ignore-not-found")
	c.kubectl("wait", "--for=condition=Ready", "pod/plain", "--timeout=60s")
	c.kubectl("delete", "pod", "plain", "--grace-period=1")
	c.eventually("the pods' directories are gone", func() bool {
		return c.kubectl("get", "pods", "-A", "-o", "name") == ""
	})
	c.do("./node.sh", "enter", "rm", "-f", records) // the example's hooks wrote it
	if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(c.do("./node.sh", "snapshot"), "\n")); diff != "" {
		t.Errorf("the node is not as it was:\n%s", diff)
	}
}

// hookFile is deploy/kubernetes/hooks.json.
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

// pushImage builds the image with a tag, and has the manifests use it.
func (c cluster) pushImage(tag string) {
	c.do("./admin.sh", "make", "-C", "../..", "image", "IMAGE="+image+":"+tag, "VERSION=v0.0."+tag)
	c.do("./admin.sh", "docker", "push", image+":"+tag)
	c.do("./admin.sh", "sh", "-c", `cd "$0" && kustomize edit set image oci-add-hooks="$1"`, c.deploy, image+":"+tag)
}

func (c cluster) apply() { c.kubectl("apply", "-k", c.deploy) }

// rolledOut waits until a DaemonSet's pods are as it has them now, and ready.
func (c cluster) rolledOut(which string) {
	c.kubectl("-n", namespace, "rollout", "status", "daemonset/"+profile+"-"+which, "--timeout=300s")
}

// run starts a pod by the handler, and waits until it is ready. While a canary tries other hooks, its container may have to
// be started again.
func (c cluster) run(name string) {
	c.kubectl("run", name, "--image=busybox:stable", "--overrides", c.overrides(), "--", "sleep", "3600")
	c.kubectl("wait", "--for=condition=Ready", "pod/"+name, "--timeout=120s")
}

func (cluster) overrides() string {
	return fmt.Sprintf(`{"spec": {"runtimeClassName": %q}}`, profile)
}

// hasRun checks that the hooks' record on the node has each of the words.
func (c cluster) hasRun(words ...string) {
	text := c.do("./node.sh", "enter", "cat", records)
	for _, word := range words {
		if !strings.Contains(text, word) {
			c.Errorf("no hook has written %q:\n%s", word, text)
		}
	}
}

// handler returns the features that the node's status has of a handler.
func (c cluster) handler(name string) string {
	return c.kubectl("get", "node", "node1", "-o", `jsonpath={.status.runtimeHandlers[?(@.name=="`+name+`")].features}`)
}

// pid returns the process that a pod's container is on the node.
func (c cluster) pid(pod string) string {
	id := c.kubectl("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].containerID}")
	id = strings.TrimPrefix(id, "containerd://")
	return c.do("./node.sh", "enter", "cat", "/run/containerd/io.containerd.runtime.v2.task/k8s.io/"+id+"/init.pid")
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

// output runs a command, and returns what it prints, whatever becomes of it.
func (c cluster) output(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	return fmt.Sprintf("%s%v", out, err)
}

// eventually waits until something holds, 5 minutes at most.
func (c cluster) eventually(what string, holds func() bool) {
	c.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !holds(); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			c.Fatalf("not within 5 minutes: %s", what)
		}
	}
}
