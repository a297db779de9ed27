// Package engines runs real containers through oci-add-hooks: with runc and crun called directly, and with Docker,
// containerd and Podman, each over both runtimes. It is a module of its own, so that the program depends on nothing
// that these tests need.
//
// The tests see the program only from outside: they build it, register it as an engine's user would, and read what the
// engine prints. Each engine's peculiarities are in one file (docker_test.go, containerd_test.go, podman_test.go, and
// cri_test.go for pods in containerd).
//
//   - suite_test.go and directories_test.go hold what applies to every engine.
//   - control_test.go breaks the profile of a running container in every way.
//   - kubernetes_test.go does on one node what deploy/kubernetes does on each.
//   - users_test.go asks hookctl which containers use a profile; ps_test.go, which hooks containers have.
//   - doctor_test.go has hookctl prove with a container that a profile is used.
//   - try_test.go runs hookctl try.
//   - bench_test.go measures whole containers. No test run includes it.
//
// Everything runs in a sandbox (sandbox_test.go): a PID and a mount namespace of its own, with an empty /run. Engines,
// containers, mounts and files end with it, however it ends. The sandbox neither sees nor touches what else runs on the
// machine. (Docker's key and Podman's cache are files at fixed paths, which stay.) The tests need root, and Debian's
// runc, crun, docker.io, containerd, podman and busybox-static. They also run with the containerd that test/newer pins
// (newer_test.go). make engines installs and builds all of it; tests whose programs are missing are skipped and
// counted:
//
//	go test -count=1
//
// The root of the sandbox is the machine's, or the one that OCI_ADD_HOOKS_TEST_ROOT names: a directory with another
// system and its engines (root_test.go). scripts/root.sh makes one from a Debian suite:
//
//	OCI_ADD_HOOKS_TEST_ROOT=$(../../scripts/root.sh trixie) go test -count=1
//
// A complete run writes a line about the engines and versions that it tested (tried_test.go).
package engines
