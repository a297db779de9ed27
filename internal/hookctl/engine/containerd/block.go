package containerd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/tomledit"
)

// planBlock writes the handler into hookctl's block at the end of the main file.
func (c *containerd) planBlock(now *effective, r engine.Runtime, main []byte) ([]change.File, error) {
	tree, err := tomledit.Decode(c.config, main)
	if err != nil {
		return nil, err
	}
	switch version, _ := tree["version"].(int64); {
	case version > 2:
		return nil, fmt.Errorf("%s has version %d, from which this containerd reads nothing for its CRI plugin: its own is version 2", c.config, version)
	case version < 2 && len(tree) > 0:
		return nil, fmt.Errorf("%s has an older version than 2: write `version = 2` at its beginning, and use the plugin names of version 2", c.config)
	}
	h, err := now.handler(r, main)
	if err != nil {
		return nil, err
	}
	path := []string{"plugins", now.plugin, "containerd"}
	block, rest, err := c.cutBlock(main)
	if err != nil {
		return nil, err
	}
	if len(tree) == 0 {
		block["version"] = int64(2)
	}
	ours := tomledit.Within(block, path...)
	// containerd 1.6 drops its built-in handler if another one is named.
	if tomledit.Dig(tree, append(path, "runtimes")...) == nil {
		for name, like := range now.handlers() {
			tomledit.Within(ours, "runtimes")[name] = tomledit.Settings(like.(tomledit.Table))
		}
	}
	tomledit.Within(ours, "runtimes")[r.Name] = h
	headed, err := tomledit.HasHeading(rest, path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.config, err)
	}
	if r.Default && headed {
		if rest, err = tomledit.SetKey(rest, path, defaultRuntimeName, tomledit.Quote(r.Name)); err != nil {
			return nil, fmt.Errorf("%s: %w", c.config, err)
		}
	} else if r.Default {
		ours[defaultRuntimeName] = r.Name
	}
	return []change.File{{Path: c.config, After: c.addBlock(rest, block, append(handlersOf(block, now.plugin, r.Others), r.Name)), Mode: 0o644}}, nil
}

// The lines around the text that hookctl writes into a file that is not its own.
const (
	beginBlock = "# begin of oci-add-hooks." // the rest of the line says how to remove it
	endBlock   = "# end of oci-add-hooks\n"
)

// cutBlock returns the content of hookctl's block, and the text without the block.
func (c *containerd) cutBlock(text []byte) (tree tomledit.Table, rest []byte, err error) {
	tree = tomledit.Table{}
	before, after, found := strings.Cut(string(text), beginBlock)
	if !found {
		return tree, text, nil
	}
	_, after, _ = strings.Cut(after, "\n")
	block, after, found := strings.Cut(after, endBlock)
	if !found {
		return nil, nil, fmt.Errorf("%s: the line %q is missing, so that the end of hookctl's part is unknown; add it again, or remove that part manually",
			c.config, strings.TrimSpace(endBlock))
	}
	if tree, err = tomledit.Decode(c.config+", hookctl's part", []byte(block)); err != nil {
		return nil, nil, err
	}
	return tree, []byte(before + after), nil
}

// handlersOf returns those of names that are handlers in hookctl's block.
func handlersOf(block tomledit.Table, plugin string, names []string) (list []string) {
	handlers := tomledit.Dig(block, "plugins", plugin, "containerd", "runtimes")
	for _, name := range names {
		if handlers[name] != nil {
			list = append(list, name)
		}
	}
	return list
}

// addBlock adds hookctl's block, which has the handlers of profiles, at the end of a text.
func (c *containerd) addBlock(text []byte, block tomledit.Table, profiles []string) []byte {
	text = slices.Clone(text)
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	slices.Sort(profiles)
	head := beginBlock + strings.TrimPrefix(engine.Generated(c, profiles...), "#")
	return append(text, head+tomledit.Write(nil, block)+endBlock...)
}
