package ui

import (
	"strings"
	"unicode/utf8"
)

// textWidth is how wide text is at most, in characters: longer lines are hard to read.
const textWidth = 100

// width returns how wide text is here.
func (u *UI) width() int {
	if width, _, isTerminal := terminal(u.out); isTerminal {
		return min(width, textWidth)
	}
	return 80
}

// Text prints paragraphs, one a line of text, whose lines are broken between words. A line that begins with a space is a
// row of a list, and printed as it is if it fits.
func (u *UI) Text(text string) {
	for paragraph := range strings.Lines(text) {
		hanging := 0
		if paragraph[0] == ' ' {
			hanging = gap
		}
		words := strings.TrimLeft(strings.TrimSuffix(paragraph, "\n"), " ")
		indent := strings.Repeat(" ", len(strings.TrimSuffix(paragraph, "\n"))-len(words))
		for i, line := range wrap(words, u.width()-len(indent)-hanging) {
			if i == 1 {
				indent += strings.Repeat(" ", hanging)
			}
			u.Printf("%s%s\n", indent, Escape(line))
		}
	}
}

// Heading prints the heading of a section of text.
func (u *UI) Heading(text string) { u.Printf("\n%s\n", u.Paint(Bold, text+":")) }

// Definitions prints terms, each with what it means beside it or below.
func (u *UI) Definitions(list [][2]string) {
	const indent, most = 2, 26
	column := 0
	for _, d := range list {
		if n := utf8.RuneCountInString(d[0]); n <= most {
			column = max(column, n)
		}
	}
	for _, d := range list {
		term := strings.Repeat(" ", indent) + Escape(d[0])
		for i, line := range wrap(d[1], max(u.width()-indent-column-gap, 20)) {
			space := indent + column + gap
			if n := utf8.RuneCountInString(term); i == 0 && n+gap <= space {
				u.Printf("%s%s%s\n", term, strings.Repeat(" ", space-n), Escape(line))
				continue
			}
			if i == 0 {
				u.Printf("%s\n", term)
			}
			u.Printf("%s%s\n", strings.Repeat(" ", space), Escape(line))
		}
	}
}
