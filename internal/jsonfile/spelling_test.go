package jsonfile

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestDidYouMean(t *testing.T) {
	known := []string{"prestart", "createRuntime", "poststop", "env"}
	for name, want := range map[string]string{
		"preStart": "prestart", "pre-start": "prestart", "prestrat": "prestart", "prestar": "prestart", "pretsart": "prestart",
		"CREATE_RUNTIME": "createRuntime", "creatRuntim": "createRuntime", "createruntimes": "createRuntime",
		"envs": "env", "ENV": "env", "emv": "env",
		"": "", "x": "", "envoy": "", "poststart": "", "startup": "", "prestop": "", "createContainer": "",
	} {
		if want != "" {
			want = `did you mean "` + want + `"? `
		}
		if got := DidYouMean(name, known...); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	long := make([]byte, 1<<20)
	if got := DidYouMean(string(long), known...); got != "" {
		t.Errorf("a long name: %q", got)
	}
}

// TestShortened: a place thousands of levels deep does not crowd the rest out of a message.
func TestShortened(t *testing.T) {
	for pointer, want := range map[string]string{
		"":                              "",
		"/a/0":                          "/a/0",
		strings.Repeat("/0", 128):       strings.Repeat("/0", 128),
		strings.Repeat("/0", 10000):     strings.Repeat("/0", 127) + "/...",
		"/" + strings.Repeat("x", 1000): "/...",
	} {
		if got := (&File{Path: "f"}).At(0, jsontext.Pointer(pointer), "p", "r").Pointer; string(got) != want {
			t.Errorf("%.20s: %q", pointer, got)
		}
	}
}
