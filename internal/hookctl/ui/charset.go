package ui

import (
	"cmp"
	"os"
	"strconv"
	"strings"
)

// charset holds the characters that this package draws with. All have the width of one column.
type charset struct {
	rule, bar, ellipsis string
	unprintable         rune
	levels              []rune // of a histogram; the first stands for 0
}

var (
	inUnicode = charset{"─", "━", "…", '·', []rune("·▁▂▃▄▅▆▇█")}
	inASCII   = charset{"-", "=", "...", '?', []rune(".12345678")}
)

// localCharset returns the characters that the environment's locale has (locale(7)): ASCII in the locales C and POSIX
// and in those that name another encoding than UTF-8. Without a locale, terminals use UTF-8.
func localCharset() charset {
	locale := cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_CTYPE"), os.Getenv("LANG"))
	_, encoding, named := strings.Cut(locale, ".")
	encoding, _, _ = strings.Cut(encoding, "@")
	isUTF8 := strings.EqualFold(strings.ReplaceAll(encoding, "-", ""), "utf8")
	if locale == "C" || locale == "POSIX" || named && !isUTF8 {
		return inASCII
	}
	return inUnicode
}

// cut returns s in at most width characters.
func (c charset) cut(s string, width int) string {
	runes, mark := []rune(s), []rune(c.ellipsis)
	if len(runes) <= width {
		return s
	}
	mark = mark[:min(len(mark), max(width, 1))]
	return strings.TrimRight(string(runes[:max(width-len(mark), 0)]), " ") + string(mark)
}

// cutMiddle returns s in at most width characters, with its beginning and its end.
func (c charset) cutMiddle(s string, width int) string {
	runes, mark := []rune(s), []rune(c.ellipsis)
	if len(runes) <= width {
		return s
	}
	end := (width - len(mark)) / 2
	return string(runes[:width-len(mark)-end]) + c.ellipsis + string(runes[len(runes)-end:])
}

// oneLine replaces each character that is not printable, and so may not be one column wide.
func (c charset) oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return c.unprintable
		}
		return r
	}, s)
}

// bars returns a histogram with one character for each bucket.
func (c charset) bars(counts []int) string {
	most, levels := 1, len(c.levels)-1
	for _, n := range counts {
		most = max(most, n)
	}
	var b strings.Builder
	for _, n := range counts {
		level := 0
		if n > 0 {
			level = 1 + n*(levels-1)/most
		}
		b.WriteRune(c.levels[level])
	}
	return b.String()
}
