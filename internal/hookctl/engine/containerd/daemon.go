package containerd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
)

// Known asks the running containerd for the configuration of its CRI plugin (the CRI's Status, verbose).
func (c *containerd) Known(ctx context.Context) (*engine.Registered, error) {
	now, err := c.dump(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("unix://"+c.socket(now), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, command.Patience)
	defer cancel()
	begun := time.Now()
	answer, err := cri.NewRuntimeServiceClient(conn).Status(ctx, &cri.StatusRequest{Verbose: true})
	if err != nil {
		return nil, fmt.Errorf("containerd cannot be asked at %s: %w", c.socket(now), engine.OfGRPC(err, begun))
	}
	var config struct {
		Containerd struct {
			Default  string `json:"defaultRuntimeName"`
			Runtimes map[string]struct {
				Options map[string]any
			}
		}
	}
	if err := json.Unmarshal([]byte(answer.Info["config"]), &config); err != nil {
		return nil, fmt.Errorf("what containerd says at %s of its configuration cannot be read: %w", c.socket(now), err)
	}
	r := &engine.Registered{}
	for name, handler := range config.Containerd.Runtimes {
		binary, _ := handler.Options["BinaryName"].(string)
		entry := engine.Entry{Name: name, Path: cmp.Or(binary, "runc"), Default: name == config.Containerd.Default}
		for _, h := range answer.RuntimeHandlers { // since containerd 2.0
			if h.Name == name && h.Features.GetRecursiveReadOnlyMounts() {
				entry.Features = append(entry.Features, engine.RecursiveReadOnly)
			}
			if h.Name == name && h.Features.GetUserNamespaces() {
				entry.Features = append(entry.Features, engine.UserNamespaces)
			}
		}
		r.Entries = append(r.Entries, entry)
	}
	r.Sort()
	return r, nil
}
