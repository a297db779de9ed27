package hookrun

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// stream is a pipe to which a hook prints.
//
// The hook's end is open for reading too, so the pipe has a reader as long as it has a writer. A process that a hook
// leaves running is then not killed by SIGPIPE when this process ends, just as without supervision. Once nobody reads the
// pipe, it does not block: output that does not fit fails (EAGAIN) and is lost.
type stream struct {
	read  *os.File
	hooks int // the descriptor of the hook's end
	to    io.Writer
	done  chan struct{} // closed when this process has stopped reading
}

func newStream(to io.Writer) (*stream, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	// Without /proc, the hook's end is open only for writing.
	if both, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", p[1]), unix.O_RDWR|unix.O_CLOEXEC, 0); err == nil {
		unix.Close(p[1])
		p[1] = both
	}
	if err := unix.SetNonblock(p[0], true); err != nil { // so that reading has deadlines
		unix.Close(p[0])
		unix.Close(p[1])
		return nil, err
	}
	s := &stream{read: os.NewFile(uintptr(p[0]), "pipe"), hooks: p[1], to: to, done: make(chan struct{})}
	go func() {
		s.copy(-1)
		close(s.done)
	}()
	return s, nil
}

// copy copies up to n bytes to s.to. If n is negative, it copies until reading fails.
func (s *stream) copy(n int) {
	buf := make([]byte, 32<<10)
	for n != 0 {
		if n > 0 {
			buf = buf[:min(n, len(buf))]
		}
		got, err := s.read.Read(buf)
		if got > 0 && s.to != nil {
			_, _ = s.to.Write(buf[:got])
		}
		if err != nil {
			return
		}
		n -= got
	}
}

// end copies the bytes that are in the pipe now, and then stops reading.
func (s *stream) end() {
	s.read.SetReadDeadline(time.Now())
	<-s.done
	s.read.SetReadDeadline(time.Time{})
	// A process that the hook left running may print endlessly.
	if conn, err := s.read.SyscallConn(); err == nil {
		waiting := 0
		_ = conn.Control(func(fd uintptr) { waiting, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
		s.copy(waiting)
	}
	if s.hooks >= 0 {
		_ = unix.SetNonblock(s.hooks, true)
		s.release()
	}
	s.read.Close()
}

// release closes this process's copy of the hook's end.
func (s *stream) release() {
	unix.Close(s.hooks)
	s.hooks = -1
}

// held reports whether one of the streams is still open for writing after patience. Until then the streams are read.
func held(patience time.Duration, streams ...*stream) bool {
	for _, s := range streams {
		s.release()
	}
	deadline := time.After(patience)
	for _, s := range streams {
		select {
		case <-s.done: // the end of the file
		case <-deadline:
			return true
		}
	}
	return false
}

// endUnless ends the stream if *err is set.
func (s *stream) endUnless(err *error) {
	if *err != nil {
		s.end()
	}
}
