package check

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

// TestFault: check finds a fault in exactly those programs that the kernel does not execute.
func TestFault(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	const loader = "/ld-linux"
	if !bytes.HasPrefix(program, []byte("\x7fELF\x02\x01")) || !bytes.Contains(program, []byte(loader)) {
		t.Skip("/bin/true is no dynamically linked ELF file of 64 bits")
	}
	patched := func(offset int, b byte) string {
		text := bytes.Clone(program)
		text[offset] = b
		return string(text)
	}
	script := func(interpreter string) string { return "#!" + interpreter + "\n" }
	long := at(strings.Repeat("x/", 120) + "sh")
	if err := errors.Join(os.MkdirAll(filepath.Dir(long), 0o755), os.Symlink("/bin/sh", long)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"program", string(program), ""},
		{"shell", script("/bin/sh"), ""},
		{"spaces", "#! \t/bin/sh -e \nexit 0\n", ""},
		{"no-line-feed", "#!/bin/sh", ""},
		{"empty", "", "is empty"},
		{"text", "exit 0\n", "is a script without #!: the kernel does not execute it"},
		{"binary", "\x00\x01\x02", "is in no format that this kernel executes"},
		{"other-machine", patched(18, 0xf3^program[18]), "is built for another machine ("},
		{"other-order", patched(5, 2), ""}, // the kernel ignores this byte
		{"other-machine-and-order", string(program[:18]) + "\x00\x16" + string(program[20:]), "is built for another machine (S390;"},
		{"object", patched(16, 1), "is an ELF file, but no program"},
		{"short-header", string(program[:40]), "is cut short"},
		{"short-table", string(program[:100]), "is cut short"},
		{"no-loader", strings.Replace(string(program), loader, "/no-linux", 1), "no-linux"},
		{"to-text", script(at("text")), "is a script whose interpreter " + at("text") + " is a script without #!"},
		{"to-nothing", script("/nonexistent/x"), "is a script whose interpreter /nonexistent/x cannot be found"},
		{"to-directory", script(dir), "is a script whose interpreter " + dir + " is a directory"},
		{"to-other-machine", script(at("other-machine")), "is a script whose interpreter " + at("other-machine") + " is built for"},
		{"crlf", "#!/bin/sh\r\nexit 0\r\n", "with a carriage return after its interpreter"},
		{"to-crlf", script(at("crlf")), "is a script whose interpreter " + at("crlf") + " is a script with a carriage return"},
		{"to-to-nothing", script(at("to-nothing")), "whose interpreter " + at("to-nothing") + " is a script whose interpreter /nonexistent/x cannot be found"},
		{"one", script(at("shell")), ""}, {"two", script(at("one")), ""}, {"three", script(at("two")), ""}, {"four", script(at("three")), ""},
		{"five", script(at("four")), "the kernel follows no more of them"},
		{"loop", script(at("loop")), "the kernel follows no more of them"},
		{"long", script(long), "whose interpreter ends beyond the 256 bytes that the kernel reads"},
		{"long-argument", "#!/bin/sh -e" + strings.Repeat(" ", 400) + "\nexit 0\n", ""},
		{"by-env", script("/usr/bin/env true"), ""},
		{"env-to-text", script("/usr/bin/env " + at("text")), ""}, // env passes it to a shell
		{"to-by-env", script(at("by-env")), ""},
	} {
		if err := os.WriteFile(at(tt.name), []byte(tt.text), 0o755); err != nil {
			t.Fatal(err)
		}
		got := ""
		if f := (hook{}).fault(at(tt.name), 0); f != nil {
			got = f.problem
			if f.hint == "" || f.kind == "" {
				t.Errorf("%s: %+v", tt.name, f)
			}
		}
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		cmd := exec.Command(at(tt.name))
		if err := cmd.Start(); (err == nil) != (tt.want == "") {
			t.Errorf("%s: the kernel says %v", tt.name, err)
		} else if err == nil {
			_ = cmd.Wait()
		}
	}

	// For these, the kernel succeeds in executing env, and env itself fails.
	for name, want := range map[string]string{
		script("/usr/bin/env " + at("to-nothing")):        "whose interpreter " + at("to-nothing") + " is a script whose interpreter /nonexistent/x cannot be found",
		script("/usr/bin/env -S " + at("other-machine")):  "is built for another machine",
		script("/usr/bin/env no-such-interpreter-at-all"): "whose interpreter no-such-interpreter-at-all is in none of the directories",
	} {
		if err := os.WriteFile(at("env"), []byte(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if f := (hook{}).fault(at("env"), 0); f == nil || !strings.Contains(f.problem, want) {
			t.Errorf("%q: %+v, want %q", name, f, want)
		}
		if exec.Command(at("env")).Run() == nil {
			t.Errorf("%q runs", name)
		}
	}
}

// TestInContainer: check does not look on the host for the program of a startContainer hook, or for files beside it.
func TestInContainer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hooks.json")
	for stage, want := range map[hooks.Stage]int{hooks.StartContainer: 0, hooks.Poststart: 1} {
		text := `{"runtime":"/bin/true","hooks":{"` + string(stage) + `":[{"path":"/in/the/container","args":["cat"],"env":[],"timeout":5}]}}`
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if errs, _ := Files("", []string{path}).Count(); errs != want {
			t.Errorf("%s: %d errors, want %d", stage, errs, want)
		}
	}
}

// TestHandles: entries of binfmt_misc in the kernel's format.
func TestHandles(t *testing.T) {
	const arm = "enabled\ninterpreter /usr/bin/qemu-aarch64\nflags: OCF\noffset 0\nmagic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n"
	head := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\xb7\x00\x01\x00")
	for _, tt := range []struct {
		entry, path string
		head        []byte
		want        bool
	}{
		{arm, "/x", head, true},
		{arm, "/x", head[:19], false},
		{arm, "/x", bytes.Replace(head, []byte{0xb7}, []byte{0xf3}, 1), false},
		{strings.Replace(arm, "enabled", "disabled", 1), "/x", head, false},
		{"enabled\ninterpreter /usr/bin/x\nflags: \noffset 2\nmagic 4c46\n", "/x", head, true},
		{"enabled\ninterpreter /usr/bin/x\nflags: \nextension .exe\n", "/x.exe", nil, true},
		{"enabled\ninterpreter /usr/bin/x\nflags: \nextension .exe\n", "/x", nil, false},
		{"enabled\n", "/x", head, false},
		{"", "/x", head, false},
	} {
		if got := handles(tt.entry, tt.path, tt.head); got != tt.want {
			t.Errorf("%q for %s and %q: %t", tt.entry, tt.path, tt.head, got)
		}
	}
}
