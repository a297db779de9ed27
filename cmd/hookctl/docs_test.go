package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/awslabs/oci-add-hooks/internal/hookctl"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// In docs/hookctl.md, a block of the language console has commands after "$ ", each with its output. The file that a
// command `cat FILE` prints is there for all other commands. TestDocsSystem and TestDocsTry run those whose output
// depends on containers, paths or times. Docker's configuration is the page's daemon.json.
func TestDocs(t *testing.T) {
	page := filepath.Join("..", "..", "docs", "hookctl.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bin, profiles := filepath.Join(dir, "bin"), filepath.Join(dir, "profiles")
	for _, name := range []string{"oci-add-hooks", "runc"} {
		write(t, filepath.Join(bin, name), "", 0o755)
	}
	if err := os.MkdirAll(filepath.Join(dir, "system", "proc", "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SYSTEM", filepath.Join(dir, "system"))
	t.Setenv("PROFILES", profiles)
	t.Setenv("STATE", filepath.Join(dir, "state"))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	daemon := filepath.Join(dir, "daemon.json")
	docker := regexp.MustCompile(`(hookctl (?:un)?install docker)`)
	usual := strings.NewReplacer(daemon, "/etc/docker/daemon.json", os.Getenv("STATE"), "/var/lib/oci-add-hooks", profiles, "/etc/oci-add-hooks", bin+"/runc", "/usr/sbin/runc", bin, "/usr/local/bin")
	runc := regexp.MustCompile(`(["\s])/[a-z/]*/runc(["\n])`) // wherever this system has it
	hash := regexp.MustCompile(`hookctl [0-9a-f]{64}`)

	transcript := string(text)
	commands := regexp.MustCompile(`(?m)^\$ (.*)\n((?:[^$\x60].*\n|\n)*)`)
	console := regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
	for _, block := range console.FindAllStringSubmatch(transcript, -1) {
		for _, c := range commands.FindAllStringSubmatch(block[1], -1) {
			if name, ok := strings.CutPrefix(c[1], "cat "); ok {
				write(t, filepath.Join(dir, name), c[2], 0o644)
			}
		}
	}
	got := console.ReplaceAllStringFunc(transcript, func(block string) string {
		return commands.ReplaceAllStringFunc(block, func(command string) string {
			line, _, _ := strings.Cut(strings.TrimPrefix(command, "$ "), "\n")
			for _, shown := range []string{"cat ", "hookctl try", "hookctl profile list", "hookctl profile users", "hookctl ps", "hookctl doctor"} {
				if strings.HasPrefix(line, shown) {
					return command
				}
			}
			cmd := exec.Command("/bin/sh", "-c", docker.ReplaceAllString(line, "$1 --config "+daemon))
			cmd.Dir = dir
			out, _ := cmd.CombinedOutput() // some are about problems
			printed := usual.Replace(string(out))
			printed = runc.ReplaceAllString(printed, `${1}/usr/sbin/runc$2`)
			return "$ " + line + "\n" + hash.ReplaceAllString(printed, hash.FindString(transcript))
		})
	})
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(transcript, got); diff != "" {
		t.Errorf("%s is not what the commands print (-page +printed):\n%s", page, diff)
	}
}

// The examples of commands that examine containers and engines are what the commands print about the system in
// testdata/docs.txtar. Columns are as wide as the paths here, and Docker's version is whichever is installed.
func TestDocsSystem(t *testing.T) {
	archive, err := txtar.ParseFile(filepath.Join("testdata", "docs.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bin, system := filepath.Join(dir, "bin"), filepath.Join(dir, "system")
	expand := strings.NewReplacer("$BIN", bin, "/usr/sbin/runc", bin+"/runc")
	for _, f := range archive.Files {
		write(t, filepath.Join(dir, f.Name), expand.Replace(string(f.Data)), 0o644)
	}
	for _, name := range []string{"oci-add-hooks", "runc"} {
		write(t, filepath.Join(bin, name), "", 0o755)
	}
	if err := os.Symlink("oci-add-hooks", filepath.Join(bin, "gpu-hooks")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(system, "proc", "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SYSTEM", system)
	t.Setenv("PROFILES", filepath.Join(dir, "profiles"))
	t.Setenv("STATE", filepath.Join(dir, "state"))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	write(t, filepath.Join(dir, "release.json"), transcript(t, "cat release.json"), 0o644)
	daemon := filepath.Join(dir, "daemon.json")
	usual := strings.NewReplacer(daemon, "/etc/docker/daemon.json", filepath.Join(dir, "profiles"), "/etc/oci-add-hooks", bin+"/runc", "/usr/sbin/runc", bin, "/usr/local/bin", system, "")
	for _, tt := range []struct{ command, run string }{
		{"hookctl ps", "hookctl ps"},
		{"hookctl profile users gpu-hooks", "hookctl profile users gpu-hooks"},
		{"hookctl profile list", "rm " + dir + "/profiles/gpu-hooks.json " + bin + "/gpu-hooks; hookctl profile add gpu-release --hooks release.json >&2; hookctl profile list"},
		{"hookctl doctor docker", "hookctl install docker --config " + daemon + " --profile gpu-release >&2; hookctl doctor docker --config " + daemon},
	} {
		cmd := exec.Command("/bin/sh", "-c", tt.run)
		cmd.Dir = dir
		out, _ := cmd.Output() // some are about problems
		columns := regexp.MustCompile(`  +`)
		version := regexp.MustCompile(`Docker version .*`)
		plain := func(text string) string {
			return version.ReplaceAllString(columns.ReplaceAllString(text, "  "), "Docker version")
		}
		if diff := cmp.Diff(plain(transcript(t, tt.command)), plain(usual.Replace(string(out)))); diff != "" {
			t.Errorf("docs/hookctl.md, %s (-page +printed):\n%s\n%s", tt.command, diff, usual.Replace(string(out)))
		}
	}
}

// The examples of hookctl try are what hookctl prints with runc 1.1, except times and process ids.
func TestDocsTry(t *testing.T) {
	if out, err := exec.Command("runc", "--version").Output(); err != nil || !bytes.HasPrefix(out, []byte("runc version 1.1.")) {
		t.Skipf("skipped: the page shows runc 1.1, but installed is %q (%v)", out, err)
	}
	if err := exec.Command("unshare", "--mount", "--pid", "--fork", "true").Run(); err != nil {
		t.Skip("skipped: the page shows the output for root, who may create namespaces")
	}
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "hookctl"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	write(t, filepath.Join(dir, "my-hooks.json"), transcript(t, "cat my-hooks.json"), 0o644)
	measured := strings.NewReplacer("━", "", "─", "")
	times := regexp.MustCompile(`[0-9.]+ (ms|s)\b`)
	process := regexp.MustCompile(`its process is \d+`)
	plain := func(text string) string {
		text = times.ReplaceAllString(measured.Replace(text), "TIME")
		return regexp.MustCompile(` +`).ReplaceAllString(process.ReplaceAllString(text, "its process is N"), " ")
	}
	for _, line := range []string{"hookctl try", "hookctl try my-hooks.json"} {
		cmd := exec.Command("/bin/sh", "-c", line)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		out, _ := cmd.Output() // one is about a problem
		printed := plain(strings.ReplaceAll(string(out), dir, "/usr/local/bin"))
		begin, end, _ := strings.Cut(plain(transcript(t, line)), "[...]\n")
		if !strings.HasPrefix(printed, begin) || !strings.HasSuffix(printed, end) {
			t.Errorf("docs/hookctl.md, %s (-page +printed):\n%s", line, cmp.Diff(begin+end, printed))
		}
	}
}

// transcript returns what docs/hookctl.md shows that a command prints.
func transcript(t *testing.T, command string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "hookctl.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n$ "+command+"\n")
	if !found {
		t.Fatalf("docs/hookctl.md does not show %s", command)
	}
	return regexp.MustCompile("(?m)^([$] |```)").Split(after, 2)[0]
}

// Each command of hookctl that a text names exists, and has the options with which the text calls it.
func TestDocsOptions(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/man/*.md", "examples/*.yaml", "packaging/*.sh", "packaging/systemd/*"} {
		found, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		pages = append(pages, found...)
	}
	root := hookctl.New(system.Host(), nil, io.Discard, io.Discard)
	commands := 0
	call := regexp.MustCompile(`hookctl ([a-z]+( [a-z]+)?)?([^\n\x60;&(),']*)`)
	code := regexp.MustCompile("(?s)(?m:^    .*?$)|```.*?```|`[^`]*`")
	printed := regexp.MustCompile(`(?m)^[^$\n].*$`)
	synopsis := strings.NewReplacer("[", " ", "]", " ", "|", " ", "\n                ", " ") // which may have a second line
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, span := range code.FindAllString(string(text), -1) {
			if strings.HasPrefix(span, "```console") {
				span = printed.ReplaceAllString(span, "")
			}
			for _, m := range call.FindAllStringSubmatch(synopsis.Replace(span), -1) {
				cmd, rest, err := root.Find(strings.Fields(m[1]))
				if err != nil || cmd == root && m[1] != "" {
					t.Errorf("%s: hookctl has no command %q: %s", page, m[1], m[0])
					continue
				}
				if cmd.HasSubCommands() && len(rest) > 0 {
					t.Errorf("%s: %s has no command %q: %s", page, cmd.CommandPath(), rest[0], m[0])
				}
				commands++
				cmd.InitDefaultHelpFlag()
				for _, word := range strings.Fields(m[3]) {
					if word == "--" {
						break
					}
					name, ok := strings.CutPrefix(word, "--")
					name, _, _ = strings.Cut(name, "=")
					if ok && cmd.Flags().Lookup(name) == nil && cmd.InheritedFlags().Lookup(name) == nil {
						t.Errorf("%s: %s has no option --%s: %s", page, cmd.CommandPath(), name, m[0])
					}
				}
			}
		}
	}
	if commands < 100 {
		t.Errorf("%d commands were found", commands)
	}
}

// The commands of hookctl in README.md work, in the order in which they stand there. --reload is left out: it is for a
// dockerd that runs.
func TestReadme(t *testing.T) {
	checkout, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(checkout, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "bin", "oci-add-hooks"), "", 0o755)
	write(t, filepath.Join(dir, "bin", "runc"), "", 0o755)
	if err := os.MkdirAll(filepath.Join(dir, "system", "proc", "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SYSTEM", filepath.Join(dir, "system"))
	t.Setenv("PROFILES", filepath.Join(dir, "profiles"))
	t.Setenv("STATE", filepath.Join(dir, "state"))
	t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	commands := regexp.MustCompile(`(?m)^    sudo (hookctl .*)$`).FindAllSubmatch(text, -1)
	if len(commands) != 4 {
		t.Errorf("README.md has %d commands of hookctl: two set a profile up, two remove it", len(commands))
	}
	docker := strings.NewReplacer(" docker ", " docker --config "+filepath.Join(dir, "daemon.json")+" ", " --reload", "")
	for _, c := range commands {
		cmd := exec.Command("/bin/sh", "-c", docker.Replace(string(c[1])))
		cmd.Dir = checkout
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", c[1], err, out)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "profiles", "*")); err != nil || len(left) > 0 {
		t.Errorf("the commands leave %q (%v)", left, err)
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
