package main

import (
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/linktest"
)

// The program starts once for every supervised hook.
func TestPackagesLinked(t *testing.T) {
	t.Parallel()
	linktest.Packages(t, []string{"build", "hookrun", "hooklog", "report", "jsonfile"}, map[string]string{
		"net":           "the program has nothing to say to anyone",
		"os/exec":       "internal/hookrun starts the hook, and has to reap more than its own child",
		"encoding/json": "records and the container's state are read and written by jsontext",
		"regexp":        "conditions are the runtime's to decide",
		"flag":          "the options are read without it",
		"log":           "internal/report tells of errors",
		"log/slog":      "internal/report tells of errors",
	})
}

// The program runs in a container's namespaces for createContainer hooks.
func TestStaticallyLinked(t *testing.T) {
	t.Parallel()
	linktest.Static(t, program)
}
