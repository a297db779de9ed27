package hooklog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/report"
)

// role is the environment variable that makes this binary a writer, a process with the arguments PATH FROM TO SIZE.
const role = "HOOKLOG_TEST_WRITER"

func TestMain(m *testing.M) {
	if os.Getenv(role) == "" {
		os.Exit(m.Run())
	}
	from, _ := strconv.Atoi(os.Args[2])
	to, _ := strconv.Atoi(os.Args[3])
	size, _ := strconv.ParseInt(os.Args[4], 10, 64)
	signal.Ignore(syscall.SIGXFSZ)
	for n := from; n < to; n++ {
		if err := appendLine(os.Args[1], numbered(n).line(), size); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func writerProcess(t *testing.T, path string, from, to int, size int64) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, path, strconv.Itoa(from), strconv.Itoa(to), strconv.FormatInt(size, 10))
	cmd.Env = []string{role + "=1"}
	return cmd
}

// numbered returns a record that is recognizable by its number, and is longer than a page.
func numbered(n int) *Record {
	return &Record{Time: time.Unix(int64(n), 0).UTC(), Args: []string{}, Result: "ok", Container: strconv.Itoa(n), Stdout: strings.Repeat(strconv.Itoa(n)+" ", 1000)}
}

// read returns how often each number occurs among the records, and the number of torn lines. It fails the test if a
// record is not complete.
func read(t *testing.T, path string) (numbers map[int]int, torn int) {
	t.Helper()
	numbers = map[int]int{}
	torn, err := Read(path, func(r *Record) error {
		n, err := strconv.Atoi(r.Container)
		if diff := cmp.Diff(numbered(n), r); diff != "" || err != nil {
			t.Errorf("record %d (-want +got):\n%s", n, diff)
		}
		numbers[n]++
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return numbers, torn
}

func full() *Record {
	status := 3
	return &Record{Time: time.Date(2026, 2, 3, 4, 5, 6, 700, time.UTC), Seconds: 1.234567, Stage: "poststop", Path: "/h", Args: []string{"h", "", "a b"},
		Container: "c", PodNamespace: "ns", PodName: "pod", ContainerName: "main", Bundle: "/b", Profile: "gpu", File: "/f.json", Place: "/hooks/prestart/0",
		Result: "failed", ExitStatus: &status, Signal: "SIGKILL", Error: "why", Ignored: true, Stdout: "out\n\x00\x1b", Stderr: "err", Truncated: true}
}

// The members are a contract with other programs that read the file.
func TestLine(t *testing.T) {
	const want = `{"time":"2026-02-03T04:05:06.0000007Z","seconds":1.234567,"stage":"poststop","path":"/h","args":["h","","a b"],` +
		`"container":"c","podNamespace":"ns","podName":"pod","containerName":"main","bundle":"/b","profile":"gpu","file":"/f.json","place":"/hooks/prestart/0",` +
		`"result":"failed","exitStatus":3,"signal":"SIGKILL","error":"why","ignored":true,"stdout":"out\n\u0000\u001b","stderr":"err","truncated":true}` + "\n"
	if diff := cmp.Diff(want, string(full().line())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err := parse(full().line())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full(), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const least = `{"time":"2026-02-03T04:05:06Z","seconds":0.000000,"stage":"","path":"","args":[],"container":"","podNamespace":"","podName":"",` +
		`"containerName":"","bundle":"","profile":"","file":"","place":"","result":"ok","exitStatus":null,"signal":"","error":"","ignored":false,` +
		`"stdout":"","stderr":"","truncated":false}` + "\n"
	if got := string((&Record{Time: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), Result: "ok"}).line()); got != least {
		t.Errorf("%s", got)
	}
}

// Texts that the creator of a container chooses cannot make a record too long.
func TestLongest(t *testing.T) {
	long := strings.Repeat("\x00", 1<<20)
	r := full()
	for _, text := range []*string{&r.Stage, &r.Path, &r.Container, &r.PodNamespace, &r.PodName, &r.ContainerName, &r.Bundle, &r.Profile, &r.File, &r.Place, &r.Signal, &r.Error} {
		*text = long
	}
	r.Args = []string{"x", long, long}
	r.Stdout, r.Stderr = long[:8<<10], long[:8<<10]
	line := r.line()
	if len(line) > maxLine {
		t.Errorf("a line of %d bytes", len(line))
	}
	got, err := parse(line)
	if err != nil || len(got.Args) != 3 || got.Args[2] != "..." || got.Container != long[:MaxText]+"..." {
		t.Errorf("%v, %.100q", err, got.Args)
	}
}

// With many writers and several rotations, no line is torn, duplicated or lost, except those that rotation drops.
func TestManyWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log", "hooks.jsonl")
	const writers, each, first = 64, 157, 10000                          // 10,048 records
	size := int64(writers * each * len(numbered(first).line()) * 3 / 10) // three rotations
	var cmds []*exec.Cmd
	for i := range writers {
		cmd := writerProcess(t, path, first+i*each, first+(i+1)*each, size)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	numbers, torn := read(t, path)
	if torn != 0 || len(numbers) != writers*each {
		t.Errorf("%d of %d records, %d torn", len(numbers), writers*each, torn)
	}
	for n, times := range numbers {
		if times != 1 {
			t.Errorf("record %d occurs %d times", n, times)
		}
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		if err != nil || info.Mode() != 0o600 || info.Size() > size {
			t.Errorf("%s: %v, %d bytes, %v", e.Name(), info.Mode(), info.Size(), err)
		}
	}
	if diff := cmp.Diff([]string{".hooks.jsonl.lock", "hooks.jsonl", "hooks.jsonl.1", "hooks.jsonl.2", "hooks.jsonl.3"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if st, err := os.Stat(filepath.Dir(path)); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", st.Mode(), err)
	}
	// One more rotation drops the oldest.
	if err := appendLine(path, numbered(99999).line(), 1); err != nil {
		t.Fatal(err)
	}
	if after, _ := read(t, path); len(after) >= len(numbers) || after[99999] != 1 {
		t.Errorf("%d records after one more rotation, %d before", len(after), len(numbers))
	}
}

// A writer that is killed at any moment loses only the record that it is writing.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log", "hooks.jsonl")
	const rounds, most = 60, 1000
	for i := range rounds {
		cmd := writerProcess(t, path, i*most, (i+1)*most, 1<<20)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i%20) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
	}
	if err := appendLine(path, numbered(rounds*most).line(), 1<<20); err != nil {
		t.Fatal(err)
	}
	numbers, torn := read(t, path)
	if torn > rounds || numbers[rounds*most] != 1 {
		t.Errorf("%d records, %d torn", len(numbers), torn)
	}
	oldest := rounds * most
	for n := range numbers {
		oldest = min(oldest, n)
	}
	for i := oldest/most + 1; i < rounds; i++ { // the records of each round have no gap
		last := false
		for n := i * most; n < (i+1)*most; n++ {
			if numbers[n] == 1 && last {
				t.Errorf("a record before %d is lost", n)
			}
			last = numbers[n] == 0
		}
	}
}

// A record after a torn line is complete.
func TestAfterTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hooks.jsonl")
	if err := os.WriteFile(path, append(numbered(1).line(), numbered(2).line()[:100]...), 0o600); err != nil {
		t.Fatal(err)
	}
	for n := 3; n < 5; n++ {
		if err := Append(path, numbered(n)); err != nil {
			t.Fatal(err)
		}
	}
	numbers, torn := read(t, path)
	if diff := cmp.Diff(map[int]int{1: 1, 3: 1, 4: 1}, numbers); diff != "" || torn != 1 {
		t.Errorf("%d torn (-want +got):\n%s", torn, diff)
	}
}

