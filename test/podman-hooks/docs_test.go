package podmanhooks

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The examples in docs/hooks-directories.md do what the page says, with this project's code and with the library.
func TestDocumentedExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/hooks-directories.md")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	dir := filepath.Join(root, "hooks.d")
	mkdir(t, dir)
	mkdir(t, filepath.Join(root, "bin"))
	for _, m := range regexp.MustCompile("(?s)<!-- hooks directory file (\\S+) -->\n```json\n(.*?)```").FindAllSubmatch(page, -1) {
		text := strings.ReplaceAll(string(m[2]), "/usr/local/bin/", root+"/bin/")
		write(t, filepath.Join(dir, string(m[1])), text)
		for _, program := range regexp.MustCompile(regexp.QuoteMeta(root)+`/bin/[a-z-]+`).FindAllString(text, -1) {
			write(t, program, "")
		}
	}
	gpu := func(value string) map[string]string { return map[string]string{"com.example.gpu": value} }
	mounts := []string{"/data"}
	for _, tt := range []struct {
		c    container
		want string
	}{
		{container{process: true, args: []string{"sh"}, annotations: gpu("true")}, "createRuntime:gpu-setup"},
		{container{process: true, args: []string{"sh"}, annotations: gpu("false")}, ""},
		{container{process: true, args: []string{"sh"}}, ""},
		{container{process: true, args: []string{"sh"}, bindMounts: mounts}, "createContainer:label-mounts"},
		{container{process: true, args: []string{"/sbin/init"}}, "createRuntime:prepare-systemd poststop:prepare-systemd"},
		{container{process: true, args: []string{"/usr/lib/systemd/systemd"}, annotations: gpu("all")},
			"createRuntime:gpu-setup createRuntime:prepare-systemd poststop:prepare-systemd"},
		{container{process: true, args: []string{"/sbin/docker-init"}}, ""},
		{container{process: true, args: []string{"sh"}, annotations: map[string]string{"com.example.audit": "x"}}, ""},
		{container{process: true, args: []string{"sh"}, annotations: map[string]string{"com.example.audit": "x"}, bindMounts: mounts},
			"createContainer:label-mounts createRuntime:audit"},
	} {
		for who, answers := range map[string][]answer{"library": podmanAnswers([]string{dir}, []container{tt.c}),
			"ours": ourAnswers([]string{dir}, []container{tt.c}, new(tally))} {
			var got []string
			for stage, list := range answers[0].hooks {
				for _, hook := range list {
					got = append(got, stage+":"+filepath.Base(hookPath(hook)))
				}
			}
			slices.SortStableFunc(got, strings.Compare)
			if strings.Join(got, " ") != tt.want || answers[0].err != nil {
				t.Errorf("%s, %+v: %q, %v; want %q", who, tt.c, got, answers[0].err, tt.want)
			}
		}
	}
	broken := t.TempDir()
	text, err := os.ReadFile(filepath.Join(dir, "30-init.json"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(broken, "30-init.json"), strings.Replace(string(text), `"/systemd$"`, `"(/systemd"`, 1))
	a := ourAnswers([]string{broken}, []container{{}}, new(tally))[0]
	said := regexp.MustCompile(`(?m)^    /etc/containers/oci/hooks\.d(/30-init\.json:.*)$`).FindSubmatch(page)
	if a.err == nil || said == nil || a.err.Error() != broken+string(said[1]) {
		t.Errorf("the page says %q; got %v", said, a.err)
	}
}
