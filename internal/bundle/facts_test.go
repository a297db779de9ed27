package bundle

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

func TestFacts(t *testing.T) {
	for _, test := range []struct {
		name, config string
		want         hooks.Container
	}{
		{"none", `{}`, hooks.Container{}},
		{"null", `{"annotations":null,"process":null,"mounts":null}`, hooks.Container{}},
		{"annotations", `{"annotations":{"a":"b","c\u0064":"\u00e9"}}`,
			hooks.Container{Annotations: map[string]string{"a": "b", "cd": "é"}}},
		{"the last of two counts", `{"annotations":{"a":"b","a":"c"},"annotations":{"a":"d"}}`,
			hooks.Container{Annotations: map[string]string{"a": "d"}}},
		{"command", `{"process":{"env":["A=1"],"args":["sh","-c"]}}`, hooks.Container{HasProcess: true, Args: []string{"sh", "-c"}}},
		{"no command", `{"process":{"args":null}}`, hooks.Container{HasProcess: true}},
		{"bind mounts", `{"mounts":[
			{"destination":"/proc","type":"proc","source":"proc"},
			{"destination":"/data","type":"bind","source":"/srv"},
			{"destination":"/more","type":"none","source":"/srv","options":["rbind","ro"]},
			{"destination":"/less","source":"/srv","options":["bind"]},
			{"destination":"/tmp","type":"tmpfs","options":["bindings"]},
			{"destination":"/etc/hosts","type":"bind","source":"/x"},
			{"destination":"/etc/hosts.d","type":"bind","source":"/x"},
			{"destination":"/sys","type":"bind","source":"/sys"},
			{"destination":"/sys/fs/cgroup","type":"bind","source":"/sys/fs/cgroup"},
			{"destination":"/system","type":"bind","source":"/x"},
			{"destination":"/var/run/secrets/kubernetes.io/serviceaccount","type":"bind","source":"/x"},
			{"destination":"/sbin/docker-init","type":"bind","source":"/x"}]}`,
			hooks.Container{BindMounts: []string{"/data", "/more", "/less", "/etc/hosts.d", "/system"}}},
	} {
		c, err := parse(&jsonfile.File{Path: "config.json", Data: []byte(test.config)}, true)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if diff := cmp.Diff(test.want, c.Facts); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.name, diff)
		}
	}
}

// TestFactsOfEngines: what engines wrote for a container with an annotation or a bind mount of the user's, as
// testdata/engines/README.md says.
func TestFactsOfEngines(t *testing.T) {
	for file, want := range map[string]struct {
		command string
		binds   []string
		sandbox bool
	}{
		"docker-28.5":                  {command: "sleep", binds: []string{"/data"}},
		"docker-20.10":                 {command: "sleep", binds: []string{"/data"}},
		"containerd-1.6-cri-sandbox":   {command: "/bin/sleep", sandbox: true},
		"containerd-1.6-cri-container": {command: "/bin/sleep"},
		"podman-5.8":                   {command: "sleep", binds: []string{"/data"}},
		"runc-1.1-spec":                {command: "sh"},
	} {
		c, err := Read("testdata/engines/"+file+".json", true)
		if err != nil {
			t.Fatal(err)
		}
		if c.Facts.Args[0] != want.command || c.Facts.IsSandbox() != want.sandbox || !cmp.Equal(c.Facts.BindMounts, want.binds) {
			t.Errorf("%s: %+v; want %+v", file, c.Facts, want)
		}
	}
}

// TestBadFacts: what conditions ask for must be readable, else nobody could say what they would have answered.
func TestBadFacts(t *testing.T) {
	for config, want := range map[string]string{
		`{"annotations":{"a":1}}`:       `config.json:1:21: must be a string, not a number (/annotations/a)`,
		`{"annotations":[]}`:            `must be an object, not an array (/annotations)`,
		`{"process":{"args":"sh"}}`:     `must be an array, not a string (/process/args)`,
		`{"process":{"args":[1]}}`:      `must be a string, not a number (/process/args/0)`,
		`{"mounts":[{"options":[{}]}]}`: `must be a string, not an object (/mounts/0/options/0)`,
		`{"mounts":{}}`:                 `must be an array, not an object (/mounts)`,
	} {
		file := &jsonfile.File{Path: "config.json", Data: []byte(config)}
		if _, err := parse(file, true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", config, err, want)
		}
		if _, err := parse(file, false); err != nil {
			t.Errorf("%s: not asked for, yet %v", config, err)
		}
	}
}
