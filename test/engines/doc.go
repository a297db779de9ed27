// Package engines runs real containers through oci-add-hooks: with runc and crun called directly, and with
// Docker, containerd and Podman, each of them over both runtimes. It is a module of its own, so that nothing
// it needs reaches the program.
//
// The tests know the program from outside only: they build it, register it as an engine's user would, and read
// what the engine says. What differs between engines is in one file each (docker_test.go, containerd_test.go,
// podman_test.go, and cri_test.go for Kubernetes' way into containerd); what must be so under every engine is in
// suite_test.go and directories_test.go, and control_test.go breaks the profile of a running container in every way.
// kubernetes_test.go does on one node what deploy/kubernetes does on each; users_test.go asks hookctl which containers
// use a profile, ps_test.go which hooks containers have; doctor_test.go has it prove by a container that it is used; try_test.go runs hookctl try; bench_test.go, which no test run runs, takes the times of whole
// containers.
//
// All of it happens in a sandbox (sandbox_test.go): PID and mount namespaces of their own, with an empty /run. Engines,
// containers, mounts and files end with it, however it ends, and what runs on this machine besides is neither seen nor
// touched. (Docker's key and Podman's cache are files at fixed places, which stay.) It takes root, and Debian's runc,
// crun, docker.io, containerd, podman and busybox-static; containerd is tried once more as test/newer has it
// (newer_test.go). make engines installs and builds it all; what is missing is skipped and counted:
//
//	go test -count=1
//
// The sandbox has the machine's root, or that of OCI_ADD_HOOKS_TEST_ROOT, a directory with another system and its
// engines (root_test.go). scripts/root.sh makes one from a Debian suite:
//
//	OCI_ADD_HOOKS_TEST_ROOT=$(../../scripts/root.sh trixie) go test -count=1
//
// A whole run leaves a line about the engines and versions that it tried (tried_test.go).
package engines
