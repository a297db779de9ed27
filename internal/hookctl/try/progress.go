package try

import (
	"os"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/inject"
)

// watchInterval is the time between two reports of the progress.
const watchInterval = 100 * time.Millisecond

// watch reports the progress until stop is called.
func (c *container) watch(begin int64) (stop func()) {
	if c.opts.Progress == nil {
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			if r, err := c.progress(begin, time.Now().UnixNano()); err == nil { // an error is reported at the end
				c.opts.Progress(r)
			}
		}
	}()
	return func() { close(end); <-ended }
}

// progress returns a report of the calls that have begun until now.
func (c *container) progress(begin, now int64) (*Report, error) {
	r := &Report{Runtime: c.runtime, Seconds: seconds(now - begin)}
	return r, c.collect(r, begin, now, true)
}

// report returns the report of what was recorded.
func (c *container) report(begin, end int64, problems []string) (*Report, error) {
	r := &Report{
		Runtime: c.runtime, Rootless: os.Geteuid() != 0, Seconds: seconds(end - begin),
		Hooks: []Call{}, NotAdded: []NotAdded{}, Problems: []string{}, Notes: append([]string{}, c.notes...),
	}
	if c.opts.Rootfs == "" && len(c.opts.Command) > 0 {
		r.Notes = append(r.Notes, "conditions saw the command "+c.opts.Command[0]+"; without --rootfs, a program of hookctl ran instead")
	}
	if err := c.collect(r, begin, end, false); err != nil {
		return nil, err
	}
	r.Problems = append(r.Problems, r.faults(problems)...)
	for _, h := range r.Hooks {
		if h.Ignored {
			r.Notes = append(r.Notes, h.problem()+"; its failure policy is to ignore that")
		}
	}
	for _, d := range c.plan.Decisions {
		if d.Verdict == inject.NotAdded {
			r.NotAdded = append(r.NotAdded, NotAdded{File: d.File, Path: d.Path, Reason: d.Reason.String()})
		}
	}
	return r, nil
}

// collect adds the calls of all tasks to a report, on a time line from begin to now. While the container lives, a call
// that has not ended is running. Afterwards, a task without a call was never called.
func (c *container) collect(r *Report, begin, now int64, lives bool) error {
	for _, t := range c.tasks {
		calls, err := t.calls()
		if err != nil {
			return err
		}
		if len(calls) == 0 && !lives {
			calls = []Call{t.call()}
		}
		for i := range calls {
			if calls[i].Result == Killed && lives {
				calls[i].Result, calls[i].end = Running, now
			}
			calls[i].place(begin, now)
		}
		r.add(t, calls)
	}
	r.sort()
	return nil
}
