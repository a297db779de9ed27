package bundle

import (
	"fmt"
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
			{"destination":"/system","type":"bind","source":"/x"}]}`,
			hooks.Container{BindMounts: []string{"/data", "/more", "/less", "/system"}}},
	} {
		c, err := parse(&jsonfile.File{Path: "config.json", Data: []byte(test.config)}, "", true)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if diff := cmp.Diff(test.want, c.Facts); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.name, diff)
		}
	}
}

// TestFactsOfEngines tests the facts in config.json files that engines wrote, for containers with an annotation or a
// bind mount of the user's. testdata/engines/README.md describes the files.
func TestFactsOfEngines(t *testing.T) {
	for file, want := range map[string]struct {
		id      string
		command string
		binds   []string
		sandbox bool
	}{
		"docker-28.5":                  {id: "37d9bd4f90a764f57b73d48b12271b6558dbba868b19870bcc186b33350e01a5", command: "sleep", binds: []string{"/data"}},
		"docker-28.5-privileged":       {command: "sleep"}, // the cgroup's path has the id too
		"docker-20.10":                 {id: "c", command: "sleep", binds: []string{"/data"}},
		"containerd-1.6-cri-sandbox":   {id: "9040e3f5317e8a8758f21b7f52f9733c692cd56c9f2849a236fd29ba7d648487", command: "/bin/sleep", sandbox: true},
		"containerd-1.6-cri-container": {id: "882887eb64091b872860d88cb5d6ff7f43e6922a9609f31943fac50b87e45ff0", command: "/bin/sleep"},
		"podman-4.3":                   {command: "sleep", binds: []string{"/data"}},
		"podman-5.8":                   {id: "169b238aba36c3f0d6d14cc3b0153faed28087c07ae4417af308b861b04404c4", command: "sleep", binds: []string{"/data"}},
		"runc-1.1-spec":                {command: "sh"},
		"runc-1.1-spec-rootless":       {command: "sh"},
	} {
		c, err := Read("testdata/engines/"+file+".json", want.id, true)
		if err != nil {
			t.Fatal(err)
		}
		if c.Facts.Args[0] != want.command || c.Facts.IsSandbox() != want.sandbox || !cmp.Equal(c.Facts.BindMounts, want.binds) {
			t.Errorf("%s: %+v; want %+v", file, c.Facts, want)
		}
	}
}

// TestEnginesMounts: a bind mount at a destination where engines mount files of their own is the engine's only if its
// source is in the engine's directory for this container or pod.
func TestEnginesMounts(t *testing.T) {
	const id, sandbox, uid, other = "37d9bd4f90a764f57b73d48b12271b6558dbba868b19870bcc186b33350e01a5",
		"9040e3f5317e8a8758f21b7f52f9733c692cd56c9f2849a236fd29ba7d648487", "0f3b6a5e-9b1f-4c57-8d5e-2f0a6e0c7a11",
		"827792a86648d279600a94a0b523371dd82b11c700a09a718140793833ed4479"
	docker, podman := "/var/lib/docker/containers/", "/run/user/1000/containers/overlay-containers/"
	kubelet := "/var/lib/kubelet/pods/" + uid
	for _, test := range []struct {
		name   string
		mounts [][2]string // source and destination
		users  []string    // the destinations of the user's mounts
	}{
		{"Docker's", [][2]string{{docker + id + "/hosts", "/etc/hosts"}, {docker + id + "/mounts/shm", "/dev/shm"}, {"/usr/bin/docker-init", "/sbin/docker-init"}}, nil},
		{"Docker's, of the container whose network it shares", [][2]string{{docker + id + "/mounts/shm", "/dev/shm"}, {docker + other + "/hosts", "/etc/hosts"}}, nil},
		{"Podman's", [][2]string{{podman + id + "/userdata/.containerenv", "/run/.containerenv"}, {podman + id + "/userdata/run/secrets", "/run/secrets"},
			{podman + id + "/userdata/passwd", "/etc/passwd"}, {podman + other + "/userdata/resolv.conf", "/etc/resolv.conf"}, {"/usr/libexec/podman/catatonit", "/run/podman-init"}}, nil},
		{"containerd's and the kubelet's", [][2]string{{"/run/k3s/containerd/io.containerd.grpc.v1.cri/sandboxes/" + sandbox + "/shm", "/dev/shm"}, {kubelet + "/etc-hosts", "/etc/hosts"},
			{kubelet + "/containers/main/1f2e3d4c", "/dev/termination-log"},
			{kubelet + "/volumes/kubernetes.io~projected/kube-api-access-x", "/var/run/secrets/kubernetes.io/serviceaccount"}}, nil},
		{"the host's /sys", [][2]string{{"/sys", "/sys"}, {"/sys/fs/cgroup/", "/sys/fs/cgroup"}}, nil},

		{"a user's at all of them", [][2]string{{"/srv/hosts", "/etc/hosts"}, {"/srv", "/etc/hostname"}, {"/", "/etc/resolv.conf"}, {"/srv/passwd", "/etc/passwd"}, {"/etc/group", "/etc/group"},
			{"/dev/shm", "/dev/shm"}, {"/", "/dev/termination-log"}, {"/srv", "/run/.containerenv"}, {"/srv", "/run/secrets"}, {"/srv", "/var/run/secrets/kubernetes.io/x"},
			{"/", "/sys"}, {"/srv", "/sys/kernel"}, {"/bin/sh", "/sbin/docker-init"}, {"/bin/sh", "/run/podman-init"}},
			[]string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/passwd", "/etc/group", "/dev/shm", "/dev/termination-log", "/run/.containerenv", "/run/secrets",
				"/var/run/secrets/kubernetes.io/x", "/sys", "/sys/kernel", "/sbin/docker-init", "/run/podman-init"}},
		{"a user's below the engine's", [][2]string{{docker + id + "/hosts", "/etc/hosts"}, {"/srv", "/etc/hostname"}, {docker + "../../x", "/etc/resolv.conf"}, {docker + id + "/x", "/data"}, {"/x", "/etc/hosts.d"}},
			[]string{"/etc/hostname", "/etc/resolv.conf", "/data", "/etc/hosts.d"}},
		{"a user's beside the pod's", [][2]string{{kubelet + "/etc-hosts", "/etc/hosts"}, {kubelet + "/../x", "/etc/hostname"},
			{"/run/k3s/containerd/io.containerd.grpc.v1.cri/sandboxes/" + sandbox + "/shm", "/dev/shm"}, {"/run/k3s/x", "/run/secrets"}}, []string{"/etc/hostname", "/run/secrets"}},
		{"a directory of another container", [][2]string{{"/srv/" + other + "/hosts", "/etc/hosts"}, {"", "/etc/hostname"}, {"hosts", "/etc/resolv.conf"}}, []string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}},
	} {
		var mounts []string
		for _, m := range test.mounts {
			mounts = append(mounts, fmt.Sprintf(`{"type":"bind","source":%q,"destination":%q}`, m[0], m[1]))
		}
		text := `{"mounts":[` + strings.Join(mounts, ",") + `],"annotations":{"io.kubernetes.cri.sandbox-id":"` + sandbox + `","io.kubernetes.cri.sandbox-uid":"` + uid + `"}}`
		c, err := parse(&jsonfile.File{Path: "config.json", Data: []byte(text)}, id, true)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.users, c.Facts.BindMounts); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.name, diff)
		}
	}
	// Users write annotations. A value that is no id makes no directory the engine's: here it would be /var/.
	for _, value := range []string{"lib", "containers", "docker", ""} {
		text := `{"mounts":[{"type":"bind","source":"` + docker + id + `/hosts","destination":"/etc/hosts"},{"type":"bind","source":"/var/tmp/mine","destination":"/run/secrets"}],` +
			`"annotations":{"io.kubernetes.cri.sandbox-id":"` + value + `","io.kubernetes.pod.uid":"` + value + `"}}`
		c, err := parse(&jsonfile.File{Path: "config.json", Data: []byte(text)}, id, true)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"/run/secrets"}, c.Facts.BindMounts); diff != "" {
			t.Errorf("an annotation %q: (-want +got)\n%s", value, diff)
		}
	}
	for path, want := range map[string]string{
		"/docker/" + id: id, "system.slice:docker:" + id: id, "/libpod_parent/libpod-" + id: id,
		"/kubepods.slice/kubepods-x.slice/cri-containerd-" + id + ".scope": id, "": "", "/default/k1": "", id[1:]: "", "/x/" + strings.ToUpper(id): "",
	} {
		if got := idOfCgroup(path); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// TestBadFacts: a fact that conditions need and that cannot be read is an error, because the condition has no answer.
func TestBadFacts(t *testing.T) {
	for config, want := range map[string]string{
		`{"annotations":{"a":1}}`:       `config.json:1:21: must be a string, not a number (/annotations/a); write it in double quotes`,
		`{"annotations":[]}`:            `must be an object, not an array (/annotations); write it in braces: {...}`,
		`{"process":{"args":"sh"}}`:     `must be an array, not a string (/process/args); write it in brackets: [...]`,
		`{"process":{"args":[1]}}`:      `must be a string, not a number (/process/args/0); write it in double quotes`,
		`{"mounts":[{"options":[{}]}]}`: `must be a string, not an object (/mounts/0/options/0); write it in double quotes`,
		`{"mounts":{}}`:                 `must be an array, not an object (/mounts); write it in brackets: [...]`,
	} {
		file := &jsonfile.File{Path: "config.json", Data: []byte(config)}
		if _, err := parse(file, "", true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", config, err, want)
		}
		if _, err := parse(file, "", false); err != nil {
			t.Errorf("%s: without facts: %v", config, err)
		}
	}
}
