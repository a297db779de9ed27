package engines

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// A breakage is a way to break the profile of a running container.
type breakage struct {
	name string
	// do breaks the profile.
	do func(t *testing.T, p profile)
	// harmless reports whether the container can still be stopped and removed, because the file still names the
	// runtime. Otherwise the container either goes, or the engine reports the reason in our words.
	harmless bool
}

var breaks = []breakage{
	{name: "removed", do: func(t *testing.T, p profile) { p.remove(t) }},
	{name: "empty", do: text("")},
	{name: "cut-off", do: text(`{"hooks": {"prestart": [`)},
	{name: "malformed-before-runtime", do: text(`{"hooks": {"prestart": [}, "runtime": "RUNTIME"}`)},
	{name: "malformed-after-runtime", do: text(`{"runtime": "RUNTIME", "hooks": {"prestart": [}`), harmless: true},
	{name: "unknown-stage", do: text(`{"hooks": {"prestrat": []}, "runtime": "RUNTIME"}`), harmless: true},
	{name: "wrong-types", do: text(`{"hooks": [5], "hooksDirs": "x", "runtime": "RUNTIME"}`), harmless: true},
	{name: "runtime-of-wrong-type", do: text(`{"runtime": ["RUNTIME"]}`)},
	{name: "world-writable", do: func(t *testing.T, p profile) {
		if err := os.Chmod(p.file, 0o666); err != nil {
			t.Fatal(err)
		}
	}},
	{name: "directory", do: replaced(func(path string) error { return os.Mkdir(path, 0o755) })},
	{name: "fifo", do: replaced(func(path string) error { return syscall.Mkfifo(path, 0o644) })},
	{name: "dangling-link", do: replaced(func(path string) error { return os.Symlink("nowhere", path) })},
}

func text(t string) func(*testing.T, profile) {
	return func(test *testing.T, p profile) { p.write(test, strings.ReplaceAll(t, "RUNTIME", p.runtime)) }
}

func replaced(by func(path string) error) func(*testing.T, profile) {
	return func(t *testing.T, p profile) {
		p.remove(t)
		if err := by(p.file); err != nil {
			t.Fatal(err)
		}
	}
}

// testControl breaks the profile of a running container, then stops and removes it. What an engine does when its
// runtime fails differs. In any case the container must not run on without a message, nor once the profile has been
// repaired.
func testControl(t *testing.T, e engine, c container, b breakage) {
	c = c.command(sleeping(c.dir))
	ok(t, e.run(c, true))
	wantSleeping(t, c.dir)

	b.do(t, c.profile)
	said := e.end(t, c)
	if remains := present(t, e, c); remains != "" {
		const ours = "oci-add-hooks: "
		switch i := strings.Index(said, ours); {
		case b.harmless:
			t.Fatalf("the container must go, but this remains:\n%s\nThe engine said: %s", remains, said)
		case i < 0:
			t.Fatalf("this remains, and no reason is given:\n%s\nThe engine said: %s", remains, said)
		case !strings.Contains(said[i:], c.profile.file):
			t.Errorf("the reason does not name %s: %s", c.profile.file, said)
		}
		c.profile.record(t, c.dir)
		said = e.end(t, c)
	}
	wantGone(t, e, c)
	if t.Failed() {
		t.Log("The engine last said: ", said)
	}
	if left := monitors(t, c); !b.harmless && e.leavesShim() && len(left) > 0 {
		t.Log("the engine leaves ", left)
		kill(left)
	}
	if !b.harmless && e.leavesShim() { // nor has it had the runtime delete the container
		for _, l := range lives(t, c.dir) {
			eventually(t, "the runtime to delete the container", func() string {
				if o := do(t, l.call("delete", "--force", l.id)); o.code != 0 { // which is none if it is gone
					return o.String()
				}
				return ""
			})
		}
	}
}
