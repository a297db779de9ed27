package engines

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// dockerCases are the tests of Docker only.
var dockerCases = []suiteCase{
	{"read-only-mounts", testDockerReadOnly},
	{"compose", testDockerCompose},
}

// testDockerReadOnly: since Docker 25, a read-only bind mount is recursively read-only if the runtime's features
// include that. dockerd asks for the features when it starts, but only from runtimes that are registered with a path.
func testDockerReadOnly(t *testing.T, e engine, c container) {
	const since = 25
	d := e.(docker)
	if d.version < since {
		skip(t, "recursive read-only mounts need Docker %d, this is %d", since, d.version)
	}
	outer := c.dir + "/outer"
	inner := outer + "/inner"
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := mountAll(mount{"tmpfs", inner, "tmpfs", 0, ""}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(inner, 0); err != nil {
			t.Error(err)
		}
	})
	ok(t, d.command("run", "--rm", "--runtime", c.profile.name, "--network", "none", "--volume", c.dir+":"+c.dir,
		"--volume", outer+":/outer:ro", image, "sh", "-c", "echo >/outer/inner/written; ! echo >/outer/written"))
	wantAllStages(t, c.dir)
	_, err := os.Stat(inner + "/written")
	if byPath, recursive := !strings.HasPrefix(c.profile.name, "BinaryName-"), err != nil; byPath != recursive {
		t.Errorf("registered with a path: %v; a mount within a read-only mount is read-only: %v", byPath, recursive)
	}
}

// testDockerCompose: a service of docker compose names its runtime.
func testDockerCompose(t *testing.T, e engine, c container) {
	d := e.(docker)
	if o := do(t, d.command("compose", "version")); o.code != 0 {
		skip(t, "docker compose is not installed (apt-get install docker-compose)")
	}
	text, err := json.Marshal(map[string]any{"services": map[string]any{"service": map[string]any{
		"image":        image,
		"runtime":      c.profile.name,
		"network_mode": "none",
		"volumes":      []string{c.dir + ":" + c.dir},
		"command":      []string{"sh", "-c", sleeping(c.dir)},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	file := c.dir + "/compose.yaml"
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	compose := func(args ...string) outcome {
		return do(t, d.command(append([]string{"compose", "--file", file, "--project-name", strings.ToLower(c.name)}, args...)...))
	}
	if o := compose("up", "--detach"); o.code != 0 {
		t.Fatal(o)
	}
	wantSleeping(t, c.dir)
	wantAlive(t, c.dir, 1)
	if o := compose("down", "--timeout", "1"); o.code != 0 {
		t.Error(o)
	}
	wantAllStages(t, c.dir)
}

// TestDockerImageStore: Docker keeps images in containerd's store if it is configured to. For new daemons this is the
// only store since Docker 29.
func TestDockerImageStore(t *testing.T) {
	need(t, "dockerd", "docker", "containerd")
	const since = 24
	registered := map[string]any{}
	some := slices.DeleteFunc(cases(), func(c suiteCase) bool {
		return !slices.Contains([]string{"stages", "refused", "hooks-directories", "in-use", "removed"}, c.name)
	})
	for _, rt := range runtimes {
		for _, c := range some {
			name := profileName("store", rt, c.name)
			registered[name] = map[string]any{"path": newProfile(t, name, rt).link}
		}
	}
	d := startDocker(t, map[string]any{"runtimes": registered, "features": map[string]any{"containerd-snapshotter": true}})
	if d.version < since {
		skip(t, "containerd's image store needs Docker %d, this is %d", since, d.version)
	}
	if o := ok(t, d.command("info", "--format", "{{.DriverStatus}}")); !strings.Contains(o.stdout, "io.containerd.snapshotter.v1") {
		t.Fatalf("the images are not in containerd's store: %v", o)
	}
	runCases(t, d, "store", some)
}

// TestDockerBuild: dockerd's BuildKit calls runc for a RUN instruction, whichever runtimes daemon.json has.
// DOCKER_BUILDKIT_RUNC_COMMAND in dockerd's environment names another program, without arguments: here a profile's
// link.
func TestDockerBuild(t *testing.T) {
	need(t, "dockerd", "docker", "containerd")
	const since = 26
	for _, rt := range runtimes {
		leaf(t, rt, func(t *testing.T) {
			p := newProfile(t, profileName("build", rt, "stages"), rt)
			d := startDocker(t, nil, "DOCKER_BUILDKIT_RUNC_COMMAND="+p.link)
			if d.version < since {
				skip(t, "a runtime of BuildKit's own needs Docker %d, this is %d", since, d.version)
			}
			if o := do(t, d.command("buildx", "version")); o.code != 0 {
				skip(t, "docker buildx is not installed (apt-get install docker-buildx)")
			}
			dir := scratch(t)
			path := recorder(t, dir)
			hooks := map[string]any{}
			host := slices.DeleteFunc(slices.Clone(stages), func(stage string) bool { return stage == "startContainer" })
			for _, stage := range host { // a build mounts nothing, so no hook exists in its container
				hooks[stage] = []any{hook(path, stage)}
			}
			p.writeJSON(t, map[string]any{"runtime": rt, "hooks": hooks})
			if err := os.WriteFile(dir+"/Dockerfile", []byte("FROM "+image+"\nRUN echo made >/made\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			ok(t, d.command("build", "--progress", "plain", "--network", "none", "--tag", "built", dir))
			wantStages(t, dir, host...)
			if made := d.logged(t, "built", "cat", "/made"); made != "made\n" {
				t.Errorf("the image holds %q", made)
			}
			wantDeleted(t, dir)
		})
	}
}
