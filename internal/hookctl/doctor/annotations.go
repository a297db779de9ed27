package doctor

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// annotations warns of conditions on annotations that containerd's CRI hides. It passes on only those annotations of a
// pod that a glob of the handler's pod_annotations matches.
func (x *examination) annotations(entry engine.Entry, dirs []string) {
	for _, c := range annotationConditions(dirs) {
		key, isLiteral := literal(c.expression)
		switch {
		case strings.HasPrefix(key, "io.kubernetes.cri."), // containerd's own
			slices.ContainsFunc(entry.PodAnnotations, func(glob string) bool {
				match, err := path.Match(glob, key)
				return err == nil && match
			}):
		case isLiteral:
			x.note(entry.Name, Warning, "annotations",
				fmt.Sprintf("%s asks for the annotation %s, which pod_annotations does not pass on", c.file, key), remedyFor(entry, key))
		case len(entry.PodAnnotations) == 0:
			x.note(entry.Name, Warning, "annotations",
				fmt.Sprintf("%s asks for annotations that match %s, and pod_annotations passes none on", c.file, c.expression), remedyFor(entry, "GLOB"))
		}
	}
}

func remedyFor(entry engine.Entry, glob string) string {
	return fmt.Sprintf("hookctl install containerd --profile %s --pod-annotation '%s', or add it to pod_annotations manually", entry.Name, glob)
}

// condition is a file of a hooks directory and its expression for the key of an annotation.
type condition struct{ file, expression string }

// annotationConditions returns the expressions for keys of annotations in hooks directories, given in increasing
// precedence. The files have been checked, so it ignores those that cannot be read. The old format has no expressions
// for keys.
func annotationConditions(dirs []string) (all []condition) {
	inForce := map[string]string{}
	for _, dir := range dirs {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".json") {
				inForce[e.Name()] = filepath.Join(dir, e.Name())
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(inForce)) {
		file, err := jsonfile.Read(inForce[name])
		if err != nil {
			continue
		}
		var rule struct {
			When struct{ Annotations map[string]string }
		}
		if json.Unmarshal(file.Data, &rule) != nil {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(rule.When.Annotations)) {
			all = append(all, condition{inForce[name], key})
		}
	}
	return all
}

// literal returns the only text that an expression matches, if there is one. It ignores missing anchors: an expression
// without them is usually meant as the whole text.
func literal(expression string) (text string, ok bool) {
	expr, err := regexp.Compile(strings.TrimSuffix(strings.TrimPrefix(expression, "^"), "$"))
	if err != nil {
		return "", false
	}
	text, ok = expr.LiteralPrefix()
	return text, ok && text != ""
}
