// Package alerts tests examples/alerts.yaml with Prometheus' own code. It is a separate module because of that code.
package alerts

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// TestRules: Prometheus accepts the rules and their templates. They use only metrics that `hookctl metrics` writes, or
// that node_exporter writes about its file.
func TestRules(t *testing.T) {
	expressions := parser.NewParser(parser.Options{})
	groups, errs := rulefmt.ParseFile("../../examples/alerts.yaml", false, model.UTF8Validation, expressions, slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil || len(groups.Groups) == 0 {
		t.Fatal("there are no rules")
	}
	var written string
	for _, script := range []string{"metrics", "ps"} {
		text, err := os.ReadFile("../../cmd/hookctl/testdata/script/" + script + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		written += string(text)
	}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			expr, err := expressions.ParseExpr(rule.Expr)
			if err != nil {
				t.Fatal(err)
			}
			found := 0
			parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
				metric, ok := node.(*parser.VectorSelector)
				if !ok {
					return nil
				}
				found++
				if metric.Name != "node_textfile_mtime_seconds" && !strings.Contains(written, metric.Name+"{") {
					t.Errorf("%s: hookctl metrics does not write %s", rule.Alert, metric.Name)
				}
				return nil
			})
			if found == 0 {
				t.Errorf("%s uses no metric", rule.Alert)
			}
		}
	}
}
