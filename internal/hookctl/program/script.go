package program

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
	"github.com/awslabs/oci-add-hooks/internal/launch"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// command is a command that an engine's call leads to: the call itself, or one in a script.
type command struct {
	words []string // without unknown ones; relative paths are joined to their directory if it is known
	path  string   // of its first word, if that is a name that was looked up
	dir   string   // its working directory; empty if unknown
	as    string   // its argv[0], if that is another one than its first word
	place string   // in a script, if it gets none of the script's arguments; otherwise empty
}

// follower follows an engine's call through scripts.
type follower struct {
	files    proc.Files
	commands []command
	words    []string // all words in the scripts, without comments
	unknown  []error  // what cannot be followed
	seen     map[string]bool
}

// maxDepth is how many levels deep scripts may call each other.
const maxDepth = 8

// follow follows a call. Anything left in unknown may lead anywhere.
func follow(files proc.Files, call []string) *follower {
	f := &follower{files: files, seen: map[string]bool{}}
	f.command(command{words: call}, true, 0)
	return f
}

func (f *follower) err() error { return errors.Join(f.unknown...) }

func (f *follower) note(format string, args ...any) {
	f.unknown = append(f.unknown, fmt.Errorf(format, args...))
}

// command records a command, and follows the scripts among its words. It looks up the name only if the command passes
// arguments on, as a runtime's call does.
func (f *follower) command(c command, lookup bool, depth int) {
	if len(c.words) == 0 {
		return
	}
	if name := c.words[0]; lookup && name != "" && !strings.Contains(name, "/") {
		c.path = f.lookup(name)
	}
	f.commands = append(f.commands, c)
	for i, word := range c.words {
		if i == 0 && c.path != "" {
			word = c.path
		}
		f.script(word, c.words[i+1:], depth)
	}
}

// lookup returns the path of a program that is called by name: in the system's directories, or in PATH. It returns ""
// if there is none.
func (f *follower) lookup(name string) string {
	for _, dir := range filepath.SplitList(launch.SystemPath + ":" + os.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if file, err := f.files.Open(path); err == nil {
			file.Close()
			return path
		}
	}
	return ""
}

// script follows the file at path if it is a script. args are the arguments of its call.
func (f *follower) script(path string, args []string, depth int) {
	if !filepath.IsAbs(path) || f.seen[path] {
		return
	}
	text, err := readScript(f.files, path)
	if err != nil {
		f.unknown = append(f.unknown, err)
	}
	if text == "" {
		return
	}
	f.seen[path] = true
	if depth == maxDepth {
		f.note("%s cannot be followed: scripts call each other more than %d deep", path, maxDepth)
		return
	}
	if name := interpreter(text); !slices.Contains(shells, name) {
		f.words = append(f.words, strings.FieldsFunc(text, betweenWords)...)
		f.note("%s cannot be followed: it is a script for %s", path, name)
		return
	}
	s := &shell{follower: f, path: path, depth: depth + 1, args: args, values: map[string][]string{"0": {path}}}
	s.run(text)
}

var shells = []string{"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox"}

// interpreter returns the name of a script's interpreter.
func interpreter(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	words := strings.Fields(strings.TrimPrefix(line, "#!"))
	if len(words) > 1 && filepath.Base(words[0]) == "env" {
		words = slices.DeleteFunc(words[1:], func(word string) bool { return strings.HasPrefix(word, "-") || strings.Contains(word, "=") })
	}
	if len(words) == 0 {
		return "no interpreter"
	}
	return filepath.Base(words[0])
}

// shell follows one script. It follows every branch, one after the other.
type shell struct {
	*follower
	path   string
	depth  int
	text   string
	args   []string            // its arguments, as far as they are known: an engine adds others
	values map[string][]string // the variables that it has set
	dir    string              // its working directory; empty if unknown: a runtime's is its bundle
}

