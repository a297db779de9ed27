package inventory_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/inventory"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc/proctest"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hooklog"
	"github.com/awslabs/oci-add-hooks/internal/inject"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// machine makes a system with oci-add-hooks, a link gpu to it, and a profile of that name.
func machine(t testing.TB, hookFile string) (sys system.System, exe string) {
	sys = system.System{Root: t.TempDir()}
	sys.Profiles = sys.Path("etc/oci-add-hooks")
	exe = sys.Path("bin/oci-add-hooks")
	write(t, exe, "")
	write(t, sys.Profile("gpu"), hookFile)
	if err := os.MkdirAll(sys.Path("proc/1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("oci-add-hooks", sys.Path("bin/gpu")); err != nil {
		t.Fatal(err)
	}
	return sys, exe
}

const tasks = "run/containerd/io.containerd.runtime.v2.task/default/"

// add adds a container of containerd's that calls a runtime. A runtime path below the system's root is replaced by a
// link at the path that the system's files name.
func add(t testing.TB, sys system.System, id, runtime, config string) {
	t.Helper()
	write(t, sys.Path(tasks+id+"/runtime"), runtime)
	write(t, sys.Path(tasks+id+"/config.json"), config)
}

// TestStates tests each state and its problems.
func TestStates(t *testing.T) {
	const (
		setKey = `{"path":"/proc/1/exe","args":["libnetwork-setkey","x"]}`
		oci    = `{"path":"/usr/bin/nerdctl","args":["/usr/bin/nerdctl","internal","oci-hook","createRuntime"]}`
		a      = `{"path":"/a","timeout":5}`
		b      = `{"path":"/b"}`
	)
	for _, test := range []struct {
		name, profile, config string
		state                 inventory.State
		problems              string // separated by line feeds; FILE stands for the profile's path
	}{
		{"all there", `{"hooks":{"poststop":[` + a + `,` + b + `]}}`, `{"hooks":{"poststop":[{"timeout":5,"path":"/a"},` + b + `]}}`, inventory.Complete, ""},
		{"beside others", `{"hooks":{"poststop":[` + a + `]}}`, `{"hooks":{"poststop":[` + b + `,` + a + `],"prestart":[` + setKey + `]}}`, inventory.Complete, ""},
		{"nothing to add", `{"hooks":{}}`, `{}`, inventory.Complete, ""},
		{"another version of a hook", `{"hooks":{"poststop":[{"path":"/a","timeout":6}]}}`, `{"hooks":{"poststop":[` + a + `]}}`, inventory.Changed,
			"poststop has /a, but not as FILE adds it today"},
		{"one more", `{"hooks":{"poststop":[` + a + `],"poststart":[` + b + `]}}`, `{"hooks":{"poststop":[` + a + `]}}`, inventory.Changed,
			"poststart lacks /b, which FILE adds today"},
		{"another hook", `{"hooks":{"poststop":[` + b + `]}}`, `{"hooks":{"poststop":[` + a + `]}}`, inventory.Changed,
			"poststop lacks /b, which FILE adds today\npoststop has /a, which the profile does not add today"},
		{"another order", `{"hooks":{"poststop":[` + b + `,` + a + `]}}`, `{"hooks":{"poststop":[` + a + `,` + b + `]}}`, inventory.Changed,
			"poststop has /b, but not as FILE adds it today\npoststop has /a, but not as FILE adds it today"},
		{"one program twice", `{"hooks":{"poststop":[{"path":"/a","args":["1"]},{"path":"/a","args":["2"]}]}}`, `{"hooks":{"poststop":[` + a + `]}}`, inventory.Changed,
			"poststop has /a, but not as FILE adds it today\npoststop lacks /a, which FILE adds today"},
		{"none", `{"hooks":{"poststop":[` + a + `]}}`, `{}`, inventory.Missing, "it has none of the hooks of gpu"},
		{"an engine's own alone", `{"hooks":{"poststop":[` + a + `]}}`, `{"hooks":{"prestart":[` + setKey + `],"createRuntime":[` + oci + `]}}`, inventory.Missing,
			"it has none of the hooks of gpu"},
		{"a sandbox", `{"skipSandboxes":true,"hooks":{"poststop":[` + a + `]}}`,
			`{"annotations":{"io.kubernetes.cri.container-type":"sandbox","io.kubernetes.cri.sandbox-id":"x"}}`, inventory.Complete, ""},
		{"another's sandbox", `{"skipSandboxes":true,"hooks":{"poststop":[` + a + `]}}`,
			`{"annotations":{"io.kubernetes.cri.container-type":"sandbox","io.kubernetes.cri.sandbox-id":"y"}}`, inventory.Missing, "it has none of the hooks of gpu"},
		{"supervised, as it was", `{"hooks":{"poststop":[` + a + `]}}`, `{"hooks":{"poststop":[{"path":"/bin/oci-run-hook","args":["oci-run-hook","--stage","poststop","--","/a","a"]}]}}`, inventory.Changed,
			"poststop has /a, but not as FILE adds it today"},
		{"a broken profile", `{"hooks":[]}`, `{}`, inventory.Unknown, "FILE:1:10: must be an object, not an array (/hooks); write it in braces: {...}"},
		{"a broken config.json", `{"hooks":{"poststop":[` + a + `]}}`, `{"hooks":{"poststop":[],"poststop":[]}}`, inventory.Unknown, `CONFIG:1:25: stage "poststop" is given twice (/hooks/poststop); remove one of the two`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sys, exe := machine(t, test.profile)
			add(t, sys, "x", sys.Path("bin/gpu"), test.config)
			link(t, sys)
			list := inventory.New(sys, inventory.Options{Exe: exe}).List(container.Look(sys).Containers)
			if len(list) != 1 {
				t.Fatalf("%+v", list)
			}
			e := list[0]
			problems := strings.NewReplacer(sys.Profile("gpu"), "FILE", e.Bundle+"/config.json", "CONFIG").Replace(strings.Join(e.Problems, "\n"))
			if e.State != test.state || problems != test.problems || e.Profile != "gpu" || e.IsWrong() != (test.problems != "") {
				t.Errorf("%s of %s: %s", e.State, e.Profile, problems)
			}
		})
	}
}

