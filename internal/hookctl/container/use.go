package container

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
)

// Use is a container whose engine calls a certain program as its runtime.
type Use struct {
	Container
	By    string `json:"by"`              // what the engine calls: a path, or a name that it looks up
	Finds string `json:"calls,omitempty"` // what was looked for, if that is in a script or an argument of By
}

// String returns which container it is, and what of.
func (u Use) String() string {
	return fmt.Sprintf("%s (%s, %s, by %s)", u.Title(), u.Engine, u.State(), u.Call())
}

// Call returns what the engine calls.
func (u Use) Call() string {
	if u.Finds == "" {
		return u.By
	}
	return u.By + ", which calls " + u.Finds
}

// Claim is a process that calls itself an engine's, would use what was looked for, and is not believed.
type Claim struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
	Why  string `json:"why"` // it is not believed
}

// Using returns the containers whose engine uses what matches reports: it is asked about each path and name that there is in
// the engine's call of the runtime, or in a script that it calls. The containers are
//
//   - those of containerd's shim for runc (Docker, ctr, nerdctl, Kubernetes) that run, or have not been deleted since;
//   - Docker's that are stopped, as far as daemon.json, or the options of a dockerd that runs, say what their runtime is;
//     one that is registered nowhere is taken for a program of that name;
//   - those that a conmon watches (Podman, CRI-O);
//   - those that CRI-O notes a runtime handler for, which is taken for a program of that name.
//
// An error means that there may be more than were found.
func (s *Scan) Using(matches func(word string) bool) (list []Use, err error) {
	unknown := []error{s.Unknown()}
	for _, c := range s.Containers {
		use, found, err := c.uses(matches)
		if err != nil {
			unknown = append(unknown, err)
		}
		if found {
			list = append(list, use)
		}
	}
	return list, errors.Join(unknown...)
}

// uses reports whether a container's engine uses what matches reports.
func (c Container) uses(matches func(word string) bool) (use Use, found bool, unread error) {
	for _, call := range c.calls {
		words, err := program.Words(call.files.Files, call.words)
		unread = errors.Join(unread, err)
		for _, word := range words {
			if !matches(word) {
				continue
			}
			use := Use{Container: c, By: call.words[0]}
			if word != use.By {
				use.Finds = word
			}
			return use, true, unread
		}
	}
	return use, false, unread
}

// Claims returns the processes that are not believed, and name what matches reports on their command line.
func (s *Scan) Claims(matches func(word string) bool) (list []Claim) {
	for _, stranger := range s.strangers {
		for _, arg := range stranger.process.Args[1:] {
			if words := strings.Split(arg, "="); slices.ContainsFunc(words, matches) {
				list = append(list, Claim{stranger.process.PID, stranger.process.Name(), stranger.why.Error()})
				break
			}
		}
	}
	return list
}

// Refuse returns an error that begins with what, and names the containers whose engine uses what matches reports, with
// running those alone that run; or, if it is unknown whether there are more, says so.
func (s *Scan) Refuse(what string, matches func(word string) bool, running bool) error {
	message := what + " while these containers need it; stop and remove them, or give --force and lose control of them:"
	list, unknown := s.Using(matches)
	found := false
	for _, use := range list {
		if use.Running || !running {
			message, found = message+"\n  "+use.String(), true
		}
	}
	switch {
	case found:
		return errors.New(message)
	case unknown != nil:
		return fmt.Errorf("%s: whether containers need it cannot be told; try as root, or give --force if you know that none does:%s", what, Inset(unknown))
	}
	return nil
}

// Strangers returns, of each process that calls itself an engine's, why it is not believed.
func (s *Scan) Strangers() (why []string) {
	for _, stranger := range s.strangers {
		why = append(why, stranger.why.Error())
	}
	return why
}