// If a writer is killed between two renames of a rotation, no record is lost.
func TestRotate(t *testing.T) {
	for name, before := range map[string]string{
		"none": "0", "one": "01", "all": "0123", "killed after the first": "013", "killed after the second": "023", "killed after the last": "123", "only old ones": "23",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "hooks.jsonl")
			for _, n := range before {
				if err := os.WriteFile(rotated(path, int(n-'0')), numbered(int(n-'0')).line(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := appendLine(path, numbered(9).line(), 1); err != nil {
				t.Fatal(err)
			}
			want := map[int]int{9: 1}
			for _, n := range before {
				if before != "0123" || n != '3' {
					want[int(n-'0')] = 1
				}
			}
			got, torn := read(t, path)
			if diff := cmp.Diff(want, got); diff != "" || torn != 0 {
				t.Errorf("%d torn (-want +got):\n%s", torn, diff)
			}
		})
	}
}

// If the disk is full, the record is lost, and later records are complete.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hooks.jsonl")
	cmd := writerProcess(t, path, 0, 100, 1<<20)
	cmd.Path, cmd.Args = "/usr/bin/prlimit", append([]string{"prlimit", "--fsize=10000"}, cmd.Args...)
	out, err := cmd.CombinedOutput()
	if err == nil || string(out) != path+" cannot be written: the file system is full (ENOSPC)\n" {
		t.Errorf("%v: %s", err, out)
	}
	if err := appendLine(path, numbered(500).line(), 1<<20); err != nil {
		t.Fatal(err)
	}
	if numbers, torn := read(t, path); torn != 0 || len(numbers) < 2 || numbers[500] != 1 {
		t.Errorf("%d records, %d torn", len(numbers), torn)
	}
}

