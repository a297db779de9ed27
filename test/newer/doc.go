// Package newer pins a recent containerd and runc, which test/engines tries besides Debian's older ones. Its go.mod
// lists the commands as tools, and make engines builds them into bin/newer. It is a separate module, because they need
// more than a hundred others.
package newer
