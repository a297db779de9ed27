package packaging

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// manager is a package manager.
type manager struct {
	name           string // also the extension of its packages' file names
	install        []string
	remove         []string
	zshCompletions string
}

var managers = []manager{
	{
		name: "deb",
		// Container images exclude documentation. Man's index is not needed, and its update takes long.
		install:        []string{"dpkg", "--path-include=*", "--no-triggers", "--install"},
		remove:         []string{"dpkg", "--no-triggers", "--purge", "oci-add-hooks"},
		zshCompletions: "/usr/share/zsh/vendor-completions",
	}, {
		name:           "rpm",
		install:        []string{"rpm", "--dbpath", "/var/lib/rpm", "--upgrade", "--nodeps"}, // rpm knows nothing of Debian's packages
		remove:         []string{"rpm", "--dbpath", "/var/lib/rpm", "--erase", "oci-add-hooks"},
		zshCompletions: "/usr/share/zsh/site-functions",
	},
}

// TestPackages installs and uses a package. It upgrades the package while a container uses it, checks that the package
// cannot be removed until the container ends, and then removes it. Only the administrator's files remain.
func TestPackages(t *testing.T) {
	if noSandbox != "" {
		t.Skip("skipped: " + noSandbox)
	}
	need(t, map[string]string{
		"containerd": "containerd", "ctr": "containerd", "runc": "runc", "podman": "podman", "busybox": "busybox-static", "man": "man-db",
	})
	for _, dir := range []string{"/etc/oci-add-hooks", "/var/lib/oci-add-hooks"} {
		if err := os.RemoveAll(dir); err != nil { // this hides the machine's files and does not remove them
			t.Fatal(err)
		}
	}
	startContainerd(t)
	old, upgraded := packages(t, "v1.2.3"), packages(t, "v1.2.4")
	for _, m := range managers {
		t.Run(m.name, func(t *testing.T) {
			need(t, map[string]string{m.install[0]: m.install[0]})
			testPackage(t, m, only(t, old+"/*."+m.name), only(t, upgraded+"/*."+m.name))
		})
	}
}

const examples = "/usr/share/doc/oci-add-hooks/examples/"

// others are the paths of the files that the package managers, man, containerd and Podman keep.
var others = []string{
	"/var/lib/dpkg/", "/var/log/dpkg.log", "/var/lib/rpm/", "/var/cache/man/", "/var/lib/containerd/", "/var/lib/containers/", "/etc/cni/net.d/cni.lock",
}

