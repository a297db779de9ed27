package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Two builds of a commit have the same bytes, even in another directory, at another time, with sources of another age,
// and with another time zone, language and umask.
func TestReproducible(t *testing.T) {
	args := []string{"dist", "package", "ARCHS=amd64 arm64", "VERSION=v1.2.3", "COMMIT=abc", "SOURCE_DATE_EPOCH=1700000000"}
	one, other := copyCheckout(t), copyCheckout(t)
	ok(t, "find", other, "-exec", "touch", "-h", "-d", "2001-02-03", "{}", "+")
	makeIn(t, one, args...)
	t.Setenv("TZ", "Asia/Tokyo")
	t.Setenv("LANG", "de_DE.UTF-8")
	t.Setenv("GOAMD64", "v3")
	ok(t, append([]string{"sh", "-c", `umask 077; exec make --no-print-directory -C "$0" "$@"`, other}, args...)...)

	sums, err := os.ReadFile(one + "/dist/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(other + "/dist/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(sums), "\n") != 12 || string(sums) != string(again) {
		t.Errorf("the first time:\n%s\nthe second time:\n%s", sums, again)
	}
	check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = filepath.Join(one, "dist")
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// copyCheckout copies this checkout, without the files of git and make. It returns the path of the copy.
func copyCheckout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ok(t, "sh", "-c", `tar -C .. --exclude=./.git --exclude=./bin --exclude=./dist -cf - . | tar -C "$0" -xf - --touch`, dir)
	return dir
}

func makeIn(t *testing.T, dir string, args ...string) {
	t.Helper()
	ok(t, append([]string{"make", "--no-print-directory", "-C", dir}, args...)...)
}
