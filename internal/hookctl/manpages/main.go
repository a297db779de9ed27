// Manpages writes the manual pages into a directory: those of hookctl, which it makes from the commands, and those in
// docs/man. `make man` runs it in the project's directory.
//
//	manpages VERSION DIR
//
// SOURCE_DATE_EPOCH, if it is set, is the pages' date.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "manpages:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: manpages VERSION DIR")
	}
	source, dir := "oci-add-hooks "+args[0], args[1]
	date := time.Now()
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		date = time.Unix(seconds, 0)
	}
	date = date.UTC()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := fromCommand(hookctl.New(system.Host(), os.Stdin, os.Stdout, os.Stderr), dir, source, date); err != nil {
		return err
	}
	pages, err := filepath.Glob("docs/man/*.md")
	if err != nil || len(pages) == 0 {
		return errors.Join(errors.New("there are no pages in docs/man"), err)
	}
	for _, page := range pages {
		if err := fromMarkdown(page, dir, source, date); err != nil {
			return err
		}
	}
	return nil
}

// fromCommand writes the page of a command, and those of the commands below it.
func fromCommand(cmd *cobra.Command, dir, source string, date time.Time) error {
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	if err := write(dir, name, "1", pageOf(cmd, name), source, date); err != nil {
		return err
	}
	for _, sub := range cmd.Commands() {
		if err := fromCommand(sub, dir, source, date); err != nil {
			return err
		}
	}
	return nil
}

// pageOf returns the page of a command, in Markdown.
func pageOf(cmd *cobra.Command, name string) string {
	var b strings.Builder
	section := func(title string) { fmt.Fprintf(&b, "\n# %s\n\n", title) }
	definitions := func(list [][2]string) {
		for _, d := range list {
			term, value, _ := strings.Cut(strings.TrimSpace(d[0]), " ")
			if strings.HasSuffix(term, ",") { // -h, --help
				long := value
				long, value, _ = strings.Cut(long, " ")
				term = strings.TrimSuffix(term, ",") + "**, **" + long
			}
			if value != "" {
				value = " *" + value + "*"
			}
			fmt.Fprintf(&b, "**%s**%s\n: %s\n\n", term, value, escaped(d[1]))
		}
	}
	section("NAME")
	fmt.Fprintf(&b, "%s - %s\n", name, escaped(cmd.Short))
	section("SYNOPSIS")
	fmt.Fprintf(&b, "**%s** %s\n", cmd.CommandPath(), placeholder.ReplaceAllString(escaped(strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath()+" ")), "*$0*"))
	section("DESCRIPTION")
	status := strings.TrimPrefix(hookctl.ExitStatuses, exitStatus)
	for _, part := range strings.Split(cmd.Long, "\n\n") {
		if own, ok := strings.CutPrefix(part, exitStatus); ok {
			status = strings.TrimSuffix(own, ".") + "; 2 after wrong usage."
		} else if strings.HasPrefix(part, "  ") { // a list in columns
			fmt.Fprintf(&b, "```\n%s\n```\n\n", part)
		} else {
			fmt.Fprintf(&b, "%s\n\n", escaped(part))
		}
	}
	if cmd.HasSubCommands() {
		section("COMMANDS")
		for _, group := range cmd.Groups() {
			fmt.Fprintf(&b, "## %s\n\n", group.Title)
			definitions(hookctl.Commands(cmd, group.ID))
		}
		definitions(hookctl.Commands(cmd, ""))
	}
	section("OPTIONS")
	definitions(hookctl.Options(cmd))
	section("EXIT STATUS")
	fmt.Fprintf(&b, "%s\n", escaped(status))
	if list := filesOf(cmd); len(list) > 0 {
		section("FILES")
		for _, f := range list {
			fmt.Fprintf(&b, "*%s*\n: %s\n\n", strings.ReplaceAll(f.paths, ", ", "*, *"), f.what)
		}
	}
	section("EXAMPLES")
	fmt.Fprintf(&b, "```\n%s\n```\n", cmd.Example)
	section("SEE ALSO")
	also := []string{"**oci-add-hooks**(8)"}
	if cmd.HasParent() {
		also = []string{fmt.Sprintf("**%s**(1)", strings.ReplaceAll(cmd.Parent().CommandPath(), " ", "-"))}
	}
	for _, sub := range cmd.Commands() {
		also = append(also, fmt.Sprintf("**%s-%s**(1)", name, sub.Name()))
	}
	fmt.Fprintf(&b, "%s\n", strings.Join(also, ", "))
	return b.String()
}

