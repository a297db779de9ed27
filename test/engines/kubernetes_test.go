package engines

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"sigs.k8s.io/yaml"
)

// TestKubernetes does on one node what deploy/kubernetes does on each. Docker builds the image and runs it as the
// manifests of the DaemonSets say. The sandbox is the node, with a containerd at its usual paths; pods are started
// through the CRI. The steps build on each other.
func TestKubernetes(t *testing.T) {
	need(t, "dockerd", "docker", "runc", "make", "go")
	d := startDocker(t, nil) // before withEach, because it needs the containerd that belongs to it
	leaf(t, "image", func(t *testing.T) { testNodeImage(t, d) })
	if t.Failed() {
		return
	}
	withEach(t, func(t *testing.T) { testNode(t, startNode(t, d)) }, "containerd", "containerd-shim-runc-v2", "ctr")
}

func testNode(t *testing.T, n *node) {
	before := listing(t)
	for _, step := range []struct {
		name string
		test func(t *testing.T, n *node)
	}{
		{"runc-before", testNodeRunc},
		{"refused", testNodeRefused},
		{"install", testNodeInstall},
		{"install-again", testNodeInstallAgain},
		{"status", testNodeStatus},
		{"features", testNodeFeatures},
		{"pod", testNodePod},
		{"upgrade-and-remove-under-a-pod", testNodeUpgradeAndRemove},
		{"nothing-left", func(t *testing.T, n *node) {
			if diff := cmp.Diff(before, listing(t)); diff != "" {
				t.Errorf("the node was not restored (-before +after):\n%s", diff)
			}
		}},
		{"runc-after", testNodeRunc},
		{"remove-again", testNodeRemoveAgain},
		{"interrupted", testNodeInterrupted},
		{"wait", testNodeWait},
	} {
		if t.Failed() {
			return
		}
		leaf(t, step.name, func(t *testing.T) { step.test(t, n) })
	}
}

// A node is the sandbox as a node of a cluster, without a kubelet.
type node struct {
	t      *testing.T // what a step starts belongs to it, and so outlives the step
	docker docker
	cri    kubelet
	ctr    containerd
	daemon *exec.Cmd   // containerd
	asked  chan string // the arguments of each call of systemctl
	done   *os.File    // tells systemctl that the test has done what it asked
}

// images are the images that are built: that of deploy/kubernetes, and the next version.
var images = []string{"localhost/oci-add-hooks:one", "localhost/oci-add-hooks:two"}

