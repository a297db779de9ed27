// Package newer pins a containerd and a runc of today, for test/engines to try beside the older ones that Debian has. Its
// go.mod lists the commands as tools, and make engines builds them into bin/newer. It is a module of its own, for they
// need a hundred and more others.
package newer
