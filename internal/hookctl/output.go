package hookctl

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// colour is a colour of text on a terminal (ECMA-48, Select Graphic Rendition).
type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	cyan   colour = "36"
)

// paint gives text in a colour, where colours are shown.
func (s *streams) paint(c colour, text string) string {
	if !s.colour || c == plain || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// cell is a cell of a table.
type cell struct {
	text   string
	colour colour
}

// printTable prints rows of cells, aligned, with a heading.
func (s *streams) printTable(heading []string, rows [][]cell) {
	head := make([]cell, len(heading))
	for i, h := range heading {
		head[i] = cell{h, dim}
	}
	rows = append([][]cell{head}, rows...)
	widths := make([]int, len(heading))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(legible(c.text)))
		}
	}
	for _, row := range rows {
		line, gap := "", ""
		for i, c := range row {
			if c.text != "" {
				line += gap + s.paint(c.colour, legible(c.text))
				gap = ""
			}
			gap += strings.Repeat(" ", widths[i]-utf8.RuneCountInString(legible(c.text))+2)
		}
		fmt.Fprintln(s.text, line)
	}
}

// legible gives text with what a terminal might act upon escaped, as in a Go string.
func legible(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		i += n
	}
	return b.String()
}

// excerptWidth is how much is shown of a line, in characters.
const excerptWidth = 100

// printExcerpt prints the line of a file, with a caret below the character at offset.
func printExcerpt(w io.Writer, line string, offset int, caret string) {
	offset = min(offset, len(line))
	start, end := 0, len(line)
	// A line may be as long as a file, and have thousands of findings: no more of it is looked at than is shown.
	if len(line) > utf8.UTFMax*excerptWidth || utf8.RuneCountInString(line) > excerptWidth {
		start = offset
		for n := 0; start > 0 && n < excerptWidth/2; n++ {
			_, size := utf8.DecodeLastRuneInString(line[:start])
			start -= size
		}
		end = start
		for n := 0; end < len(line) && n < excerptWidth; n++ {
			_, size := utf8.DecodeRuneInString(line[end:])
			end += size
		}
	}
	indent := func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}
	visible := func(r rune) rune {
		if r == '\t' || strconv.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}
	fmt.Fprintf(w, "    %s\n", strings.Map(visible, line[start:end]))
	fmt.Fprintf(w, "    %s%s\n", strings.Map(indent, line[start:offset]), caret)
}

// count gives a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
