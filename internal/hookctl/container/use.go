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
	Finds string `json:"calls,omitempty"` // the program, if By is a script or an argument of By names it
}

// String returns the container, its engine, its state, and what the engine calls.
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

// Claim is a process with the name of an engine's process that would use the program, but is not believed.
type Claim struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
	Why  string `json:"why"` // why the process is not believed
}

// Using returns the containers whose engine uses the program that matches recognizes. It calls matches with each path
// and name in the engine's call of the runtime, and in the scripts that it calls. The containers are
//
//   - those of containerd's shim for runc (Docker, ctr, nerdctl, Kubernetes) that run, or have ended but were not deleted;
//   - stopped ones of Docker's, if daemon.json, or the options of a running dockerd, say what their runtime is; one that is
//     registered nowhere counts as a program of that name;
//   - those that a conmon watches (Podman, CRI-O);
//   - those for which CRI-O records a runtime handler, which counts as a program of that name.
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

// uses reports whether a container's engine uses what matches recognizes.
func (c Container) uses(matches func(word string) bool) (use Use, found bool, unread error) {
	for _, call := range c.calls {
		words, err := program.Words(call.files, call.words)
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

// Claims returns the processes that are not believed and whose command line names what matches recognizes.
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

// Refuse returns an error that begins with what and names the containers whose engine uses what matches recognizes;
// with running set, only those that run. If there may be more containers, the error says so.
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
		return fmt.Errorf("%s: it is unknown whether containers need it; %s, or give --force if you know that none does:%s", what, advice(), Inset(unknown))
	}
	return nil
}

// Strangers returns, for each process with the name of an engine's process that is not believed, the reason.
func (s *Scan) Strangers() (why []string) {
	for _, stranger := range s.strangers {
		why = append(why, stranger.why.Error())
	}
	return why
}
