// The differential tests of hooks directories compare this project with Podman's library. They are a separate module, so
// that the runtime does not depend on the library.
module github.com/awslabs/oci-add-hooks/test/podman-hooks

go 1.26.0

require (
	github.com/awslabs/oci-add-hooks v0.0.0
	github.com/google/go-cmp v0.7.0
	github.com/opencontainers/runtime-spec v1.2.1
	go.podman.io/common v0.66.1
)

require (
	github.com/fsnotify/fsnotify v1.9.0 // indirect
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/sirupsen/logrus v1.9.3 // indirect
	go.podman.io/storage v1.61.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/awslabs/oci-add-hooks => ../..