// startNode mounts directories of the sandbox over the machine's directories that the tests change, and starts
// containerd. A program that asks the test replaces systemctl, because systemd runs nothing here.
func startNode(t *testing.T, d docker) *node {
	t.Helper()
	dir := scratch(t)
	for _, path := range []string{"/etc", "/opt", "/var", "/usr/local"} {
		over := dir + "/over/" + strings.ReplaceAll(path, "/", "-")
		for _, directory := range []string{over + "/upper", over + "/work"} {
			if err := os.MkdirAll(directory, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := syscall.Mount("overlay", path, "overlay", 0, "lowerdir="+path+",upperdir="+over+"/upper,workdir="+over+"/work"); err != nil {
			skip(t, "needs overlay file systems: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	// As systemd mounts it, and as mountPropagation requires.
	propagate(t, syscall.MS_SHARED)
	t.Cleanup(func() { propagate(t, syscall.MS_PRIVATE) })
	major := containerdMajor(t)
	for path, text := range map[string]string{
		"/etc/containerd/config.toml": fmt.Sprintf(`# This is ours.
version   = %d
%s
[grpc]
  address = "%s/containerd.sock" # without a line feed at the end`, major+1, criConfig[major].config, dir),
		"/usr/local/sbin/systemctl": fmt.Sprintf(`#!/bin/sh
[ "$SYSTEMD_IGNORE_CHROOT" = 1 ] || exit 0 # it would do nothing
echo "$*" >%[1]s/asked && read -r answer <%[1]s/done
`, dir),
	} {
		write(t, path, text)
	}
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} { // the usual path
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := install(f, "/usr/local/sbin/"+name); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/etc/oci-add-hooks", "/var/lib/oci-add-hooks", "/opt/oci-add-hooks", "/etc/containerd/conf.d"} {
		if err := os.RemoveAll(path); err != nil { // the machine's
			t.Fatal(err)
		}
	}
	n := &node{t: t, docker: d, ctr: containerd{"/etc/containerd/config.toml", dir + "/containerd.sock", "k8s.io"}, asked: make(chan string)}
	for _, name := range []string{"asked", "done"} {
		if err := syscall.Mkfifo(dir+"/"+name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	asked, err := os.OpenFile(dir+"/asked", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n.done, err = os.OpenFile(dir+"/done", os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { asked.Close(); n.done.Close() })
	go func() {
		for lines := bufio.NewScanner(asked); lines.Scan(); {
			n.asked <- lines.Text()
		}
	}()
	n.start(t)
	n.ctr.load(t, imageArchive(t, "/bin/sleep", "1000"))
	n.cri = connect(t, n.ctr)
	n.wantReady(t)
	return n
}

func propagate(t *testing.T, how uintptr) {
	t.Helper()
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|how, ""); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755)); err != nil {
		t.Fatal(err)
	}
}

// start starts containerd in a cgroup with the name that the cgroup of its systemd unit has.
func (n *node) start(t *testing.T) {
	t.Helper()
	n.daemon = exec.Command("containerd")
	startDaemon(n.t, n.daemon, func() string {
		if o := do(t, n.ctr.command("version")); o.code != 0 {
			return o.said()
		}
		return ""
	})
	inUnit(t, n.daemon.Process.Pid, "containerd.service")
}

// restart restarts containerd as systemd does: the shims stay.
func (n *node) restart(t *testing.T) {
	t.Helper()
	pid := n.daemon.Process.Pid
	n.daemon.Process.Signal(syscall.SIGTERM)
	eventually(t, "containerd to end", func() string {
		if err := syscall.Kill(pid, 0); err == nil {
			return "it runs"
		}
		return ""
	})
	n.start(t)
	n.wantReady(t)
}

func (n *node) wantReady(t *testing.T) {
	t.Helper()
	eventually(t, "containerd's CRI", func() string {
		r, err := n.cri.Status(patient(t), &cri.StatusRequest{})
		if err != nil {
			return err.Error()
		}
		for _, c := range r.Status.Conditions {
			if c.Type == "RuntimeReady" && c.Status {
				return ""
			}
		}
		return r.String()
	})
}

// A manifest holds the members of a DaemonSet of deploy/kubernetes that are read here.
type manifest struct {
	HostPID        bool
	InitContainers []manifestContainer
	Containers     []manifestContainer
	Volumes        []struct {
		Name     string
		HostPath struct{ Path string }
	}
}

type manifestContainer struct {
	Args            []string
	SecurityContext struct {
		Privileged   bool
		RunAsUser    int
		Capabilities struct{ Drop []string }
	}
	VolumeMounts   []struct{ Name, MountPath, MountPropagation string }
	ReadinessProbe struct{ Exec struct{ Command []string } }
}

// source returns the path of a volume; empty for the ConfigMap.
func (m manifest) source(volume string) string {
	for _, v := range m.Volumes {
		if v.Name == volume {
			return v.HostPath.Path
		}
	}
	return ""
}

func readManifest(t *testing.T, name string) manifest {
	t.Helper()
	text, err := os.ReadFile("../../deploy/kubernetes/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Spec struct{ Template struct{ Spec manifest } }
	}
	if err := yaml.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	return set.Spec.Template.Spec
}

// A nodeWork is a running init container of deploy/kubernetes.
type nodeWork struct {
	*exec.Cmd
	name           string
	stdout, stderr *os.File
	ended          chan error
}

// begin runs the init container of a DaemonSet, with hooks in place of its ConfigMap.
func (n *node) begin(t *testing.T, name, image, hooks string) *nodeWork {
	t.Helper()
	pod := readManifest(t, name)
	w := &nodeWork{name: "init-" + filepath.Base(scratch(t)), ended: make(chan error, 1)}
	args := []string{"run", "--rm", "--name", w.name, "--network", "none"}
	if pod.HostPID {
		args = append(args, "--pid", "host")
	}
	init := pod.InitContainers[0]
	if init.SecurityContext.Privileged {
		args = append(args, privileged(t)...)
	}
	for _, m := range init.VolumeMounts {
		source, options := pod.source(m.Name), ""
		if m.MountPropagation == "HostToContainer" {
			options = ":rslave"
		}
		if source == "" { // the ConfigMap
			source, options = scratch(t), ":ro"
			write(t, source+"/hooks.json", hooks)
		}
		args = append(args, "--volume", source+":"+m.MountPath+options)
	}
	w.Cmd = n.docker.command(append(append(args, image), init.Args...)...)
	w.stdout, w.stderr = outputFile(t), outputFile(t)
	w.Stdout, w.Stderr = w.stdout, w.stderr
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { w.ended <- w.Wait() }()
	return w
}

// privileged returns Docker's options for a privileged container. Where the machine itself lacks capabilities, no
// container can have all of them.
func privileged(t *testing.T) []string {
	t.Helper()
	const sysResource = 24 // capabilities(7), as numbered in linux/capability.h
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, caps, _ := strings.Cut(string(text), "\nCapEff:\t")
	var mask uint64
	if _, err := fmt.Sscanf(caps, "%x", &mask); err != nil {
		t.Fatal(err)
	}
	if mask>>sysResource&1 == 1 {
		return []string{"--privileged"}
	}
	return []string{"--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE", "--security-opt", "seccomp=unconfined"}
}

// end waits for the end of a container, and meanwhile serves its calls of systemctl. It returns how often it restarted
// containerd.
func (n *node) end(t *testing.T, w *nodeWork) (o outcome, restarts int) {
	t.Helper()
	timeout := patient(t)
	for {
		select {
		case <-w.ended:
			return outcome{contents(t, w.stdout), contents(t, w.stderr), w.ProcessState.ExitCode()}, restarts
		case args := <-n.asked:
			if args != "restart containerd.service" {
				t.Errorf("systemctl was called with %q", args)
			}
			n.restart(t)
			restarts++
			fmt.Fprintln(n.done)
		case <-timeout.Done():
			w.Process.Kill()
			t.Fatalf("%v does not end: %s%s", w.Args, contents(t, w.stdout), contents(t, w.stderr))
		}
	}
}

// want runs a container that must succeed, restart containerd that often, and print the given words.
func (n *node) want(t *testing.T, w *nodeWork, restarts int, words ...string) {
	t.Helper()
	o, n2 := n.end(t, w)
	if o.code != 0 || n2 != restarts {
		t.Fatalf("%v: %v\ncontainerd was restarted %d times, not %d", w.Args, o, n2, restarts)
	}
	for _, text := range words {
		if !strings.Contains(o.stdout, text) {
			t.Errorf("want %q in the output: %v", text, o)
		}
	}
}

// deployedHooks returns the hook file of deploy/kubernetes.
func deployedHooks(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/kubernetes/hooks.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// listing returns the files in the directories that an installation may write to, with the text of those in /etc.
func listing(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, root := range []string{"/etc/containerd", "/etc/oci-add-hooks", "/opt", "/var/lib/oci-add-hooks", "/run/oci-add-hooks*"} {
		roots, _ := filepath.Glob(root)
		for _, root := range roots {
			if root == work {
				continue
			}
			filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err != nil {
					t.Fatal(err)
				}
				files[path] = d.Type().String()
				if strings.HasPrefix(path, "/etc/") && d.Type().IsRegular() {
					text, _ := os.ReadFile(path)
					files[path] = string(text)
				}
				return nil
			})
		}
	}
	return files
}

// testNodeImage runs make image, twice. The image holds only the programs.
func testNodeImage(t *testing.T, d docker) {
	for i, name := range images {
		cmd := exec.Command("make", "-C", "../..", "image", "IMAGE="+name, fmt.Sprintf("VERSION=v%d", i+1))
		cmd.Env = append(d.env, "DOCKER_BUILDKIT=0", "PATH="+filepath.Dir(d.cli)+":"+os.Getenv("PATH"))
		ok(t, cmd)
	}
	ok(t, d.command("create", "--name", "look", images[0]))
	archive := filepath.Join(scratch(t), "image.tar")
	ok(t, d.command("export", "--output", archive, "look"))
	ok(t, d.command("rm", "look"))
	var files []string
	for _, name := range strings.Fields(ok(t, exec.Command("tar", "-tf", archive)).stdout) {
		if !strings.HasSuffix(name, "/") && strings.HasPrefix(name, "usr/") {
			files = append(files, name)
		}
	}
	if diff := cmp.Diff([]string{"usr/local/bin/hookctl", "usr/local/bin/oci-add-hooks", "usr/local/bin/oci-run-hook"}, files); diff != "" {
		t.Errorf("what is in the image (-want +got):\n%s", diff)
	}
	if said := d.logged(t, images[0], "--version"); said != "hookctl version v1\n" {
		t.Errorf("the image's hookctl says %q", said)
	}
}

// podOf returns a pod with a handler, which runs until it is stopped.
func podOf(t *testing.T, handler string) container {
	t.Helper()
	c := container{name: "node-pod-" + handler, profile: profile{name: handler}, dir: scratch(t)}
	return c.command(sleeping(c.dir))
}

// started starts a pod with a container.
func (n *node) started(t *testing.T, handler string) (c container, sandbox, id string) {
	t.Helper()
	c = podOf(t, handler)
	sandbox, err := n.cri.runSandbox(t, c)
	if err != nil {
		t.Fatal(err)
	}
	if id, err = n.cri.runContainer(t, sandbox, c); err != nil {
		t.Fatal(err)
	}
	wantSleeping(t, c.dir)
	return c, sandbox, id
}

func (n *node) stop(t *testing.T, c container, sandbox, id string) {
	t.Helper()
	runc := runtimeState{"runc", "/run/containerd/runc/k8s.io"}
	both := []string{sandbox, id}
	if !runc.knows(sandbox) || !runc.knows(id) {
		t.Errorf("both of %q run, but runc does not know both", both)
	}
	n.cri.removeContainer(t, id)
	n.cri.removePod(t, sandbox)
	if runc.knows(sandbox) || runc.knows(id) {
		t.Errorf("runc still knows one of %q", both)
	}
	if left := n.cri.has(t, c); len(left) > 0 {
		t.Errorf("%s remains", left)
	}
}

// wantHooks checks which hooks have run, and removes the records.
func wantHooks(t *testing.T, want ...string) {
	t.Helper()
	const log = "/var/log/container-stages.log"
	read := func() (got []string) {
		text, err := os.ReadFile(log)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			stage, state, _ := strings.Cut(line, " ")
			if strings.Contains(state, "hookctl-canary-") { // the installer's own canary, recognized by its annotations
				continue
			}
			var s struct{ ID string }
			if err := json.Unmarshal([]byte(state), &s); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			got = append(got, stage+" "+s.ID)
		}
		return got
	}
	eventually(t, "the hooks", func() string {
		if got := read(); len(got) < len(want) {
			return fmt.Sprint(got)
		}
		return ""
	})
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("the hooks that ran (-want +got):\n%s", diff)
	}
	if err := os.RemoveAll(log); err != nil {
		t.Fatal(err)
	}
}

// testNodeRunc: a pod without a RuntimeClass runs, and no other handler exists.
func testNodeRunc(t *testing.T, n *node) {
	c, sandbox, id := n.started(t, "")
	n.stop(t, c, sandbox, id)
	wantHooks(t)
	_, err := n.cri.runSandbox(t, podOf(t, "record-stages"))
	wantCRIError(t, err, "no runtime for", "record-stages")
}

// testNodeRefused: a hook file that the program would refuse changes nothing, and the container's log gives the reason.
func testNodeRefused(t *testing.T, n *node) {
	before := listing(t)
	o, restarts := n.end(t, n.begin(t, "install.yaml", images[0], broken))
	if o.code != 1 || restarts > 0 || !strings.Contains(o.stderr, "prestrat") {
		t.Errorf("want exit status 1, and the reason: %v", o)
	}
	if diff := cmp.Diff(before, listing(t)); diff != "" {
		t.Errorf("something has changed (-before +after):\n%s", diff)
	}
}

// testNodeInstall: a pod that runs during the installation runs on.
func testNodeInstall(t *testing.T, n *node) {
	c, sandbox, id := n.started(t, "")
	n.want(t, n.begin(t, "install.yaml", images[0], deployedHooks(t)), 1,
		"write /opt/oci-add-hooks/bin/oci-add-hooks\n", "write /etc/oci-add-hooks/record-stages.json\n",
		"link /opt/oci-add-hooks/bin/record-stages -> oci-add-hooks\n", "write /etc/containerd/config.toml\n", "containerd reloads its configuration (systemctl restart containerd.service): ",
		"containerd answers again\n", "canary: a container ran by /opt/oci-add-hooks/bin/record-stages, with the profile's hooks (",
		"this node is ready: containerd knows record-stages\n")
	if len(inContainer(t, c)) == 0 {
		t.Error("the pod that ran has ended")
	}
	n.stop(t, c, sandbox, id)
}

// testNodeInstallAgain: after a restart of the node, or an upgrade, nothing needs to be done, and containerd is not
// restarted.
func testNodeInstallAgain(t *testing.T, n *node) {
	before := listing(t)
	n.want(t, n.begin(t, "install.yaml", images[0], deployedHooks(t)), 0,
		"keep /opt/oci-add-hooks/bin/oci-add-hooks (unchanged)\n", "this node is ready: containerd knows record-stages\n")
	if diff := cmp.Diff(before, listing(t)); diff != "" {
		t.Errorf("something has changed (-before +after):\n%s", diff)
	}
}

// testNodePod: a pod of the RuntimeClass has the hooks, and another does not.
func testNodePod(t *testing.T, n *node) {
	c, sandbox, id := n.started(t, "record-stages")
	n.stop(t, c, sandbox, id)
	wantHooks(t, "createRuntime "+id, "poststop "+id)
	c, sandbox, id = n.started(t, "")
	n.stop(t, c, sandbox, id)
	wantHooks(t)
}

// testNodeUpgradeAndRemove: a pod survives an upgrade, and the removal waits for it.
func testNodeUpgradeAndRemove(t *testing.T, n *node) {
	c, sandbox, id := n.started(t, "record-stages")
	n.want(t, n.begin(t, "install.yaml", images[1], strings.ReplaceAll(deployedHooks(t), "createRuntime", "createContainer")), 0,
		"write /opt/oci-add-hooks/bin/oci-add-hooks\n", "write /etc/oci-add-hooks/record-stages.json\n", "this node is ready")
	if said := ok(t, exec.Command("/opt/oci-add-hooks/bin/oci-add-hooks", "--version")).stdout; !strings.Contains(said, "version v2") {
		t.Errorf("the program on the node is %s", said)
	}
	config, err := os.ReadFile("/etc/containerd/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	w := n.begin(t, "remove.yaml", images[1], "")
	eventually(t, "the removal to wait for the pod", func() string {
		said := contents(t, w.stdout)
		if strings.Contains(said, "waiting for these containers to end (2):") && strings.Contains(said, id) && strings.Contains(said, sandbox) {
			return ""
		}
		return "it says " + said + contents(t, w.stderr)
	})
	if now, err := os.ReadFile("/etc/containerd/config.toml"); err != nil || !slices.Equal(now, config) {
		t.Errorf("the removal did not wait: %s", now)
	}
	n.stop(t, c, sandbox, id)
	n.want(t, w, 1, "remove /opt/oci-add-hooks/bin/record-stages\n", "nothing of record-stages is left on this node\n")
	wantHooks(t, "createRuntime "+id, "poststop "+id)
}

func testNodeRemoveAgain(t *testing.T, n *node) {
	n.want(t, n.begin(t, "remove.yaml", images[1], ""), 0, "nothing of record-stages is left on this node\n")
}

// testNodeInterrupted: the installer is killed when containerd has a new configuration that it has not read. The next
// installer has it read.
func testNodeInterrupted(t *testing.T, n *node) {
	before := listing(t)
	for _, manifest := range []string{"install.yaml", "remove.yaml"} {
		w := n.begin(t, manifest, images[0], deployedHooks(t))
		select {
		case <-n.asked:
		case <-patient(t).Done():
			t.Fatalf("systemctl was not called: %s%s", contents(t, w.stdout), contents(t, w.stderr))
		}
		ok(t, n.docker.command("kill", w.name))
		<-w.ended
		n.want(t, n.begin(t, manifest, images[0], deployedHooks(t)), 1)
	}
	if diff := cmp.Diff(before, listing(t)); diff != "" {
		t.Errorf("the node was not restored (-before +after):\n%s", diff)
	}
	testNodeRunc(t, n)
}

// wait runs the DaemonSet's permanent container, as Kubernetes does.
func (n *node) wait(t *testing.T) manifestContainer {
	t.Helper()
	pod := readManifest(t, "install.yaml")
	wait := pod.Containers[0]
	args := []string{"run", "--detach", "--name", "wait", "--network", "none", "--pid", "host", "--read-only",
		"--user", fmt.Sprint(wait.SecurityContext.RunAsUser), "--security-opt", "no-new-privileges"}
	for _, capability := range wait.SecurityContext.Capabilities.Drop {
		args = append(args, "--cap-drop", capability)
	}
	for _, m := range wait.VolumeMounts {
		args = append(args, "--volume", pod.source(m.Name)+":"+m.MountPath+":ro")
	}
	ok(t, n.docker.command(append(append(args, images[0]), wait.Args...)...))
	return wait
}

// testNodeStatus: the probe of the permanent container, which has no rights, reports that the node matches the
// installation, or why it does not.
func testNodeStatus(t *testing.T, n *node) {
	wait := n.wait(t)
	defer func() { ok(t, n.docker.command("rm", "--force", "wait")) }()
	probe := func() outcome {
		return do(t, n.docker.command(append([]string{"exec", "wait"}, wait.ReadinessProbe.Exec.Command...)...))
	}
	if o := probe(); o.code != 0 || !strings.Contains(o.stdout, "handler") {
		t.Fatalf("the node is not ready: %v", o)
	}
	config, err := os.ReadFile("/etc/containerd/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	const link = "/opt/oci-add-hooks/bin/record-stages"
	for _, step := range []struct {
		said     string
		do, undo func() error
	}{
		{"link " + link + ": it is missing", func() error { return os.Rename(link, link+".moved") }, func() error { return os.Rename(link+".moved", link) }},
		{"handler /etc/containerd/config.toml: it was changed since, and does not have what registers record-stages with containerd",
			func() error { return os.WriteFile("/etc/containerd/config.toml", []byte("version = 2\n"), 0o644) },
			func() error { return os.WriteFile("/etc/containerd/config.toml", config, 0o644) }},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		o := probe()
		if err := step.undo(); err != nil {
			t.Fatal(err)
		}
		if o.code != 1 || !strings.Contains(o.stderr, step.said) {
			t.Errorf("want exit status 1 and %q: %v", step.said, o)
		}
		if o := probe(); o.code != 0 {
			t.Errorf("the node is not ready after the file was restored: %v", o)
		}
	}
}

// testNodeFeatures: the kubelet reports the same features for the profile's handler as for runc (status.runtimeHandlers
// of the node). containerd provides them since 2.0.
func testNodeFeatures(t *testing.T, n *node) {
	status, err := n.cri.Status(patient(t), &cri.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	features := map[string]string{}
	for _, h := range status.RuntimeHandlers {
		features[h.Name] = h.Features.String()
	}
	if len(features) == 0 && containerdMajor(t) < 2 {
		return
	}
	if got, ok := features["record-stages"]; !ok || got != features["runc"] {
		t.Errorf("the features of the handlers: %v", features)
	}
}

// testNodeWait: the permanent container ends when it is told to.
func testNodeWait(t *testing.T, n *node) {
	n.wait(t)
	eventually(t, "the container to wait", func() string {
		if said := ok(t, n.docker.command("logs", "wait")).stdout; said != "waiting for a signal to end; there is nothing more to do\n" {
			return "it says " + said
		}
		return ""
	})
	ok(t, n.docker.command("kill", "--signal", "TERM", "wait"))
	if code := ok(t, n.docker.command("wait", "wait")).stdout; code != "0\n" {
		t.Errorf("it ends with status %s", code)
	}
	ok(t, n.docker.command("rm", "wait"))
}
