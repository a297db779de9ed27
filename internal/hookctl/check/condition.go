package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// conditions warns of conditions that are probably mistakes, and reports whether the hook can never be added.
func (c *checker) conditions(root *node, old bool) (never bool) {
	when, bindMounts := root.get("when"), "hasBindMounts"
	if old {
		when, bindMounts = root, "hasbindmounts"
	}
	if n := root.get("stages"); n != nil && len(n.list()) == 0 {
		c.warn("never", n, "no stage is given, so that the hook is never added", "name a stage")
		never = true
	}
	given, possible := 0, 0
	condition := func(at *node, impossible string) {
		given++
		if impossible == "" {
			possible++
			return
		}
		c.warn("never", at, impossible, "correct or remove it")
	}
	for _, n := range []*node{when.get("always"), when.get(bindMounts)} {
		switch {
		case n == nil || n.key == "always" && old:
		case n.is(false):
			condition(n, fmt.Sprintf("the condition %q is false, which holds for no container", n.key))
		default:
			condition(n, "")
		}
	}
	for _, n := range present(when, "annotations", "annotation") {
		if old {
			condition(n, c.oldAnnotations(n))
			continue
		}
		for _, pair := range n.list() {
			condition(pair, c.annotation(pair))
		}
	}
	for _, n := range present(when, "commands", "cmds", "cmd") {
		if len(n.list()) > 0 {
			condition(n, c.commands(n))
		}
	}
	switch {
	case given == 0:
		at := when
		if at == nil || old {
			at = root
		}
		c.warn("never", at, "no condition is given, so that the hook is never added", alwaysHint(old))
		never = true
	case possible == 0 || !old && possible < given: // in the old format one is enough, otherwise all have to hold
		never = true
	}
	return never
}

func alwaysHint(old bool) string {
	if old {
		return `add one, such as "annotations", or "cmds": [".*"] if every container is meant`
	}
	return `add one to "when", or {"always": true} if every container is meant`
}

func present(object *node, names ...string) (nodes []*node) {
	for _, name := range names {
		if n := object.get(name); n != nil {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// annotation examines a pair of expressions, and returns why it can never match; "" if it can.
func (c *checker) annotation(pair *node) (impossible string) {
	key, value := pair.key, pair.text()
	everyKey, everyValue := matchesAll(key), matchesAll(value)
	if everyKey && everyValue {
		c.warnName("everything", pair, "this matches every annotation: the condition holds for every container that has any",
			`name the annotation, or write {"always": true}`)
		return ""
	}
	if why := impossibleText(key); why != "" {
		return why
	}
	if why := impossibleText(value); why != "" {
		return why
	}
	if !everyKey {
		c.unanchored(pair, pair.name, key, false)
	}
	if !everyValue {
		c.unanchored(pair, pair.start, value, false)
	}
	return ""
}

// oldAnnotations examines the expressions for values in the old format. One match is enough.
func (c *checker) oldAnnotations(list *node) (impossible string) {
	if len(list.list()) == 0 || slices.ContainsFunc(list.list(), func(n *node) bool { return matchesAll(n.text()) }) {
		c.warn("everything", list, "this matches every annotation: the condition holds for every container that has any",
			"say which values are meant")
		return ""
	}
	return c.alternatives(list, false)
}

// commands examines the expressions for the command. One match is enough.
func (c *checker) commands(list *node) (impossible string) {
	for _, n := range list.list() {
		if matchesAll(n.text()) {
			c.warn("everything", n, fmt.Sprintf("the expression %q matches every command", n.text()),
				"say which commands are meant, or remove the condition")
			return ""
		}
	}
	return c.alternatives(list, true)
}

// alternatives examines expressions of which one match is enough. paths says that they are for paths.
func (c *checker) alternatives(list *node, paths bool) (impossible string) {
	dead := 0
	for _, n := range list.list() {
		switch why := impossibleText(n.text()); {
		case why == "":
			c.unanchored(n, n.start, n.text(), paths)
		case len(list.list()) == 1:
			return why
		default:
			c.warn("never", n, why, "correct or remove it")
			dead++
		}
	}
	if dead == len(list.list()) {
		return "none of the expressions can ever match"
	}
	return ""
}

func impossibleText(expr string) string {
	if canMatch(expr) {
		return ""
	}
	return fmt.Sprintf("the expression %q can never match", expr)
}

// unanchored warns of an expression that matches longer texts than it seems to. An expression for a path may begin with a slash
// instead of ^.
func (c *checker) unanchored(n *node, offset int, expr string, path bool) {
	begins, ends := anchored(expr)
	begins = begins || path && beginsName(expr)
	where := ""
	switch {
	case begins && ends:
		return
	case begins:
		where = " at its end"
	case ends:
		where = " at its beginning"
	}
	problem := fmt.Sprintf("the expression %q is not anchored%s: it matches longer texts too", expr, where)
	hint := "put ^ before and $ after each alternative"
	if !strings.Contains(expr, "|") {
		if !begins {
			expr = "^" + expr
		}
		if !ends {
			expr += "$"
		}
		literal, _ := jsontext.AppendQuote(nil, expr) // in the form that it has in the file
		hint = "write " + string(literal)
	}
	c.note(Warning, "unanchored", n.file.at(offset, n.pointer, problem, hint+", or .* instead of ^ or $ if longer texts are meant"))
}
