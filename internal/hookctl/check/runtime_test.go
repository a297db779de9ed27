package check

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestAskEnds: a runtime that does not answer does not delay its caller, even if it leaves processes running.
func TestAskEnds(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		answer bool
	}{
		"answers":         {`echo '{"hooks": ["poststop"]}'`, true},
		"hangs":           {`sleep 61; echo`, false},
		"hangs elsewhere": {`sleep 62 & wait`, false},
		"leaves a child":  {`sleep 63 & echo '{"hooks": ["poststop"]}'`, false},
		"never ends":      {`yes`, false},
		"is too long":     {`echo '{"hooks": ["poststop"]}'; head -c 20000000 /dev/zero | tr '\0' ' '`, false},
	} {
		// Written before another test starts a process: that would keep a file open that is being written.
		path, pid := filepath.Join(t.TempDir(), "runc"), filepath.Join(t.TempDir(), "pid")
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho $$ >"+pid+"\n"+test.script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			got := ask(path, 2*time.Second)
			if (got != nil) != test.answer {
				t.Errorf("answered %q", got)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			if _, err := os.Stat(pid); err != nil {
				t.Errorf("was not executed: %v", err)
			}
		})
	}
}
