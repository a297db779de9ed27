package inject

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/launch"
	"github.com/awslabs/oci-add-hooks/internal/profile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// beside creates a supervisor in the directory of the test's program, and returns its path.
func beside(t *testing.T) (supervisor string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	supervisor = filepath.Join(filepath.Dir(self), Supervisor)
	if err := os.WriteFile(supervisor, []byte("#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(supervisor) })
	return supervisor
}

// TestSupervised shows the exact hook object that replaces a supervised hook.
func TestSupervised(t *testing.T) {
	supervisor := beside(t)
	dir := t.TempDir()
	program := write(t, dir, "program", "")
	write(t, dir, "d/10.json", fmt.Sprintf(`{"version":"1.0.0","hook":{"path":%q,"args":["p", "\u0061"],"env":["A=1"],"timeout":3},"when":{"always":true},"stages":["prestart","startContainer"]}`, program))
	records, err := report.Records()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "gpu.json")
	// entry returns the hook object that replaces a hook of the file from, the one at a place.
	entry := func(from, place, stage, timeout, policy, more, hook, env string, runtime int) string {
		return fmt.Sprintf(`{"path":%q,"args":["oci-run-hook","--stage=%s","--profile=gpu","--file=%s","--place=%s","--timeout=%s","--failure-policy=%s",%s"--log=%s","--",%s],"env":%s,"timeout":%d}`,
			supervisor, stage, from, place, timeout, policy, more, records, hook, env, runtime)
	}
	path := `["PATH=` + launch.SystemPath + `"]`
	for name, tt := range map[string]struct {
		file, config, want, told string
	}{
		"not supervised": {`"hooks":{"prestart":[{"path":"/a"  }]}`, `{}`, `{"hooks":{"prestart":[{"path":"/a"  }]}}`, ""},
		"true": {`"supervise":true,"hooks":{"prestart":[{"path":"/a"}]}`, `{}`,
			`{"hooks":{"prestart":[` + entry(file, "/hooks/prestart/0", "prestart", "30", "fail", "", `"/a","/a"`, path, 35) + `]}}`, "30 s, fail"},
		"all members": {`"supervise":{"timeout":7,"failurePolicy":"ignore","record":"status"},"hooks":{"poststop":[{"x":1,"timeout":10,"env":["B=\u0062"],"args":[ "a", "--b" ],"path":"\u002fa"}]}`, `{}`,
			`{"hooks":{"poststop":[` + entry(file, "/hooks/poststop/0", "poststop", "10", "ignore", `"--record=status",`, `"\u002fa","a", "--b"`, `["B=\u0062"]`, 15) + `]}}`, "10 s, ignore"},
		"empty and null": {`"supervise":{"timeout":7},"hooks":{"poststart":[{"timeout":null,"env":[],"args":[ ],"path":"/a"},{"env":null,"args":null,"path":"/b","supervise":{"timeout":9}}]}`, `{}`,
			`{"hooks":{"poststart":[` + entry(file, "/hooks/poststart/0", "poststart", "7", "fail", "", `"/a","/a"`, `[]`, 12) + `,` + entry(file, "/hooks/poststart/1", "poststart", "9", "fail", "", `"/b","/b"`, path, 14) + `]}}`, "7 s, fail|9 s, fail"},
		"one of two": {`"hooks":{"poststart":[{"path":"/a","supervise":true},{"path":"/b"}]}`, `{}`,
			`{"hooks":{"poststart":[` + entry(file, "/hooks/poststart/0", "poststart", "30", "fail", "", `"/a","/a"`, path, 35) + `,{"path":"/b"}]}}`, "30 s, fail|"},
		"in the container": {`"supervise":true,"hooks":{"startContainer":[{"path":"/a","supervise":true}]}`, `{}`, `{"hooks":{"startContainer":[{"path":"/a"}]}}`, ""},
		"the longest":      {`"hooks":{"poststart":[{"path":"/a","supervise":true,"timeout":2147483647}]}`, `{}`, `{"hooks":{"poststart":[` + entry(file, "/hooks/poststart/0", "poststart", "2147483647", "fail", "", `"/a","/a"`, path, 2147483647) + `]}}`, "2147483647 s, fail"},
		"ignored for this container": {`"supervise":{"ignoreFailureWhen":{"annotations":{"^ns$":"^kube-"}}},"hooks":{"prestart":[{"path":"/a"}]}`, `{"annotations":{"ns":"kube-x"}}`,
			`{"hooks":{"prestart":[` + entry(file, "/hooks/prestart/0", "prestart", "30", "ignore", "", `"/a","/a"`, path, 35) + `]},"annotations":{"ns":"kube-x"}}`, "30 s, ignore (annotation ^ns$=^kube- matches ns=kube-x)"},
		"not for this one": {`"supervise":{"ignoreFailureWhen":{"annotations":{"^ns$":"^kube-"}}},"hooks":{"prestart":[{"path":"/a"}]}`, `{"annotations":{"ns":"x"}}`,
			`{"hooks":{"prestart":[` + entry(file, "/hooks/prestart/0", "prestart", "30", "fail", "", `"/a","/a"`, path, 35) + `]},"annotations":{"ns":"x"}}`, "30 s, fail"},
		"a directory": {`"supervise":{"timeout":7},"hooksDirs":[` + fmt.Sprintf("%q", dir+"/d") + `]`, `{}`,
			`{"hooks":{"createRuntime":[` + entry(dir+"/d/10.json", "10.json", "createRuntime", "3", "fail", "", fmt.Sprintf(`%q,"p", "\u0061"`, program), `["A=1"]`, 8) +
				`],"startContainer":[` + fmt.Sprintf(`{"path":%q,"args":["p", "\u0061"],"env":["A=1"],"timeout":3}`, program) + `]}}`, "3 s, fail|"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := hooks.ReadFile(write(t, dir, "gpu.json", "{"+tt.file+"}"))
			if err != nil {
				t.Fatal(err)
			}
			uses := profile.Profile{Files: []*hooks.File{f}, Dirs: f.Dirs}
			config := write(t, t.TempDir(), "config.json", tt.config)
			plan, err := Make(uses, config, "c")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(plan.Text.Bytes())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var told []string
			for _, d := range plan.Decisions {
				text := ""
				if d.Supervised != nil {
					text = strings.TrimPrefix(d.Supervised.String(), "supervised: ")
				}
				told = append(told, text)
			}
			if got := strings.Join(told, "|"); got != tt.told {
				t.Errorf("supervised: %q, want %q", got, tt.told)
			}
			// Rule 13 holds for supervised hooks as well.
			if err := plan.CarryOut(); err != nil {
				t.Fatal(err)
			}
			if again, err := Make(uses, config, "c"); err != nil || again.Text != nil {
				t.Errorf("the second plan: %s, %v", again.Text.Bytes(), err)
			}
		})
	}
}

