// Package report tells of an error where people look for it: in the log file from which an engine takes the message
// that it shows, and on standard error.
//
// It knows the two formats of that log (JSON and logrus text), and the wording that engines act upon. It knows nothing
// of the rest of the program.
package report

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sys/unix"
)

// prefix begins every message, so that nobody takes it for the runtime's or the container's.
const prefix = "oci-add-hooks: "

// Log is the runtime's log, as the runtime's own options --log and --log-format ask for it.
type Log struct {
	Path   string // a file, or what crun takes: file:PATH, journald:..., syslog:...; empty if there is none
	Format string // "json", or anything else for logrus text
}

// Error tells of err in one line: on standard error, and in the log if there is one. That the log cannot be written is
// told on standard error too.
func Error(err error, log Log) {
	message := prefix + legible(err.Error())
	text := message + "\n"
	if logErr := log.write("error", message); logErr != nil {
		text += prefix + legible(logErr.Error()) + "\n"
	}
	print(text)
}

// Line prints message as one line to standard error, after the name of the program.
func Line(program, message string) { print(program + ": " + legible(message) + "\n") }

func print(text string) {
	// Not by os.Stderr, which has the process killed by SIGPIPE where nobody reads: the exit status is to be ours. What
	// cannot be written here can be told nowhere else.
	if !exceeds(unix.Stderr, len(text)) {
		_, _ = unix.Write(unix.Stderr, []byte(text))
	}
}

// exceeds reports whether so many bytes more make a regular file larger than this process may make one, for which the kernel
// would end it by a signal (setrlimit(2), RLIMIT_FSIZE).
func exceeds(fd, n int) bool {
	var st unix.Stat_t
	var limit unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_FSIZE, &limit) == nil && limit.Cur != unix.RLIM_INFINITY &&
		unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && uint64(st.Size)+uint64(n) > limit.Cur
}

// Debug writes a line to the log. It never writes to standard error, which is the container's by now; if the log cannot
// be written, the runtime, which opens it next, says so.
func Debug(message string, log Log) {
	_ = log.write("debug", prefix+legible(message))
}

func (l Log) write(level, message string) error {
	path := strings.TrimPrefix(l.Path, "file:")
	if path == "" || strings.HasPrefix(path, "journald:") || strings.HasPrefix(path, "syslog:") {
		return nil
	}
	now := time.Now().UTC().Format(time.RFC3339)
	var line []byte
	if l.Format == "json" {
		line = append(line, `{"level":"`+level+`","msg":`...)
		line, _ = jsontext.AppendQuote(line, message) // fails on invalid UTF-8 alone, which legible leaves none of
		line = append(line, `,"time":"`+now+`"}`...)
	} else {
		line = fmt.Appendf(line, "time=%q level=%s msg=%q", now, level, message)
	}
	// Without O_NONBLOCK a FIFO that nobody reads would hold up the engine for ever.
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0o644)
	if err == nil {
		// One write, so that lines of several writers do not mix.
		var n int
		line = append(line, '\n')
		if exceeds(fd, len(line)) {
			err = unix.EFBIG
		} else if n, err = unix.Write(fd, line); err == nil && n < len(line) {
			err = errors.New("only a part of the line could be written")
		}
		unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("the log %s cannot be written: %w; %s", path, Plain(err), cmp.Or(Remedy(err), "make room for it"))
	}
	return nil
}

// longest is about the length in bytes of the longest message: a name in a file may be as long as the file, and an engine
// reads the whole log. Of a longer one the middle is left out: the place is at its beginning, what to do at its end.
const longest = 4 << 10

// actedOn are the phrases by which engines decide what a failure means, whoever wrote them: Docker and Podman turn them
// into exit status 126 or 127 and hints of their own, containerd and CRI-O into "the container is gone".
var actedOn = []string{
	"no such file or directory", "permission denied", "operation not permitted", "executable file not found",
	"not a directory", "is a directory", "open executable", "does not exist", "no such process",
	"process already finished", "container not running",
}

// legible makes of message one line of printable text, shortened where it is too long, that holds no phrase that engines
// act on: what a path or a file's contents bring in is escaped, and the spaces of such a phrase become underscores.
func legible(message string) string {
	if len(message) > 2*longest {
		message = message[:longest] + message[len(message)-longest:]
	}
	text := escape(message)
	if len(text) > longest {
		head, tail := longest/2, len(text)-longest/2
		for !utf8.RuneStart(text[head]) {
			head--
		}
		for !utf8.RuneStart(text[tail]) {
			tail++
		}
		text = slices.Concat(text[:head], []byte(" ... "), text[tail:])
	}
	for _, phrase := range actedOn {
		for i := 0; i+len(phrase) <= len(text); i++ {
			if bytes.EqualFold(text[i:i+len(phrase)], []byte(phrase)) {
				copy(text[i:], bytes.ReplaceAll(text[i:i+len(phrase)], []byte(" "), []byte("_")))
			}
		}
	}
	return string(text)
}

// escape returns message in printable characters.
func escape(message string) (text []byte) {
	for i := 0; i < len(message); {
		r, n := utf8.DecodeRuneInString(message[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			text = fmt.Appendf(text, `\x%02x`, message[i])
		case strconv.IsPrint(r):
			text = utf8.AppendRune(text, r)
		default:
			text = append(text, strings.Trim(strconv.QuoteRune(r), "'")...)
		}
		i += n
	}
	return text
}
