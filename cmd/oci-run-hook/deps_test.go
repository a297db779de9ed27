package main

import (
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/linktest"
)

// The program starts once for every supervised hook.
func TestPackagesLinked(t *testing.T) {
	t.Parallel()
	linktest.Packages(t, []string{"build", "hookrun", "hooklog", "report", "jsonfile", "pod"}, map[string]string{
		"net":           "the program uses no network",
		"os/exec":       "internal/hookrun starts the hook, and must reap more than its own child",
		"encoding/json": "jsontext reads and writes records and the container's state",
		"regexp":        "oci-add-hooks has decided the conditions",
		"flag":          "options.go reads the options",
		"log":           "internal/report reports errors",
		"log/slog":      "internal/report reports errors",
	})
}

// A createContainer hook's supervisor runs in the container's namespaces, which may have no libraries.
func TestStaticallyLinked(t *testing.T) {
	t.Parallel()
	linktest.Static(t, program)
}