// TestSupervisorElsewhere: the supervisor is in the directory of the program that adds the hooks, not of one that only
// makes the plan, and not of a link.
func TestSupervisorElsewhere(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "opt/oci-add-hooks", "")
	supervisor := write(t, dir, "opt/oci-run-hook", "")
	if err := os.Chmod(supervisor, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("opt/oci-add-hooks", link); err != nil {
		t.Fatal(err)
	}
	f, err := hooks.ReadFile(write(t, dir, "gpu.json", `{"supervise":true,"hooks":{"prestart":[{"path":"/a"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := Make(profile.Profile{Files: []*hooks.File{f}, Program: link}, write(t, dir, "config.json", "{}"), "c")
	if err != nil || !strings.Contains(string(plan.Text.Bytes()), `{"path":"`+supervisor+`"`) {
		t.Errorf("%s, %v", plan.Text.Bytes(), err)
	}
}

// TestSupervisorMissing: if the supervisor cannot be used, no hook is added. A hook without supervision does not need
// it.
func TestSupervisorMissing(t *testing.T) {
	supervisor := beside(t)
	dir := t.TempDir()
	config := write(t, dir, "config.json", "{}")
	f, err := hooks.ReadFile(write(t, dir, "gpu.json", `{"supervise":true,"hooks":{"prestart":[{"path":"/a"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for why, spoil := range map[string]func() error{
		supervisor + " cannot be used: nothing exists at this path (ENOENT)": func() error { return os.Remove(supervisor) },
		supervisor + " is not a regular file": func() error {
			os.Remove(supervisor)
			return os.Mkdir(supervisor, 0o755)
		},
		supervisor + " may not be executed: access is refused (EACCES)": func() error {
			os.Remove(supervisor)
			return os.WriteFile(supervisor, nil, 0o644)
		},
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		_, err := Make(profile.Profile{Files: []*hooks.File{f}}, config, "c")
		if want := f.Path + ":1:2: asks for supervised hooks, but " + why + ` (/supervise); install oci-run-hook beside oci-add-hooks, or remove "supervise"`; err == nil || err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	other, err := hooks.ReadFile(write(t, dir, "other.json", `{"supervise":true,"hooks":{"prestart":[{"path":"/a","supervise":false}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Make(profile.Profile{Files: []*hooks.File{other}}, config, "c"); err != nil {
		t.Error(err)
	}
}
