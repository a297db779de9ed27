package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/pod"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// state holds the used members of the container's state, which a runtime passes to a hook on standard input (runtime
// specification, runtime.md, State). All are empty if there is no state.
type state struct {
	ID, Status, Bundle string
	PID                string            // decimal; empty if the container has no process
	annotations        map[string]string // those that may name the pod
	pod                pod.Names         // the pod that the container belongs to
}

// maxState is the number of bytes of standard input in which the state must end. The rest is passed on unread.
const maxState = 1 << 20

// readState reads the container's state from standard input. It returns the state and the complete input for the hook.
// It waits for the end of the state or of the input, but not longer than limit, because the other end may stay open.
func readState(stdin *os.File, limit time.Duration) (s state, all io.Reader, err error) {
	type result struct {
		text  []byte
		ended bool
		err   error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		buf := make([]byte, 8<<10)
		for len(r.text) < maxState && !r.ended {
			n, err := stdin.Read(buf)
			r.text = append(r.text, buf[:n]...)
			if err != nil {
				r.ended = true
				if err != io.EOF {
					r.err = err
				}
			}
			if n > 0 && bytes.HasSuffix(bytes.TrimSpace(buf[:n]), []byte{'}'}) {
				if _, err := parseState(r.text); err == nil {
					break
				}
			}
		}
		done <- r
	}()
	select {
	case <-time.After(limit):
		return s, nil, fmt.Errorf("not started: after %d s, standard input has neither ended nor held the container's state", int(limit.Seconds()))
	case r := <-done:
		if r.err != nil {
			return s, nil, fmt.Errorf("not started: standard input cannot be read: %w", report.Plain(r.err))
		}
		s, _ = parseState(r.text) // the hook may get other input than a state
		s.pod = pod.Of(s.ID, s.Bundle, s.annotations)
		if r.ended {
			return s, bytes.NewReader(r.text), nil
		}
		return s, io.MultiReader(bytes.NewReader(r.text), stdin), nil
	}
}

func parseState(text []byte) (s state, err error) {
	r := (&jsonfile.File{Path: "standard input", Data: text}).Lenient()
	err = r.Object(func(name string) (err error) {
		if r.Kind() == 'n' {
			return nil
		}
		switch name {
		case "id":
			s.ID, err = r.String()
		case "status":
			s.Status, err = r.String()
		case "bundle":
			s.Bundle, err = r.String()
		case "pid":
			pid, err := r.Value()
			if n, parseErr := strconv.Atoi(string(pid)); parseErr == nil && n > 0 {
				s.PID = strconv.Itoa(n)
			}
			return err
		case "annotations":
			s.annotations = map[string]string{}
			err = r.Object(func(name string) (err error) {
				if pod.IsAnnotation(name) {
					s.annotations[name], err = r.String()
				}
				return err
			})
		}
		return err
	})
	if err == nil {
		err = r.Finish()
	}
	if err != nil {
		return state{}, err
	}
	return s, nil
}

// environment returns the hook's environment: env with the OCI_ variables for the known members of the state. It
// removes inherited variables with these names.
func (s *state) environment(env []string, stage string) []string {
	for _, v := range [][2]string{
		{"OCI_CONTAINER_ID", s.ID}, {"OCI_CONTAINER_PID", s.PID}, {"OCI_CONTAINER_BUNDLE", s.Bundle},
		{"OCI_CONTAINER_STATUS", s.Status}, {"OCI_HOOK_STAGE", stage},
	} {
		env = slices.DeleteFunc(env, func(e string) bool { return strings.HasPrefix(e, v[0]+"=") })
		if v[1] != "" && !strings.Contains(v[1], "\x00") {
			env = append(env, v[0]+"="+v[1])
		}
	}
	return env
}
