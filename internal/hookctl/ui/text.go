package ui

import (
	"cmp"
	"strings"
	"unicode/utf8"
)

// textWidth returns the width of running text, in characters: that of the terminal, or 80 without one, but at most 100
// because longer lines are hard to read.
func (u *UI) textWidth() int { return min(cmp.Or(u.width(), 80), 100) }

// Text prints paragraphs, broken between words. Each line of text is one paragraph. A line that begins with a space is
// a row of a list; it is printed unchanged if it fits.
func (u *UI) Text(text string) {
	for paragraph := range strings.Lines(text) {
		hanging := 0
		if paragraph[0] == ' ' {
			hanging = gap
		}
		words := strings.TrimLeft(strings.TrimSuffix(paragraph, "\n"), " ")
		indent := strings.Repeat(" ", len(strings.TrimSuffix(paragraph, "\n"))-len(words))
		for i, line := range wrap(words, u.textWidth()-len(indent)-hanging) {
			if i == 1 {
				indent += strings.Repeat(" ", hanging)
			}
			u.Printf("%s%s\n", indent, Escape(line))
		}
	}
}

// flow prints cells one after the other, indented by indent spaces, with a space between them. On a terminal, lines are
// broken between words, and those after the first are indented further.
func (u *UI) flow(indent int, cells ...Cell) {
	width := u.width()
	u.Printf("%s", strings.Repeat(" ", indent))
	whole, painted := indent-1, []string{}
	for _, c := range cells {
		if c.text != "" {
			whole += 1 + utf8.RuneCountInString(c.text)
			painted = append(painted, u.Paint(c.colour, c.text))
		}
	}
	if width == 0 || whole <= width {
		u.Printf("%s\n", strings.Join(painted, " "))
		return
	}
	column := indent
	for _, c := range cells {
		for _, word := range strings.Fields(c.text) {
			n := utf8.RuneCountInString(word)
			switch {
			case column == indent:
			case column+1+n > width:
				u.Printf("\n%s", strings.Repeat(" ", indent+gap))
				column = indent + gap
			default:
				u.Printf(" ")
				column++
			}
			u.Printf("%s", u.Paint(c.colour, word))
			column += n
		}
	}
	u.Printf("\n")
}

// Heading prints the heading of a section of text.
func (u *UI) Heading(text string) { u.Printf("\n%s\n", u.Paint(Bold, text+":")) }

// Definitions prints terms, each with its explanation beside it or below.
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
		for i, line := range wrap(d[1], max(u.textWidth()-indent-column-gap, 20)) {
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
