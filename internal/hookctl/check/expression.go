package check

import (
	"regexp"
	"regexp/syntax"
	"slices"
)

// Conditions are Go's regular expressions. All expressions in this file are valid.

// matchesAll reports whether an expression matches every text, as far as a few samples that have nothing in common can show. The
// empty text is not among them, because names and commands are never empty.
func matchesAll(expr string) bool {
	re := regexp.MustCompile(expr)
	return !slices.ContainsFunc([]string{"x", "7/-_.", "\u00e9 %", "Quite A Long One, With=Punctuation"}, func(s string) bool {
		return !re.MatchString(s)
	})
}

// anchored reports whether an expression determines where the text begins and where it ends: by ^ or $, or explicitly not, by
// .*.
func anchored(expr string) (begins, ends bool) {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return true, true
	}
	first := func(subs []*syntax.Regexp) *syntax.Regexp { return subs[0] }
	last := func(subs []*syntax.Regexp) *syntax.Regexp { return subs[len(subs)-1] }
	return anchoredAt(re, first, syntax.OpBeginText, syntax.OpBeginLine), anchoredAt(re, last, syntax.OpEndText, syntax.OpEndLine)
}

// beginsName reports whether an expression determines where a name in a path begins: by a slash, as in /init$.
func beginsName(expr string) bool {
	re, err := syntax.Parse(expr, syntax.Perl)
	return err == nil && beginsWithSlash(re)
}

func beginsWithSlash(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		return re.Rune[0] == '/'
	case syntax.OpCapture, syntax.OpConcat:
		return beginsWithSlash(re.Sub[0])
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !beginsWithSlash(sub) })
	}
	return false
}

func anchoredAt(re *syntax.Regexp, end func([]*syntax.Regexp) *syntax.Regexp, anchors ...syntax.Op) bool {
	switch re.Op {
	case syntax.OpCapture, syntax.OpConcat:
		return anchoredAt(end(re.Sub), end, anchors...)
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !anchoredAt(sub, end, anchors...) })
	case syntax.OpStar, syntax.OpPlus:
		return re.Sub[0].Op == syntax.OpAnyChar || re.Sub[0].Op == syntax.OpAnyCharNotNL
	}
	return slices.Contains(anchors, re.Op)
}

// canMatch reports whether there is a text that an expression matches. It follows the compiled program and considers only the
// anchors of the text: nothing can be read after its end or before its beginning.
func canMatch(expr string) bool {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return true
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return true
	}
	type state struct {
		pc           uint32
		begun, ended bool // something has been read; the text has ended
	}
	seen := map[state]bool{}
	todo := []state{{pc: uint32(prog.Start)}}
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[s] {
			continue
		}
		seen[s] = true
		inst := prog.Inst[s.pc]
		next := state{inst.Out, s.begun, s.ended}
		switch inst.Op {
		case syntax.InstMatch:
			return true
		case syntax.InstFail:
			continue
		case syntax.InstAlt, syntax.InstAltMatch:
			todo = append(todo, state{inst.Arg, s.begun, s.ended})
		case syntax.InstEmptyWidth:
			is := syntax.EmptyOp(inst.Arg)
			if is&syntax.EmptyBeginText != 0 && s.begun {
				continue
			}
			next.ended = s.ended || is&syntax.EmptyEndText != 0
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			if s.ended || inst.Op == syntax.InstRune && len(inst.Rune) == 0 {
				continue
			}
			next.begun = true
		}
		todo = append(todo, next)
	}
	return false
}
