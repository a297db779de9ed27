// Package report reports an error in the places where people look for it: in the log file from which an engine takes
// the message that it shows, and on standard error (rule 18).
//
// It knows the two formats of that log (JSON and logrus text), and the phrases that engines act on. It knows nothing
// about the rest of the program.
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

// prefix begins every message, so that nobody mistakes it for one of the runtime or the container.
const prefix = "oci-add-hooks: "

// Log is the runtime's log, as the runtime's options --log and --log-format name it.
type Log struct {
	Path   string // a file, or one of crun's forms file:PATH, journald:... and syslog:...; empty if there is none
	Format string // "json", or anything else for logrus text
}

// Error reports err in one line: on standard error, and in the log if there is one. If it cannot write to the log, it
// reports that on standard error too.
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
	// If nobody reads, a write to os.Stderr would let SIGPIPE kill the process, but it must exit with its own status.
	// If the write fails, there is no other place for the message.
	if !exceeds(unix.Stderr, len(text)) {
		_, _ = unix.Write(unix.Stderr, []byte(text))
	}
}

// exceeds reports whether n more bytes would make the regular file fd exceed RLIMIT_FSIZE. The kernel would end this
// process by a signal for that (setrlimit(2)).
func exceeds(fd, n int) bool {
	var st unix.Stat_t
	var limit unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_FSIZE, &limit) == nil && limit.Cur != unix.RLIM_INFINITY &&
		unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && uint64(st.Size)+uint64(n) > limit.Cur
}

// Debug writes a line to the log. It never writes to standard error, which now belongs to the container. It ignores a
// failure, because the runtime opens the log next and reports it.
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
		line, _ = jsontext.AppendQuote(line, message) // fails only for invalid UTF-8, which legible has escaped
		line = append(line, `,"time":"`+now+`"}`...)
	} else {
		line = fmt.Appendf(line, "time=%q level=%s msg=%q", now, level, message)
	}
	// Without O_NONBLOCK, a FIFO without a reader would block the engine forever.
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0o644)
	if err == nil {
		// It is one write, so that the lines of several writers do not mix.
		var n int
		line = append(line, '\n')
		if exceeds(fd, len(line)) {
			err = unix.EFBIG
		} else if n, err = unix.Write(fd, line); err == nil && n < len(line) {
			err = errors.New("only a part of the line was written")
		}
		unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("the log %s cannot be written: %w; %s", path, Plain(err), cmp.Or(Remedy(err), "make room for it"))
	}
	return nil
}

// longest is the approximate maximum length of a message in bytes. A name in a file may be as long as the file, and an
// engine reads the whole log. legible cuts the middle of a longer message, because it begins with the place and ends
// with the remedy.
const longest = 4 << 10

// actedOn are the phrases from which engines conclude what a failure means, whoever wrote them (rule 19). Docker and
// Podman turn them into exit status 126 or 127 and hints of their own. containerd and CRI-O conclude that the container
// is gone.
var actedOn = []string{
	"no such file or directory", "permission denied", "operation not permitted", "executable file not found",
	"not a directory", "is a directory", "open executable", "does not exist", "no such process",
	"process already finished", "container not running",
}

// legible returns message as one line of printable text that contains no phrase that engines act on. It escapes the
// other characters, which may come from a path or a file's content. It replaces the spaces in such a phrase by
// underscores, and shortens a long message.
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

// escape returns message with all but printable characters escaped.
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
