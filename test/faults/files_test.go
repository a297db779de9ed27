package faults

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOddFiles: a file with the wrong type or content is an error, within limited time and memory.
func TestOddFiles(t *testing.T) {
	fifo := func(path string) error { return unix.Mkfifo(path, 0o600) }
	zeros := func(path string) error {
		err := os.WriteFile(path, nil, 0o600)
		if err == nil {
			err = os.Truncate(path, 1<<30)
		}
		return err
	}
	makers := map[string]func(path string) error{
		"missing":     func(string) error { return nil },
		"empty":       func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a FIFO":      fifo,
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"a device":    func(path string) error { return os.Symlink("/dev/zero", path) },
		"a socket": func(path string) error {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Bind(fd, &unix.SockaddrUnix{Name: path})
		},
		"a link that leads nowhere": func(path string) error { return os.Symlink("nowhere", path) },
		"1 GiB of zeros":            zeros,
		"60 MiB of brackets":        func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("["), 60<<20), 0o600) },
		"60 MiB of one string": func(path string) error {
			return os.WriteFile(path, append([]byte{'"'}, bytes.Repeat([]byte("x"), 60<<20)...), 0o600)
		},
	}
	for what, mk := range makers {
		for _, which := range []string{"config.json", "the hook file"} {
			t.Run(which+" is "+what, func(t *testing.T) {
				b := newBed(t)
				path := b.config
				if which != "config.json" {
					path = b.hooks
				}
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if err := mk(path); err != nil {
					t.Skipf("it cannot be created here: %v", err)
				}
				cmd, out := b.create()
				err := within(t, cmd, 20*time.Second)
				if problem := b.problem(t, err, out.String()); problem != "" {
					t.Errorf("%s\n%s", problem, out)
				}
				if which != "config.json" && b.text(t) != oldConfig {
					t.Errorf("config.json: %s", b.text(t))
				}
				// The largest file is 64 MiB. If a text ends too early, jsontext looks for more of it, in a larger
				// buffer.
				if peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss; peak > 5*64<<10 {
					t.Errorf("it used %d kB", peak)
				}
			})
		}
	}
}

// TestFullDisk: if the file system is full, config.json is unchanged.
func TestFullDisk(t *testing.T) {
	b := newBed(t)
	mountTmpfs(t, b.bundle, "size=64k")
	big := `{"a":"` + strings.Repeat("x", 40<<10) + `"}`
	b.write(t, b.config, big)
	cmd, out := b.create()
	err := within(t, cmd, 20*time.Second)
	if problem := b.problem(t, err, out.String()); problem != "" || !strings.Contains(out.String(), "the file system is full (ENOSPC)") || b.text(t) != big {
		t.Errorf("%s\n%s", problem, out)
	}
	b.write(t, b.config, oldConfig)
	b.checkSucceeds(t)
}

// TestReadOnlyBundle: if the bundle is on a read-only bind mount, config.json is unchanged.
func TestReadOnlyBundle(t *testing.T) {
	b := newBed(t)
	mountTmpfs(t, b.bundle, "")
	b.write(t, b.config, oldConfig)
	if err := unix.Mount("", b.bundle, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	cmd, out := b.create()
	err := within(t, cmd, 20*time.Second)
	if problem := b.problem(t, err, out.String()); problem != "" || !strings.Contains(out.String(), "the file system is read-only (EROFS)") || b.text(t) != oldConfig {
		t.Errorf("%s\n%s", problem, out)
	}
}

// mountTmpfs mounts a tmpfs in a new mount namespace, so that an interrupted test leaves no mounts. The test's thread
// is not unlocked, so that it ends with the test.
func mountTmpfs(t *testing.T, path, options string) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		t.Skipf("no mount namespace can be created here: %v", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", path, "tmpfs", 0, options); err != nil {
		t.Skipf("no tmpfs can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// TestLogWithoutReader: a --log that is a FIFO without a reader does not block the program, which reports it.
func TestLogWithoutReader(t *testing.T) {
	b := newBed(t)
	log := filepath.Join(b.dir, "log")
	if err := unix.Mkfifo(log, 0o600); err != nil {
		t.Fatal(err)
	}
	b.write(t, b.hooks, `{"hooks":{"prestrat":[]}}`)
	var out bytes.Buffer
	cmd := exec.Command(program, "--hook-config-path", b.hooks, "--runtime-path", fakeRuntime, "--log", log, "create", "--bundle", b.bundle, "c1")
	cmd.Stderr = &out
	err := within(t, cmd, 20*time.Second)
	lines := strings.Split(out.String(), "\n")
	if err == nil || len(lines) != 3 || !strings.Contains(lines[0], `unknown stage "prestrat"`) || lines[1] != "oci-add-hooks: the log "+log+" cannot be written: nobody reads from it (ENXIO); have somebody read from it, or name another file" {
		t.Errorf("%v, %q", err, lines)
	}
	if b.text(t) != oldConfig {
		t.Errorf("config.json: %s", b.text(t))
	}
}

// TestManyAtOnce: two thousand creates, each with its own bundle, from 64 workers.
func TestManyAtOnce(t *testing.T) {
	const creates, workers = 2000, 64
	dir := t.TempDir()
	hooks := filepath.Join(dir, "hooks.json")
	if err := os.WriteFile(hooks, []byte(hookFile), 0o600); err != nil {
		t.Fatal(err)
	}
	numbers := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for n := range numbers {
				bundle := filepath.Join(dir, fmt.Sprint(n))
				config := filepath.Join(bundle, "config.json")
				old := strings.Replace(oldConfig, "sh", fmt.Sprint(n), 1)
				if err := os.Mkdir(bundle, 0o755); err != nil {
					t.Error(err)
				}
				if err := os.WriteFile(config, []byte(old), 0o600); err != nil {
					t.Error(err)
				}
				cmd := exec.Command(program, "--hook-config-path", hooks, "--runtime-path", "/bin/true", "create", "--bundle", bundle, fmt.Sprint(n))
				if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
					t.Errorf("%d: %v, %s", n, err, out)
				}
				text, err := os.ReadFile(config)
				if want := strings.Replace(newConfig, "sh", fmt.Sprint(n), 1); err != nil || string(text) != want {
					t.Errorf("%d: %v, config.json:\n%s", n, err, text)
				}
				if entries, err := os.ReadDir(bundle); err != nil || len(entries) != 1 {
					t.Errorf("%d: %v, %v", n, err, entries)
				}
			}
		})
	}
	for n := range creates {
		numbers <- n
	}
	close(numbers)
	all.Wait()
}
