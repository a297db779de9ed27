package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
)

// table prints rows as Markdown, aligned.
type table struct{ rows [][]string }

func newTable(head ...string) *table { return &table{rows: [][]string{head}} }

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	for i, r := range t.rows {
		fmt.Fprintln(w, "| "+strings.Join(r, "\t| ")+"\t|")
		if i == 0 {
			fmt.Fprintln(w, "|"+strings.Repeat(" ---\t|", len(r)))
		}
	}
	w.Flush()
}

func f0(v float64) string { return fmt.Sprintf("%.0f", v) }
