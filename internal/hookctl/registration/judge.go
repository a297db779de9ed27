package registration

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/tomledit"
)

// judge returns an error if the engine's configuration has changed in other things than those that p is about.
func (p *Plan) judge(before, after *engine.View) error {
	name, is, was := p.runtime.Name, after.Default(), before.Default()
	wantDefault := p.expected && p.runtime.Default
	switch {
	case p.expected && !after.Knows(name):
		later := after.Last(after.Runtimes[:2]...)
		return engine.Manual{Problem: fmt.Sprintf("%s does not see the runtime %s: %s, which it reads later, replaces what its other files say", p.engine.Name(), name, later),
			Engine: p.engine.Name(), Profile: name, Way: "add that to " + later}
	case !p.expected && after.Knows(name):
		return fmt.Errorf("%s still sees the runtime %s%s: a file that hookctl did not change names it; remove it there", p.engine.Name(), name, after.Naming(name))
	case wantDefault && is != name:
		return fmt.Errorf("the default runtime of %s would not be %s but %s: a file that it reads later says so%s", p.engine.Name(), name, is, after.NamingDefault())
	case !p.expected && is == name:
		return fmt.Errorf("the default runtime of %s would still be %s: a file that hookctl did not change says so%s", p.engine.Name(), name, after.NamingDefault())
	case !wantDefault && was != name && is != was:
		return fmt.Errorf("the default runtime of %s would be %q, and no longer %q", p.engine.Name(), is, was)
	}
	for _, path := range after.Lists {
		if _, listed := tomledit.Dig(after.Tree, path...)[name]; p.expected && !listed {
			return fmt.Errorf("%s, which %s reads after hookctl's file, has a %s of its own: add %q to it", after.Last(path...), p.engine.Name(), path[len(path)-1], name)
		}
	}
	if was, is := before.Without(name), after.Without(name); !reflect.DeepEqual(was, is) {
		return fmt.Errorf("the configuration of %s would also change elsewhere:\n%s", p.engine.Name(), difference(was, is))
	}
	return nil
}

func difference(was, is tomledit.Table) string {
	texts := make([][]byte, 2)
	for i, t := range []tomledit.Table{was, is} {
		text, err := toml.Marshal(t)
		if err != nil {
			return err.Error()
		}
		texts[i] = text
	}
	return strings.TrimSpace(change.Diff("before", texts[0], "after", texts[1]))
}
