package inject

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// write writes a file below dir and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPlan shows the decision about every hook. The hook files' hooks go before the existing ones, and the directories'
// hooks after them. Each block is added once.
func TestPlan(t *testing.T) {
	dir := t.TempDir()
	program := write(t, dir, "program", "")
	hookFile := func(name, text string) *hooks.File {
		f, err := hooks.ReadFile(write(t, dir, name, text))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first := hookFile("first.json", `{"hooks":{"poststop":[{"path":"/stop"}],"prestart":[{"path":"/1a"},{"path":"/1b"}]}}`)
	second := hookFile("second.json", `{"skipSandboxes":true,"hooks":{"prestart":[{"path":"/2"}]}}`)
	both := []*hooks.File{first, second}
	write(t, dir, "d/10-always.json", fmt.Sprintf(`{"version":"1.0.0","hook":{"path":%q},"when":{"always":true},"stages":["prestart","poststop"]}`, program))
	write(t, dir, "d/20-gpu.json", fmt.Sprintf(`{"version":"1.0.0","hook":{"path":%q,"args":["gpu"]},"when":{"annotations":{"^gpu$":"^true$"}},"stages":["poststop"]}`, program))
	write(t, dir, "d/30-nowhere.json", fmt.Sprintf(`{"version":"1.0.0","hook":{"path":%q},"when":{"always":true},"stages":[]}`, program))
	dirs := []string{filepath.Join(dir, "d")}
	always := fmt.Sprintf(`{"path":%q}`, program)
	gpu := fmt.Sprintf(`{"path":%q,"args":["gpu"]}`, program)

	for _, test := range []struct {
		name   string
		uses   profile.Profile
		config string
		want   string // the new text; empty if it does not change
		told   string // the decisions: stage, base name of the file, verdict, reason
	}{
		{"files in order", profile.Profile{Files: both}, `{"hooks":{"prestart":[{"path":"/old"}]}}`,
			`{"hooks":{"poststop":[{"path":"/stop"}],"prestart":[{"path":"/1a"},{"path":"/1b"},{"path":"/2"},{"path":"/old"}]}}`,
			`prestart first.json added: | prestart first.json added: | prestart second.json added: | poststop first.json added:`},
		{"a sandbox", profile.Profile{Files: both}, `{"annotations":{"io.kubernetes.cri.container-type":"sandbox","io.kubernetes.cri.sandbox-id":"c"}}`,
			`{"hooks":{"prestart":[{"path":"/1a"},{"path":"/1b"}],"poststop":[{"path":"/stop"}]},"annotations":{"io.kubernetes.cri.container-type":"sandbox","io.kubernetes.cri.sandbox-id":"c"}}`,
			`prestart first.json added: | prestart first.json added: | prestart second.json not added: sandbox | poststop first.json added:`},
		{"one block is there", profile.Profile{Files: both}, `{"hooks":{"prestart":[{"path":"/1a"},{"path":"/1b"},{"path":"/2"}]}}`,
			`{"hooks":{"poststop":[{"path":"/stop"}],"prestart":[{"path":"/1a"},{"path":"/1b"},{"path":"/2"}]}}`,
			`prestart first.json already there: | prestart first.json already there: | prestart second.json already there: | poststop first.json added:`},
		{"all are there", profile.Profile{Files: []*hooks.File{second}}, `{"hooks":{"prestart":[{"path":"/x"},{"path":"/2"}]}}`, "",
			`prestart second.json already there:`},
		{"directories", profile.Profile{Dirs: dirs}, `{"hooks":{"poststop":[{"path":"/old"}]}}`,
			`{"hooks":{"createRuntime":[` + always + `],"poststop":[{"path":"/old"},` + always + `]}}`,
			`createRuntime 10-always.json added: always | poststop 10-always.json added: always | ` +
				`poststop 20-gpu.json not added: annotation ^gpu$=^true$ matches none of 0 annotations |  30-nowhere.json not added: no stage is given`},
		{"files and directories", profile.Profile{Files: []*hooks.File{first}, Dirs: dirs}, `{"annotations":{"gpu":"true"},"hooks":{"poststop":[{"path":"/old"}]}}`,
			`{"annotations":{"gpu":"true"},"hooks":{"prestart":[{"path":"/1a"},{"path":"/1b"}],"createRuntime":[` + always +
				`],"poststop":[{"path":"/stop"},{"path":"/old"},` + always + `,` + gpu + `]}}`,
			`prestart first.json added: | prestart first.json added: | createRuntime 10-always.json added: always | poststop first.json added: | ` +
				`poststop 10-always.json added: always | poststop 20-gpu.json added: annotation ^gpu$=^true$ matches gpu=true |  30-nowhere.json not added: no stage is given`},
		{"directories and a sandbox", profile.Profile{Dirs: dirs}, `{"annotations":{"io.kubernetes.cri-o.ContainerType":"sandbox","io.kubernetes.cri-o.SandboxID":"c"}}`, "",
			`createRuntime 10-always.json not added: sandbox | poststop 10-always.json not added: sandbox | ` +
				`poststop 20-gpu.json not added: sandbox |  30-nowhere.json not added: sandbox`},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := write(t, t.TempDir(), "config.json", test.config)
			plan, err := Make(test.uses, config, "c")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(plan.Text.Bytes())); diff != "" {
				t.Errorf("text (-want +got)\n%s", diff)
			}
			var told []string
			for _, d := range plan.Decisions {
				why := ""
				if len(d.Reason) > 0 {
					why = " " + d.Reason.String()
				}
				told = append(told, fmt.Sprintf("%s %s %s:%s", d.Stage, filepath.Base(d.File), d.Verdict, why))
			}
			if diff := cmp.Diff(test.told, strings.Join(told, " | ")); diff != "" {
				t.Errorf("decisions (-want +got)\n%s", diff)
			}
			// Making the plan changes nothing. After it is carried out, a second plan adds nothing.
			if text, _ := os.ReadFile(config); string(text) != test.config {
				t.Errorf("the plan alone wrote %s", text)
			}
			if err := plan.CarryOut(); err != nil {
				t.Fatal(err)
			}
			want := test.want
			if want == "" {
				want = test.config
			}
			if text, _ := os.ReadFile(config); string(text) != want {
				t.Errorf("carried out, it wrote %s", text)
			}
			again, err := Make(test.uses, config, "c")
			if err != nil {
				t.Fatal(err)
			}
			if again.Text != nil {
				t.Errorf("the second plan: %s", again.Text.Bytes())
			}
		})
	}
}

