package ui

import "github.com/awslabs/oci-add-hooks/internal/hookctl/try"

// Trial prints what became of the hooks that were tried.
func (u *UI) Trial(r *try.Report) error {
	width, isTerminal := columns(u.out)
	if !isTerminal {
		width = 80
	}
	return r.Print(u.text, width, u.colour)
}
