// Package proctest adds processes to a /proc made of files, for tests of code that reads one.
package proctest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Add writes the directory of a process of this user below ROOT/proc, and returns it. Only this user can write its
// program, its namespaces are this process's, and its root directory is root. Add also makes an empty directory for
// process 1.
func Add(root string, pid int, args ...string) (string, error) {
	dir := filepath.Join(root, "proc", strconv.Itoa(pid))
	for _, needed := range []string{filepath.Join(root, "proc/1"), filepath.Join(dir, "ns")} {
		if err := os.MkdirAll(needed, 0o755); err != nil {
			return "", err
		}
	}
	program := filepath.Join(root, "proc", ".program")
	uid := os.Geteuid()
	for path, text := range map[string]string{
		program:          "",
		dir + "/cmdline": strings.Join(args, "\x00") + "\x00",
		dir + "/environ": "",
		dir + "/stat":    fmt.Sprintf("%d (a) b) S%s\n", pid, strings.Repeat(" 0", 40)),
		dir + "/status":  fmt.Sprintf("Name:\ta\nUid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\nCapEff:\t000001ffffffffff\n", uid),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	for link, target := range map[string]string{
		"exe": program, "root": root, "ns/user": "/proc/self/ns/user", "ns/pid": "/proc/self/ns/pid",
	} {
		link = filepath.Join(dir, link)
		if err := os.RemoveAll(link); err != nil {
			return "", err
		}
		if err := os.Symlink(target, link); err != nil {
			return "", err
		}
	}
	return dir, nil
}
