package engines

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// BenchmarkContainers measures what a whole container costs with the program, compared with one without it. It is not a
// test: it prints times, and requires only that every container and every hook ran.
//
//	go test -run '^$' -bench Containers -benchtime 1x -timeout 30m
//
// On a busy machine, -benchtime 10x takes ten times as many rounds.
const (
	rounds = 30  // of each way to run a container
	crowd  = 200 // containers at once
	crowds = 3   // rounds of such crowds
)

func BenchmarkContainers(b *testing.B) {
	need(b, "runc")
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\twithout\twith\tdifference\tratio\tquartiles\t95 % interval\t")
	b.Run("runc-run", func(b *testing.B) { benchRunc(b, w) })
	b.Run("docker-run", func(b *testing.B) { benchDocker(b, w) })
	b.Run("at-once", func(b *testing.B) { benchCrowd(b, w) })
	w.Flush()
	fmt.Printf("\nMedians of interleaved pairs; ratio and difference are medians over the pairs, quartiles and interval those of the ratio.\n%s\n", &table)
}

// A way runs one container to its end, and returns the command that ran it and the time it took.
type way struct {
	run        func(b *testing.B) (*exec.Cmd, time.Duration)
	taken, cpu []float64 // seconds, one for each round
}

// interleave runs each way once per round, in random order.
func interleave(b *testing.B, ways ...*way) {
	for b.Loop() {
		for range rounds {
			for _, i := range rand.Perm(len(ways)) {
				w := ways[i]
				cmd, taken := w.run(b)
				w.taken, w.cpu = append(w.taken, taken.Seconds()), append(w.cpu, cpu(cmd))
			}
		}
	}
}

// cpu returns the processor time of an ended command in seconds, including the children that it waited for.
func cpu(cmd *exec.Cmd) float64 {
	return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
}

// compare adds a line to the table, from the pairs of a way without the program and one with it.
func compare(b *testing.B, w *tabwriter.Writer, what string, without, with []float64) {
	var ratios, differences []float64
	for i := range without {
		ratios = append(ratios, with[i]/without[i])
		differences = append(differences, with[i]-without[i])
	}
	for _, s := range [][]float64{ratios, differences} {
		slices.Sort(s)
	}
	interval := "-"
	if k := intervalRank(len(ratios)); k > 0 {
		interval = fmt.Sprintf("%.3f to %.3f", ratios[k-1], ratios[len(ratios)-k])
	}
	median := quantile(ratios, 0.5)
	fmt.Fprintf(w, "%s\t%.1f ms\t%.1f ms\t%+.1f ms\t%.3f\t%.3f to %.3f\t%s\t\n", what,
		1000*quantile(slices.Sorted(slices.Values(without)), 0.5), 1000*quantile(slices.Sorted(slices.Values(with)), 0.5),
		1000*quantile(differences, 0.5), median, quantile(ratios, 0.25), quantile(ratios, 0.75), interval)
	b.ReportMetric(median, strings.ReplaceAll(strings.ReplaceAll(what, ",", ""), " ", "-")+"-ratio")
}

// quantile of sorted values, interpolated.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// intervalRank returns the rank, from either end of n sorted values, at which the 95 % confidence interval of the
// median ends: the number of values below the true median has a binomial distribution. It returns 0 for too few values.
func intervalRank(n int) int {
	probability, below := 1.0, 0.0 // of k values; of at most k
	for range n {
		probability /= 2
	}
	for k := range n {
		if below += probability; below > 0.025 {
			return k
		}
		probability *= float64(n-k) / float64(k+1)
	}
	return 0
}

// unmatched writes a hooks directory whose hooks match no container here, and returns the hook file that names it.
func unmatched(b *testing.B, runtime string) map[string]any {
	b.Helper()
	dir := scratch(b)
	for name, when := range map[string]string{
		"10-gpu.json":     `{"annotations": {"^com\\.example\\.gpu$": "^(true|all)$"}}`,
		"20-audit.json":   `{"annotations": {"^com\\.example\\.audit$": "."}, "hasBindMounts": true}`,
		"30-systemd.json": `{"commands": ["/init$", "/systemd$"]}`,
	} {
		writeRule(b, dir, name, `{"version": "1.0.0", "hook": {"path": "/bin/true"}, "when": `+when+`, "stages": ["createRuntime"]}`)
	}
	return map[string]any{"runtime": runtime, "hooksDirs": []string{dir}, "hooks": map[string]any{}}
}

