package cmdline

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/corpus"
)

// TestBundle tests rule 4: every spelling in which a runtime accepts its bundle.
func TestBundle(t *testing.T) {
	for line, want := range map[string]string{
		"create ID":                                      "config.json",
		"run ID":                                         "config.json",
		"create --bundle /b ID":                          "/b/config.json",
		"create --bundle=/b ID":                          "/b/config.json",
		"create -b /b ID":                                "/b/config.json",
		"create -b=/b ID":                                "/b/config.json",
		"create -b/b ID":                                 "/b/config.json",
		"create -bundle /b ID":                           "/b/config.json",
		"create -bundle=/b ID":                           "/b/config.json",
		"create --b /b ID":                               "/b/config.json",
		"create --bundle /a --bundle /b ID":              "/b/config.json",
		"create --bundle /a -b/b ID":                     "/b/config.json",
		"create --bundle /a --bundle= ID":                "config.json",
		"restore -no-subreaper --bundle /b ID":           "/b/config.json",
		"restore --image-path -b --bundle /b ID":         "/b/config.json",
		"create ID --bundle /b":                          "/b/config.json",
		"create --bundle /b -- --bundle":                 "/b/config.json",
		"create --pid-file --bundle --bundle /b ID":      "/b/config.json",
		"create --console-socket=-b --bundle /b ID":      "/b/config.json",
		"create --bundle --pid-file ID":                  "--pid-file/config.json",
		"create --bundle /b create":                      "/b/config.json",
		"create --preserve-fds 2 --no-pivot -b /b ID":    "/b/config.json",
		"restore --parent-path -bx --work-path w ID":     "config.json",
		"restore -fs-restore-image-path /i -b /b ID":     "/b/config.json",
		"create -fs-restore-image-path /i -b /b ID":      "/b/config.json",
		"run -d --bundle rel ID":                         "rel/config.json",
		"create --config other.json --bundle /b ID":      "other.json",
		"create --config=/o/other.json --bundle /b ID":   "/o/other.json",
		"run -f other.json --bundle /b ID":               "other.json",
		"run -fother.json --bundle /b ID":                "other.json",
		"run -f config.json --bundle /b ID":              "/b/config.json",
		"create --config config.json --bundle /b ID":     "/b/config.json",
		"restore -f other.json --bundle /b ID":           "/b/config.json",
		"restore -background --bundle /b ID":             "/b/config.json",
		"restore --bundle /b -file-locks ID":             "/b/config.json",
		"run -fs-restore-direct --bundle /b ID":          "/b/config.json",
		"create --bundle /b --log --bundle ID":           "/b/config.json", // runc 1.5 accepts global options here too
		"create -c -bx -p -bx -b /b ID":                  "/b/config.json", // youki
		"run --bund /b ID":                               "/b/config.json", // crun: the beginning of a long option
		"run --bun=/b ID":                                "/b/config.json",
		"create --conf other.json --bundle /b ID":        "other.json",
		"run --confi=/o/other.json --bundle /b ID":       "/o/other.json",
		"create --con other.json --bundle /b ID":         "/b/config.json", // ambiguous: crun refuses it
		"create --cons -bx --pid --bundle -b /b ID":      "/b/config.json",
		"restore --conf other.json --bundle /b ID":       "/b/config.json",
		"run -db /b ID":                                  "/b/config.json", // crun: joined short options
		"run -db/b ID":                                   "/b/config.json",
		"run -ddfother.json -b /b ID":                    "other.json",
		"run -detach -b /b ID":                           "/b/config.json",
		"run -d=b -b /b ID":                              "/b/config.json",
		"--systemd-cgroup create --bundle /b -p /p ID":   "/b/config.json",
		"--root /r --log /l --debug create -b /b create": "/b/config.json",
	} {
		call, err := Parse(append([]string{"runc"}, strings.Fields(line)...))
		if err != nil || call.Kind != AddHooks || call.ConfigPath != want {
			t.Errorf("%s: kind %v, config %q, error %v; want %q", line, call.Kind, call.ConfigPath, err, want)
		}
		if got := strings.Join(call.Args, " "); got != line {
			t.Errorf("%s: the runtime's arguments would be %s", line, got)
		}
	}
}

