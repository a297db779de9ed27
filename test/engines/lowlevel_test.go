package engines

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A lowLevel is a runtime that is tested with a few containers, called directly and by containerd.
type lowLevel struct {
	path   string
	stages []string // the stages that it runs
}

// TestNewerRunc tests the runc that test/newer pins.
func TestNewerRunc(t *testing.T) {
	need(t)
	path, err := filepath.Abs(filepath.Join(newer, "runtimes", "runc"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath(path); err != nil {
		skip(t, "%s is not built (make engines)", filepath.Join(newer, "runtimes", "runc"))
	}
	testLowLevel(t, "newer-runc", lowLevel{path, stages})
}

// TestRunsc tests gVisor, which runs no startContainer hooks. Debian's version of 2024 runs no createContainer hooks
// either. In this test runsc makes no network, because it shares the machine's network namespace, and no cgroups where
// they are hybrid.
func TestRunsc(t *testing.T) {
	need(t, "runsc")
	path := scratch(t) + "/runsc"
	if err := install(strings.NewReader("#!/bin/sh\nexec runsc --network none --ignore-cgroups \"$@\"\n"), path); err != nil {
		t.Fatal(err)
	}
	testLowLevel(t, "runsc", lowLevel{path, []string{"prestart", "createRuntime", "poststart", "poststop"}})
}

func testLowLevel(t *testing.T, name string, r lowLevel) {
	leaf(t, "directly", func(t *testing.T) {
		b := newBundle(t, r.path, profileName("direct", name, "create"))
		b.command(t, sleeping(b.dir))
		quiet(t, b, b.create())
		quiet(t, b, b.call("start", b.id))
		wantSleeping(t, b.dir)
		var state struct{ Status string }
		if o := ok(t, b.call("state", b.id)); json.Unmarshal([]byte(o.stdout), &state) != nil || state.Status != "running" {
			t.Errorf("the state of the running container: %v", o)
		}
		ok(t, b.call("kill", b.id, "TERM"))
		b.wantEnded(t)
		ok(t, b.call("delete", b.id))
		wantStages(t, b.dir, r.stages...)
	})
	leaf(t, "refused", func(t *testing.T) {
		testRefusedDirectly(t, newBundle(t, r.path, profileName("direct", name, "refused")))
	})
	t.Run("containerd", func(t *testing.T) {
		need(t, "containerd", "containerd-shim-runc-v2", "ctr")
		c := startContainerd(t, strings.Trim(cgroup, "/"), imageArchive(t), `disabled_plugins = ["io.containerd.grpc.v1.cri"]`)
		for _, test := range []suiteCase{
			{"stages", func(t *testing.T, e engine, c container) {
				wantOutput(t, e, c, "echo hello", "hello\n")
				wantStages(t, c.dir, r.stages...)
			}},
			{"refused", testRefused},
			{"exit-status", testExitStatus},
		} {
			leaf(t, test.name, func(t *testing.T) {
				test.test(t, c, newContainer(t, c, profileName("containerd", name, test.name), r.path))
			})
		}
		leaf(t, "nothing-left", func(t *testing.T) { wantNothingLeft(t, c.daemons()...) })
	})
}