// exitStatus begins the paragraph of a command's help that explains its exit status.
const exitStatus = "Exit status: "

// file describes files or directories that commands read or write.
type file struct {
	paths    string // several are separated by a comma and a space
	what     string // in Markdown
	commands string // their first words after hookctl, separated by spaces
}

var files = []file{
	{"/etc/oci-add-hooks/NAME.json", "The profile *NAME*: see **oci-add-hooks.json**(5).", "check preview profile install uninstall doctor ps node"},
	{"/usr/share/containers/oci/hooks.d, /etc/containers/oci/hooks.d", "The usual hooks directories.", "check"},
	{"/etc/docker/daemon.json, /etc/containerd/config.toml, /etc/crio/crio.conf.d, /etc/containers/containers.conf.d",
		"The engines' configuration.", "install uninstall doctor node"},
	{"/opt/oci-add-hooks/bin", "The programs and the link on a node.", "node"},
	{"/var/lib/oci-add-hooks", "The lock, and the records of changes by which **hookctl** undoes them.", "profile install uninstall doctor node"},
	{"/var/log/oci-add-hooks/hooks.jsonl",
		"The records of supervised hooks. For a user who is not root, *oci-add-hooks/hooks.jsonl* in **$XDG_STATE_HOME** or *~/.local/state*.", "ps log metrics"},
	{"/tmp/hookctl-try-NUMBER", "The container while it runs; in **$TMPDIR** if that is set. It is removed at the end or by the next **hookctl try**.", "try"},
	{"/usr/share/bash-completion/completions/hookctl", "The script for bash that the packages install.", "completion"},
}

// filesOf returns the files of a command; all for hookctl itself.
func filesOf(cmd *cobra.Command) []file {
	words := strings.Fields(cmd.CommandPath())
	if len(words) == 1 {
		return files
	}
	return slices.DeleteFunc(slices.Clone(files), func(f file) bool { return !slices.Contains(strings.Fields(f.commands), words[1]) })
}

// placeholder matches a placeholder of a value in a usage line.
var placeholder = regexp.MustCompile("[A-Z]{2,}")

// escaped returns text as Markdown in which only code between backquotes is markup.
func escaped(text string) string {
	parts := strings.Split(text, "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = special.ReplaceAllString(parts[i], `\$0`)
	}
	return strings.Join(parts, "`")
}

var special = regexp.MustCompile(`[\\*_<>\[\]]`)

// fromMarkdown writes the page NAME.SECTION of a file NAME.SECTION.md.
func fromMarkdown(path, dir, source string, date time.Time) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	page := strings.TrimSuffix(filepath.Base(path), ".md")
	section := strings.TrimPrefix(filepath.Ext(page), ".")
	name := strings.TrimSuffix(page, "."+section)
	return write(dir, name, section, string(text), source, date)
}

// write writes a page. text is in Markdown, without the title.
func write(dir, name, section, text, source string, date time.Time) error {
	title := fmt.Sprintf("%% %q %q %q %q %q\n", strings.ToUpper(name), section, date.Format("Jan 2006"), source, "oci-add-hooks")
	return os.WriteFile(filepath.Join(dir, name+"."+section), md2man.Render([]byte(title+text)), 0o644)
}
