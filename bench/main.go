// Bench measures the cost of a call of oci-add-hooks. It compares it with the runtime alone, and with minimal wrappers
// in C and in Go. All programs of a table run in turns, in random order, as whole processes. The tables show medians,
// their ratios and the budgets. Only -gate lets an exceeded budget fail the run.
//
// The position of a program's pages in memory changes its start by several percent. So bench makes several copies of
// each program and counts their runs together.
//
// It builds the programs in a directory on a tmpfs. With PEER=/path/to/wrapper in the environment it also measures a
// copy of that wrapper, which must have the command line of awslabs/oci-add-hooks.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

func main() {
	rounds := flag.Int("n", 500, "runs of each program")
	gate := flag.Bool("gate", false, "measure only single calls, and fail if one costs too much compared with the minimal Go wrapper")
	flag.Parse()
	if err := bench(*rounds, *gate); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(rounds int, gate bool) error {
	b, err := build()
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	fmt.Println(machine())
	fmt.Printf("%d runs of each program; runtime: a static C program that exits at once\n\n", rounds)
	calls, err := b.calls(rounds)
	if err != nil {
		return err
	}
	if gate {
		for name, most := range map[string]float64{"link": passedBudget, "state": passedBudget, "create": createGate} {
			if ratio := calls[name].wall / calls["goexec"].wall; ratio > most {
				return fmt.Errorf("%s costs %.2f of the minimal Go wrapper; the gate is %.2f", name, ratio, most)
			}
		}
		return nil
	}
	return b.growth(rounds)
}

// The greatest cost of a call with -gate, as a ratio to the minimal Go wrapper.
const (
	passedBudget = 0.65 // a call that is passed through
	createGate   = 1.35 // a create that adds a hook to a small config.json; its budget is 1.25, the rest is for a busy machine
)

// bundleSize is the size of a config.json that Docker writes, in bytes.
const bundleSize = 10_000

// bed is the directory of the measured programs and files.
type bed struct {
	dir  string
	jobs []job
}

// job is one command that is measured.
type job struct {
	name     string
	from, to string // a config.json, and the bundle's, which is overwritten by it before each run; empty if there is none
	argv     []string
}

// result holds the medians of a program's runs.
type result struct {
	wall   float64 // microseconds
	cpu    float64 // user and system time of all its threads, in microseconds; a busy machine changes it less
	spread float64 // half the distance between the quartiles, in microseconds
	faults float64 // page faults
	peak   float64 // kilobytes
}

func build() (*bed, error) {
	dir, err := os.MkdirTemp("/dev/shm", "oci-add-hooks-bench-") // a tmpfs, because disks are not measured
	if err != nil {
		return nil, err
	}
	b := &bed{dir: dir}
	exit := b.at("exit.c")
	if err := os.WriteFile(exit, []byte("int main(void) { return 0; }\n"), 0o600); err != nil {
		return nil, err
	}
	// The program as it is shipped, except for the directory of the profiles, with and without package early.
	ldflags := "LDFLAGS=-s -w -X github.com/awslabs/oci-add-hooks/internal/profile.Dir=" + b.at("profiles")
	for _, command := range [][]string{
		{"cc", "-O2", "-o", b.at("spawn"), "bench/c/spawn.c"},
		{"cc", "-O2", "-static", "-o", b.at("exec"), "bench/c/exec.c"},
		{"cc", "-O2", "-static", "-o", b.at("runtime"), exit},
		{"go", "build", "-trimpath", "-buildmode=exe", "-ldflags=-s -w", "-o", b.at("goexec.linked"), "./bench/goexec"},
		{"make", "runtime", "BIN=" + b.at("linked"), ldflags},
		{"make", "runtime", "BIN=" + b.at("late"), ldflags, "EARLY="},
	} {
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
		}
	}
	// A file that the linker has written starts more slowly than its copy.
	programs := map[string]string{"runtime": b.at("runtime"), "exec": b.at("exec"), "goexec": b.at("goexec.linked"), "oci-add-hooks": b.at("linked/oci-add-hooks"),
		"oci-add-hooks-late": b.at("late/oci-add-hooks"), "oci-run-hook": b.at("linked/oci-run-hook")}
	if peer := os.Getenv("PEER"); peer != "" {
		programs["peer"] = peer
	}
	for i := range copies {
		for name, from := range programs {
			text, err := os.ReadFile(from)
			if err != nil {
				return nil, err
			}
			if err := os.MkdirAll(b.copy(i, ""), 0o755); err != nil {
				return nil, err
			}
			if err := os.WriteFile(b.copy(i, name), text, 0o755); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// copies is the number of copies of each program.
const copies = 4

// copy returns the path of one copy of a program.
func (b *bed) copy(i int, name string) string { return b.at(fmt.Sprintf("copy-%d/%s", i, name)) }

func (b *bed) at(name string) string { return filepath.Join(b.dir, name) }

func (b *bed) write(name, text string) string {
	path := b.at(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
		if err == nil {
			return path
		}
	}
	panic("cannot write " + path)
}

// calls measures single calls.
func (b *bed) calls(rounds int) (map[string]result, error) {
	runtimePath := b.at("runtime")
	hookFile := b.write("one-hook.json", hooksText(1))
	config := b.write("config.json", configText(bundleSize))
	own := []string{"--hook-config-path", hookFile, "--runtime-path", runtimePath}
	state := []string{"--root", "/run/runc", "state", "c1"}
	create := []string{"--root", "/run/runc", "create", "--bundle", b.at("bundle"), "c1"}
	programs := []string{"oci-add-hooks"}
	if os.Getenv("PEER") != "" {
		programs = append(programs, "peer")
	}
	b.jobs = nil
	b.add("runtime", "", append([]string{"runtime"}, state...))
	b.add("exec", "", append([]string{"exec", runtimePath}, state...))
	b.add("goexec", "", append([]string{"goexec", runtimePath}, state...))
	b.add("link", "", append([]string{b.link(runtimePath)}, state...))
	b.add("late", "", slices.Concat([]string{"oci-add-hooks-late"}, own, state))
	// The hook is the program that exits at once. The row "runtime alone" shows its cost without supervision.
	b.add("supervised", "", []string{"oci-run-hook", "--stage=createRuntime", "--profile=bench", "--log=" + b.at("log/hooks.jsonl"), "--", runtimePath, "hook"})
	for _, p := range programs {
		prefix := ""
		if p == "peer" {
			prefix = "peer "
		}
		b.add(prefix+"state", "", slices.Concat([]string{p}, own, state))
		b.add(prefix+"create", config, slices.Concat([]string{p}, own, create))
	}
	results, err := b.measure(rounds)
	if err != nil {
		return nil, err
	}
	t := newTable("a call", "median us", "+-", "cpu us", "page faults", "peak kB", "ratio", "cpu ratio", "budget")
	row := func(what, name, over, budget string) {
		r := results[name]
		ratio, cpu := "", ""
		if over != "" {
			ratio, cpu = fmt.Sprintf("%.2f of %s", r.wall/results[over].wall, over), fmt.Sprintf("%.2f", r.cpu/results[over].cpu)
		}
		t.row(what, f0(r.wall), f0(r.spread), f0(r.cpu), f0(r.faults), f0(r.peak), ratio, cpu, budget)
	}
	row("runtime alone", "runtime", "", "")
	row("exec: C that only execs", "exec", "runtime", "")
	row("goexec: Go that only execs", "goexec", "exec", "")
	passed := fmt.Sprintf("%.2f", passedBudget)
	row("state, by a link: before Go's start", "link", "exec", "0.90")
	row("", "link", "goexec", passed)
	row("state, by arguments: before Go's start", "state", "exec", "0.90")
	row("", "state", "goexec", passed)
	row("late: state, built without -E", "late", "goexec", "1.08")
	row("create: one hook, 10 kB", "create", "late", "1.15")
	row("", "create", "goexec", "1.25")
	row("a supervised hook that exits at once", "supervised", "goexec", "")
	t.row("", "", "", "", "", "", fmt.Sprintf("%.2f of goexec more than alone", (results["supervised"].wall-results["runtime"].wall)/results["goexec"].wall),
		fmt.Sprintf("%.2f", (results["supervised"].cpu-results["runtime"].cpu)/results["goexec"].cpu), "2.00")
	if len(programs) > 1 {
		row("peer: passed through", "peer state", "exec", "")
		row("peer: create", "peer create", "exec", "")
		row("state, of the peer's", "state", "peer state", "0.50")
		row("create, of the peer's", "create", "peer create", "0.50")
		row("goexec, of the peer's create", "goexec", "peer create", "")
	}
	t.print()
	return results, nil
}

// link creates a profile, and a link for it beside each copy of the program. It returns the link's name.
func (b *bed) link(runtimePath string) string {
	b.write("profiles/link.json", "{\n\t\"runtime\": \""+runtimePath+"\",\n\t\"hooks\": {}\n}\n")
	for i := range copies {
		if err := os.Symlink("oci-add-hooks", b.copy(i, "link")); err != nil {
			panic(err)
		}
	}
	return "link"
}

// growth measures create for growing config.json files, numbers of hooks and hooks directories.
func (b *bed) growth(rounds int) error {
	b.jobs = nil
	create := func(name, config, hookFile string, more ...string) {
		b.add(name, config, slices.Concat([]string{"oci-add-hooks", "--hook-config-path", hookFile, "--runtime-path", b.at("runtime")}, more,
			[]string{"create", "--bundle", b.at("bundle"), "c1"}))
	}
	oneHook, small := b.write("one-hook.json", hooksText(1)), b.write("config.json", configText(bundleSize))
	type step struct {
		name string
		size float64 // in bytes, hooks or files
	}
	configs := []step{{"10 kB", 10e3}, {"100 kB", 100e3}, {"1 MB", 1e6}, {"10 MB", 10e6}}
	for _, s := range configs {
		create(s.name, b.write("config-"+s.name+".json", configText(int(s.size))), oneHook)
	}
	hooks := []step{{"1 hook", 1}, {"100 hooks", 100}, {"10,000 hooks", 10_000}}
	for _, s := range hooks {
		create(s.name, small, b.write(s.name+".json", hooksText(int(s.size))))
	}
	dirs := []step{{"10 files", 10}, {"100 files", 100}, {"1,000 files", 1_000}}
	for _, s := range dirs {
		for i := range int(s.size) {
			b.write(fmt.Sprintf("%s.d/%04d.json", s.name, i), ruleText(i))
		}
		create(s.name, small, oneHook, "--hooks-dir", b.at(s.name+".d"))
	}
	results, err := b.measure(max(rounds/5, 1))
	if err != nil {
		return err
	}
	fmt.Printf("\ncreate as things grow, %d runs of each\n\n", max(rounds/5, 1))
	t := newTable("what grows", "median us", "+-", "peak kB", "over the smallest", "for each", "budget")
	for _, g := range []struct {
		steps []step
		unit  string
		per   float64
	}{{configs, "kB", 1e3}, {hooks, "hook", 1}, {dirs, "file", 1}} {
		smallest := g.steps[0]
		for _, s := range g.steps {
			r, over, each, budget := results[s.name], "", "", ""
			if s != smallest {
				more := r.wall - results[smallest.name].wall
				over, each = f0(more)+" us", fmt.Sprintf("%.2f us a %s", more/(s.size-smallest.size)*g.per, g.unit)
			}
			if s.name == "1 MB" {
				budget = "4000 us"
			}
			t.row(s.name, f0(r.wall), f0(r.spread), f0(r.peak), over, each, budget)
		}
	}
	t.print()
	return nil
}

// add adds a job for each copy of the program argv[0].
func (b *bed) add(name, config string, argv []string) {
	for i := range copies {
		j := job{name: name, argv: append([]string{b.copy(i, argv[0])}, argv[1:]...)}
		if config != "" {
			j.from, j.to = config, b.write("bundle/config.json", "")
		}
		b.jobs = append(b.jobs, j)
	}
}

// measure runs the jobs of each name at least rounds times, in turns. It returns the medians by name.
func (b *bed) measure(rounds int) (map[string]result, error) {
	var lines strings.Builder
	for _, j := range b.jobs {
		lines.WriteString(strings.Join(append([]string{j.from, j.to}, j.argv...), "\t") + "\n")
	}
	rounds = (rounds + copies - 1) / copies
	cmd := exec.Command(b.at("spawn"), fmt.Sprint(rounds), fmt.Sprint(rand.IntN(1<<30)), b.write("jobs", lines.String()))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	type sample struct{ wall, cpu, faults, peak []float64 }
	samples := map[string]*sample{}
	for _, j := range b.jobs {
		samples[j.name] = &sample{}
	}
	_, counted, _ := bytes.Cut(out, []byte("warm\n"))
	scanner := bufio.NewScanner(bytes.NewReader(counted))
	for scanner.Scan() {
		var i int
		var wall, cpu, faults, peak float64
		if _, err := fmt.Sscan(scanner.Text(), &i, &wall, &cpu, &faults, &peak); err != nil {
			return nil, fmt.Errorf("%q: %w", scanner.Text(), err)
		}
		s := samples[b.jobs[i].name]
		s.wall, s.cpu, s.faults, s.peak = append(s.wall, wall/1e3), append(s.cpu, cpu), append(s.faults, faults), append(s.peak, peak)
	}
	results := map[string]result{}
	for name, s := range samples {
		if len(s.wall) != rounds*copies {
			return nil, fmt.Errorf("%s ran %d times, not %d", name, len(s.wall), rounds*copies)
		}
		results[name] = result{wall: quantile(s.wall, 0.5), spread: (quantile(s.wall, 0.75) - quantile(s.wall, 0.25)) / 2,
			cpu: quantile(s.cpu, 0.5), faults: quantile(s.faults, 0.5), peak: quantile(s.peak, 0.5)}
	}
	return results, nil
}

func quantile(values []float64, q float64) float64 {
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}

// configText returns a config.json of about size bytes, similar to Docker's: mostly short strings, half in the
// environment and half in mounts. A few have escapes, which Docker's do not.
func configText(size int) string {
	var b strings.Builder
	b.WriteString(`{"ociVersion":"1.2.1","process":{"user":{"uid":0,"gid":0},"args":["sleep","100"],"env":["A=1"`)
	for i := 0; b.Len() < size/2; i++ {
		if i%10 == 0 {
			fmt.Fprintf(&b, `,"VARIABLE_%d=the value of a variable with \"quotes\""`, i)
		} else {
			fmt.Fprintf(&b, `,"VARIABLE_%d=/usr/local/share/the/value/of/a/variable"`, i)
		}
	}
	b.WriteString(`]},"root":{"path":"rootfs"},"annotations":{"com.example.gpu":"true"},"mounts":[{"destination":"/proc","type":"proc","source":"proc"}`)
	for i := 0; b.Len() < size-30; i++ {
		fmt.Fprintf(&b, `,{"destination":"/mnt/%d","type":"tmpfs","source":"tmpfs","options":["nosuid","noexec","nodev"]}`, i)
	}
	return b.String() + `],"linux":{"namespaces":[]}}`
}

// hooksText returns a hook file with n hooks.
func hooksText(n int) string {
	hooks := make([]string, n)
	for i := range hooks {
		hooks[i] = fmt.Sprintf(`{"path":"/usr/local/bin/hook-%d","args":["hook-%d","--some","arguments"],"env":["PATH=/usr/bin:/bin"],"timeout":10}`, i, i)
	}
	return `{"hooks":{"createRuntime":[` + strings.Join(hooks, ",") + `]}}`
}

// ruleText returns a file of a hooks directory whose condition needs an annotation that no container has.
func ruleText(i int) string {
	return fmt.Sprintf(`{"version":"1.0.0","hook":{"path":"/bin/true"},"when":{"annotations":{"^com\\.example\\.feature-%d$":"^true$"}},"stages":["createRuntime"]}`, i)
}

// machine returns the processor, the kernel and the version of Go, for the heading.
func machine() string {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if _, name, ok := strings.Cut(line, "model name\t: "); ok {
				model = strings.TrimSpace(name)
				break
			}
		}
	}
	return fmt.Sprintf("%d x %s, Linux %s, %s", runtime.NumCPU(), model, strings.TrimSpace(string(kernel)), runtime.Version())
}