// Append refuses a file or directory that another user could misuse, or to which it cannot write, and says why.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name, "hooks.jsonl") }
	others := os.Geteuid() // only root can change the owner of a file
	if others == 0 {
		others = 65534
	}
	for _, name := range []string{"shared", "link", "fifo", "dir", "lock", "writable", "other", "locked"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		os.Chmod(filepath.Join(dir, "shared"), 0o770),
		os.Symlink("/etc/passwd", at("link")), unix.Mkfifo(at("fifo"), 0o600), os.Mkdir(at("dir"), 0o700),
		os.Symlink("/etc/passwd", filepath.Join(dir, "lock/.hooks.jsonl.lock")),
		os.WriteFile(filepath.Join(dir, "file"), nil, 0o600),
		os.WriteFile(at("writable"), nil, 0o600), os.Chmod(at("writable"), 0o622),
		os.WriteFile(at("other"), nil, 0o600), os.Chown(at("other"), others, -1),
		os.WriteFile(filepath.Join(dir, "locked/.hooks.jsonl.lock"), nil, 0o600), os.Chown(filepath.Join(dir, "locked/.hooks.jsonl.lock"), others, -1),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	wants := map[string]string{
		at("shared"):    fmt.Sprintf("@ is writable by other users than %d; run: chown %[1]d @ && chmod 0700 @", os.Geteuid()),
		at("link"):      "@/hooks.jsonl is not a regular file",
		at("fifo"):      "@/hooks.jsonl is not a regular file",
		at("dir"):       "@/hooks.jsonl is not a regular file",
		at("writable"):  fmt.Sprintf("@/hooks.jsonl is writable by other users than %d; run: chown %[1]d @/hooks.jsonl && chmod 0600 @/hooks.jsonl", os.Geteuid()),
		at("lock"):      "@/.hooks.jsonl.lock cannot be opened: too many symbolic links (ELOOP)",
		at("file"):      "@ cannot be opened: a part of the path is a file (ENOTDIR)",
		"hooks.jsonl":   "hooks.jsonl: the path of the records is not absolute",
		"/proc/x/hooks": "@ cannot be created: nothing exists at this path (ENOENT)",
	}
	if others != os.Geteuid() {
		wants[at("other")] = "@/hooks.jsonl is writable by other users than 0; run: chown 0 @/hooks.jsonl && chmod 0600 @/hooks.jsonl"
		wants[at("locked")] = strings.ReplaceAll(wants[at("other")], "hooks.jsonl", ".hooks.jsonl.lock")
	}
	for path, want := range wants {
		err := Append(path, full())
		if want = strings.ReplaceAll(want, "@", filepath.Dir(path)); err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", path, err, want)
		}
	}
	// A refused file leaves no lock file beside it, and /dev/null accepts records.
	if err := Append("/dev/null", full()); err != nil {
		t.Error(err)
	}
	locks, err := filepath.Glob(dir + "/[fd]*/.*.lock")
	if _, lock := os.Lstat("/dev/.null.lock"); lock == nil || err != nil || len(locks) > 0 {
		t.Errorf("left: %q, %v, in /dev: %v", locks, err, lock)
	}
}

