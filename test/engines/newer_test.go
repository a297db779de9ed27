package engines

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// newer is the directory of the engines that test/newer pins, once they are built.
const newer = "../../bin/newer"

// newerSpec is the version of the runtime specification that these engines write into config.json.
const newerSpec = "1.3.0"

// withEach runs a test with the engine that is installed, and again with the newer one.
func withEach(t *testing.T, test func(t *testing.T), programs ...string) {
	t.Run("installed", func(t *testing.T) {
		need(t, programs...)
		test(t)
	})
	t.Run("newer", func(t *testing.T) {
		need(t)
		dir, err := filepath.Abs(newer)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range programs {
			if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
				skip(t, "%s is not built (make engines)", filepath.Join(newer, name))
			}
		}
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
		test(t)
	})
}

// needRuntime skips the test unless a low-level runtime is installed and accepts the engine's config.json: crun 1.8, in
// Debian 12, accepts only version 1.0 of the specification.
func needRuntime(t *testing.T, runtime string) {
	t.Helper()
	need(t, runtime)
	if containerd, err := exec.LookPath("containerd"); err != nil || !strings.HasSuffix(filepath.Dir(containerd), newer[len("../.."):]) {
		return
	}
	b := newBundle(t, runtime, "spec-"+runtime)
	b.command(t, "true")
	config := regexp.MustCompile(`"ociVersion": "[^"]*"`).ReplaceAll(b.config(t), []byte(`"ociVersion": "`+newerSpec+`"`))
	if !bytes.Contains(config, []byte(newerSpec)) {
		t.Fatalf("config.json has no ociVersion: %s", config)
	}
	if err := os.WriteFile(b.dir+"/config.json", config, 0o644); err != nil {
		t.Fatal(err)
	}
	if o := do(t, exec.Command(runtime, "--root", b.dir+"/state", "run", "--bundle", b.dir, b.id)); strings.Contains(o.said(), "unknown version") {
		skip(t, "this %s is too old for ociVersion %s, which this engine writes", runtime, newerSpec)
	}
}