// benchRunc calls runc directly, and the program in its place, as a person would.
func benchRunc(b *testing.B, w *tabwriter.Writer) {
	const rt = "runc"
	profiles := map[string]profile{}
	for name, file := range map[string]map[string]any{
		"bench-unmatched": unmatched(b, rt),
		"bench-one-hook":  nil, // written by newRun
	} {
		profiles[name] = newProfile(b, name, rt)
		if file != nil {
			profiles[name].writeJSON(b, file)
		}
	}

	// newRun returns a way to run a container of its own, with or without a hook that creates a file. The hook is in
	// config.json if no profile adds it.
	newRun := func(name, runtime string, withHook bool, p *profile) *way {
		bundle := newBundle(b, rt, name)
		bundle.command(b, "echo started")
		config := bundle.config(b)
		trace := bundle.dir + "/hook-ran"
		hooks := map[string]any{"createRuntime": []any{
			map[string]any{"path": rootfs + "/bin/busybox", "args": []string{"touch", trace}},
		}}
		switch {
		case withHook && p != nil:
			p.writeJSON(b, map[string]any{"runtime": rt, "hooks": hooks})
		case withHook:
			config = setHooks(b, config, hooks)
		}
		return &way{run: func(b *testing.B) (*exec.Cmd, time.Duration) {
			writeFile(b, bundle.dir+"/config.json", config)
			cmd := exec.Command(runtime, "--root", bundle.dir+"/state", "run", "--bundle", bundle.dir, bundle.id)
			taken := timed(b, cmd)
			if _, err := os.Stat(trace); (err == nil) != withHook {
				b.Fatalf("%s: want the hook to run: %v; its trace: %v", name, withHook, err)
			}
			os.Remove(trace)
			return cmd, taken
		}}
	}
	bare, err := exec.LookPath(rt)
	if err != nil {
		b.Fatal(err)
	}
	oneHook := profiles["bench-one-hook"]
	plain, again := newRun("bench-a", bare, false, nil), newRun("bench-b", bare, false, nil)
	passed := newRun("bench-c", profiles["bench-unmatched"].link, false, nil)
	there := newRun("bench-d", bare, true, nil)
	added := newRun("bench-e", oneHook.link, true, &oneHook)
	interleave(b, plain, again, passed, there, added)
	compare(b, w, "runc run, both without", plain.taken, again.taken)
	compare(b, w, "runc run, no hook matches", plain.taken, passed.taken)
	compare(b, w, "runc run, one hook", there.taken, added.taken)
	compare(b, w, "processor time, both without", plain.cpu, again.cpu)
	compare(b, w, "processor time, no hook matches", plain.cpu, passed.cpu)
	compare(b, w, "processor time, one hook", there.cpu, added.cpu)
}

// benchDocker has no line with a hook: without the program, Docker cannot give a container a hook.
func benchDocker(b *testing.B, w *tabwriter.Writer) {
	need(b, "dockerd", "docker", "containerd")
	const rt = "runc"
	bare, err := exec.LookPath(rt)
	if err != nil {
		b.Fatal(err)
	}
	p := newProfile(b, "bench-docker", rt)
	p.writeJSON(b, unmatched(b, rt))
	d := startDocker(b, map[string]any{"runtimes": map[string]any{
		"bench-bare": map[string]any{"path": bare},
		p.name:       map[string]any{"path": p.link},
	}})
	newRun := func(runtime string) *way {
		return &way{run: func(b *testing.B) (*exec.Cmd, time.Duration) {
			cmd := d.command("run", "--rm", "--runtime", runtime, "--network", "none", image, "echo", "started")
			return cmd, timed(b, cmd)
		}}
	}
	plain, again, passed := newRun("bench-bare"), newRun("bench-bare"), newRun(p.name)
	interleave(b, plain, again, passed)
	compare(b, w, "docker run, both without", plain.taken, again.taken)
	compare(b, w, "docker run, no hook matches", plain.taken, passed.taken)
}

// timed runs a command that must print "started".
func timed(b *testing.B, cmd *exec.Cmd) time.Duration {
	b.Helper()
	start := time.Now()
	o := ok(b, cmd)
	taken := time.Since(start)
	if o.said() != "started\n" {
		b.Fatalf("%v: %v", cmd.Args, o)
	}
	return taken
}

func writeFile(b *testing.B, path string, text []byte) {
	b.Helper()
	if err := os.WriteFile(path, text, 0o644); err != nil {
		b.Fatal(err)
	}
}

// setHooks returns config.json with these hooks and no others.
func setHooks(b *testing.B, config []byte, hooks map[string]any) []byte {
	b.Helper()
	var all map[string]any
	if err := json.Unmarshal(config, &all); err != nil {
		b.Fatal(err)
	}
	all["hooks"] = hooks
	text, err := json.MarshalIndent(all, "", "\t")
	if err != nil {
		b.Fatal(err)
	}
	return text
}

