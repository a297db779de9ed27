package ui

import (
	"strings"
	"unicode/utf8"
)

// Cell is a cell of a table: text in a colour, made by Colour.Cell.
type Cell struct {
	text   string
	colour Colour
}

// Cell returns a cell with text in this colour.
func (c Colour) Cell(text string) Cell {
	return Cell{strings.ReplaceAll(Escape(text), "\t", `\t`), c}
}

// gap is the space between columns, in characters.
const gap = 2

// Table prints rows of cells below a heading. On a narrow terminal, the text of a cell is broken between words. If not
// even the longest words fit side by side, each row is printed as a block with one cell below the other.
func (u *UI) Table(heading []string, rows [][]Cell) {
	head := make([]Cell, len(heading))
	for i, h := range heading {
		head[i] = Dim.Cell(h)
	}
	width := u.width()
	all := append([][]Cell{head}, rows...)
	widths, fits := fit(all, width)
	if !fits {
		u.records(head, rows, width)
		return
	}
	for _, row := range all {
		u.row(row, widths)
	}
}

// fit returns widths of columns with which rows fit into width characters, and reports whether there are any. A width
// of 0 means no limit.
func fit(rows [][]Cell, width int) (widths []int, fits bool) {
	whole, least := make([]int, len(rows[0])), make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			whole[i] = max(whole[i], utf8.RuneCountInString(c.text))
			for _, word := range strings.Fields(c.text) {
				least[i] = max(least[i], utf8.RuneCountInString(word))
			}
		}
	}
	if width == 0 {
		return whole, true
	}
	widths = make([]int, len(whole))
	// The widest columns become narrower first.
	for level := width; level >= 0; level-- {
		sum := -gap
		for i := range widths {
			widths[i] = max(least[i], min(whole[i], level))
			sum += widths[i] + gap
		}
		if sum <= width {
			return widths, true
		}
	}
	return nil, false
}

// row prints a row; each cell takes as many lines as it needs.
func (u *UI) row(row []Cell, widths []int) {
	cells := make([][]string, len(row))
	lines := 1
	for i, c := range row {
		cells[i] = wrap(c.text, widths[i])
		lines = max(lines, len(cells[i]))
	}
	for n := range lines {
		line, space := "", ""
		for i, c := range row {
			text := ""
			if n < len(cells[i]) {
				text = cells[i][n]
			}
			if text != "" {
				line += space + u.Paint(c.colour, text)
				space = ""
			}
			space += strings.Repeat(" ", max(widths[i]-utf8.RuneCountInString(text), 0)+gap)
		}
		u.Printf("%s\n", line)
	}
}

// records prints rows as blocks, with a line for each cell that is not empty.
func (u *UI) records(head []Cell, rows [][]Cell, width int) {
	name := 0
	for _, h := range head {
		name = max(name, utf8.RuneCountInString(h.text))
	}
	for i, row := range rows {
		if i > 0 {
			u.Printf("\n")
		}
		for j, c := range row {
			if c.text != "" {
				u.row([]Cell{head[j], c}, []int{name, max(width-name-gap, 1)})
			}
		}
	}
}

// wrap returns text in lines of at most width characters, broken between words. A longer word has its own line.
func wrap(text string, width int) (lines []string) {
	if utf8.RuneCountInString(text) <= width {
		return []string{text}
	}
	line, length := "", 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case line == "":
			line, length = word, n
		case length+1+n <= width:
			line, length = line+" "+word, length+1+n
		default:
			lines = append(lines, line)
			line, length = word, n
		}
	}
	return append(lines, line)
}
