package hookctl

import "github.com/awslabs/oci-add-hooks/internal/hookctl/program"

// These are package program's, for commands that have yet to call it by its own name.

func findProgram(binDir string) (string, error) { return program.Find(binDir) }
func leadsTo(path, exe string) bool             { return program.LeadsTo(path, exe) }
