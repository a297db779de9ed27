package check

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// exposure warns if others than root (and the user who checks) may write to the file at path, or to a directory on its way.
// n is the place that names it. A place is told of once.
func (c *checker) exposure(n *node, path string) {
	where, who, remedy := exposed(path)
	if where == "" || c.exposed[where] {
		return
	}
	c.exposed[where] = true
	c.warn("writable", n, fmt.Sprintf("%s may write to %s, and hooks run as root", who, where), remedy)
}

// exposed returns the first place on the way from the root to the file at path that others may write to, who they are, and
// what to do. It goes the way that the kernel goes: each directory that is passed counts, those on the way to a link and
// those on the way on from it.
func exposed(path string) (where, who, remedy string) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", "", ""
	}
	at, links := "/", 0 // no part of at is a link
	ahead := strings.Split(path, "/")
	for len(ahead) > 0 {
		name := ahead[0]
		ahead = ahead[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at) // which has been looked at
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

// mostLinks is how many links the kernel follows (path_resolution(7)).
const mostLinks = 40

// writer says who but root and this user may write to a file or directory, and the command against it. In a directory with
// the sticky bit nobody can take away what is another's: below is what matters in it.
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
