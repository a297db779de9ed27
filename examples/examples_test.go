// Package examples_test checks README.md and the pages in docs against the program: every JSON block parses, hook files
// are accepted, the commands do what the pages say, and the demonstration runs.
//
// The mark of a block is in a comment on the line before it:
//
//	<!-- hook file -->           JSON: an accepted hook file; with a path, the text of that file
//	<!-- refused PATH -->        JSON: a refused hook file; the page has the message about it, read at PATH
//	<!-- hooks directory file --> JSON: an accepted file of a hooks directory
//	<!-- docker -->              JSON: a daemon.json with runtimes
//	<!-- run -->                 sh: commands that run in order in a copy of this checkout (README.md, docs/engines.md)
//	<!-- output -->              the output of the previous commands
package examples_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/history"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/inventory"
	"github.com/awslabs/oci-add-hooks/internal/hooklog"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

// A block is a fenced block of a page.
type block struct {
	page  string
	line  int // on which it begins
	mark  string
	lang  string
	text  string
	whole string // the page's text
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// marked returns the words after the mark's name, and reports whether the block has the mark.
func (b block) marked(name string) (string, bool) {
	rest, ok := strings.CutPrefix(b.mark, name)
	return strings.TrimSpace(rest), ok
}

var (
	fenced = regexp.MustCompile("(?ms)^(?:<!-- ([^\n]*) -->\n)?```([a-z]*)\n(.*?)^```$")
	marks  = []string{"hook file", "refused", "hooks directory file", "docker", "run", "output"}
)

// pages returns the text of every page, by its path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, path := range append(paths, "../README.md", "../CHANGELOG.md", "../CONTRIBUTING.md", "../SECURITY.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(text)
	}
	return texts
}

// blocks returns the blocks of all pages.
func blocks(t *testing.T) []block {
	t.Helper()
	var all []block
	for page, text := range pages(t) {
		fences, comments := strings.Count("\n"+text, "\n```"), strings.Count("\n"+text, "\n<!-- ")
		for _, m := range fenced.FindAllStringSubmatchIndex(text, -1) {
			b := block{page: page, line: 1 + strings.Count(text[:m[0]], "\n"), whole: text}
			if m[2] >= 0 {
				b.mark = text[m[2]:m[3]]
				comments--
			}
			b.lang, b.text = text[m[4]:m[5]], text[m[6]:m[7]]
			fences -= 2
			all = append(all, b)
		}
		if fences != 0 || comments != 0 {
			t.Errorf("%s: %d fences belong to no block, and %d comments precede none", page, fences, comments)
		}
	}
	return all
}

func TestPages(t *testing.T) {
	seen := map[string]int{}
	for _, b := range blocks(t) {
		i := slices.IndexFunc(marks, func(name string) bool { _, ok := b.marked(name); return ok })
		if b.mark != "" && i < 0 {
			t.Errorf("%v: unknown mark %q", b, b.mark)
		}
		if i >= 0 {
			seen[marks[i]]++
		}
		if b.lang == "json" && !json.Valid([]byte(b.text)) {
			t.Errorf("%v: not valid JSON", b)
		}
		if path, ok := b.marked("hook file"); ok {
			wantAccepted(t, b, path)
		}
		if path, ok := b.marked("refused"); ok {
			wantRefused(t, b, path)
		}
		if _, ok := b.marked("hooks directory file"); ok {
			wantReadable(t, b)
		}
		if _, ok := b.marked("docker"); ok {
			wantRuntimes(t, b)
		}
	}
	for _, name := range marks {
		if seen[name] == 0 {
			t.Errorf("no block is marked %q", name)
		}
	}
}