// TestCommand tests rules 2 and 3: which argument is the command, and which calls add hooks.
func TestCommand(t *testing.T) {
	for line, want := range map[string]Kind{
		"create ID":                             AddHooks,
		"run ID":                                AddHooks,
		"restore ID":                            AddHooks,
		"--root /r create ID":                   AddHooks,
		"--root create create ID":               AddHooks,
		"--root create state ID":                PassThrough,
		"-root create state ID":                 PassThrough,
		"--root=create state ID":                PassThrough,
		"--log run --log-format create kill ID": PassThrough,
		"--log-level run delete ID":             PassThrough,
		"--criu create state ID":                PassThrough,
		"--cgroup-manager create state ID":      PassThrough,
		"--rootless create ID":                  AddHooks, // a boolean in runsc
		"--rootless true create ID":             AddHooks,
		"--unknown value create ID":             AddHooks,
		"--systemd-cgroup create ID":            AddHooks,
		"state create":                          PassThrough, // a container's name
		"kill run 9":                            PassThrough,
		"exec ID create --bundle /b":            PassThrough,
		"start ID":                              PassThrough,
		"checkpoint restore":                    PassThrough,
		"features":                              PassThrough,
		"features create":                       PassThrough,
		"help create":                           PassThrough,
		"h create":                              PassThrough,
		"init":                                  PassThrough,
		"do create":                             PassThrough,
		"debug --stacks create":                 PassThrough,
		"":                                      PassThrough,
		"--version":                             PassThrough,
		"--version create ID":                   PassThrough,
		"--help create ID":                      PassThrough,
		"-h create ID":                          PassThrough,
		"create --help":                         PassThrough,
		"create --bundle /b -h":                 PassThrough,
		"create --version":                      PassThrough,
		"create --bundle --help ID":             AddHooks, // a value
		"create --pid-file -h ID":               AddHooks,
		"create -- --help":                      AddHooks, // a container's name
		"--log --help create ID":                AddHooks,
		"--root":                                PassThrough,
		"CREATE ID":                             PassThrough, // no runtime accepts it
		"--hook-config-path f create ID":        AddHooks,
		"--hook-config-path=f --version":        PassThrough,
		"--systemd-cgroup --hook-config-path f run": AddHooks,
	} {
		call, err := Parse(append([]string{"runc"}, strings.Fields(line)...))
		if err != nil || call.Kind != want {
			t.Errorf("%s: kind %v, error %v; want %v", line, call.Kind, err, want)
		}
	}
}

// runtimes are the options before the command in each runtime's source: those that take a value, and those that take
// none.
var runtimes = map[string]struct{ values, switches string }{
	"runc":         {"root log log-format criu", "debug systemd-cgroup"},
	"crun":         {"cgroup-manager log log-format log-level root", "debug systemd-cgroup"},
	"youki":        {"log log-format log-level root l r", "debug systemd-cgroup s systemd-log"},
	"kata-runtime": {"config kata-config log log-format root", "show-default-config-paths kata-show-default-config-paths systemd-cgroup"},
	"runsc": {`root log log-format debug-log debug-command panic-log coverage-report pcap-log debug-log-format traceback
		metric-server final-metrics-log profiling-metrics profiling-metrics-log profiling-metrics-rate-us strace-syscalls
		strace-log-size platform platform_device_path watchdog-action panic-signal profile-block profile-cpu
		profile-gc-interval profile-heap profile-mutex trace ref-leak-mode signal-unkillable-policy pod-init-config
		host-settings sidecar-release-enforcement-policy sidecar-usage-policy restore-spec-validation
		control-rpc-stop-timeout shared-root file-access file-access-mounts overlay2 host-uds host-fifo
		character-device-policy override-procs in-sandbox-cgroup fdlimit dcache network network-proxy-path
		gofer-network-namespace qdisc qdisc-tbf-rate qdisc-tbf-burst num-network-channels network-processors-per-channel
		EXPERIMENTAL-xdp nvproxy-driver-version nvproxy-allowed-driver-capabilities TESTONLY-test-name-env
		TESTONLY-autosave-image-path log-fd debug-log-fd panic-log-fd coverage-fd`,
		`debug systemd-cgroup log-packets debug-to-user-log alsologtostderr allow-flag-override strace strace-event profile
		cpu-num-from-quota oci-seccomp enable-core-tags systrap-disable-syscall-patching systrap-disable-fast-path
		allow-suid kvm-use-cpu-nums allow-rootfs-tar-annotation app-huge-pages overlay gvisor-marker-file ignore-cgroups
		iouring directfs TESTONLY-nftables net-raw allow-packet-socket-write allow-live-tcp-migration gso software-gso
		tx-checksum-offload rx-checksum-offload EXPERIMENTAL-xdp-need-wakeup reproduce-nat reproduce-nftables
		net-disconnect-ok pause-external-networking allow-connected-on-save nvproxy nvproxy-docker
		nvproxy-allow-unsupported-driver rdmaproxy tpuproxy TESTONLY-unsafe-nonroot TESTONLY-afs-syscall-panic
		TESTONLY-autosave-resume`},
}