func (s *shell) run(text string) {
	before := s.text
	defer func() { s.text = before }()
	s.text = text
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), s.path)
	if err != nil {
		s.words = append(s.words, strings.FieldsFunc(text, betweenWords)...)
		s.note("%s cannot be followed: %w", s.path, err)
		return
	}
	piped := map[syntax.Node]bool{} // commands whose output another command reads
	syntax.Walk(file, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.BinaryCmd:
			piped[n.X.Cmd] = n.Op == syntax.Pipe || n.Op == syntax.PipeAll
		case *syntax.Stmt:
			return piped[n.Cmd] || !prints(n.Cmd)
		case *syntax.Word:
			s.literal(n)
		}
		return true
	})
	syntax.Walk(file, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.CmdSubst:
			_, isWord := s.output(n)
			return !isWord
		case *syntax.DeclClause:
			for _, a := range n.Args {
				s.assign(a)
			}
		case *syntax.ForClause:
			if loop, ok := n.Loop.(*syntax.WordIter); ok {
				delete(s.values, loop.Name.Value)
			}
		case *syntax.CallExpr:
			if piped[n] || !prints(n) {
				s.call(n)
			}
		}
		return true
	})
}

// prints reports whether a command only prints its words or its here document: a name among these is no program.
func prints(cmd syntax.Node) bool {
	call, ok := cmd.(*syntax.CallExpr)
	return ok && len(call.Args) > 0 && slices.Contains([]string{"echo", "printf", "cat"}, call.Args[0].Lit())
}

// literal records the literal text of a word.
func (s *shell) literal(word *syntax.Word) {
	if text, ok := s.expand(word); ok {
		s.words = append(s.words, text)
		return
	}
	syntax.Walk(word, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.Lit:
			s.words = append(s.words, n.Value)
		case *syntax.SglQuoted:
			s.words = append(s.words, n.Value)
		}
		return true
	})
}

func (s *shell) assign(a *syntax.Assign) {
	if a.Name == nil || a.Naked {
		return
	}
	var values []string
	ok := a.Index == nil
	if a.Array != nil {
		for _, e := range a.Array.Elems {
			more, known := s.expandAll(e.Value)
			values, ok = append(values, more...), ok && known
		}
	} else if a.Value != nil {
		text, known := s.expand(a.Value)
		values, ok = []string{text}, ok && known
	}
	if a.Append {
		before, known := s.values[a.Name.Value]
		if ok = ok && known; a.Array == nil {
			values = []string{strings.Join(before, " ") + strings.Join(values, " ")}
		} else {
			values = slices.Concat(before, values)
		}
	}
	if ok {
		s.values[a.Name.Value] = values
	} else {
		delete(s.values, a.Name.Value)
	}
}

// call follows a command.
func (s *shell) call(n *syntax.CallExpr) {
	if len(n.Args) == 0 {
		for _, a := range n.Assigns {
			s.assign(a)
		}
		return
	}
	args, becomes, as := n.Args, false, ""
	for len(args) > 0 {
		name, _ := s.expand(args[0])
		if !slices.Contains([]string{"exec", "env", "nohup", "setsid", "command"}, name) {
			break
		}
		becomes = becomes || name == "exec"
		for args = args[1:]; len(args) > 0; args = args[1:] { // options and variables of these commands
			word, ok := s.expand(args[0])
			if name == "command" && (word == "-v" || word == "-V") {
				return
			}
			if !ok || !strings.HasPrefix(word, "-") && (name != "env" || !strings.Contains(word, "=")) {
				break
			}
			if (word == "-a" || word == "-u") && len(args) > 1 {
				args = args[1:]
			}
			if word == "-a" {
				if as, ok = s.expand(args[0]); !ok {
					s.lost(args[0])
				}
			}
		}
	}
	if len(args) == 0 {
		return
	}
	passesOn := becomes || slices.ContainsFunc(args[1:], hasParameter)
	var words []string
	for _, word := range args[1:] {
		more, _ := s.expandAll(word)
		words = append(words, more...)
	}
	program, ok := s.expandAll(args[0])
	if !ok {
		if passesOn {
			s.lost(args[0])
		}
		return
	}
	words = append(program, words...)
	if len(words) == 0 { // "$@" of a script without arguments of its own: an engine's are no program
		return
	}
	c := command{words: words, dir: s.dir, as: as}
	if !slices.ContainsFunc(args, hasParameter) {
		c.place = fmt.Sprintf("%s:%d", s.path, args[0].Pos().Line())
	}
	s.execute(args[0], c, passesOn)
}

