package hookctl

import (
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/history"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/hooklog"
)

// TestKeepsNoRecords: files of records may be larger than memory. No format keeps what it has printed, and statistics keep
// a number for each run.
func TestKeepsNoRecords(t *testing.T) {
	const records, size = 20_000, 1 << 10
	for _, name := range []string{"json", "text", "otlp", "trace", "stats"} {
		u := ui.New(io.Discard, io.Discard)
		u.AsJSON = name == "json"
		write, end := recordWriter(u, name)
		var stats history.Statistics
		if name == "stats" {
			write = func(r *hooklog.Record) error { stats.Add(r); return nil }
		}
		before := heap()
		for range records {
			if err := write(&hooklog.Record{Stage: "prestart", Path: "/h", Container: "c", Result: "failed", Stderr: strings.Repeat("x", size)}); err != nil {
				t.Fatal(err)
			}
		}
		if kept := int64(heap()) - int64(before); kept > records*size/10 {
			t.Errorf("%s: of %d bytes, %d are kept", name, records*size, kept)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
		runtime.KeepAlive(&stats)
	}
}

// heap returns the bytes that are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
