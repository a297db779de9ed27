package bundle

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// writeConfig creates a bundle in a new directory and returns the path of its config.json.
func writeConfig(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(`{"old":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func replace(t *testing.T, path, data string) error {
	t.Helper()
	c, err := Read(path, "", false)
	if err != nil {
		t.Fatal(err)
	}
	return c.overwrite([]byte(data))
}

// overwrite replaces config.json as a plan is carried out.
func (c *Config) overwrite(data []byte) error {
	place, err := c.Lock()
	if err != nil {
		return err
	}
	defer place.Unlock()
	return c.Replace(place, jsonfile.Text{data})
}

// checkDirectory checks the names in the directory of path: there must be no temporary file.
func checkDirectory(t *testing.T, path string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the directory holds (-want +got)\n%s", diff)
	}
}

func checkText(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
	}
}

func TestReplaceKeepsMode(t *testing.T) {
	for _, mode := range []uint32{0o600, 0o644, 0o666, 0o400, 0o4750} {
		path := writeConfig(t)
		if err := unix.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := replace(t, path, "new"); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil || st.Mode&0o7777 != mode {
			t.Errorf("mode %o became %o, %v", mode, st.Mode&0o7777, err)
		}
		checkText(t, path, "new")
		checkDirectory(t, path, "config.json")
	}
}

func TestReplaceKeepsOwnerAndAttributes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a file to another user")
	}
	path := writeConfig(t)
	if err := os.Chown(path, 1234, 2345); err != nil {
		t.Fatal(err)
	}
	attributes := map[string]string{
		"user.note":                 "kept",
		"user.empty":                "",
		"trusted.note":              "kept too",
		"system.posix_acl_access":   acl(7, 5),
		"security.oci-add-hooks.it": "a label, as SELinux sets one",
	}
	for name, value := range attributes {
		if err := unix.Setxattr(path, name, []byte(value), 0); err != nil {
			t.Skipf("the file system of %s does not support the attribute %s (%v)", filepath.Dir(path), name, err)
		}
	}
	if err := replace(t, path, "new"); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || st.Uid != 1234 || st.Gid != 2345 {
		t.Errorf("owner %d:%d, %v", st.Uid, st.Gid, err)
	}
	for name, want := range attributes {
		got := make([]byte, 100)
		n, err := unix.Getxattr(path, name, got)
		if err != nil || string(got[:max(n, 0)]) != want {
			t.Errorf("%s is %q, %v; want %q", name, got[:max(n, 0)], err, want)
		}
	}
	checkText(t, path, "new")
}

// TestReplaceTakesNoACLFromTheDirectory: a directory's default ACL must not give more users access to the new file than
// to the old one.
func TestReplaceTakesNoACLFromTheDirectory(t *testing.T) {
	path := writeConfig(t)
	if err := unix.Setxattr(filepath.Dir(path), "system.posix_acl_default", []byte(acl(7, 7)), 0); err != nil {
		t.Skipf("the file system of %s has no ACLs (%v)", filepath.Dir(path), err)
	}
	if err := replace(t, path, "new"); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Getxattr(path, "system.posix_acl_access", nil); err != unix.ENODATA {
		t.Errorf("an ACL of %d bytes, %v", n, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || st.Mode&0o7777 != 0o600 {
		t.Errorf("mode %o, %v", st.Mode&0o7777, err)
	}
}

// acl returns a POSIX ACL in the kernel's format. The owner has 6, the user 1000 and the mask have the given
// permissions, the group has 4 and others have none.
func acl(user, mask byte) string {
	entry := func(tag, perm byte, id string) string { return string([]byte{tag, 0, perm, 0}) + id }
	none, u1000 := "\xff\xff\xff\xff", "\xe8\x03\x00\x00"
	return "\x02\x00\x00\x00" + entry(1, 6, none) + entry(2, user, u1000) + entry(4, 4, none) + entry(16, mask, none) + entry(32, 0, none)
}

func TestReplaceFollowsALink(t *testing.T) {
	path := writeConfig(t)
	dir := t.TempDir()
	link := filepath.Join(dir, "config.json")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := replace(t, link, "new"); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != path {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	checkText(t, path, "new")
	checkDirectory(t, path, "config.json")
	checkDirectory(t, link, "config.json")
}

// TestReplacePassesOverLeftovers: temporary files that a killed process left do not prevent a replacement.
func TestReplacePassesOverLeftovers(t *testing.T) {
	path := writeConfig(t)
	for _, n := range []string{"0", "1"} {
		left := filepath.Join(filepath.Dir(path), ".config.json."+strconv.Itoa(os.Getpid())+"-"+n+".tmp")
		if err := os.Symlink("/nowhere/at/all", left); err != nil {
			t.Fatal(err)
		}
	}
	if err := replace(t, path, "new"); err != nil {
		t.Fatal(err)
	}
	checkText(t, path, "new")
}

// privateMounts moves the test's thread into a new mount namespace, so that an interrupted test leaves no mounts. The
// thread is not unlocked, so that it ends with the test.
func privateMounts(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		t.Skipf("no mount namespace can be created here (%v)", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
}

// TestReplaceFails: after any failure, config.json is unchanged and there is no file beside it.
func TestReplaceFails(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount file systems")
	}
	mount := func(t *testing.T, options string) string {
		t.Helper()
		privateMounts(t)
		dir := t.TempDir()
		if err := unix.Mount("none", dir, "tmpfs", 0, options); err != nil {
			t.Skipf("no tmpfs can be mounted here (%v)", err)
		}
		t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
		path := filepath.Join(dir, "config.json")
		if err := os.WriteFile(path, []byte(`{"old":1}`), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Run("full", func(t *testing.T) {
		path := mount(t, "size=64k")
		err := replace(t, path, strings.Repeat("x", 1<<20))
		if err == nil || !strings.Contains(err.Error(), path+": cannot be replaced: the new text cannot be written: the file system is full (ENOSPC)") {
			t.Errorf("%v", err)
		}
		checkText(t, path, `{"old":1}`)
		checkDirectory(t, path, "config.json")
	})
	t.Run("no more files", func(t *testing.T) {
		path := mount(t, "nr_inodes=2")
		if err := replace(t, path, "new"); err == nil || !strings.Contains(err.Error(), "no file can be created beside it: the file system is full (ENOSPC)") {
			t.Errorf("%v", err)
		}
		checkText(t, path, `{"old":1}`)
	})
	t.Run("read-only", func(t *testing.T) {
		path := mount(t, "")
		if err := unix.Mount("none", filepath.Dir(path), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		if err := replace(t, path, "new"); err == nil || !strings.Contains(err.Error(), "the file system is read-only (EROFS)") {
			t.Errorf("%v", err)
		}
		checkText(t, path, `{"old":1}`)
	})
	t.Run("the file is a mount point", func(t *testing.T) {
		path := mount(t, "")
		if err := unix.Mount(path, path, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		if err := replace(t, path, "new"); err == nil || !strings.Contains(err.Error(), "the new file cannot be renamed: it is in use, or something is mounted on it (EBUSY)") {
			t.Errorf("%v", err)
		}
		checkText(t, path, `{"old":1}`)
		checkDirectory(t, path, "config.json")
		unix.Unmount(path, unix.MNT_DETACH)
	})
	t.Run("the directory is gone", func(t *testing.T) {
		path := writeConfig(t)
		c, err := Read(path, "", false)
		if err != nil {
			t.Fatal(err)
		}
		os.RemoveAll(filepath.Dir(path))
		if err := c.overwrite([]byte("new")); err == nil || !strings.Contains(err.Error(), "(ENOENT)") {
			t.Errorf("%v", err)
		}
	})
}

// TestReplaceAnotherFile: Replace does not change a file that is not the one that was read, or was written to since.
func TestReplaceAnotherFile(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"renamed over": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", []byte("theirs"), 0o600), os.Rename(path+".new", path))
		},
		"removed and written again": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte("theirs"), 0o600))
		},
		"written to": func(path string) error { return os.WriteFile(path, []byte("theirs"), 0o600) },
		"a link to another file": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", []byte("theirs"), 0o600), os.Remove(path), os.Symlink("config.json.new", path))
		},
		"the directory is another": func(path string) error {
			dir := filepath.Dir(path)
			return errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o700), os.WriteFile(path, []byte("theirs"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "b", "config.json")
			if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(`{"old":1}`), 0o600)); err != nil {
				t.Fatal(err)
			}
			c, err := Read(path, "", false)
			if err != nil {
				t.Fatal(err)
			}
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			if err := c.overwrite([]byte("new")); !errors.Is(err, jsonfile.ErrChanged) {
				t.Errorf("%v", err)
			}
			checkText(t, path, "theirs")
		})
	}
}

// TestReplaceIsAtomic: a reader that opens the file while it is replaced reads the complete old or new text.
func TestReplaceIsAtomic(t *testing.T) {
	path := writeConfig(t)
	texts := [][]byte{bytes.Repeat([]byte("a"), 1<<20), bytes.Repeat([]byte("b"), 1<<19)}
	if err := os.WriteFile(path, texts[0], 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < 200 && err == nil; i++ {
			c := &Config{}
			if c.file, err = jsonfile.Read(path); err == nil {
				err = c.overwrite(texts[i%2])
			}
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			checkDirectory(t, path, "config.json")
			return
		default:
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, texts[0]) && !bytes.Equal(got, texts[1]) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
		}
	}
}