// A writer finishes in time even if another process holds the lock.
func TestLockHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hooks.jsonl")
	if err := Append(path, numbered(1)); err != nil {
		t.Fatal(err)
	}
	dir, err := openDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.close()
	if locked, err := dir.lock("hooks.jsonl", unix.LOCK_EX, 0); !locked || err != nil {
		t.Fatal(locked, err)
	}
	if err := appendLine(path, numbered(2).line(), 1); err != nil {
		t.Fatal(err)
	}
	if numbers, torn := read(t, path); len(numbers) != 2 || torn != 0 {
		t.Errorf("%v, %d torn", numbers, torn)
	}
}

// Read skips and counts torn lines and lines that are not records.
func TestRead(t *testing.T) {
	good := string(numbered(7).line())
	for name, tt := range map[string]struct {
		text       string
		good, torn int
	}{
		"nothing":           {"", 0, 0},
		"torn":              {good[:50] + "\n" + good, 1, 1},
		"torn at the end":   {good + good[:50], 1, 1},
		"line feed missing": {good + good[:len(good)-1], 2, 0},
		"blank lines":       {"\n\n" + good + " \n", 1, 0},
		"another value":     {"[]\nnull\n{}\n" + good, 1, 3},
		"too long":          {strings.Repeat("x", 3<<20) + "\n" + good, 1, 1},
		"two in a line":     {strings.TrimSpace(good) + good + good, 1, 1},
		"wrong types":       {`{"time":1,"result":"ok"}` + "\n" + `{"time":"x","result":"ok"}` + "\n" + good, 1, 2},
		"member twice":      {`{"time":"2026-02-03T04:05:06Z","result":"ok","result":"failed"}` + "\n", 0, 1},
		"NUL":               {strings.Repeat("\x00", 100) + good + good, 1, 1},
	} {
		path := filepath.Join(t.TempDir(), "hooks.jsonl")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		n := 0
		torn, err := Read(path, func(*Record) error { n++; return nil })
		if n != tt.good || torn != tt.torn || err != nil {
			t.Errorf("%s: %d records, %d torn, %v", name, n, torn, err)
		}
	}
	if torn, err := Read("/nonexistent/hooks.jsonl", nil); torn != 0 || err != nil {
		t.Errorf("no file: %d torn, %v", torn, err)
	}
	stop := errors.New("stop")
	path := filepath.Join(t.TempDir(), "hooks.jsonl")
	os.WriteFile(path, []byte(good), 0o600)
	if _, err := Read(path, func(*Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

// FuzzRead: for any content of the file, in pieces of any size, valid lines are read.
func FuzzRead(f *testing.F) {
	good := numbered(7).line()
	f.Add([]byte("{\n"), 1)
	f.Add(good, 100)
	f.Add(full().line(), 3)
	f.Fuzz(func(t *testing.T, text []byte, step int) {
		if step < 1 {
			return
		}
		n := 0
		l := lines{each: func(r *Record) error {
			n++
			if again, err := parse(r.line()); err != nil || again.Result != r.Result {
				t.Errorf("%+v cannot be read again: %v", r, err)
			}
			return nil
		}}
		all := append(append(append([]byte{}, text...), '\n'), good...)
		for len(all) > 0 {
			some := all[:min(step, len(all))]
			if got, err := l.Write(some); got != len(some) || err != nil {
				t.Fatal(got, err)
			}
			all = all[len(some):]
		}
		if n == 0 || l.torn+n > bytes.Count(text, []byte{'\n'})+2 {
			t.Errorf("%d records, %d torn", n, l.torn)
		}
	})
}

// Follow reads a file that is removed and created again from its beginning, and does not repeat the rotated files.
func TestFollowRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hooks.jsonl")
	write := func(n int, size int64) {
		t.Helper()
		if err := appendLine(path, numbered(n).line(), size); err != nil {
			t.Fatal(err)
		}
	}
	write(1000, 1<<20)
	write(1001, 1) // in a new file
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	seen := make(chan string)
	go func() {
		if _, err := Follow(ctx, path, func(r *Record) error { seen <- r.Container; return nil }); err != nil {
			t.Error(err)
		}
	}()
	for n := range 8 {
		if n == 2 || n == 4 {
			if n == 4 {
				time.Sleep(2 * followPause) // Follow notices that the file is missing
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		if n >= 2 {
			write(1000+n, 1<<20)
		}
		if got := <-seen; got != strconv.Itoa(1000+n) {
			t.Fatalf("record %s, want %d", got, 1000+n)
		}
	}
}

// A line with an impossible time or duration is not a record: as nanoseconds since 1970 it would be out of range.
func TestImpossible(t *testing.T) {
	line := string(full().line())
	for from, to := range map[string]string{
		`"seconds":1.234567`: `"seconds":-5`,
		`1.234567`:           `1e300`,
		`:1.234567`:          `:1e10`,
		`"2026-`:             `"1969-`,
		`"2026-02`:           `"9999-02`,
		`"2026-0`:            `"0001-0`,
	} {
		if r, err := parse([]byte(strings.Replace(line, from, to, 1))); err == nil {
			t.Errorf("%s: %v, %v s", to, r.Time, r.Seconds)
		}
	}
	if _, err := parse([]byte(strings.Replace(line, "2026-", "1970-", 1))); err != nil { // a clock that is not yet set
		t.Error(err)
	}
}

// Follow returns every record, across rotations.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hooks.jsonl")
	size := int64(len(numbered(1000).line())) * 5 / 2 // two records a file
	write := func(n int) {
		t.Helper()
		if err := appendLine(path, numbered(n).line(), size); err != nil {
			t.Fatal(err)
		}
	}
	write(1000)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	seen := make(chan int)
	go func() {
		_, err := Follow(ctx, path, func(r *Record) error {
			n, err := strconv.Atoi(r.Container)
			seen <- n
			return err
		})
		if err != nil {
			t.Error(err)
		}
		close(seen)
	}()
	next := 1000
	for range 20 {
		if n := <-seen; n != next {
			t.Fatalf("record %d, want %d", n, next)
		}
		next++
		write(next)
		if next%5 == 0 { // two at once
			if n := <-seen; n != next {
				t.Fatalf("record %d, want %d", n, next)
			}
			write(next + 1)
			write(next + 2)
			next++
			if n := <-seen; n != next {
				t.Fatalf("record %d, want %d", n, next)
			}
			next++
		}
	}
	cancel()
	for range seen {
	}
}

// FuzzWritten: what the quick reader accepts is what the reader of any JSON reads.
func FuzzWritten(f *testing.F) {
	for _, r := range []*Record{full(), {Time: time.Unix(0, 0), Result: "ok"}, {Args: []string{"\\", "\"", "\u00e9"}, Time: time.Now(), Result: "not started", Stdout: "\xff"}} {
		line := strings.TrimSuffix(string(r.line()), "\n")
		if written(line) == nil {
			f.Errorf("%s is not accepted", line)
		}
		f.Add(line)
	}
	older := `{"time":"2026-02-03T04:05:06Z","seconds":0.5,"stage":"poststop","path":"/h","result":"ok"}`
	if written(older) == nil {
		f.Errorf("%s is not accepted", older)
	}
	f.Add(older)
	f.Fuzz(func(t *testing.T, line string) {
		got := written(line)
		if got == nil {
			return
		}
		want, err := parseAny([]byte(line))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", line, err, diff)
		}
	})
}

// BenchmarkRead reads a full file of records of a usual length.
func BenchmarkRead(b *testing.B) {
	r := full()
	r.Container, r.Bundle = strings.Repeat("0123456789abcdef", 4), "/run/containerd/io.containerd.runtime.v2.task/k8s.io/"+strings.Repeat("0123456789abcdef", 4)
	r.Stdout, r.Stderr = "found 2 devices\n", ""
	path := filepath.Join(b.TempDir(), "hooks.jsonl")
	text := bytes.Repeat(r.line(), MaxSize/len(r.line()))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if torn, err := Read(path, func(*Record) error { return nil }); torn > 0 || err != nil {
			b.Fatal(torn, err)
		}
	}
}

// TestDirectory: a mistake in a path does not make root create directories anywhere.
func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := Append(filepath.Join(dir, "log/hooks.jsonl"), full()); err != nil {
		t.Error(err)
	}
	err := Append(filepath.Join(dir, "state/oci-add-hooks/hooks.jsonl"), full())
	_, made := os.Stat(filepath.Join(dir, "state"))
	switch want := dir + "/state/oci-add-hooks cannot be created: nothing exists at this path (ENOENT)"; {
	case report.IsRoot() && (made == nil || err == nil || err.Error() != want):
		t.Errorf("as root: %v, want %s; %v", err, want, made)
	case !report.IsRoot() && (err != nil || made != nil):
		t.Errorf("%v, %v", err, made)
	}
}