func testPackage(t *testing.T, m manager, old, upgraded string) {
	ok(t, append(m.install, old)...)
	wantSays(t, ok(t, "hookctl", "--version"), "v1.2.3")
	wantSays(t, ok(t, "oci-add-hooks", "--version"), "oci-add-hooks version v1.2.3\n")
	wantSays(t, ok(t, "oci-run-hook", "--version"), "oci-run-hook version v1.2.3\n")
	for _, page := range []string{"hookctl.1", "hookctl-profile-add.1", "oci-add-hooks.json.5", "oci-add-hooks.8", "oci-run-hook.8"} {
		wantSays(t, ok(t, "man", page), "NAME\n")
	}
	wantSays(t, ok(t, "bash", "-c", ". /usr/share/bash-completion/completions/hookctl; complete -p hookctl"), "hookctl")
	for _, path := range []string{
		m.zshCompletions + "/_hookctl", "/usr/share/fish/vendor_completions.d/hookctl.fish",
		"/usr/share/doc/oci-add-hooks/README.md", "/usr/share/doc/oci-add-hooks/LICENSE", "/usr/share/doc/oci-add-hooks/NOTICE",
		"/usr/lib/systemd/system/hookctl-metrics.service", "/usr/lib/systemd/system/hookctl-metrics.timer", examples + "alerts.yaml",
		"/usr/share/doc/oci-add-hooks/deploy/kubernetes/hold/kustomization.yaml",
	} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	t.Run("units", func(t *testing.T) {
		need(t, map[string]string{"systemd-analyze": "systemd"})
		if said := ok(t, "systemd-analyze", "verify", "hookctl-metrics.service", "hookctl-metrics.timer"); strings.Contains(said, "hookctl-metrics") {
			t.Errorf("systemd-analyze says: %s", said)
		}
	})
	if profiles, err := os.ReadDir("/etc/oci-add-hooks"); err != nil || len(profiles) > 0 {
		t.Errorf("in /etc/oci-add-hooks: %v, %v", profiles, err)
	}

	// Use a profile with a runtime that does nothing.
	ok(t, "hookctl", "profile", "add", "tried", "--hooks", examples+"record-stages.json", "--runtime", "/bin/true")
	bundle := t.TempDir()
	write(t, bundle+"/config.json", `{"ociVersion": "1.0.2"}`)
	ok(t, "/usr/bin/tried", "create", "--bundle", bundle, "id")
	if config, err := os.ReadFile(bundle + "/config.json"); err != nil || !bytes.Contains(config, []byte("createRuntime")) {
		t.Errorf("config.json has become %s, %v", config, err)
	}
	ok(t, "hookctl", "profile", "remove", "tried")

	// Upgrade while a container runs. Afterwards the link still controls the container.
	ok(t, "hookctl", "profile", "add", "held", "--hooks", examples+"record-stages.json", "--runtime", "runc")
	id := m.name + "-container"
	runContainer(t, id, "/usr/bin/held")
	if said := ok(t, append(m.install, upgraded)...); strings.Contains(said, "not removed") {
		t.Errorf("the upgrade was treated as a removal: %s", said) // dpkg continues with the new package's script
	}
	wantSays(t, ok(t, "hookctl", "--version"), "v1.2.4")
	wantSays(t, ok(t, ctr("task", "exec", "--exec-id", "exec", id, "/bin/echo", "through the new one")...), "through the new one\n")

	// The container prevents the removal, unless it is forced. Then the engine cannot stop the container.
	wantRefused(t, m, id, "/usr/bin/held", "Stop and delete them first")
	wantSays(t, ok(t, append([]string{"env", "OCI_ADD_HOOKS_REMOVE=force"}, m.remove...)...), "/usr/bin/held")
	if said, err := run(ctr("task", "kill", "--signal", "KILL", id)...); err == nil {
		t.Errorf("without its runtime, the container was stopped: %s", said)
	}
	ok(t, append(m.install, upgraded)...)
	endContainer(t, id)

	// An engine with the profile prevents the removal too.
	ok(t, "hookctl", "install", "podman", "--profile", "held")
	wantRefused(t, m, "\n  hookctl uninstall podman --profile held\n")
	ok(t, "hookctl", "uninstall", "podman", "--profile", "held")

	wantSays(t, ok(t, m.remove...), "these links lead nowhere now", "/usr/bin/held")
	left := slices.DeleteFunc(written(t), func(path string) bool {
		return slices.ContainsFunc(others, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
	})
	made := []string{"/etc/oci-add-hooks/held.json", "/usr/bin/held"}
	if !slices.Equal(left, made) {
		t.Errorf("the package leaves\n%s\nand not\n%s", strings.Join(left, "\n"), strings.Join(made, "\n"))
	}
	for _, dir := range []string{"/usr/share/doc/oci-add-hooks", "/var/lib/oci-add-hooks"} {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s still exists (%v)", dir, err)
		}
	}
	for _, path := range made {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// wantRefused removes the package. The removal must fail with messages that contain parts, and must change nothing.
func wantRefused(t *testing.T, m manager, parts ...string) {
	t.Helper()
	said, err := run(m.remove...)
	if err == nil {
		t.Errorf("the package was removed: %s", said)
	}
	wantSays(t, said, append(parts, "oci-add-hooks is not removed: ", "OCI_ADD_HOOKS_REMOVE=force")...)
	wantSays(t, ok(t, "hookctl", "--version"), "v1.2.4")
}

// written returns the paths of the files that are in the sandbox's directories and not in the machine's.
func written(t *testing.T) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(layers, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Type()&fs.ModeCharDevice == 0 { // a character device marks a removed file
			paths = append(paths, strings.TrimPrefix(path, layers))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// TestVersions: for both package managers, versions from git sort as the commits do.
func TestVersions(t *testing.T) {
	need(t, map[string]string{"dpkg": "dpkg", "rpm": "rpm"})
	versions := []string{
		"20201231 fabcdef", "20210101 9a3bc1a", "20210102 0a3bc1a", "v0.9.0", "v1.0.0-rc.1", "v1.0.0-rc.1-3-gabcdef0", "v1.0.0-rc.2", "v1.0.0", "v1.0.0-3-gabcdef0",
		"v1.0.0-3-gabcdef0-dirty", "v1.0.1", "v1.10.0",
	}
	before := ""
	for _, v := range versions {
		day, v, dated := strings.Cut(v, " ")
		if !dated {
			day, v = "20000101", day
		}
		version := strings.TrimSpace(ok(t, "sh", "-c", `SOURCE_DATE_EPOCH=$(date -u -d "$0" +%s) ./version.sh "$1"`, day, v))
		ok(t, "dpkg", "--validate-version", version)
		if before != "" {
			ok(t, "dpkg", "--compare-versions", before, "lt", version)
			if said := ok(t, "rpm", "--eval", `%{lua: print(rpm.vercmp("`+before+`", "`+version+`"))}`); said != "-1\n" {
				t.Errorf("to rpm, %s is not before %s: %s", before, version, said)
			}
		}
		before = version
	}
	for v, want := range map[string]string{"v1.2.3": "1.2.3\n", "9a3bc1a": "0~git20201231.9a3bc1a\n"} {
		if said := ok(t, "env", "SOURCE_DATE_EPOCH=1609459199", "./version.sh", v); said != want {
			t.Errorf("%s became %q", v, said)
		}
	}
}

// startContainerd starts a containerd with its default socket.
func startContainerd(t *testing.T) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.toml")
	write(t, config, "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.cri.v1.runtime\"]\n")
	cmd := exec.Command("containerd", "--log-level", "error", "--config", config)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("containerd's log:\n%s", log.Bytes())
		}
	})
	eventually(t, ctr("version")...)
}