// TestLinks: links within the project lead to a file and a heading.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	headings := regexp.MustCompile(`(?m)^#+ (.*)$`)
	texts := pages(t)
	for page, text := range texts {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor := filepath.Join(filepath.Dir(page), m[1]), strings.TrimPrefix(m[2], "#")
			if m[1] == "" {
				target = page
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s leads nowhere", page, m[0])
			}
			if anchor != "" && !slices.ContainsFunc(headings.FindAllStringSubmatch(texts[target], -1),
				func(h []string) bool { return slug(h[1]) == anchor }) {
				t.Errorf("%s: %s names no heading of %s", page, m[0], target)
			}
		}
	}
}

// TestNames: what the pages name in code exists: targets of make, and paths of the checkout.
func TestNames(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile("(?s)(?m:^    .*?$)|```.*?```|`[^`]*`")
	target := regexp.MustCompile(`\bmake ([a-z][a-z-]*)`)
	path := regexp.MustCompile("^`((?:\\.ci|bench|cmd|deploy|docs|examples|internal|packaging|scripts|test)/[^` ]*)`$")
	targets, paths := 0, 0
	for page, text := range pages(t) {
		for _, span := range code.FindAllString(text, -1) {
			for _, m := range target.FindAllStringSubmatch(span, -1) {
				targets++
				if !regexp.MustCompile(`(?m)^` + m[1] + `:`).Match(makefile) {
					t.Errorf("%s: make has no target %s", page, m[1])
				}
			}
			if m := path.FindStringSubmatch(span); m != nil {
				paths++
				if found, err := filepath.Glob("../" + m[1]); err != nil || len(found) == 0 {
					t.Errorf("%s: there is no %s", page, m[1])
				}
			}
		}
	}
	if targets < 20 || paths < 40 {
		t.Errorf("%d targets and %d paths were found", targets, paths)
	}
}

