package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A machine is a directory that stands for a machine on which hookctl is killed.
type machine struct {
	t   *testing.T
	dir string
}

// newMachine returns a machine with the programs and a hook file.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t, t.TempDir()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"bin", "system/proc/1"} {
		if err := os.MkdirAll(filepath.Join(m.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(self, filepath.Join(m.dir, "bin/hookctl")); err != nil { // by which TestMain is the program
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		"bin/oci-add-hooks": "#!/bin/sh\n",
		"hooks.json":        `{"runtime": "/bin/true", "hooks": {"poststop": [{"path": "/bin/true", "env": [], "timeout": 5}]}}`,
	} {
		if err := os.WriteFile(filepath.Join(m.dir, path), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// command returns a call of hookctl. {} in its arguments is the machine's directory.
func (m *machine) command(line string) (*exec.Cmd, *bytes.Buffer) {
	args := strings.Fields(strings.ReplaceAll(line, "{}", m.dir))
	cmd := exec.Command(filepath.Join(m.dir, "bin/hookctl"), args...)
	cmd.Env = append(os.Environ(), "SYSTEM="+m.dir+"/system", "STATE="+m.dir+"/state", "PROFILES="+m.dir+"/profiles", "PATH="+m.dir+"/bin:"+os.Getenv("PATH"))
	output := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = output, output
	return cmd, output
}

// run runs hookctl to its end.
func (m *machine) run(line string) {
	m.t.Helper()
	cmd, output := m.command(line)
	if err := cmd.Run(); err != nil {
		m.t.Fatalf("%s: %v\n%s", line, err, output)
	}
}

// take runs hookctl to undo a change that may already be undone.
func (m *machine) take(line string) {
	m.t.Helper()
	cmd, output := m.command(line)
	if err := cmd.Run(); err != nil && !strings.Contains(output.String(), "there is no profile ") && !strings.Contains(output.String(), "hookctl has not installed ") {
		m.t.Fatalf("%s: %v\n%s", line, err, output)
	}
}

// kill starts a call of hookctl and sends it a signal at a random moment within a time.
func (m *machine) kill(line string, signal syscall.Signal, within time.Duration) {
	m.t.Helper()
	cmd, _ := m.command(line)
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	time.Sleep(rand.N(within))
	_ = cmd.Process.Signal(signal) // it may have ended
	_ = cmd.Wait()
}

// listing returns all paths with their types, modes, sizes and, for links, targets.
func (m *machine) listing() map[string]string {
	m.t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(m.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		target, _ := os.Readlink(path)
		what := fmt.Sprint(st.Mode(), " ", target)
		if st.Mode().IsRegular() {
			what += fmt.Sprint(" ", st.Size())
		}
		all[path] = what
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return all
}

func (m *machine) want(what string, want map[string]string) {
	m.t.Helper()
	if diff := cmp.Diff(want, m.listing()); diff != "" {
		m.t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// pairs are commands and the commands that undo them.
var pairs = []pair{
	{"profile", "profile add gpu --hooks {}/hooks.json", "profile remove gpu", "", ""},
	{"node", "node install podman --profile PROFILE --hooks {}/hooks.json --config {}/containers.conf --bin-dir {}/node/bin --host-root /",
		"node remove podman --profile PROFILE --bin-dir {}/node/bin --host-root /", "", ""},
	{"docker", "install docker --profile gpu --config {}/daemon.json", "uninstall docker --profile gpu --config {}/daemon.json", "daemon.json", "{\"debug\": true}\n"},
	{"crio", "install crio --profile gpu --config {}/crio.conf", "uninstall crio --profile gpu --config {}/crio.conf", "crio.conf", "[crio]\n"},
	{"podman", "install podman --profile gpu --config {}/containers.conf", "uninstall podman --profile gpu --config {}/containers.conf", "containers.conf", "[engine]\n"},
	{"containerd", "install containerd --profile gpu --config {}/config.toml", "uninstall containerd --profile gpu --config {}/config.toml", "config.toml", "version = 2\n"},
}

type pair struct {
	name, there, back string
	config, text      string // of the engine that a profile is registered with; empty if there is none
}

// TestKilled: each command is killed 100 times at random moments (8 times with -short). The same command, called again,
// completes it. The opposite one leaves nothing.
func TestKilled(t *testing.T) {
	eachPair(t, func(t *testing.T, m *machine, there, back string) {
		if strings.HasPrefix(there, "profile") { // whose removal leaves this directory, as the package does
			if err := os.Mkdir(filepath.Join(m.dir, "profiles"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		before := m.listing()
		begun := time.Now()
		m.run(there)
		within := 2 * time.Since(begun)
		after := m.listing()
		m.run(back)
		m.want("taken back", before)
		for range repeated() {
			m.kill(there, syscall.SIGKILL, within)
			m.run(there)
			m.want("killed and completed", after)
			m.kill(back, syscall.SIGKILL, within)
			m.take(back)
			m.want("killed and taken back", before)
			m.kill(there, syscall.SIGKILL, within)
			m.take(back)
			m.want("killed, then taken back", before)
			m.run(there)
			m.kill(back, syscall.SIGKILL, within)
			m.run(there)
			m.want("killed while it was taken back, then completed", after)
			m.run(back)
		}
	})
}

// hanging are programs of engines that hang while there is a file hang and the state that it names, there or back, has
// been written.
var hanging = map[string]string{
	"dockerd": `[ "$1" = --help ] && echo --validate && exit
HANG`,
	"crio": `HANG
echo '# default_runtime = "crun"'
cat {}/crio.conf.d/* 2>/dev/null
true`,
	"containerd": `HANG
echo version = 3
grep -hvs -e ^version -e ^imports {}/config.toml {}/conf.d/*
true`,
}

const hang = `now=back
grep -rqs {}/bin/gpu {}/daemon.json {}/crio.conf.d {}/conf.d && now=there
grep -qs $now {}/hang && echo $$ >{}/asked.new && mv {}/asked.new {}/asked
while grep -qs $now {}/hang; do sleep 0.01; done
`

// TestKilledUnjudged: a command is killed while the engine that it asked about a change hangs. The next call, of any
// command, undoes the change that was not judged.
func TestKilledUnjudged(t *testing.T) {
	eachPair(t, func(t *testing.T, m *machine, there, back string) {
		program := map[string]string{"docker": "dockerd", "crio": "crio", "containerd": "containerd"}[filepath.Base(t.Name())]
		if program == "" {
			return // it asks no engine
		}
		if program == "containerd" {
			write(t, filepath.Join(m.dir, "config.toml"), "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\nruntime_type = 'io.containerd.runc.v2'\n", 0o644)
		}
		text := strings.ReplaceAll("#!/bin/sh\n"+strings.ReplaceAll(hanging[program], "HANG", hang), "{}", m.dir)
		write(t, filepath.Join(m.dir, "bin", program), text, 0o755)
		before := m.listing()
		m.run(there)
		after := m.listing()
		m.run(back)
		for range repeated() {
			m.killUnjudged("there", there)
			m.want("the next call has undone it", before)
			m.run(there)
			m.killUnjudged("back", back)
			m.want("the next call has put it back", after)
			m.run(back)
			m.want("taken back", before)
		}
	})
}

// killUnjudged kills a call of hookctl once the engine hangs, and checks that another call notices.
func (m *machine) killUnjudged(when, line string) {
	m.t.Helper()
	write(m.t, filepath.Join(m.dir, "hang"), when, 0o644)
	cmd, output := m.command(line)
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	asked := filepath.Join(m.dir, "asked")
	for _, err := os.Stat(asked); err != nil; _, err = os.Stat(asked) {
		select {
		case err := <-ended:
			m.t.Fatalf("%s: it asked no engine: %v: %s", line, err, output)
		case <-time.After(time.Millisecond):
		}
	}
	_ = cmd.Process.Kill()
	<-ended
	text, err := os.ReadFile(asked)
	if err != nil {
		m.t.Fatal(err)
	}
	status := "/proc/" + strings.TrimSpace(string(text)) + "/status"
	for { // what hookctl runs ends with it; nobody may wait for it
		text, err := os.ReadFile(status)
		if err != nil || strings.Contains(string(text), "\nState:\tZ") {
			break
		}
	}
	if err := errors.Join(os.Remove(filepath.Join(m.dir, "hang")), os.Remove(asked)); err != nil {
		m.t.Fatal(err)
	}
	cmd, output = m.command("profile remove nobody")
	const note = "hookctl: note: an earlier call of hookctl was killed before its change was complete, and it was undone"
	if err := cmd.Run(); err == nil || !strings.Contains(output.String(), note) {
		m.t.Fatalf("%s is killed: the next call: %v\n%s", line, err, output)
	}
}

// TestInterrupted: a command that is interrupted by a signal has done everything or nothing, without another call.
func TestInterrupted(t *testing.T) {
	eachPair(t, func(t *testing.T, m *machine, there, back string) {
		before := m.listing()
		begun := time.Now()
		m.run(there)
		within := 2 * time.Since(begun)
		after := m.listing()
		m.run(back)
		_ = os.Remove(filepath.Join(m.dir, "profiles")) // which the command may leave
		outcomes := map[string]int{}
		for range repeated() {
			for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
				m.kill(there, signal, within)
				got := m.listing()
				switch {
				case cmp.Equal(got, before):
					outcomes["nothing"]++
				case cmp.Equal(got, after):
					outcomes["all"]++
					m.run(back)
					_ = os.Remove(filepath.Join(m.dir, "profiles"))
				default:
					t.Fatalf("half of it (-before +got):\n%s", cmp.Diff(before, got))
				}
			}
		}
		t.Log(outcomes)
	})
}

// repeated returns the number of rounds, with four kills each.
func repeated() int {
	if testing.Short() {
		return 2
	}
	return 25
}

// prepare puts an engine's configuration and profiles on a machine.
func (m *machine) prepare(p pair, profiles ...string) {
	m.t.Helper()
	if _, err := exec.LookPath("containerd"); err != nil && p.name == "containerd" {
		m.t.Skip("skipped: containerd is not installed (apt-get install containerd)")
	}
	write(m.t, filepath.Join(m.dir, p.config), p.text, 0o644)
	for _, profile := range profiles {
		m.run("profile add " + profile + " --hooks {}/hooks.json")
	}
}

func eachPair(t *testing.T, test func(t *testing.T, m *machine, there, back string)) {
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if p.name == "node" && os.Geteuid() != 0 {
				t.Skip("hookctl node needs root (sudo make test)")
			}
			profile := fmt.Sprintf("killed-%s-%d", strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")), os.Getpid())
			t.Cleanup(func() { // files that a killed call leaves until the machine is rebooted
				left, _ := filepath.Glob("/run/oci-add-hooks-*" + profile + "*")
				for _, path := range left {
					_ = os.Remove(path)
				}
			})
			m := newMachine(t)
			if p.config != "" {
				m.prepare(p, "gpu")
			}
			test(t, m, strings.ReplaceAll(p.there, "PROFILE", profile), strings.ReplaceAll(p.back, "PROFILE", profile))
		})
	}
}
