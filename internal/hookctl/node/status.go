package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	for path := range r.Configuration {
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
	switch {
	case err != nil:
		s.note(name, path, plain(err))
	default:
		s.note(name, path, judge(file.Data))
	}
}

func plain(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "it is missing"
	}
	return report.Plain(err).Error()
}

func (s *status) programs() {
	profile, err := hooks.ReadFile(s.sys.Path(s.sys.Profile(s.profile)))
	supervises := err == nil && profile.Supervises()
	for _, name := range programNames {
		path := filepath.Join(filepath.Dir(s.receipt.Link), name)
		switch st, err := os.Stat(s.sys.Path(path)); {
		case name == supervisor && errors.Is(err, fs.ErrNotExist) && !supervises:
		case err != nil:
			s.note("programs", path, plain(err))
		case !st.Mode().IsRegular() || st.Mode().Perm()&0o111 != 0o111 || st.Size() == 0:
			s.note("programs", path, "it is not a program that anyone can execute")
		default:
			s.note("programs", path, "")
		}
	}
}

func (s *status) link() {
	target, err := os.Readlink(s.sys.Path(s.receipt.Link))
	switch {
	case err != nil:
		s.note("link", s.receipt.Link, plain(err))
	case target != cmdline.Name:
		s.note("link", s.receipt.Link, "it leads to "+target)
	default:
		s.note("link", s.receipt.Link, "")
	}
}

// handler returns the problem with a file of the engine's configuration. There is none if the file is as installed, or
// if somebody has changed it since but it still has the handler, or still names the file that has it.
func (s *status) handler(path string, text []byte) string {
	if change.Digest(text) == s.receipt.Configuration[path] || s.hasHandler(path, text) {
		return ""
	}
	for other := range s.receipt.Configuration {
		if other != path && (bytes.Contains(text, []byte(other)) || bytes.Contains(text, []byte(filepath.Dir(other)+"/*"))) {
			return ""
		}
	}
	return fmt.Sprintf("it was changed since, and does not have what registers %s with %s", s.profile, s.receipt.Engine)
}

// hasHandler reports whether a configuration has the link below the profile's name.
func (s *status) hasHandler(path string, text []byte) bool {
	tree, err := engine.Tree(path, text)
	return err == nil && names(tree, s.profile, s.receipt.Link)
}

// names reports whether tree has a value named name that is, or holds, the text link.
func names(tree any, name, link string) bool {
	switch v := tree.(type) {
	case map[string]any:
		for key, value := range v {
			if key == name && holds(value, link) || names(value, name, link) {
				return true
			}
		}
	case []any:
		for _, value := range v {
			if names(value, name, link) {
				return true
			}
		}
	}
	return false
}

func holds(value any, link string) bool {
	switch v := value.(type) {
	case string:
		return strings.TrimSpace(v) == link
	case map[string]any:
		for _, inner := range v {
			if holds(inner, link) {
				return true
			}
		}
	case []any:
		for _, inner := range v {
			if holds(inner, link) {
				return true
			}
		}
	}
	return false
}