// hasParameter reports whether a word has a variable, or the script's arguments.
func hasParameter(word *syntax.Word) (has bool) {
	syntax.Walk(word, func(node syntax.Node) bool {
		_, isParameter := node.(*syntax.ParamExp)
		has = has || isParameter
		return true
	})
	return has
}

// lost records that a word that a command calls as its program is unknown.
func (s *shell) lost(word *syntax.Word) {
	s.note("%s:%d cannot be followed: %s is not known", s.path, word.Pos().Line(), s.text[word.Pos().Offset():word.End().Offset()])
}

// execute follows a command whose program is known. word is the place of the program in the script.
func (s *shell) execute(word *syntax.Word, c command, passesOn bool) {
	name, args := c.words[0], c.words[1:]
	argument := func(i int) string { return append(slices.Clone(args), "", "")[i] }
	switch {
	case name == "cd":
		s.dir = ""
		if to := s.join(argument(0)); filepath.IsAbs(to) {
			s.dir = to
		}
		return
	case name == "set":
		if i := slices.Index(args, "--"); i >= 0 {
			s.args = args[i+1:]
		}
		return
	case name == "shift":
		s.args = s.args[min(1, len(s.args)):]
		return
	case name == "eval":
		if passesOn {
			s.lost(word)
		}
		s.run(strings.Join(args, " "))
		return
	case name == "." || name == "source":
		s.source(word, s.join(argument(0)))
		return
	case slices.Contains(shells, filepath.Base(name)):
		args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == "sh" && filepath.Base(name) == "busybox" })
		for len(args) > 1 && strings.HasPrefix(args[0], "-") && !strings.HasSuffix(args[0], "c") {
			args = args[1:]
		}
		if strings.HasPrefix(argument(0), "-") && len(args) > 1 { // -c TEXT NAME ARG...
			inner := *s
			inner.args = args[min(3, len(args)):]
			inner.run(args[1])
			return
		}
		if !slices.ContainsFunc(args, func(arg string) bool { return !strings.HasPrefix(arg, "-") }) {
			s.note("%s:%d cannot be followed: what %s executes is not known", s.path, word.Pos().Line(), name)
		}
	case strings.Contains(name, "/"):
		if c.words[0] = s.join(name); !filepath.IsAbs(c.words[0]) && passesOn {
			s.lost(word)
		}
	}
	s.command(c, passesOn, s.depth)
}

// source follows a file that a script sources.
func (s *shell) source(word *syntax.Word, path string) {
	if !filepath.IsAbs(path) || s.depth == maxDepth {
		s.lost(word)
		return
	}
	text, err := s.files.Read(path)
	switch {
	case proc.Gone(err):
	case err != nil:
		s.unknown = append(s.unknown, err)
	case !s.seen[path]:
		s.seen[path] = true
		s.run(string(text))
	}
}

// join returns a path relative to the script's working directory. If that is unknown, the path is unchanged.
func (s *shell) join(path string) string {
	if filepath.IsAbs(path) || s.dir == "" {
		return path
	}
	return filepath.Join(s.dir, path)
}

// expandAll returns the words that a word expands to, and reports whether all of it is known.
func (s *shell) expandAll(word *syntax.Word) (words []string, known bool) {
	words, err := expand.Fields(s.expansion(), word)
	return words, err == nil && !dependsOnMore(word)
}

// expand returns the text that a word expands to where the shell does not split it, and reports whether all of it is
// known.
func (s *shell) expand(word *syntax.Word) (text string, known bool) {
	text, err := expand.Literal(s.expansion(), word)
	return text, err == nil && !dependsOnMore(word)
}

