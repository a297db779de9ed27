module github.com/awslabs/oci-add-hooks

go 1.26.0

require (
	github.com/go-json-experiment/json v1.27.2
	golang.org/x/sys v0.49.0
)
