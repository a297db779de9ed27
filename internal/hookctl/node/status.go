package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// receipt describes what an installation changed on the node. Anyone can read it, because status runs without
// privileges. (The record of package registration holds the engine's configuration, and only root can read it.)
type receipt struct {
	Engine        string            `json:"engine"`
	Link          string            `json:"link"`
	ProfileSHA256 string            `json:"profileSHA256"`
	Configuration map[string]string `json:"configuration"` // the SHA-256 of the engine's files that were changed, by their paths
}

func receiptPath(sys system.System, profile string) string {
	return filepath.Join(sys.State, "node-"+profile+".json") // not in a subdirectory: those are engines'
}

// withReceipt adds the receipt to the changes of an installation whose record is r.
func (n *Node) withReceipt(files []change.File, r *registration.Record) ([]change.File, error) {
	f := change.File{Path: receiptPath(n.System, n.Profile), Mode: 0o644, Own: true}
	var err error
	if f.Before, err = change.Read(f.Path); err != nil {
		return nil, err
	}
	is := receipt{Engine: n.Engine.Name(), Link: n.link(), Configuration: map[string]string{}}
	for _, file := range files {
		if file.Path == n.System.Profile(n.Profile) {
			is.ProfileSHA256 = change.Digest(file.After)
		}
	}
	for _, file := range r.Files {
		is.Configuration[file.Path] = file.AfterSHA256
	}
	f.After, err = json.MarshalIndent(is, "", "  ")
	return append(files, f), err
}

// Part is a part of an installation on a node.
type Part struct {
	Name    string `json:"name"` // programs, link, profile or handler
	Path    string `json:"path"`
	Problem string `json:"problem,omitempty"` // empty if it is as installed
}

// Status returns the parts of a profile's installation on a node, each with the problem if it is not as installed. It
// reads only files that anyone can read, and runs nothing. The node's file system is at sys.Root.
func Status(sys system.System, profile string) ([]Part, error) {
	path := sys.Path(receiptPath(sys, profile))
	text, err := change.Read(path)
	if err != nil {
		return nil, err
	}
	if text == nil {
		return nil, fmt.Errorf("hookctl node install has not installed %s here: there is no %s", profile, path)
	}
	var r receipt
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s is not as hookctl wrote it: %w", path, err)
	}
	s := status{sys: sys, profile: profile, receipt: r}
	s.programs()
	s.link()
	s.file("profile", sys.Profile(profile), func(text []byte) string {
		if change.Digest(text) != r.ProfileSHA256 {
			return "it was changed since it was installed"
		}
		return ""
	})
	for _, path := range slices.Sorted(maps.Keys(r.Configuration)) {
		s.file("handler", path, func(text []byte) string { return s.handler(path, text) })
	}
	return s.parts, nil
}

type status struct {
	sys     system.System
	profile string
	receipt receipt
	parts   []Part
}

func (s *status) note(name, path, problem string) {
	s.parts = append(s.parts, Part{Name: name, Path: path, Problem: problem})
}

// file notes a problem with a file: that it cannot be read, or what judge returns about its text.
func (s *status) file(name, path string, judge func(text []byte) string) {
	file, err := jsonfile.Read(s.sys.Path(path))
	if err != nil {
		s.note(name, path, plain(err))
		return
	}
	s.note(name, path, judge(file.Data))
}

func plain(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "it is missing"
	}
	return report.Plain(err).Error()
}

func (s *status) programs() {
	profile, err := hooks.ReadFile(s.sys.Path(s.sys.Profile(s.profile)))
	supervises := err == nil && profile.Supervised() != nil
	for _, name := range programNames {
		path, problem := filepath.Join(filepath.Dir(s.receipt.Link), name), ""
		switch st, err := os.Stat(s.sys.Path(path)); {
		case name == supervisor && errors.Is(err, fs.ErrNotExist) && !supervises:
			continue
		case err != nil:
			problem = plain(err)
		case !st.Mode().IsRegular() || st.Mode().Perm()&0o111 != 0o111 || st.Size() == 0:
			problem = "it is not a program that anyone can execute"
		}
		s.note("programs", path, problem)
	}
}

func (s *status) link() {
	problem := ""
	if target, err := os.Readlink(s.sys.Path(s.receipt.Link)); err != nil {
		problem = plain(err)
	} else if target != cmdline.Name {
		problem = "it leads to " + target
	}
	s.note("link", s.receipt.Link, problem)
}

// handler returns the problem with a file of the engine's configuration. There is none if the file is as installed, or
// if somebody has changed it since but it still has the handler, or still names the file that has it.
func (s *status) handler(path string, text []byte) string {
	tree, err := engine.Tree(path, text)
	if change.Digest(text) == s.receipt.Configuration[path] || err == nil && has(tree, s.profile, s.receipt.Link, false) {
		return ""
	}
	for other := range s.receipt.Configuration {
		if other != path && (bytes.Contains(text, []byte(other)) || bytes.Contains(text, []byte(filepath.Dir(other)+"/*"))) {
			return ""
		}
	}
	return fmt.Sprintf("it was changed since, and does not have what registers %s with %s", s.profile, s.receipt.Engine)
}

// has reports whether tree has a value called name that is, or holds, the text link. named is set if tree is part of
// such a value.
func has(tree any, name, link string, named bool) bool {
	switch v := tree.(type) {
	case string:
		return named && strings.TrimSpace(v) == link
	case map[string]any:
		for key, value := range v {
			if has(value, name, link, named || key == name) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(value any) bool { return has(value, name, link, named) })
	}
	return false
}
