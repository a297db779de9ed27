package canary

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
)

// containerd runs a pod as Kubernetes does: through the CRI, with a handler. It loads the image with ctr, because the
// CRI can only pull images.
type containerd struct {
	*engine.CRI
	name, image, handler string
	runtime              cri.RuntimeServiceClient
	images               cri.ImageServiceClient
	conn                 *grpc.ClientConn
}

func newContainerd(ctx context.Context, reached *engine.CRI, handler, name, image string) (*containerd, error) {
	conn, err := grpc.NewClient("unix://"+reached.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	c := &containerd{CRI: reached, conn: conn, name: name, image: image, handler: handler,
		runtime: cri.NewRuntimeServiceClient(conn), images: cri.NewImageServiceClient(conn)}
	var there bool
	err = engine.Settled(ctx, settling, func(ctx context.Context) (err error) { // containerd may just have been started
		there, err = c.has(ctx, reached.SandboxImage)
		return err
	})
	if err == nil && !there {
		err = Impossible(fmt.Sprintf("containerd does not have the image %s, which every pod needs, and nothing is pulled for a canary: ctr -n k8s.io images pull %[1]s",
			reached.SandboxImage))
	}
	if err != nil {
		_ = conn.Close() // the first error is the one to report
		return nil, err
	}
	return c, nil
}

// ask makes a call to the CRI, within a time limit.
func ask[Request, Response any](ctx context.Context, limit time.Duration, f func(context.Context, Request, ...grpc.CallOption) (Response, error), r Request) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	begun := time.Now()
	answer, err := f(ctx, r)
	if err != nil {
		return answer, fmt.Errorf("containerd: %w", engine.OfGRPC(err, begun))
	}
	return answer, nil
}

func (c *containerd) has(ctx context.Context, image string) (bool, error) {
	r, err := ask(ctx, tidying, c.images.ImageStatus, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: image}})
	return r.GetImage() != nil, err
}

func (c *containerd) ctr(ctx context.Context, limit time.Duration, args ...string) error {
	_, err := call(ctx, limit, "ctr", append([]string{"--address", c.Socket, "--namespace", "k8s.io"}, args...)...)
	return err
}

func (c *containerd) load(ctx context.Context, archive string) error {
	args := []string{"images", "import"}
	if c.Snapshotter != "" {
		args = append(args, "--snapshotter", c.Snapshotter)
	}
	if c.Version >= 3 {
		args = append(args, "--local") // without it, containerd 2 unpacks only for snapshotters in its own configuration
	}
	if err := c.ctr(ctx, patience, append(args, archive)...); err != nil {
		return err
	}
	return engine.Settled(ctx, settling, func(ctx context.Context) error { // the CRI learns of an image by an event
		there, err := c.has(ctx, c.image)
		if err == nil && !there {
			err = errors.New("containerd's CRI did not notice the image " + c.image)
		}
		return err
	})
}

// label marks the canary's pods and containers.
const label = "hookctl-canary"

// pod returns the configuration of the pod. It is on the host's network, for which nothing has to be set up.
func (c *containerd) pod() *cri.PodSandboxConfig {
	p := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: c.name, Uid: c.name, Namespace: "default"},
		Labels:       map[string]string{label: c.name},
		LogDirectory: c.logs(),
		Linux:        &cri.LinuxPodSandboxConfig{SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: namespaces()}},
	}
	if c.Systemd {
		p.Linux.CgroupParent = "/system.slice"
	}
	return p
}

// logs returns the directory of the container's log. The container must have a log: a kubelet mistakes the canary for a
// pod to clean up, and removes all files whose path begins with the log's path. For an empty path, these are the files
// in its working directory /, up to the first directory that is not empty: among them /bin, where that is a link (the
// pattern in Clean of the kubelet's container log manager; seen with Kubernetes 1.37).
func (c *containerd) logs() string { return "/run/" + c.name }

// container returns the configuration of the pod's container.
func (c *containerd) container() *cri.ContainerConfig {
	return &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: c.name},
		Labels:   map[string]string{label: c.name},
		LogPath:  "log",
		Image:    &cri.ImageSpec{Image: c.image},
		Linux:    &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{NamespaceOptions: namespaces()}},
	}
}

func namespaces() *cri.NamespaceOption {
	return &cri.NamespaceOption{Network: cri.NamespaceMode_NODE, Pid: cri.NamespaceMode_CONTAINER}
}

func (c *containerd) start(ctx context.Context) (string, error) {
	if err := os.Mkdir(c.logs(), 0o700); err != nil {
		return "", err
	}
	sandbox, err := ask(ctx, patience, c.runtime.RunPodSandbox, &cri.RunPodSandboxRequest{Config: c.pod(), RuntimeHandler: c.handler})
	if err != nil {
		return "", fmt.Errorf("%w (to make containerd read its configuration, run: systemctl restart containerd)", err)
	}
	created, err := ask(ctx, patience, c.runtime.CreateContainer, &cri.CreateContainerRequest{
		PodSandboxId:  sandbox.PodSandboxId,
		SandboxConfig: c.pod(),
		Config:        c.container(),
	})
	if err != nil {
		return "", err
	}
	_, err = ask(ctx, patience, c.runtime.StartContainer, &cri.StartContainerRequest{ContainerId: created.ContainerId})
	return created.ContainerId, err
}

func (c *containerd) runs(ctx context.Context, id string) (bool, error) {
	r, err := ask(ctx, tidying, c.runtime.ContainerStatus, &cri.ContainerStatusRequest{ContainerId: id})
	return r.GetStatus().GetState() == cri.ContainerState_CONTAINER_RUNNING, err
}

// remove removes the pods with the canary's label, in whatever state, and with them their containers.
func (c *containerd) remove(ctx context.Context) error {
	defer c.conn.Close()
	pods, err := ask(ctx, tidying, c.runtime.ListPodSandbox, &cri.ListPodSandboxRequest{
		Filter: &cri.PodSandboxFilter{LabelSelector: map[string]string{label: c.name}}})
	for _, pod := range pods.GetItems() {
		if err == nil {
			_, err = ask(ctx, tidying, c.runtime.StopPodSandbox, &cri.StopPodSandboxRequest{PodSandboxId: pod.Id})
		}
		if err == nil {
			_, err = ask(ctx, tidying, c.runtime.RemovePodSandbox, &cri.RemovePodSandboxRequest{PodSandboxId: pod.Id})
		}
	}
	if err != nil {
		return err
	}
	there, err := c.has(ctx, c.image)
	if there {
		err = c.ctr(ctx, tidying, "images", "rm", c.image)
	}
	return errors.Join(err, os.RemoveAll(c.logs()))
}