// TestRuntimesOptions tests rule 2: Parse finds the command after each option of each runtime, for any value of the
// option.
func TestRuntimesOptions(t *testing.T) {
	for runtime, options := range runtimes {
		check := func(line string, want Kind) {
			t.Helper()
			call, err := Parse(append([]string{"gpu"}, strings.Fields(line)...))
			if err != nil || call.Kind != want || want == AddHooks && (call.ConfigPath != "/b/config.json" || call.ID != "ID") {
				t.Errorf("%s: %s: %+v, %v", runtime, line, call, err)
			}
		}
		for _, command := range commands {
			for option := range strings.FieldsSeq(options.values) {
				for _, dashes := range []string{"-", "--"} {
					check(dashes+option+" "+command+" create --bundle /b ID", AddHooks)
					check(dashes+option+"="+command+" create --bundle /b ID", AddHooks)
					check(dashes+option+" "+command+" kill ID", PassThrough)
				}
			}
			if slices.Contains(addingCommands, command) {
				continue
			}
			for option := range strings.FieldsSeq(options.switches) {
				check("--"+option+" create --bundle /b ID", AddHooks)
				check("--"+option+" "+command+" create", PassThrough)
				check("--"+option+"=true "+command+" create", PassThrough)
			}
		}
	}
}

// TestUnknownOption tests rule 2: a command's name after an unknown option may be the option's value. If the arguments
// after it create a container, hooks are added.
func TestUnknownOption(t *testing.T) {
	for line, want := range map[string]Kind{
		"--new kill create --bundle /b ID":                        AddHooks,
		"-new kill run -b /b ID":                                  AddHooks,
		"--new kill --root /r --debug create --bundle /b ID":      AddHooks,
		"--new kill --newer delete --bundle=x create -b/b ID":     AddHooks,
		"--new kill --newer value restore --bundle /b ID":         AddHooks,
		"--new kill --newer create --bundle /b ID":                AddHooks,
		"--new kill --hook-config-path create run --bundle /b ID": AddHooks,
		"--new kill --runtime-path=create create --bundle /b ID":  AddHooks,
		"--debug --new state --root kill create --bundle /b ID":   AddHooks,
		"--rootless kill create --bundle /b ID":                   AddHooks, // a switch in runsc; takes a value in others
		"--gvisor-gro kill create --bundle /b ID":                 AddHooks,
		"--new create kill --bundle /b":                           AddHooks,
		"--new kill create":                                       PassThrough, // a container's name
		"--new kill create 9":                                     PassThrough,
		"--new kill ID create --bundle /b":                        PassThrough, // create is an argument of kill
		"--new exec ID run --bundle /b":                           PassThrough,
		"--new exec --cwd / ID run --bundle /b":                   PassThrough,
		"--new kill -- create --bundle /b":                        PassThrough,
		"--new=x kill create --bundle /b ID":                      PassThrough,
		"--debug kill create --bundle /b ID":                      PassThrough,
		"--new kill":                                              PassThrough,
		"--new kill --newer":                                      PassThrough,
	} {
		if call, err := Parse(append([]string{"gpu"}, strings.Fields(line)...)); err != nil || call.Kind != want {
			t.Errorf("%s: %+v, %v", line, call, err)
		}
	}
}

// TestID: Parse finds the container's id wherever it is on the command line.
func TestID(t *testing.T) {
	for line, want := range map[string]string{
		"create --bundle /b ID":                               "ID",
		"create ID":                                           "ID",
		"create ID --bundle /b":                               "ID",
		"create ID -b/b --pid-file /p":                        "ID",
		"run -d --keep --bundle=/b ID":                        "ID",
		"create --bundle /b -- ID":                            "ID",
		"create --bundle /b -- -ID":                           "-ID",
		"create --bundle ID create":                           "create",
		"restore -no-subreaper --image-path i --bundle b ID":  "ID",
		"run --pass-fd 1:2 -exec-fd 3 --user-log u ID":        "ID",
		"create --preserve-fds 3 -c s -p f -f config.json ID": "ID",
		"--root create create --console-socket s --new ID":    "ID",
		"create --new value ID":                               "", // only the runtime knows which of the two it is
		"create --bundle /b":                                  "",
		"create a b":                                          "",
	} {
		if call, err := Parse(append([]string{"gpu"}, strings.Fields(line)...)); err != nil || call.ID != want {
			t.Errorf("%s: %q, %v; want %q", line, call.ID, err, want)
		}
	}
}

