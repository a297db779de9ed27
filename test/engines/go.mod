module github.com/awslabs/oci-add-hooks/test/engines

go 1.26

require github.com/google/go-cmp v0.7.0
