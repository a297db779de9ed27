package canary

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/try"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// inside is the path of this program in the image.
const inside = "hookctl"

// writeImage writes an archive, as `docker save` does, with an image that holds only this program. The program also has
// the names of the hooks that run in the container.
func writeImage(path, name string, uses profile.Profile) error {
	const self = "/proc/self/exe" // it exists even if this process has changed its root
	if err := try.WantStatic(self); err != nil {
		return err
	}
	text, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	contents := []file{{name: inside, mode: 0o755, text: text}, {name: strings.TrimPrefix(marker, "/"), mode: 0o644}}
	for _, hook := range within(uses) {
		contents = append(contents, file{name: strings.TrimPrefix(hook, "/"), mode: 0o755, link: inside})
	}
	layer, err := archive(contents...)
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": []string{"/" + inside, role}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		return err
	}
	configName := fmt.Sprintf("%x.json", sha256.Sum256(config))
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	image, err := archive(file{name: "layer.tar", mode: 0o644, text: layer}, file{name: configName, mode: 0o644, text: config},
		file{name: "manifest.json", mode: 0o644, text: manifest})
	if err != nil {
		return err
	}
	return os.WriteFile(path, image, 0o600)
}

// within returns the paths of hooks that run in the container.
func within(uses profile.Profile) (paths []string) {
	for _, f := range uses.Files {
		for _, h := range f.Hooks {
			if h.Stage == hooks.StartContainer {
				paths = append(paths, filepath.Clean(h.Path))
			}
		}
	}
	if dirs, err := hooks.ReadDirectories(uses.Dirs); err == nil { // an error is reported when the container is refused
		decisions, _ := dirs.Decide(hooks.Container{})
		for _, d := range decisions {
			if slices.Contains(d.Stages, hooks.StartContainer) {
				paths = append(paths, filepath.Clean(d.Path))
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

type file struct {
	name string
	mode int64
	text []byte
	link string // the name of the file that this is a hard link to; empty if it is not one
}

func archive(files ...file) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.text)), Linkname: f.link}
		if f.link != "" {
			header.Typeflag = tar.TypeLink
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.text); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}