// TestDropped tests that a sandbox that CRI-O has not started is recognized by marks that no pod can set. Neither a
// container of a pod with such annotations, nor a sandbox that a conmon watches, counts as one.
func TestDropped(t *testing.T) {
	for _, test := range []struct {
		name, kind, id, mark string
		watched              bool
		state                inventory.State
	}{
		{"dropped", "sandbox", "x", "io.kubernetes.cri-o.Spoofed", false, inventory.None},
		{"dropped since 1.35", "sandbox", "x", "spoofed.crio.io", false, inventory.None},
		{"started", "sandbox", "x", "other", false, inventory.Missing},
		{"watched", "sandbox", "x", "spoofed.crio.io", true, inventory.Missing},
		{"another's", "sandbox", "y", "spoofed.crio.io", false, inventory.Missing},
		{"a container", "container", "y", "spoofed.crio.io", false, inventory.Missing},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sys, exe := machine(t, `{"hooks":{"poststop":[{"path":"/a"}]}}`)
			if err := os.MkdirAll(sys.Path("usr/bin"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../../bin/oci-add-hooks", sys.Path("usr/bin/gpu")); err != nil {
				t.Fatal(err)
			}
			bundle := "/var/lib/containers/storage/overlay-containers/x/userdata"
			write(t, sys.Path(bundle+"/config.json"), fmt.Sprintf(`{"annotations":{"io.kubernetes.cri-o.RuntimeHandler":"gpu",
				"io.kubernetes.cri-o.ContainerType":%q,"io.kubernetes.cri-o.SandboxID":%q,%q:"true"}}`, test.kind, test.id, test.mark))
			if test.watched {
				if _, err := proctest.Add(sys.Root, 7, "/usr/bin/conmon", "-c", "x", "-b", bundle, "-r", sys.Path("bin/gpu")); err != nil {
					t.Fatal(err)
				}
			}
			link(t, sys)
			list := inventory.New(sys, inventory.Options{Exe: exe, Expect: "gpu"}).List(container.Look(sys).Containers)
			if len(list) != 1 || list[0].State != test.state || list[0].IsWrong() != (test.state != inventory.None) {
				t.Errorf("%+v", list)
			}
		})
	}
}

// TestAnother tests the problem of a container that a program called oci-add-hooks started without a profile.
func TestAnother(t *testing.T) {
	sys, exe := machine(t, `{"hooks":{}}`)
	write(t, sys.Path("opt/oci-add-hooks"), "#!/bin/sh\nexec runc \"$@\"\n")
	add(t, sys, "x", sys.Path("opt/oci-add-hooks"), `{}`)
	link(t, sys)
	e := inventory.New(sys, inventory.Options{Exe: exe}).List(container.Look(sys).Containers)[0]
	want := "its engine calls a program oci-add-hooks without a profile: it is another program of that name, or the profile was removed: "
	if e.State != inventory.Unknown || !strings.HasPrefix(e.Reason, want) {
		t.Errorf("%+v", e)
	}
}

