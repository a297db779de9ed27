package check

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// exposure warns if anyone but root (and the user who checks) may write to the file at path, or to a directory on the
// way to it. n is the value that names the file. Each such file or directory is reported once.
func (c *checker) exposure(n *node, path string) {
	where, who, remedy := exposed(path)
	if where == "" || c.exposed[where] {
		return
	}
	c.exposed[where] = true
	c.warn("writable", n, fmt.Sprintf("%s may write to %s, and hooks run as root", who, where), remedy)
}

// Exposure returns a warning for each of dirs if anyone but root (and the user who asks) may write to it, or to a
// directory on the way to it.
func Exposure(dirs ...string) (findings []Finding) {
	for _, dir := range dirs {
		where, who, remedy := exposed(dir)
		if where != "" && !slices.ContainsFunc(findings, func(f Finding) bool { return f.File == where }) {
			findings = append(findings, Finding{File: where, Severity: Warning, Kind: "writable", Problem: who + " may write to it, and hooks run as root", Hint: remedy})
		}
	}
	return findings
}

// exposed returns the first file or directory on the way from the root to path that others may write to, who they are,
// and the remedy. It follows the kernel's way: each directory that is passed counts, both before and after a link.
func exposed(path string) (where, who, remedy string) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", "", ""
	}
	at, links := "/", 0 // at has no link in it
	ahead := strings.Split(path, "/")
	for len(ahead) > 0 {
		name := ahead[0]
		ahead = ahead[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at) // which has been examined
			continue
		}
		next := filepath.Join(at, name)
		directory, err := os.Lstat(at)
		if err != nil {
			return "", "", ""
		}
		st, err := os.Lstat(next)
		if err != nil {
			return "", "", ""
		}
		if who, remedy := writer(directory, st); who != "" {
			return at, who, remedy + " " + at
		}
		if st.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		target, err := os.Readlink(next)
		if links++; err != nil || links > mostLinks {
			return "", "", ""
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		ahead = append(strings.Split(target, "/"), ahead...)
	}
	st, err := os.Lstat(at)
	if err != nil {
		return "", "", ""
	}
	if who, remedy := writer(st, nil); who != "" {
		return at, who, remedy + " " + at
	}
	return "", "", ""
}

// mostLinks is the number of links that the kernel follows (path_resolution(7)).
const mostLinks = 40

// writer returns who besides root and this user may write to a file or directory, and the command that prevents it; ""
// if nobody may. In a directory with the sticky bit, nobody can replace another user's file. below is the file in it
// that matters; nil if there is none.
func writer(st, below os.FileInfo) (who, remedy string) {
	owner := st.Sys().(*syscall.Stat_t)
	sticky := st.Mode()&fs.ModeSticky != 0 && below != nil && trusted(below.Sys().(*syscall.Stat_t).Uid)
	switch {
	case !trusted(owner.Uid):
		return "the user " + userName(owner.Uid), "chown root"
	case sticky:
		return "", ""
	case st.Mode()&0o002 != 0:
		return "anyone", "chmod o-w"
	case st.Mode()&0o020 != 0 && owner.Gid != 0 && !(os.Geteuid() != 0 && int(owner.Gid) == os.Getegid()):
		return "the group " + groupName(owner.Gid), "chmod g-w"
	}
	return "", ""
}

func trusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

func userName(uid uint32) string {
	id := strconv.Itoa(int(uid))
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func groupName(gid uint32) string {
	id := strconv.Itoa(int(gid))
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}