func benchCrowd(b *testing.B, w *tabwriter.Writer) {
	const rt = "runc"
	p := newProfile(b, "bench-crowd", rt)
	bare, err := exec.LookPath(rt)
	if err != nil {
		b.Fatal(err)
	}
	var without, with crowdTimes
	for b.Loop() {
		for i := range crowds {
			for _, added := range []bool{i%2 == 0, i%2 != 0} {
				if added {
					with.add(runCrowd(b, p.link, p, true))
				} else {
					without.add(runCrowd(b, bare, p, false))
				}
			}
		}
	}
	compare(b, w, fmt.Sprintf("%d at once, until all run", crowd), without.running, with.running)
	compare(b, w, fmt.Sprintf("%d at once, until all are gone", crowd), without.gone, with.gone)
	compare(b, w, fmt.Sprintf("processor time, %d at once", crowd), without.cpu, with.cpu)
}

// crowdTimes holds, in seconds, the time until all containers of a crowd ran side by side, the time until all had
// ended, and the processor time of all together.
type crowdTimes struct{ running, gone, cpu []float64 }

func (t *crowdTimes) add(running, gone, cpu float64) {
	t.running, t.gone, t.cpu = append(t.running, running), append(t.gone, gone), append(t.cpu, cpu)
}

// runCrowd starts many containers at once, each with one hook: in config.json, or added by the profile.
func runCrowd(b *testing.B, runtime string, p profile, added bool) (running, gone, processor float64) {
	b.Helper()
	const limit = 10 * time.Minute
	template := newBundle(b, p.runtime, p.name)
	template.command(b, "echo started; read -r line; exit 0")
	config := template.config(b)
	hooks := map[string]any{"createRuntime": []any{hook(recorder(b, template.dir), "createRuntime")}}
	if added {
		p.writeJSON(b, map[string]any{"runtime": p.runtime, "hooks": hooks})
	} else {
		config = setHooks(b, config, hooks)
	}

	stdin, end, err := os.Pipe() // all containers end when it is closed
	if err != nil {
		b.Fatal(err)
	}
	defer stdin.Close()
	defer end.Close()
	stdout, started, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	defer stdout.Close()
	stdout.SetReadDeadline(time.Now().Add(limit))
	stderr := outputFile(b)

	ids := map[string]bool{}
	var cmds []*exec.Cmd
	for i := range crowd {
		id := fmt.Sprintf("%s-%d", template.id, i)
		ids[id] = true
		dir := template.dir + "/" + id
		if err := os.Mkdir(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		writeFile(b, dir+"/config.json", []byte(strings.ReplaceAll(string(config), cgroup+"/"+template.id, cgroup+"/"+id)))
		cmd := exec.Command(runtime, "--root", template.dir+"/state", "run", "--bundle", dir, id)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, started, stderr
		cmds = append(cmds, cmd)
	}

	start := time.Now()
	var all sync.WaitGroup
	failed := make(chan error, crowd)
	for _, cmd := range cmds {
		all.Go(func() {
			if err := cmd.Run(); err != nil {
				failed <- fmt.Errorf("%v: %w", cmd.Args, err)
				stdout.SetReadDeadline(time.Now())
			}
		})
	}
	lines := bufio.NewScanner(stdout)
	seen := 0
	for seen < crowd && lines.Scan() && lines.Text() == "started" {
		seen++
	}
	running = time.Since(start).Seconds()
	wrappers := processes(b, func(p process) bool { return p.exe == program })
	end.Close()
	all.Wait()
	gone = time.Since(start).Seconds()
	started.Close()

	select {
	case err := <-failed:
		b.Fatalf("%v\n%d of %d containers ran, %d commands failed\nstderr: %s", err, seen, crowd, len(failed)+1, contents(b, stderr))
	default:
	}
	if seen < crowd {
		b.Fatalf("%d of %d containers ran\nstderr: %s", seen, crowd, contents(b, stderr))
	}
	if len(wrappers) > 0 {
		b.Errorf("with all containers running, processes of the program remain: %v", wrappers)
	}
	for _, call := range recorded(b, template.dir) {
		if !ids[call.State.ID] {
			b.Fatalf("a hook ran twice, or for another container: %+v", call)
		}
		delete(ids, call.State.ID)
	}
	if len(ids) > 0 {
		b.Fatalf("%d of %d hooks did not run", len(ids), crowd)
	}
	for _, cmd := range cmds {
		processor += cpu(cmd)
	}
	return running, gone, processor
}