// TestGone tests a container without a config.json: that is a problem only if it runs.
func TestGone(t *testing.T) {
	sys, exe := machine(t, `{"hooks":{"poststop":[{"path":"/a"}]}}`)
	write(t, sys.Path(tasks+"runs/runtime"), sys.Path("bin/gpu"))
	write(t, sys.Path(tasks+"runs/init.pid"), "20")
	write(t, sys.Path(tasks+"ends/runtime"), sys.Path("bin/gpu"))
	write(t, sys.Path(tasks+"removed/runtime"), sys.Path("bin/gpu"))
	write(t, sys.Path(tasks+"removed/init.pid"), "21")
	link(t, sys)
	if _, err := proctest.Add(sys.Root, 20, "sleep"); err != nil {
		t.Fatal(err)
	}
	removed, err := proctest.Add(sys.Root, 21, "sleep")
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { os.RemoveAll(removed) })
	want := map[string][]string{"runs": {"it runs, and its config.json is gone from " + sys.Path(tasks+"runs")}, "ends": {}, "removed": {}}
	for _, e := range inventory.New(sys, inventory.Options{Exe: exe}).List(container.Look(sys).Containers) {
		if diff := cmp.Diff(want[e.ID], e.Problems); diff != "" || e.State != inventory.Unknown || e.Profile != "gpu" {
			t.Errorf("%+v %s", e, diff)
		}
	}
}

// TestCreated tests a container that Podman has created and never started: it is listed, and no problem.
func TestCreated(t *testing.T) {
	sys, exe := machine(t, `{"hooks":{"poststop":[{"path":"/a"}]}}`)
	const storage = "var/lib/containers/storage/overlay-containers/"
	write(t, sys.Path(storage+"containers.json"), `[{"id": "created", "names": ["mine"], "metadata": "{\"image-name\": \"web\"}"}, {"id": "buildah", "metadata": "{}"}]`)
	write(t, sys.Path(storage+"created/userdata/shm"), "")
	write(t, sys.Path(storage+"buildah/userdata/shm"), "")
	list := inventory.New(sys, inventory.Options{Exe: exe, Expect: "gpu"}).List(container.Look(sys).Containers)
	if len(list) != 1 || list[0].Title() != "mine" || list[0].Image != "web" || list[0].State != inventory.Unknown || list[0].IsWrong() ||
		list[0].Reason != "it has not been started, and nothing says which program will be called for it" {
		t.Errorf("%+v", list)
	}
}