// ctr returns a command of containerd's own client. The namespace is also the name of the containers' cgroup.
func ctr(args ...string) []string {
	return append([]string{"ctr", "--namespace", os.Getenv(cgroupEnv)}, args...)
}

// runContainer starts a container that runs until it is killed.
func runContainer(t *testing.T, id, runtime string) {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(root+"/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	ok(t, "cp", path, root+"/bin/busybox")
	for _, name := range []string{"sh", "sleep", "echo"} {
		if err := os.Symlink("busybox", root+"/bin/"+name); err != nil {
			t.Fatal(err)
		}
	}
	ok(t, ctr("run", "--detach", "--null-io", "--runc-binary", runtime, "--rootfs", root, id, "/bin/sleep", "1000")...)
}

const stagesLog = "/var/log/container-stages.log"

// endContainer kills and deletes a container, and checks that its hooks ran, including those at poststop.
func endContainer(t *testing.T, id string) {
	t.Helper()
	ok(t, ctr("task", "kill", "--signal", "KILL", id)...)
	eventually(t, ctr("task", "delete", id)...)
	ok(t, ctr("container", "delete", id)...)
	if log, err := os.ReadFile(stagesLog); err != nil || !bytes.Contains(log, []byte("poststop")) {
		t.Errorf("the hooks wrote %s (%v)", log, err)
	}
	if err := os.Remove(stagesLog); err != nil {
		t.Error(err)
	}
}

// packages returns the directory with a version's packages for this machine.
func packages(t *testing.T, version string) string {
	t.Helper()
	checkout := copyCheckout(t)
	makeIn(t, checkout, "package", "VERSION="+version)
	return checkout + "/dist"
}

// only returns the one file that matches.
func only(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s matches %q (%v), not one file", pattern, found, err)
	}
	return found[0]
}

// need skips the test if one of the programs is not installed. The map has the package of each program.
func need(t *testing.T, programs map[string]string) {
	t.Helper()
	for name, from := range programs {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("skipped: %s is not installed (apt-get install %s)", name, from)
		}
	}
}

// run runs a command and returns its output.
func run(args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "MANPAGER=cat", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// ok runs a command that must succeed, and returns its output.
func ok(t *testing.T, args ...string) string {
	t.Helper()
	said, err := run(args...)
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, said)
	}
	return said
}

// eventually runs a command until it succeeds.
func eventually(t *testing.T, args ...string) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		said, err := run(args...)
		if err == nil {
			return
		}
		if time.Since(start) > time.Minute {
			t.Fatalf("%q: %v\n%s", args, err, said)
		}
	}
}

func wantSays(t *testing.T, said string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(said, part) {
			t.Errorf("%q is not in\n%s", part, said)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
