package telemetry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dop251/goja"
)

// TestTraceViewer: the viewer of chrome://tracing, Catapult, reads the trace events without a warning: an event for each hook, in a
// row for each container. Go's own distribution has the viewer, for go tool trace.
func TestTraceViewer(t *testing.T) {
	read := traceViewer(t)
	text := string(printed(t, "trace"))
	got, warnings := read(text)
	var want []string
	for _, h := range hooks {
		result := "ok"
		switch {
		case slices.Contains(h.options, "--timeout=1"):
			result = "timed out"
		case h.failed:
			result = "failed"
		}
		want = append(want, fmt.Sprintf("containers: ns/pod %s: %s /bin/sh: %s: took time", h.container, h.stage, result))
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(warnings) > 0 || !slices.Equal(got, want) {
		t.Errorf("warnings %q, events\n%s\nwant\n%s", warnings, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// It warns of what it does not know.
	if _, warnings := read(strings.Replace(text, `"ph":"X"`, `"ph":"?"`, 1)); len(warnings) != 1 {
		t.Errorf("of an unknown phase, the warnings are %q", warnings)
	}
}

// viewer is the code of the viewer in a page of HTML.
var viewer = regexp.MustCompile(`(?s)<script[^>]*>(.*?)</script>`)

// traceViewer returns a function that reads trace events with Catapult's importer. The function returns a line for each event
// ("PROCESS: ROW: NAME: RESULT: took time") and the importer's warnings.
func traceViewer(t *testing.T) func(text string) (events, warnings []string) {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "src/internal/trace/traceviewer/static/trace_viewer_full.html"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("skipped: this Go comes without its trace viewer: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	vm := goja.New()
	// What draws needs a browser, and is not used here: whatever it asks for is an object that does nothing.
	const browser = `
		var isVinn = true, window = this, self = this, global = this, console = {log() {}, warn() {}, error() {}};
		function nothing() {
			return new Proxy(function() {}, {
				get(of, name) {
					if (name === Symbol.toPrimitive) return () => '';
					if (!(name in of)) of[name] = nothing();
					return of[name];
				},
				apply() { return nothing(); },
				construct() { return nothing(); },
			});
		}
		var document = nothing(), HTMLElement = nothing(), Polymer = nothing(), navigator = nothing(), location = nothing();
		function setTimeout() {}
		Object.defineProperty(Object.prototype, '__defineGetter__', {value(name, get) {
			Object.defineProperty(this, name, {get, configurable: true, enumerable: true});
		}});`
	if _, err := vm.RunString(browser); err != nil {
		t.Fatal(err)
	}
	// The page holds some hundred files one after the other, each with a directive at its beginning. The first is the one that
	// defines tr. Those that draw may fail.
	for _, script := range viewer.FindAllSubmatch(page, -1) {
		_, files, _ := strings.Cut(string(script[1]), "const global=this.window||this.global;")
		for i, file := range strings.Split(files, "'use strict';") {
			if _, err := vm.RunString(file); err != nil && i == 0 {
				t.Fatal(err)
			}
		}
	}
	importer, err := vm.RunString(`(function(text) {
		const model = new tr.Model(), options = new tr.importer.ImportOptions();
		options.showImportWarnings = false;
		new tr.importer.Import(model, options).importTraces([text]);
		const events = [];
		for (const process of Object.values(model.processes))
			for (const row of Object.values(process.threads))
				for (const slice of row.sliceGroup.slices)
					events.push([process.name, row.name, slice.title, slice.args.result, slice.duration > 0 ? 'took time' : 'took none'].join(': '));
		return JSON.stringify([events, model.importWarnings.map(w => w.message)]);
	})`)
	if err != nil {
		t.Fatal(err)
	}
	call, _ := goja.AssertFunction(importer)
	return func(text string) (events, warnings []string) {
		t.Helper()
		result, err := call(goja.Undefined(), vm.ToValue(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(result.String()), &[]any{&events, &warnings}); err != nil {
			t.Fatal(err)
		}
		return events, warnings
	}
}