// dependsOnMore reports whether a word has a part that package expand evaluates even if a variable is not known: it may
// come from the environment.
func dependsOnMore(word *syntax.Word) (depends bool) {
	syntax.Walk(word, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.ArithmExp:
			depends = true
		case *syntax.ParamExp:
			isAlternate := n.Exp != nil && (n.Exp.Op == syntax.AlternateUnset || n.Exp.Op == syntax.AlternateUnsetOrNull)
			depends = depends || isAlternate || n.Excl
		}
		return true
	})
	return depends
}

// expansion returns the rules by which words are expanded: with the variables that the script has set, and without file
// names.
func (s *shell) expansion() *expand.Config {
	return &expand.Config{Env: s, NoUnset: true, CmdSubst: func(w io.Writer, c *syntax.CmdSubst) error {
		text, known := s.output(c)
		if !known {
			return errors.New("its output is not known")
		}
		_, err := io.WriteString(w, text)
		return err
	}}
}

// Get implements expand.Environ.
func (s *shell) Get(name string) expand.Variable {
	list, set := s.values[name]
	if name == "@" || name == "*" {
		list, set = s.args, true
	}
	return expand.Variable{Set: set, Kind: expand.Indexed, List: list}
}

// Each implements expand.Environ.
func (s *shell) Each(func(name string, v expand.Variable) bool) {}

// Set implements expand.WriteEnviron, for ${NAME:=VALUE}.
func (s *shell) Set(name string, v expand.Variable) error {
	s.values[name] = []string{v.String()}
	return nil
}

// output returns the output of commands that print a path: command -v, dirname and similar ones.
func (s *shell) output(c *syntax.CmdSubst) (string, bool) {
	if len(c.Stmts) != 1 {
		return "", false
	}
	cmd := c.Stmts[0].Cmd
	if both, ok := cmd.(*syntax.BinaryCmd); ok && both.Op == syntax.AndStmt { // cd DIR && pwd
		if pwd, ok := both.Y.Cmd.(*syntax.CallExpr); ok && len(pwd.Args) > 0 && pwd.Args[0].Lit() == "pwd" {
			cmd = both.X.Cmd
		}
	}
	call, ok := cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) < 2 {
		return "", false
	}
	last, ok := s.expand(call.Args[len(call.Args)-1])
	switch call.Args[0].Lit() {
	case "command", "which", "type", "realpath", "readlink", "echo":
		return last, ok
	case "cd":
		return s.join(last), ok
	case "dirname":
		return filepath.Dir(last), ok
	}
	return "", false
}

// betweenWords reports whether a character separates words in a text of unknown syntax.
func betweenWords(r rune) bool { return strings.ContainsRune(" \t\n\"'`=;&|()<>{},[]", r) }

// maxScript is the size limit of a script that is followed, in bytes.
const maxScript = 64 << 10

// readScript returns the text of a file if it is a script, else "".
func readScript(files proc.Files, path string) (string, error) {
	file, err := files.Open(path)
	switch {
	case proc.Gone(err), errors.Is(err, unix.ENOTDIR), errors.Is(err, proc.ErrNotRegular):
		return "", nil
	case err != nil:
		return "", err
	}
	defer file.Close()
	text := make([]byte, maxScript+1)
	n, err := io.ReadFull(file, text[:2])
	if err == nil && !bytes.Equal(text[:2], []byte("#!")) {
		return "", nil
	}
	if err == nil {
		var more int
		more, err = io.ReadFull(file, text[2:])
		n += more
	}
	switch {
	case err == nil:
		return "", fmt.Errorf("%s is longer than the scripts that are followed (%d KiB)", file.Name(), maxScript>>10)
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return "", fmt.Errorf("%s cannot be read: %w", file.Name(), report.Plain(err))
	case n < 2:
		return "", nil
	}
	return string(text[:n]), nil
}