// TestOwnOptions tests rule 1: which options are the program's own, anywhere before the command, and which arguments
// the runtime gets.
func TestOwnOptions(t *testing.T) {
	for _, test := range []struct {
		line string
		want Call
	}{
		{"--hook-config-path f --runtime-path r create --bundle /b ID",
			Call{HookFiles: []string{"f"}, Runtime: "r", Args: []string{"create", "--bundle", "/b", "ID"}}},
		{"--hook-config-path=f --runtime-path=r create --bundle /b ID",
			Call{HookFiles: []string{"f"}, Runtime: "r", Args: []string{"create", "--bundle", "/b", "ID"}}},
		{"--systemd-cgroup --runtime-path r --root /x --hook-config-path f create --bundle /b ID",
			Call{HookFiles: []string{"f"}, Runtime: "r", Args: []string{"--systemd-cgroup", "--root", "/x", "create", "--bundle", "/b", "ID"}}},
		{"--hook-config-path f --hooks-dir d --hook-config-path g --hooks-dir e create --bundle /b ID",
			Call{HookFiles: []string{"f", "g"}, HooksDirs: []string{"d", "e"}, Args: []string{"create", "--bundle", "/b", "ID"}}},
		{"--runtime-path r --runtime-path s create --bundle /b ID",
			Call{Runtime: "s", Args: []string{"create", "--bundle", "/b", "ID"}}},
		{"--hook-config-path create --runtime-path=a=b create --bundle /b ID",
			Call{HookFiles: []string{"create"}, Runtime: "a=b", Args: []string{"create", "--bundle", "/b", "ID"}}},
		{"--log --hook-config-path create --bundle /b --hook-config-path ID", // neither is ours
			Call{Log: "--hook-config-path", Args: []string{"--log", "--hook-config-path", "create", "--bundle", "/b", "--hook-config-path", "ID"}}},
		{"-hook-config-path f create --bundle /b ID", // own options have two dashes
			Call{Slip: "-hook-config-path", Args: []string{"-hook-config-path", "f", "create", "--bundle", "/b", "ID"}}},
		{"--log --hook --hook-config=f --runtime-paths r create --bundle /b ID",
			Call{Slip: "--hook-config", Log: "--hook", Args: []string{"--log", "--hook", "--hook-config=f", "--runtime-paths", "r", "create", "--bundle", "/b", "ID"}}},
		{"--log /l --log-format json --debug create --bundle /b ID",
			Call{Log: "/l", LogFormat: "json", Debug: true, Args: []string{"--log", "/l", "--log-format", "json", "--debug", "create", "--bundle", "/b", "ID"}}},
		{"--log=/a --log=/l -log-format=json --debug=false create --bundle /b ID",
			Call{Log: "/l", LogFormat: "json", Args: []string{"--log=/a", "--log=/l", "-log-format=json", "--debug=false", "create", "--bundle", "/b", "ID"}}},
		{"create --bundle /b --log /x ID", // there are no global options after the command
			Call{Args: []string{"create", "--bundle", "/b", "--log", "/x", "ID"}}},
	} {
		test.want.Kind, test.want.Name, test.want.ConfigPath, test.want.ID = AddHooks, "oci-add-hooks", "/b/config.json", "ID"
		got, err := Parse(append([]string{"/usr/bin/oci-add-hooks"}, strings.Fields(test.line)...))
		if err != nil {
			t.Errorf("%s: %v", test.line, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.line, diff)
		}
	}
}