// TestOneBundle tests containers of runc and crun that were created from one bundle, one after the other: config.json is
// that of the last one. crun keeps a copy of each.
func TestOneBundle(t *testing.T) {
	sys, exe := machine(t, `{"hooks":{"poststop":[{"path":"/a"}]}}`)
	write(t, sys.Path("b/config.json"), `{"hooks":{"poststop":[{"path":"/a"}]}}`)
	write(t, sys.Path("run/runc/before/state.json"), `{"created":"2000-01-02T03:04:05.678Z","config":{"labels":["bundle=/b"]}}`)
	write(t, sys.Path("run/runc/after/state.json"), `{"created":"2999-01-02T03:04:05.678Z","config":{"labels":["bundle=/b"]}}`)
	write(t, sys.Path("run/crun/own/status"), `{"bundle":"/b"}`)
	write(t, sys.Path("run/crun/own/config.json"), `{}`)
	got := map[string]string{}
	for _, e := range inventory.New(sys, inventory.Options{Exe: exe, Profiles: []string{"gpu"}}).List(container.Look(sys).Containers) {
		got[e.ID] = fmt.Sprint(e.State, " ", len(e.Hooks), " ", e.Reason)
	}
	want := map[string]string{
		"before": "unknown 0 " + sys.Path("b/config.json") + " was changed after the container was created; which hooks that has is not known",
		"after":  "complete 1 ", "own": "missing 0 ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// link makes the paths of a system whose root is not / lead into it, because a runtime is opened below the system's
// root.
func link(t testing.TB, sys system.System) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(sys.Path(sys.Root)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(sys.Root, sys.Path(sys.Root)); err != nil {
		t.Fatal(err)
	}
}

// TestExpect tests which containers should have gone through a profile: those to which it would add hooks.
func TestExpect(t *testing.T) {
	sys, exe := machine(t, `{"hooksDirs":["DIR"]}`)
	dir := sys.Path("hooks.d")
	write(t, sys.Profile("gpu"), fmt.Sprintf(`{"hooksDirs":[%q]}`, dir))
	write(t, dir+"/gpu.json", `{"version":"1.0.0","hook":{"path":"/bin/true"},"when":{"annotations":{"^gpu$":"^yes$"}},"stages":["poststop"]}`)
	const asks = `"annotations":{"gpu":"yes"}`
	add(t, sys, "asks", "runc", `{`+asks+`}`)
	add(t, sys, "does-not-ask", "runc", `{}`)
	add(t, sys, "has-it", "runc", `{`+asks+`,"hooks":{"poststop":[{"path":"/bin/true"}]}}`)
	add(t, sys, "through", "gpu", `{`+asks+`}`)
	got := map[string][]string{}
	for _, e := range inventory.New(sys, inventory.Options{Exe: exe, Expect: "gpu"}).List(container.Look(sys).Containers) {
		got[e.ID] = e.Problems
	}
	want := map[string][]string{
		"asks":         {"it should have gone through gpu, whose hooks it lacks"},
		"does-not-ask": {},
		"has-it":       {},
		"through":      {"it has none of the hooks of gpu"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkPs lists 500 containers of containerd's, each with its shim, of a profile with a hooks directory of ten
// files. All files of records are full.
func BenchmarkPs(b *testing.B) {
	sys, exe := machine(b, "")
	dir := sys.Path("hooks.d")
	write(b, sys.Profile("gpu"), fmt.Sprintf(`{"hooksDirs":[%q],"hooks":{"createRuntime":[{"path":"/bin/true"}]}}`, dir))
	for i := range 10 {
		write(b, fmt.Sprintf("%s/%d.json", dir, i), `{"version":"1.0.0","hook":{"path":"/bin/true"},"when":{"annotations":{"^gpu$":"^yes$"}},"stages":["poststop"]}`)
	}
	config := `{"process":{"args":["sh"],"env":["` + strings.Repeat("x", 100) + `"]},"mounts":[` +
		strings.Repeat(`{"destination":"/proc","type":"proc","source":"proc","options":["nosuid","noexec"]},`, 200) + `{}],"hooks":{"createRuntime":[{"path":"/bin/true"}]}}`
	for i := range 500 {
		id := fmt.Sprintf("c%d", i)
		add(b, sys, id, "gpu", config)
		shim, err := proctest.Add(sys.Root, 100+i, "/usr/bin/containerd-shim-runc-v2", "-namespace", "default", "-id", id)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.Symlink(sys.Path(tasks+id), shim+"/cwd"); err != nil {
			b.Fatal(err)
		}
	}
	records := sys.Path("log/hooks.jsonl")
	for n := range hooklog.Kept + 1 {
		var text strings.Builder
		for i := 0; text.Len() < hooklog.MaxSize; i++ {
			for _, stage := range []string{"createRuntime", "poststop"} {
				fmt.Fprintf(&text, `{"time":"2026-02-03T04:05:06.0000007Z","seconds":0.001234,"stage":%q,"path":"/usr/local/bin/gpu-setup","args":["gpu-setup"],"container":"%016x%048x",`+
					`"podNamespace":"","podName":"","containerName":"","bundle":"/run/containerd/io.containerd.runtime.v2.task/k8s.io/%064[2]x","profile":"gpu","file":%[4]q,`+
					`"place":"","result":"ok","exitStatus":0,"signal":"","error":"","ignored":false,"stdout":"","stderr":"","truncated":false}`+"\n", stage, n, i, sys.Profile("gpu"))
			}
		}
		write(b, records+[]string{"", ".1", ".2", ".3"}[n], text.String())
	}
	begin := processorTime(b)
	for b.Loop() {
		ran, torn, err := inventory.ReadRecords(records)
		v, found := inventory.New(sys, inventory.Options{Exe: exe}), container.Look(sys).Containers
		list := v.Note(v.List(found), ran, found)
		if len(list) != 500 || list[0].State != inventory.Complete || torn > 0 || err != nil {
			b.Fatalf("%d, %+v, %d torn, %v", len(list), list[0], torn, err)
		}
	}
	b.ReportMetric((processorTime(b)-begin).Seconds()/float64(b.N), "cpu-s/op") // also meaningful on a busy machine
}

// processorTime returns the processor time of this process.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// TestRecords tests what records say of containers: the last run of each hook, and for removed containers whether their
// poststop hooks ran.
func TestRecords(t *testing.T) {
	sys, exe := machine(t, `{"supervise":true,"hooks":{"createRuntime":[{"path":"/a"}],"poststop":[{"path":"/b"},{"path":"/c","supervise":false}]}}`)
	write(t, sys.Profile("plain"), `{"hooks":{"poststop":[{"path":"/b"}]}}`)
	add(t, sys, "runs", "runc", "{}")
	add(t, sys, "ran-badly", "runc", "{}")
	status, early := 3, time.Now().Add(-time.Hour)
	record := func(id, stage, path, result string) *hooklog.Record {
		r := &hooklog.Record{Time: early, Container: id, Stage: stage, Path: path, Result: result, Profile: "gpu", Bundle: "/gone/" + id}
		if result == "failed" {
			r.ExitStatus = &status
		}
		return r
	}
	ignored, killed, absent := record("ran-badly", "poststart", "/i", "failed"), record("ran-badly", "poststart", "/t", "timed out"), record("ran-badly", "prestart", "/n", "not started")
	ignored.Ignored, killed.Signal, absent.Error = true, "SIGKILL", "nothing of that name"
	named := record("gone", "createRuntime", "/a", "ok")
	named.PodNamespace, named.PodName, named.ContainerName = "shop", "till", "beep"
	unsupervised, unknown, lately := record("plain", "createRuntime", "/a", "ok"), record("unknown", "createRuntime", "/a", "ok"), record("lately", "createRuntime", "/a", "ok")
	unsupervised.Profile, unknown.Profile, lately.Time = "plain", "no-such-profile", time.Now()
	path := sys.Path("log/hooks.jsonl")
	for _, r := range []*hooklog.Record{
		record("runs", "createRuntime", "/a", "failed"), record("runs", "createRuntime", "/a", "ok"), // run a second time
		record("ran-badly", "createRuntime", "/a", "ok"), ignored, killed, absent, record("ran-badly", "createRuntime", "/a", "failed"),
		record("ended", "createRuntime", "/a", "ok"), record("ended", "poststop", "/b", "failed"),
		record("again", "poststop", "/b", "ok"), record("again", "createRuntime", "/a", "ok"),
		record("not-created", "createRuntime", "/a", "failed"),
		named, unsupervised, unknown, lately,
	} {
		if err := hooklog.Append(path, r); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("{torn\n"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	records, torn, err := inventory.ReadRecords(path)
	if torn != 1 || err != nil {
		t.Error(torn, err)
	}
	found := container.Look(sys).Containers
	v := inventory.New(sys, inventory.Options{Exe: exe})
	got := map[string][]string{}
	for _, e := range v.Note(v.List(found), records, found) {
		got[e.Title()] = e.Problems
	}
	missed := []string{"it is gone, and the poststop hook /b of " + sys.Profile("gpu") + " never ran"}
	want := map[string][]string{
		"runs": {},
		"ran-badly": {
			"poststart hook /i failed: exit status 3, which was ignored", "poststart hook /t timed out: SIGKILL",
			"prestart hook /n not started: nothing of that name", "createRuntime hook /a failed: exit status 3",
		},
		"again":               missed,
		"shop/till/beep gone": missed,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestSupervised tests that a supervised hook is compared with the call that oci-add-hooks, at any path, puts in its
// place.
func TestSupervised(t *testing.T) {
	sys, exe := machine(t, `{"supervise":true,"hooks":{"poststop":[{"path":"/b","args":["b"]}]}}`)
	write(t, sys.Path("bin/oci-run-hook"), "")
	if err := os.Chmod(sys.Path("bin/oci-run-hook"), 0o755); err != nil {
		t.Fatal(err)
	}
	add(t, sys, "x", "gpu", "{}")
	config := sys.Path(tasks + "x/config.json")
	uses, err := profile.Load(cmdline.Call{Kind: cmdline.AddHooks, HookFiles: []string{sys.Profile("gpu")}})
	if err != nil {
		t.Fatal(err)
	}
	uses.Program = sys.Path("bin/gpu") // a link
	plan, err := inject.Make(uses, config, "x")
	if err != nil {
		t.Fatal(err)
	}
	write(t, config, string(plan.Text.Bytes()))
	e := inventory.New(sys, inventory.Options{Exe: exe}).List(container.Look(sys).Containers)[0]
	if e.State != inventory.Complete {
		t.Errorf("%+v", e)
	}
	want := func(state inventory.State, e inventory.Entry) {
		t.Helper()
		e.Each(func(place inventory.Place, path, file string) {
			if e.State != state || path != "/b" || file != sys.Profile("gpu") || place.Stage != "poststop" {
				t.Errorf("%s %v %s %s", e.State, place, path, file)
			}
		})
	}
	want(inventory.Complete, e)
	// The hook itself says which file it is from, even if the file has another one now.
	write(t, sys.Profile("gpu"), `{"hooks":{"poststop":[{"path":"/b"}]}}`)
	want(inventory.Changed, inventory.New(sys, inventory.Options{Exe: exe}).List(container.Look(sys).Containers)[0])
}