// TestHouse: docs/design.md has a row for every package, and no other rows.
func TestHouse(t *testing.T) {
	text, err := os.ReadFile("../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	_, house, found := strings.Cut(string(text), "\n## Packages\n")
	house, _, _ = strings.Cut(house, "\n## ")
	if !found {
		t.Fatal("docs/design.md has no section about the house")
	}
	// A row names a package by its path, or by its path below that of its table. An engine's package is in the row of
	// engine.
	var rows []string
	under := ""
	for line := range strings.Lines(house) {
		if m := regexp.MustCompile("^\\| package below `(.*)` ").FindStringSubmatch(line); m != nil {
			under = m[1] + "/"
		} else if !strings.HasPrefix(line, "|") {
			under = ""
		} else if cell := strings.Split(line, " | ")[0]; strings.Contains(cell, "`") {
			for _, m := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(cell, -1) {
				rows = append(rows, under+m[1])
			}
		}
	}
	for _, row := range rows {
		if files, err := filepath.Glob("../" + row + "/*"); err != nil || len(files) == 0 {
			t.Errorf("docs/design.md has a row for %s, which has no files (%v)", row, err)
		}
	}
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "../internal/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Glob("../test/*")
	if err != nil || len(modules) == 0 {
		t.Fatal(modules, err)
	}
	for _, dir := range append(strings.Fields(string(out)), modules...) {
		name := strings.TrimPrefix(strings.TrimPrefix(dir, root+"/"), "../")
		named := slices.Contains(rows, name) || name == "internal/hookctl"
		if engine, ok := strings.CutPrefix(name, "internal/hookctl/engine/"); ok {
			named = strings.Contains(house, "`"+engine+"`")
		}
		if !named {
			t.Errorf("docs/design.md has no row for %s", name)
		}
	}
}

// slug returns the anchor that GitHub makes of a heading.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// file writes a block's text to a file.
func (b block) file(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(b.text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantAccepted(t *testing.T, b block, path string) {
	t.Helper()
	if _, err := hooks.ReadFile(b.file(t, "hooks.json")); err != nil {
		t.Errorf("%v: %v", b, err)
	}
	if path == "" {
		return
	}
	text, err := os.ReadFile("../" + path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), b.text); diff != "" {
		t.Errorf("%v differs from %s (-file +page):\n%s", b, path, diff)
	}
}

func wantRefused(t *testing.T, b block, path string) {
	t.Helper()
	at := b.file(t, "hooks.json")
	_, err := hooks.ReadFile(at)
	if err == nil {
		t.Errorf("%v is accepted", b)
		return
	}
	message := "oci-add-hooks: " + strings.Replace(err.Error(), at, path, 1)
	if !strings.Contains(b.whole, message) {
		t.Errorf("%v: the page doesn't have the message\n%s", b, message)
	}
}

func wantReadable(t *testing.T, b block) {
	t.Helper()
	if _, err := hooks.ReadDirectories([]string{filepath.Dir(b.file(t, "50-example.json"))}); err != nil {
		t.Errorf("%v: %v", b, err)
	}
}

// wantRuntimes checks that dockerd's call of each entry adds hooks, from the profile or hook file that the page names,
// and passes none of this program's options to the runtime.
func wantRuntimes(t *testing.T, b block) {
	t.Helper()
	var daemon struct {
		Runtimes map[string]struct {
			Path        string
			RuntimeArgs []string
			RuntimeType string
			Options     struct{ BinaryName string }
		}
	}
	d := json.NewDecoder(strings.NewReader(b.text))
	d.DisallowUnknownFields()
	if err := d.Decode(&daemon); err != nil || len(daemon.Runtimes) == 0 {
		t.Errorf("%v: %d runtimes, %v", b, len(daemon.Runtimes), err)
	}
	for name, entry := range daemon.Runtimes {
		program := entry.Path
		if entry.RuntimeType != "" {
			if entry.RuntimeType != "io.containerd.runc.v2" || entry.Path != "" {
				t.Errorf("%v: %s: path %q, runtime type %q", b, name, entry.Path, entry.RuntimeType)
			}
			program = entry.Options.BinaryName
		}
		theirs := []string{"--root", "/run/r", "--log", "/run/b/log.json", "--log-format", "json", "create", "--bundle", "/run/b", "--pid-file", "/run/p", "id"}
		call, err := cmdline.Parse(slices.Concat([]string{program}, entry.RuntimeArgs, theirs))
		switch {
		case err != nil:
			t.Errorf("%v: %s: %v", b, name, err)
		case call.Kind != cmdline.AddHooks || call.ConfigPath != "/run/b/config.json":
			t.Errorf("%v: %s: adds no hooks to the bundle: %+v", b, name, call)
		case !slices.Equal(call.Args, theirs):
			t.Errorf("%v: %s: the runtime gets %q", b, name, call.Args)
		case len(entry.RuntimeArgs) == 0 && (call.Name != "gpu-hooks" || !filepath.IsAbs(program)):
			t.Errorf("%v: %s: called as %q, which is not the profile of the page", b, name, program)
		case len(entry.RuntimeArgs) > 0 && (len(call.HookFiles) != 1 || call.Runtime == ""):
			t.Errorf("%v: %s: hook files %q, runtime %q", b, name, call.HookFiles, call.Runtime)
		}
	}
}

// TestManualPages: the manual page of hook files has every member of the page's table, and that of the program every
// option.
func TestManualPages(t *testing.T) {
	texts := pages(t)
	row := regexp.MustCompile("(?m)^\\| `(-*[a-zA-Z-]+)[^|]*\\|")
	for heading, manual := range map[string]string{
		"## The hook file":    "../docs/man/oci-add-hooks.json.5.md",
		"## The command line": "../docs/man/oci-add-hooks.8.md",
	} {
		_, section, found := strings.Cut(texts["../docs/reference.md"], heading+"\n")
		if !found {
			t.Fatalf("docs/reference.md has no heading %q", heading)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		text, err := os.ReadFile(manual)
		if err != nil {
			t.Fatal(err)
		}
		rows := row.FindAllStringSubmatch(section, -1)
		if len(rows) < 4 {
			t.Errorf("%s: the table has %d rows", heading, len(rows))
		}
		for _, m := range rows {
			if !bytes.Contains(text, []byte("**"+m[1]+"**")) {
				t.Errorf("%s does not have %s", manual, m[1])
			}
		}
	}
}

// TestManualPagesJSON: the JSON in the manual pages is accepted: hook files, a file of a hooks directory, and dockerd's
// configuration.
func TestManualPagesJSON(t *testing.T) {
	manuals, err := filepath.Glob("../docs/man/*.md")
	if err != nil || len(manuals) == 0 {
		t.Fatal(manuals, err)
	}
	found := 0
	for _, manual := range manuals {
		text, err := os.ReadFile(manual)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^    \{.*\n(?:^    .*\n)*`).FindAllString(string(text), -1) {
			b := block{page: manual, line: 1 + strings.Count(string(text)[:strings.Index(string(text), m)], "\n"), text: m}
			found++
			switch {
			case strings.Contains(m, `"runtimes"`):
				wantRuntimes(t, b)
			case strings.Contains(m, `"when"`):
				wantReadable(t, b)
			default:
				wantAccepted(t, b, "")
			}
		}
	}
	if found < 4 {
		t.Errorf("the manual pages have %d examples in JSON", found)
	}
}

// TestHookFiles: every hook file in this directory is accepted, and has hooks.
func TestHookFiles(t *testing.T) {
	files, err := filepath.Glob("*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no hook files: %v", err)
	}
	for _, path := range files {
		if f, err := hooks.ReadFile(path); err != nil {
			t.Error(err)
		} else if len(f.Hooks) == 0 {
			t.Errorf("%s has no hooks", path)
		}
	}
}

// TestExamplesChecked: hookctl check reports nothing about the examples, except that a program of theirs is not
// installed here.
func TestExamplesChecked(t *testing.T) {
	paths, err := filepath.Glob("*.json")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, f := range check.Files("", paths).Findings {
		missing := f.Severity == check.Error && f.Kind == "program" && strings.HasPrefix(f.Problem, "the hook's program /usr/local/bin/gpu-")
		if !missing && f.Kind != "writable" { // it is about this checkout
			t.Errorf("%s:%d:%d: %s: %s", f.File, f.Line, f.Column, f.Severity, f.Problem)
		}
	}
}

// TestAlerts: hookctl has the metrics and states that alerts.yaml queries.
func TestAlerts(t *testing.T) {
	rules, err := os.ReadFile("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var metrics bytes.Buffer
	var sums history.Sums
	sums.Add(&hooklog.Record{Stage: "poststop", Path: "/bin/false", Result: "failed"})
	var containers []history.Containers
	for _, state := range []inventory.State{inventory.Missing, inventory.Changed} {
		containers = append(containers, history.Containers{Profile: "gpu", State: string(state), Count: 1})
	}
	if err := history.WriteMetrics(&metrics, sums, containers); err != nil {
		t.Fatal(err)
	}
	expressions := regexp.MustCompile(`(?m)expr:.*?(oci_hook_[a-z_]+)(?:\{(.*?)\})?`).FindAllSubmatch(rules, -1)
	if len(expressions) != 3 {
		t.Errorf("%d expressions have a metric of hookctl, not 3", len(expressions))
	}
	for _, m := range expressions {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^%s\{.*%s.*\} `, m[1], m[2])).Match(metrics.Bytes()) {
			t.Errorf("hookctl metrics has no %s{%s}:\n%s", m[1], m[2], metrics.Bytes())
		}
	}
}

// TestCommands: the commands of README.md and docs/engines.md print what the page says. They run in a copy of the
// checkout, with the system's directories moved into a temporary one and without sudo.
func TestCommands(t *testing.T) {
	need(t, "make")
	dir := t.TempDir()
	checkout, bin, etc := dir+"/checkout", dir+"/bin", dir+"/etc"
	copyCheckout(t, checkout)
	for _, d := range []string{bin, dir + "/no-sudo"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/no-sudo/sudo", []byte("#!/bin/sh\nexec \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	moved := strings.NewReplacer("/usr/local/bin/\n", bin+"/\n", "/etc/oci-add-hooks/", etc+"/", "/usr/local/bin/gpu-hooks", bin+"/gpu-hooks")
	profileDir(t, checkout+"/internal/profile/profile.go", etc)

	ran := map[string]int{"../README.md": 0, "../docs/engines.md": 0}
	printed := ""
	for _, b := range blocks(t) {
		if _, ok := b.marked("run"); ok {
			if _, ok := ran[b.page]; !ok {
				t.Errorf("%v: no test runs the commands of this page", b)
				continue
			}
			ran[b.page]++
			cmd := exec.Command("sh", "-euc", moved.Replace(b.text))
			cmd.Dir = checkout
			cmd.Env = append(os.Environ(), "PATH="+dir+"/no-sudo:"+bin+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %v\n%s", b, err, out)
			}
			printed = string(out)
		}
		if _, ok := b.marked("output"); ok && printed != b.text {
			t.Errorf("%v: the page has\n%s\nand the commands printed\n%s", b, b.text, printed)
		}
	}

	for page, n := range ran {
		if n == 0 {
			t.Errorf("%s has no commands to run", page)
		}
	}

	// The link uses the profile that was installed.
	bundle := t.TempDir()
	if err := os.WriteFile(bundle+"/config.json", []byte(`{}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(bin+"/gpu-hooks", "--runtime-path", "/bin/true", "create", "--bundle", bundle, "id").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	config, err := os.ReadFile(bundle + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(config, []byte("gpu-setup")) {
		t.Errorf("called by its link, the program wrote this config.json\n%s", config)
	}
}

// copyCheckout copies this checkout without what git or make made.
func copyCheckout(t *testing.T, to string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("..", path)
		if err != nil {
			return err
		}
		switch at := filepath.Join(to, rel); {
		case d.IsDir() && (rel == ".git" || rel == "bin" || rel == "dist" || rel == "test"):
			return fs.SkipDir
		case d.IsDir():
			return os.Mkdir(at, 0o755)
		case !d.Type().IsRegular():
			return nil
		default:
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			return os.WriteFile(at, text, info.Mode().Perm())
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// profileDir makes the program read its profiles from dir.
func profileDir(t *testing.T, source, dir string) {
	t.Helper()
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const declared = `var Dir = "/etc/oci-add-hooks"`
	if !bytes.Contains(text, []byte(declared)) {
		t.Fatalf("%s has no %s", source, declared)
	}
	text = bytes.Replace(text, []byte(declared), fmt.Appendf(nil, "var Dir = %q", dir), 1)
	if err := os.WriteFile(source, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestContainerdConfig: each containerd finds the program in the page's block for its version: the installed
// containerd, and the newer one that test/newer pins.
func TestContainerdConfig(t *testing.T) {
	t.Run("installed", func(t *testing.T) {
		need(t, "containerd")
		wantHandler(t, "containerd")
	})
	t.Run("newer", func(t *testing.T) {
		const containerd = "../bin/newer/containerd"
		if _, err := os.Stat(containerd); err != nil {
			t.Skipf("skipped: %s is not built (make engines)", containerd)
		}
		wantHandler(t, containerd)
	})
}

// TestTOML: the blocks for engines' TOML files name the link of the page.
func TestTOML(t *testing.T) {
	want := map[string]string{ // the table of the runtime and its member, by the beginning of the block
		"version = 2\n":     "plugins/io.containerd.grpc.v1.cri/containerd/runtimes/gpu-hooks/options/BinaryName",
		"version = 3\n":     "plugins/io.containerd.cri.v1.runtime/containerd/runtimes/gpu-hooks/options/BinaryName",
		"[crio.runtime.":    "crio/runtime/runtimes/gpu-hooks/runtime_path",
		"[engine]\nruntime": "engine/runtimes/gpu-hooks",
	}
	for _, b := range blocks(t) {
		if b.lang != "toml" {
			continue
		}
		var value any = map[string]any{}
		if err := toml.Unmarshal([]byte(b.text), &value); err != nil {
			t.Errorf("%v: %v", b, err)
			continue
		}
		for begin, path := range want {
			if !strings.HasPrefix(b.text, begin) {
				continue
			}
			delete(want, begin)
			for key := range strings.SplitSeq(path, "/") {
				table, _ := value.(map[string]any)
				value = table[key]
			}
			if list, ok := value.([]any); ok && len(list) == 1 { // Podman tries several paths
				value = list[0]
			}
			if value != "/usr/local/bin/gpu-hooks" {
				t.Errorf("%v: %s is %v", b, path, value)
			}
		}
	}
	for begin := range want {
		t.Errorf("no block begins with %q", begin)
	}
}

// wantHandler has a containerd read its block, since containerd 2 also from an imported file.
func wantHandler(t *testing.T, containerd string) {
	t.Helper()
	out, err := exec.Command(containerd, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	head, plugin := "version = 2\n", `"io.containerd.grpc.v1.cri"`
	imports := regexp.MustCompile(` v?[2-9]\.`).Match(out)
	if imports {
		head, plugin = "version = 3\n", `'io.containerd.cri.v1.runtime'`
	}
	all := blocks(t)
	i := slices.IndexFunc(all, func(b block) bool { return b.lang == "toml" && strings.HasPrefix(b.text, head) })
	if i < 0 {
		t.Fatalf("no block begins with %s", head)
	}
	b := all[i]
	configs := []string{b.file(t, "config.toml")}
	if imports {
		b.text = head + fmt.Sprintf("imports = [%q]\n", configs[0])
		configs = append(configs, b.file(t, "imports.toml"))
	}
	want := regexp.MustCompile(regexp.QuoteMeta(`[plugins.`+plugin+`.containerd.runtimes.gpu-hooks.options]`) +
		`\s+BinaryName = ['"]/usr/local/bin/gpu-hooks['"]\s+SystemdCgroup = true`)
	for _, config := range configs {
		out, err := exec.Command(containerd, "--config", config, "config", "dump").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", b, err, out)
		}
		if !want.Match(out) {
			t.Errorf("%v: containerd reads %s as\n%s", b, filepath.Base(config), out)
		}
	}
}

// TestDemo: the demonstration shows that a hook of each stage ran, and the additions to config.json.
func TestDemo(t *testing.T) {
	need(t, "runc", "unshare")
	if err := exec.Command("unshare", "--mount", "--pid", "--fork", "true").Run(); err != nil {
		t.Skip("skipped: containers need root (sudo make test), and the right to make namespaces")
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-o", bin+"/", "../cmd/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	temp := t.TempDir()
	demo := exec.Command("../scripts/demo.sh", bin)
	demo.Env = append(os.Environ(), "TMPDIR="+temp)
	out, err := demo.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, stage := range hooks.Stages() {
		if !regexp.MustCompile(`(?m)^` + string(stage) + ` .* exit 0$`).Match(out) {
			t.Errorf("the demonstration does not show that %s ran:\n%s", stage, out)
		}
	}
	for _, words := range []string{"\nfine: ", "\n+    \"hooks\": {\n"} {
		if !bytes.Contains(out, []byte(words)) {
			t.Errorf("the demonstration does not show %q:\n%s", words, out)
		}
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("the demonstration leaves %v behind (%v)", left, err)
	}
}

// need skips the test unless the programs are installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin")
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("skipped: %s is not installed (apt-get install %s)", name, name)
		}
	}
}
