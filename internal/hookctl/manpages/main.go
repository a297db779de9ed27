// Manpages writes the manual pages into a folder: those of hookctl, made from its commands, and those that are written
// by hand in docs/man. `make man` runs it in the project's folder.
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
	"strconv"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

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
	if err := fromCommands(dir, source, date); err != nil {
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

// fromCommands writes hookctl(1), and a page for each of its commands.
func fromCommands(dir, source string, date time.Time) error {
	cmd := hookctl.New(system.Host(), os.Stdin, os.Stdout, os.Stderr)
	cmd.InitDefaultCompletionCmd()
	disableDate(cmd)
	return doc.GenManTree(cmd, &doc.GenManHeader{Section: "1", Source: source, Manual: "oci-add-hooks", Date: &date}, dir)
}

// disableDate leaves out the line that tells when a page was made: two builds of one version are the same.
func disableDate(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	for _, sub := range cmd.Commands() {
		disableDate(sub)
	}
}

// fromMarkdown writes the page NAME.SECTION of a file NAME.SECTION.md.
func fromMarkdown(path, dir, source string, date time.Time) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	page := strings.TrimSuffix(filepath.Base(path), ".md")
	section := strings.TrimPrefix(filepath.Ext(page), ".")
	name := strings.TrimSuffix(page, "."+section)
	title := fmt.Sprintf("%% %q %q %q %q %q\n", strings.ToUpper(name), section, date.Format("Jan 2006"), source, "oci-add-hooks")
	return os.WriteFile(filepath.Join(dir, page), md2man.Render(append([]byte(title), text...)), 0o644)
}
