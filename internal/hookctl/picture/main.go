// Picture draws what a terminal shows as an SVG. It reads the bytes that a program wrote to the terminal from standard
// input, and writes the SVG to standard output. `make picture` runs it.
//
//	picture TITLE <typescript >picture.svg
package main

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: picture TITLE <typescript >picture.svg")
	}
	written, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	screen, err := read(string(written))
	if err != nil {
		return err
	}
	_, err = out.Write(draw(args[0], screen))
	return err
}

// A span is text of one style on the screen.
type span struct{ style, text string }

// styles maps the styles of hookctl's output (ECMA-48, Select Graphic Rendition) to attributes of SVG.
var styles = map[string]string{
	"":   ``,
	"0":  ``,
	"1":  ` font-weight="bold"`,
	"2":  ` fill="#8b949e"`,
	"31": ` fill="#ff7b72"`,
	"32": ` fill="#7ee787"`,
	"33": ` fill="#e3b341"`,
	"36": ` fill="#79c0ff"`,
}

var control = regexp.MustCompile(`\x1b(?:\[([^A-Za-z]*)([A-Za-z]))?`)

// read returns the lines that the screen shows at the end. It knows only the control sequences that hookctl writes:
// styles, and Cursor Up with Erase in Page. Any other is an error.
func read(written string) (screen [][]span, err error) {
	style, line := "", []span(nil)
	text := func(s string) {
		for i, part := range strings.Split(s, "\n") {
			if i > 0 {
				screen, line = append(screen, line), nil
			}
			if part = strings.ReplaceAll(part, "\r", ""); part != "" {
				line = append(line, span{style, part})
			}
		}
	}
	at := 0
	for _, m := range control.FindAllStringSubmatchIndex(written, -1) {
		text(written[at:m[0]])
		at = m[1]
		var value, final string
		if m[2] >= 0 {
			value, final = written[m[2]:m[3]], written[m[4]:m[5]]
		}
		_, known := styles[value]
		switch {
		case final == "m" && known:
			style = value
		case final == "A":
			up, err := strconv.Atoi(value)
			if err != nil || up > len(screen) {
				return nil, fmt.Errorf("the cursor leaves the screen: %q", written[m[0]:m[1]])
			}
			screen, line = screen[:len(screen)-up], nil
		case final == "J" && value == "": // Cursor Up has dropped these lines
		default:
			return nil, fmt.Errorf("unknown control sequence %q", written[m[0]:m[1]])
		}
	}
	text(written[at:])
	if line != nil {
		screen = append(screen, line)
	}
	if len(screen) == 0 {
		return nil, errors.New("nothing was written to the terminal")
	}
	return screen, nil
}

// The measures of a picture, in pixels.
const (
	charWidth  = 8.4
	lineHeight = 19
	fontSize   = 14
	margin     = 16
)

// draw returns the SVG of a screen. Each word has its own position and length, so that columns are aligned in any font.
func draw(title string, screen [][]span) []byte {
	var body bytes.Buffer
	columns := 0
	for i, line := range screen {
		column := 0
		for _, s := range line {
			for _, word := range words(s.text) {
				if n := utf8.RuneCountInString(word); strings.TrimSpace(word) == "" {
					column += n
				} else {
					fmt.Fprintf(&body, "<text x=\"%.1f\" y=\"%d\" textLength=\"%.1f\"%s>%s</text>\n", margin+float64(column)*charWidth,
						margin+lineHeight*i+fontSize, float64(n)*charWidth, styles[s.style], html.EscapeString(word))
					column += n
				}
			}
		}
		columns = max(columns, column)
	}
	width, height := 2*margin+float64(columns)*charWidth, 2*margin+lineHeight*len(screen)
	var svg bytes.Buffer
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" viewBox="0 0 %.0f %d" role="img">
<title>%s</title>
<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="%d" fill="#e6edf3">
`, width, height, width, height, html.EscapeString(title), fontSize)
	svg.Write(body.Bytes())
	svg.WriteString("</g>\n</svg>\n")
	return svg.Bytes()
}

var blank = regexp.MustCompile(`^ +| {2,}| +$`)

// words splits text into runs of spaces that SVG would collapse or drop, and the parts between them.
func words(text string) (parts []string) {
	at := 0
	for _, m := range blank.FindAllStringIndex(text, -1) {
		parts, at = append(parts, text[at:m[0]], text[m[0]:m[1]]), m[1]
	}
	return append(parts, text[at:])
}
