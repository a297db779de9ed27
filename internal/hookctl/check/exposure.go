package check

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// exposure warns if others than root (and the user who checks) may write to the file at path, or to a folder on its way.
// n is the place that names it. A place is told of once.
func (c *checker) exposure(n *node, path string) {
	where, who, remedy := exposed(path)
	if where == "" || c.exposed[where] {
		return
	}
	c.exposed[where] = true
	c.warn("writable", n, fmt.Sprintf("%s may write to %s, and hooks run as root", who, where), remedy)
}

// exposed gives the first place on the way from the file at path up to the root that others may write to, who they are,
// and what to do. A link's own way is looked at, and that of the file which it leads to.
func exposed(path string) (where, who, remedy string) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", "", ""
	}
	if where, who, remedy = climb(path, nil); where != "" {
		return where, who, remedy
	}
	if link, err := os.Lstat(path); err == nil && link.Mode()&fs.ModeSymlink != 0 {
		return climb(filepath.Dir(path), link)
	}
	return "", "", ""
}

// climb looks at the file at path, with links followed, and at the folders above it. below is what matters in it, if it
// is a folder.
func climb(path string, below os.FileInfo) (where, who, remedy string) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", "", ""
	}
	for {
		st, err := os.Stat(path)
		if err != nil {
			return "", "", ""
		}
		if who, remedy := writer(st, below); who != "" {
			return path, who, remedy + " " + path
		}
		if path == "/" {
			return "", "", ""
		}
		below, path = st, filepath.Dir(path)
	}
}

// writer says who but root and this user may write to a file or folder, and the command against it. In a folder with
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
