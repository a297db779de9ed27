package command

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestOutput(t *testing.T) {
	for _, test := range []struct{ name, script, output, message string }{
		{"standard output", "echo yes; echo no >&2", "yes\n", ""},
		{"failure", "echo half; echo why >&2; exit 3", "", "/bin/sh -c echo half; echo why >&2; exit 3: exit status 3: why"},
		{"failure in silence", "exit 3", "", "/bin/sh -c exit 3: exit status 3"},
		{"too much", "yes", "", "/bin/sh -c yes: it printed more than 16 MiB, and was killed"},
		{"too much on standard error", "yes >&2", "", "/bin/sh -c yes >&2: it printed more than 16 MiB, and was killed"},
		{"a child that keeps the output open", "sleep 60 & echo done", "done\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			output, err := Output(t.Context(), "/bin/sh", "-c", test.script)
			message := ""
			if err != nil {
				message = err.Error()
			}
			if output != test.output || message != test.message {
				t.Errorf("%q, %q; want %q, %q", output, message, test.output, test.message)
			}
		})
	}
}

// TestNoAnswer tests that a program that hangs is killed with its children, at the limit and when the context ends.
func TestNoAnswer(t *testing.T) {
	interrupted, interrupt := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, interrupt)
	for _, test := range []struct {
		name, message string
		ctx           context.Context
		limit         time.Duration
	}{
		{"limit", "no answer within 200ms, and was killed", t.Context(), 200 * time.Millisecond},
		{"interrupt", "interrupted: context canceled", interrupted, time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			fifo := t.TempDir() + "/child"
			if err := unix.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			child, err := os.OpenFile(fifo, os.O_RDONLY|unix.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer child.Close()
			_, err = OutputWithin(test.ctx, test.limit, "/bin/sh", "-c", "sleep 3600 3>"+fifo+" & wait")
			if err == nil || !strings.HasSuffix(err.Error(), test.message) {
				t.Errorf("%v", err)
			}
			// The FIFO ends when no process has it open for writing.
			if n, err := child.Read(make([]byte, 1)); n != 0 || err == nil || err.Error() != "EOF" {
				t.Errorf("the child lives on: %d, %v", n, err)
			}
		})
	}
}

func TestFind(t *testing.T) {
	t.Setenv("PATH", "relative:/nonexistent")
	if path, err := Find("sh"); err != nil || path != "/usr/bin/sh" {
		t.Errorf("%s, %v", path, err)
	}
	if path, err := Find("no-such-program"); err == nil || !strings.HasPrefix(err.Error(), "no-such-program is not installed: ") {
		t.Errorf("%s, %v", path, err)
	}
}
