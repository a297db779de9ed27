// Pause is the process of a pod's sandbox. It holds the namespaces and reaps orphans in them until it is ended.
package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	ended, orphaned := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGTERM, unix.SIGINT)
	signal.Notify(orphaned, unix.SIGCHLD)
	for {
		select {
		case <-ended:
			return
		case <-orphaned:
			for pid := 1; pid > 0; {
				pid, _ = unix.Wait4(-1, nil, unix.WNOHANG, nil) // fails when no child is left
			}
		}
	}
}
