package try

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/hooklog"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

// TestRecords: the records of a try have the form of those of an engine's containers.
func TestRecords(t *testing.T) {
	const begin = 1770091506123456789
	call := func(stage hooks.Stage, result Result, at int64) Call {
		took, start := 0.25, float64(at)
		return Call{Stage: stage, Path: "/h", Args: []string{"h"}, File: "/f/gpu.json", Result: result, Start: &start, Took: &took, begin: begin + at}
	}
	failed := call(hooks.CreateRuntime, Failed, 2)
	failed.ExitStatus, failed.Stderr, failed.Ignored = ptr(3), "no device\n", true
	r := &Report{
		Hooks:   []Call{call(hooks.Prestart, OK, 1), failed, call(hooks.Poststart, Hung, 4), call(hooks.Poststop, Killed, 5), {Stage: hooks.Poststop, Result: NeverCalled}},
		Process: func() Call { c := call("", OK, 3); c.File = ""; return c }(),
	}
	want := func(stage, result, profile, file string, at int64) *hooklog.Record {
		return &hooklog.Record{Time: time.Unix(0, begin+at), Seconds: 0.25, Stage: stage, Path: "/h", Args: []string{"h"},
			Container: "hookctl try", Profile: profile, File: file, Result: result}
	}
	wantFailed := want("createRuntime", "failed", "gpu", "/f/gpu.json", 2)
	wantFailed.ExitStatus, wantFailed.Stderr, wantFailed.Ignored = ptr(3), "no device\n", true
	killed := want("poststop", "failed", "gpu", "/f/gpu.json", 5)
	killed.Error = "killed"
	if diff := cmp.Diff([]*hooklog.Record{want("prestart", "ok", "gpu", "/f/gpu.json", 1), wantFailed, want("", "ok", "", "", 3),
		want("poststart", "timed out", "gpu", "/f/gpu.json", 4), killed}, r.Records()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
