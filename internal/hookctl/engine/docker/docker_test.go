package docker

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
)

// planDocker returns daemon.json with gpu as a runtime.
func planDocker(t *testing.T, before []byte, isDefault bool) ([]byte, error) {
	t.Helper()
	d := &docker{config: "/etc/docker/daemon.json", daemon: &engine.Daemon{}}
	files, err := d.Plan(t.Context(), engine.Runtime{Name: "gpu", Link: "/bin/gpu", Default: isDefault}, func(string) ([]byte, error) { return before, nil })
	if err != nil {
		return nil, err
	}
	if len(files) != 1 || files[0].Path != d.config {
		t.Fatalf("the plan changes %+v", files)
	}
	return files[0].After, nil
}

// installed returns an installation of gpu into a daemon.json.
func installed(before []byte) engine.Installed {
	return engine.Installed{Name: "gpu", Link: "/bin/gpu", Before: func(string) []byte { return before }}
}

// TestDockerPlan: additions have the layout of the rest of the file.
func TestDockerPlan(t *testing.T) {
	for _, test := range []struct {
		name, before, want string
		isDefault          bool
	}{
		{"no text", "", "{\n  \"runtimes\": {\n    \"gpu\": {\"path\": \"/bin/gpu\"}\n  }\n}\n", false},
		{"empty", "{}", "{\n  \"runtimes\": {\n    \"gpu\": {\"path\": \"/bin/gpu\"}\n  }\n}", false},
		{"compact", `{"debug":true}`, `{"debug":true,"runtimes": {"gpu": {"path": "/bin/gpu"}}}`, false},
		{"tabs", "{\n\t\"debug\": true\n}\n", "{\n\t\"debug\": true,\n\t\"runtimes\": {\n\t\t\"gpu\": {\"path\": \"/bin/gpu\"}\n\t}\n}\n", false},
		{"other runtimes", "{\n  \"runtimes\": {\n    \"x\": {\"path\": \"x\"}\n  },\n  \"a\" : 1.0\n}",
			"{\n  \"runtimes\": {\n    \"x\": {\"path\": \"x\"},\n    \"gpu\": {\"path\": \"/bin/gpu\"}\n  },\n  \"a\" : 1.0\n}", false},
		{"no runtimes yet", "{\n  \"runtimes\": {}\n}", "{\n  \"runtimes\": {\n    \"gpu\": {\"path\": \"/bin/gpu\"}\n  }\n}", false},
		{"default", "{\n  \"a\": 1\n}", "{\n  \"a\": 1,\n  \"runtimes\": {\n    \"gpu\": {\"path\": \"/bin/gpu\"}\n  },\n  \"default-runtime\": \"gpu\"\n}", true},
		{"another default", `{"default-runtime" : "x"}`, `{"default-runtime" : "gpu","runtimes": {"gpu": {"path": "/bin/gpu"}}}`, true},
		{"odd bytes", "\n{ \"labels\":[\"\\u00e9\"] }\n", "\n{ \"labels\":[\"\\u00e9\"], \"runtimes\": { \"gpu\": {\"path\": \"/bin/gpu\"} } }\n", false},
	} {
		got, err := planDocker(t, []byte(test.before), test.isDefault)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if diff := cmp.Diff(test.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestDockerRefused: a file that dockerd would refuse, or read differently than intended, is refused with the place.
func TestDockerRefused(t *testing.T) {
	for before, want := range map[string]string{
		`{`:                              `/etc/docker/daemon.json:1:2: not valid JSON: the file ends too early`,
		`[]`:                             `/etc/docker/daemon.json:1:1: must be an object, not an array`,
		`{"runtimes": []}`:               `/etc/docker/daemon.json:1:14: must be an object, not an array (/runtimes)`,
		`{"Runtimes": {}}`:               `member "Runtimes" differs from "runtimes" in the case of letters alone`,
		`{"Default-Runtime": "x"}`:       `member "Default-Runtime" differs from "default-runtime"`,
		`{"runtimes": {}, "runtimes":1}`: `member "runtimes" is given twice`,
		`{} {}`:                          `text follows the end of the JSON value`,
		`{"runtimes": {"gpu": {}}}`:      `/etc/docker/daemon.json:1:15: there is a runtime "gpu" already, and hookctl did not put it there`,
	} {
		if _, err := planDocker(t, []byte(before), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", before, err, want)
		}
	}
}

// TestDockerWithout: what others have edited since stays.
func TestDockerWithout(t *testing.T) {
	for _, test := range []struct {
		name, before, edited, want string
	}{
		{"a runtime added", `{"runtimes": {"x": {}}}`, `{"runtimes": {"x": {}, "gpu": {"path": "/bin/gpu"}, "y": {}}}`, `{"runtimes": {"x": {}, "y": {}}}`},
		{"moved to the front", `{"a": 1}`, `{"runtimes": {"gpu": {"path": "/bin/gpu"}, "y": {}}, "a": 2}`, `{"runtimes": {"y": {}}, "a": 2}`},
		{"the only one", `{"a": 1}`, `{"a": 2, "runtimes": {"gpu": {"path": "/bin/gpu"}}}`, `{"a": 2}`},
		{"the only one, and it was empty", `{"runtimes":{}}`, `{"runtimes":{ "gpu": {"path": "/bin/gpu"} }, "a": 1}`, `{"runtimes":{}, "a": 1}`},
		{"our default", `{"a": 1}`, `{"a": 2, "default-runtime": "gpu", "runtimes": {"gpu": {"path": "/bin/gpu"}}}`, `{"a": 2}`},
		{"our default in the place of another", `{"default-runtime": "x"}`, `{"a": 2, "default-runtime": "gpu", "runtimes": {"gpu": {"path": "/bin/gpu"}}}`, `{"a": 2, "default-runtime": "x"}`},
		{"another default since", `{"default-runtime": "x"}`, `{"default-runtime": "y", "runtimes": {"gpu": {"path": "/bin/gpu"}}}`, `{"default-runtime": "y"}`},
		{"removed manually", `{}`, `{"a": 1}`, `{"a": 1}`},
		{"a file that was not there", "", `{"runtimes": {"gpu": {"path": "/bin/gpu"} }}`, ""},
	} {
		d := &docker{config: "/etc/docker/daemon.json", daemon: &engine.Daemon{}}
		before := []byte(test.before)
		if test.before == "" {
			before = nil
		}
		r := installed(before)
		got, err := d.Without(d.config, []byte(test.edited), r)
		if err != nil || string(got) != test.want || (got == nil) != (test.want == "") {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
	}
	// A runtime that somebody has made call another program stays.
	d := &docker{config: "/etc/docker/daemon.json", daemon: &engine.Daemon{}}
	r := installed(nil)
	if _, err := d.Without(d.config, []byte(`{"runtimes": {"gpu": {"path": "/usr/bin/kata"}}}`), r); err == nil ||
		!strings.Contains(err.Error(), `daemon.json:1:15: somebody has changed the runtime "gpu" since: it does not call /bin/gpu`) {
		t.Error(err)
	}
}

// FuzzDocker: with a runtime added, the file has its former meaning and the runtime. With only that part removed again,
// it has its former meaning.
func FuzzDocker(f *testing.F) {
	for _, seed := range []string{"{}", `{"runtimes":{"x":{"path":"y"}}}`, "{\n\t\"default-runtime\": \"runc\"\n}", `{"a":[{"b":"\u0000"}],"runtimes":{ }}`, `{"runtimes": null, "a": 1}`} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, before []byte, isDefault bool) {
		after, err := planDocker(t, before, isDefault)
		if err != nil {
			return
		}
		var was, is map[string]any
		if len(bytes.TrimSpace(before)) > 0 {
			if err := json.Unmarshal(before, &was); err != nil {
				return // encoding/json supports less nesting
			}
		}
		if err := json.Unmarshal(after, &is); err != nil {
			t.Fatalf("%v in\n%s", err, after)
		}
		runtimes, _ := is["runtimes"].(map[string]any)
		if !cmp.Equal(runtimes["gpu"], any(map[string]any{"path": "/bin/gpu"})) || isDefault && is["default-runtime"] != "gpu" {
			t.Fatalf("the runtime is not in\n%s", after)
		}
		d := &docker{config: "/etc/docker/daemon.json", daemon: &engine.Daemon{}}
		r := installed(before)
		again, err := d.Without(d.config, after, r)
		if err != nil {
			t.Fatal(err)
		}
		var then map[string]any
		if err := json.Unmarshal(again, &then); err != nil {
			t.Fatalf("%v in\n%s", err, again)
		}
		if was == nil {
			was = map[string]any{}
		}
		if was["default-runtime"] == "gpu" { // as if hookctl had set it
			delete(was, "default-runtime")
			delete(then, "default-runtime")
		}
		if diff := cmp.Diff(was, then); diff != "" {
			t.Fatalf("%q came to %q (-was +then):\n%s", before, again, diff)
		}
	})
}