// TestChangedMeanwhile: if config.json changes after the plan was made, CarryOut adds the hooks to the changed file.
func TestChangedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	file, err := hooks.ReadFile(write(t, dir, "hooks.json", `{"hooks":{"poststop":[{"path":"/a"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for theirs, want := range map[string]string{
		`{"theirs":1}`:                           `{"hooks":{"poststop":[{"path":"/a"}]},"theirs":1}`,
		`{"hooks":{"poststop":[{"path":"/b"}]}}`: `{"hooks":{"poststop":[{"path":"/a"},{"path":"/b"}]}}`,
		`{"hooks":{"poststop":[{"path":"/a"}]}}`: `{"hooks":{"poststop":[{"path":"/a"}]}}`,
	} {
		config := write(t, dir, "config.json", `{}`)
		plan, err := Make(profile.Profile{Files: []*hooks.File{file}}, config, "c")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(write(t, dir, "new", theirs), config); err != nil {
			t.Fatal(err)
		}
		if err := plan.CarryOut(); err != nil {
			t.Errorf("%s: %v", theirs, err)
		}
		if got, err := os.ReadFile(config); err != nil || string(got) != want {
			t.Errorf("%s became %s, %v", theirs, got, err)
		}
	}
}

// TestNothingToAdd: if there is no hook to add, config.json is not read.
func TestNothingToAdd(t *testing.T) {
	dir := t.TempDir()
	empty, err := hooks.ReadFile(write(t, dir, "empty.json", `{"hooks":{"prestart":[]},"skipSandboxes":true}`))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "d/readme.txt", "no hook")
	for _, uses := range []profile.Profile{{}, {Files: []*hooks.File{empty}}, {Dirs: []string{filepath.Join(dir, "d")}}} {
		plan, err := Make(uses, filepath.Join(dir, "missing"), "")
		if err != nil || plan.Text != nil || len(plan.Decisions) != 0 {
			t.Errorf("%+v: %+v, %v", uses, plan, err)
		}
		if err := plan.CarryOut(); err != nil {
			t.Error(err)
		}
		if got := plan.String(); got != filepath.Join(dir, "missing")+": no hooks added" {
			t.Error(got)
		}
	}
}

// TestString: the line for the log names the hooks that config.json now holds, and their files.
func TestString(t *testing.T) {
	plan := &Plan{ConfigPath: "/b/config.json", Decisions: []Decision{
		{Stage: hooks.Prestart, Path: "/a", File: "/f.json", Verdict: Added},
		{Stage: hooks.Poststop, Path: "/b", File: "/f.json", Verdict: AlreadyThere, Supervised: &Supervised{Timeout: 5, Policy: "ignore"}},
		{Stage: hooks.Poststop, Path: "/b", File: "/d/1.json", Verdict: NotAdded, Reason: hooks.Reason{{About: hooks.Sandbox}}}}}
	const want = "/b/config.json: prestart /a from /f.json: added; poststop /b from /f.json: already there, supervised: 5 s, ignore"
	if got := plan.String(); got != want {
		t.Errorf("%s; want %s", got, want)
	}
}