// TestFaults: a fault in the program's own options never reaches the runtime. The call names the log for the error,
// whether --log comes before or after the fault.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		argv []string
		want string
	}{
		{[]string{"--hook-config-path"}, "--hook-config-path has no value"},
		{[]string{"--hook-config-path", "--runtime-path", "runc", "create"}, "--hook-config-path has no value"},
		{[]string{"--hook-config-path", "", "create"}, "--hook-config-path has an empty value"},
		{[]string{"--hook-config-path=", "state"}, "--hook-config-path has an empty value"},
		{[]string{"--hooks-dir=", "create"}, "--hooks-dir has an empty value"},
		{[]string{"--runtime-path="}, "--runtime-path has an empty value"},
		{[]string{"--runtime-path"}, "--runtime-path has no value; give it one: --runtime-path RUNTIME"},
		{[]string{"--log-path", "/var/log/x", "--runtime-path", "runc", "create"}, "--log-path is an option of awslabs/oci-add-hooks, not of this program or of a runtime; remove it"},
		{[]string{"--hook-config-path", "f", "--log-path=/x", "kill"}, "--log-path is an option of awslabs/oci-add-hooks"},
		{[]string{"create", "--bundle"}, "--bundle has no value"},
		{[]string{"create", "-b"}, "-b has no value"},
		{[]string{"run", "--config"}, "--config has no value"},
		{[]string{"run", "-f", "", "ID"}, "-f has no value"},
		{[]string{"--runtime-path=", "create", "--bundle"}, "--runtime-path has an empty value"},
	} {
		_, err := Parse(append([]string{"oci-add-hooks"}, test.argv...))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v; want %q", test.argv, err, test.want)
		}
		call, err := Parse(slices.Concat([]string{"oci-add-hooks", "--log", "/l", "--log-format=json"}, test.argv))
		if err == nil || call.Log != "/l" || call.LogFormat != "json" {
			t.Errorf("%q: error %v in log %q", test.argv, err, call.Log)
		}
	}
	if call, err := Parse([]string{"oci-add-hooks", "--runtime-path=", "--log", "/l", "create"}); err == nil || call.Log != "/l" {
		t.Errorf("a log named after the fault: error %v in log %q", err, call.Log)
	}
}

// TestOwnProbes tests rule 5.
func TestOwnProbes(t *testing.T) {
	for line, want := range map[string]Kind{
		"/usr/bin/oci-add-hooks --version":         Version,
		"oci-add-hooks --help":                     Help,
		"oci-add-hooks --version create":           PassThrough,
		"oci-add-hooks --version --help":           PassThrough,
		"oci-add-hooks --runtime-path r --version": PassThrough,
		"runc --version":                           PassThrough,
		"gpu-hooks --help":                         PassThrough,
		"oci-add-hooks -h":                         PassThrough,
		"oci-add-hooks":                            PassThrough,
	} {
		if call, err := Parse(strings.Fields(line)); err != nil || call.Kind != want {
			t.Errorf("%s: kind %v, error %v; want %v", line, call.Kind, err, want)
		}
	}
	if call, err := Parse(nil); err != nil || call.Kind != PassThrough || call.Name != "" {
		t.Errorf("no argv: %+v, %v", call, err)
	}
}

// FuzzParse: for any arguments, the runtime gets all that are not own options, in order, and everything after the
// command unchanged. A command line without own options stays as it is.
func FuzzParse(f *testing.F) {
	for _, line := range []string{
		"create\n--bundle\n/b\nID", "--hook-config-path\nf\n--runtime-path=r\n--log\nl\nrun\n-b\nx\nID", "--root\ncreate\nstate\nx",
		"restore\n-no-subreaper\n--bundle\nb\nID", "--version", "-\n--\n--=\n-b=\n=", "create\n-f\nx\n--help",
	} {
		f.Add(line)
	}
	corpus.AddCalls(f)
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\n")
		var call Call
		var err error
		corpus.CheckMemory(t, len(line), func() { call, err = Parse(append([]string{"runc"}, args...)) })
		if err != nil {
			return
		}
		// The removed arguments are complete own options.
		rest := args
		for _, arg := range call.Args {
			for rest[0] != arg {
				name, _, joined := strings.Cut(rest[0], "=")
				if ownValue(name) == "" {
					t.Fatalf("%q lost %q", args, rest[0])
				}
				rest = rest[1:]
				if !joined {
					rest = rest[1:]
				}
			}
			rest = rest[1:]
		}
		for i, arg := range rest {
			if name, _, _ := strings.Cut(arg, "="); ownValue(name) == "" &&
				(i == 0 || ownValue(rest[i-1]) == "") {
				t.Fatalf("%q lost %q", args, arg)
			}
		}
		if call.Kind == AddHooks && call.ConfigPath == "" {
			t.Fatalf("%q: no config.json", args)
		}
		again, err := Parse(append([]string{"runc"}, call.Args...))
		if len(call.HookFiles)+len(call.HooksDirs) == 0 && call.Runtime == "" {
			if err != nil || !slices.Equal(again.Args, args) || again.ConfigPath != call.ConfigPath || again.Kind != call.Kind {
				t.Fatalf("%q: the second Parse returns %+v, %v", args, again, err)
			}
		}
	})
}
