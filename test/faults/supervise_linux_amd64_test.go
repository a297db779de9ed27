package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hooklog"
)

// superviseBed is a directory for calls of oci-run-hook, with a file of records.
type superviseBed struct{ dir, records string }

func newSuperviseBed(t *testing.T) superviseBed {
	t.Helper()
	dir := t.TempDir()
	return superviseBed{dir, filepath.Join(dir, "log", "hooks.jsonl")}
}

// call returns a call with a hook, for the container id, and the buffer for its standard output and error.
func (b superviseBed) call(id string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(filepath.Join(filepath.Dir(program), "oci-run-hook"), "--timeout=20", "--log", b.records, "--",
		"/bin/sh", "sh", "-c", "echo printed")
	cmd.Dir = b.dir
	cmd.Stdin = strings.NewReader(`{"id":"` + id + `"}`)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	return cmd, &out
}

// about reports whether a system call is about the records.
func (b superviseBed) about(s stop) bool {
	return strings.HasPrefix(s.path, filepath.Dir(b.records)) || strings.Contains(s.path, filepath.Base(b.records))
}

// ids returns the containers of the records, and the number of torn lines.
func (b superviseBed) ids(t *testing.T) (ids []string, torn int) {
	t.Helper()
	torn, err := hooklog.Read(b.records, func(r *hooklog.Record) error {
		if r.Result == "ok" && r.Stdout != "printed\n" {
			t.Errorf("%+v", r)
		}
		ids = append(ids, r.Container)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return ids, torn
}

// TestSupervisorKilledAnywhere kills a supervisor with SIGKILL before each of its system calls in turn. At most its own
// record is lost, and its hook ends too. The records that other supervisors wrote before and after are complete, even
// if the file is being rotated.
func TestSupervisorKilledAnywhere(t *testing.T) {
	for name, full := range map[string]bool{"append": false, "rotate": true} {
		t.Run(name, func(t *testing.T) {
			with, alone := 0, 0
			for n := 0; alone < 5; n++ { // 0 is the first call after the record is written
				b := newSuperviseBed(t)
				first, out := b.call("first")
				if err := first.Run(); err != nil {
					t.Fatalf("%v, %s", err, out)
				}
				if full { // one more record does not fit; the space between is a hole
					if err := os.Truncate(b.records, hooklog.MaxSize-1); err != nil {
						t.Fatal(err)
					}
				}
				cmd, out := b.call("killed")
				at, written := 0, false
				err := trace(t, cmd, func(s stop) action {
					if full && !b.about(s) { // the case "append" covers the other system calls
						return action{}
					}
					at++
					kill := at == n || n == 0 && written
					written = written || b.about(s) && s.regs.Orig_rax == unix.SYS_WRITE
					return action{kill: kill}
				})
				if at < n {
					if err != nil {
						t.Fatalf("without a kill, it ended with %v, %s", err, out)
					}
					alone++
					continue
				}
				alone = 0
				b.eventuallyAlone(t)
				last, out := b.call("last")
				if err := last.Run(); err != nil || out.Len() > 0 {
					t.Fatalf("the next call: %v, %s", err, out)
				}
				ids, torn := b.ids(t)
				if full {
					torn-- // the hole
				}
				if slices.Contains(ids, "killed") {
					with++
				}
				ids = slices.DeleteFunc(ids, func(id string) bool { return id == "killed" })
				if fmt.Sprint(ids) != "[first last]" || torn > 1 {
					t.Errorf("killed at the %dth system call: records of %v, %d torn", n, ids, torn)
				}
			}
			if with == 0 {
				t.Error("the kills did not reach to after the record")
			}
		})
	}
}

// eventuallyAlone waits until no process has the bed as its working directory: the supervisor and its hook have ended.
func (b superviseBed) eventuallyAlone(t *testing.T) {
	t.Helper()
	var at string
	for range 1000 {
		at = ""
		links, err := filepath.Glob("/proc/[0-9]*/cwd")
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links { // a zombie has no working directory
			if dir, _ := os.Readlink(link); dir == b.dir {
				at = link
			}
		}
		if at == "" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	command, _ := os.ReadFile(filepath.Dir(at) + "/cmdline")
	t.Errorf("%s lives on: %q", filepath.Dir(at), command)
}

// TestRecordCallFails lets each system call about the records fail in turn. The hook still succeeds, one line says that
// there is no record, and the next record is complete.
func TestRecordCallFails(t *testing.T) {
	var calls []string
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.EIO, unix.EROFS, unix.EACCES, unix.EMFILE, unix.EDQUOT} {
		for n := 1; ; n++ {
			b := newSuperviseBed(t)
			cmd, out := b.call("c")
			at, failed := 0, ""
			err := trace(t, cmd, func(s stop) action {
				call, isFile := fileCalls[s.regs.Orig_rax]
				if !isFile || failed != "" || !b.about(s) {
					return action{}
				}
				if at++; at != n {
					return action{}
				}
				failed = call.name + " " + strings.ReplaceAll(s.path, b.dir, "")
				return action{fail: errno}
			})
			if failed == "" {
				if err != nil || out.Len() > 0 {
					t.Fatalf("without a failure, it ended with %v, %s", err, out)
				}
				break
			}
			calls = append(calls, failed)
			said := out.String()
			if err != nil || said != "" && (!strings.HasPrefix(said, "oci-run-hook: no record of hook /bin/sh: ") || strings.Count(said, "\n") != 1) || enginesRead.MatchString(said) {
				t.Errorf("%s fails with %v: %v, %s", failed, errno, err, said)
			}
			if ids, torn := b.ids(t); torn != 0 || len(ids) != 1 && said == "" {
				t.Errorf("%s fails with %v: %d records, %d torn, and it printed %q", failed, errno, len(ids), torn, said)
			}
			next, out := b.call("next")
			if err := next.Run(); err != nil || out.Len() > 0 {
				t.Errorf("after %s failed with %v, the next call: %v, %s", failed, errno, err, out)
			}
			if ids, torn := b.ids(t); torn != 0 || !slices.Contains(ids, "next") {
				t.Errorf("after %s failed with %v: %v, %d torn", failed, errno, ids, torn)
			}
		}
	}
	slices.Sort(calls)
	calls = slices.Compact(calls)
	t.Logf("%d system calls failed:\n%s", len(calls), strings.Join(calls, "\n"))
	for _, want := range []string{"openat ", "fstat ", "write "} {
		if !slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, want) }) {
			t.Errorf("none of them was %s", want)
		}
	}
}

// TestManySupervisors: 64 supervisors at once write 64 complete records.
func TestManySupervisors(t *testing.T) {
	b := newSuperviseBed(t)
	const many = 64
	errs := make(chan error, many)
	for i := range many {
		go func() {
			cmd, out := b.call(fmt.Sprint(i))
			err := cmd.Run()
			if err == nil && out.Len() > 0 {
				err = errors.New(out.String())
			}
			errs <- err
		}()
	}
	for range many {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	ids, torn := b.ids(t)
	slices.Sort(ids)
	if len(slices.Compact(ids)) != many || torn != 0 {
		t.Errorf("%d records, %d torn", len(ids), torn)
	}
}
