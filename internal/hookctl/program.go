package hookctl

import "github.com/awslabs/oci-add-hooks/internal/hookctl/program"

// These are package program's, for commands that have yet to call it by its own name.

func findProgram(binDir string) (string, error)         { return program.Find(binDir) }
func findRuntime(exe, name string) (string, error)      { return program.FindRuntime(exe, name) }
func leadsTo(path, exe string) bool                     { return program.LeadsTo(path, exe) }
func linksTo(exe, name string, dirs ...string) []string { return program.LinksTo(exe, name, dirs...) }
