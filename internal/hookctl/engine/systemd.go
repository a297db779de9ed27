package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
)

// Restarting returns Reload for a daemon that reads its configuration when it starts.
func Restarting(daemon, config string) Reload {
	r := Reload{
		Command: "systemctl restart " + daemon,
		Effect:  "running containers and pods run on; until it is back, none can be started or stopped",
		Do:      func(ctx context.Context) error { return restart(ctx, daemon, config) },
	}
	switch units, err := unitsOf(daemon, config); {
	case err == nil && len(units) == 1:
		r.Command = "systemctl restart " + units[0]
	case !slices.Contains(usualConfigs, config):
		r.Command = "restart " + daemon + " as it was started"
	}
	return r
}

// restart restarts the daemon that reads a configuration, if systemd has started it: nobody else knows how.
func restart(ctx context.Context, daemon, config string) error {
	units, err := unitsOf(daemon, config)
	if err != nil {
		return err
	}
	if len(units) != 1 {
		return fmt.Errorf("%s has to read %s anew, but is run by no unit of systemd, or by several (%d found); restart it as it was started, and do without --reload here",
			daemon, config, len(units))
	}
	systemctl, err := command.Find("systemctl")
	if err != nil {
		return err
	}
	_, err = command.Output(ctx, systemctl, "restart", units[0])
	return err
}

// unitsOf gives systemd's units in which a program runs with a configuration, by its cgroups: k3s, for one, has a
// containerd of its own in its unit, and dockerd may have one.
func unitsOf(program, config string) (units []string, err error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		pid, pidErr := strconv.Atoi(filepath.Base(dir))
		argv, argvErr := os.ReadFile(dir + "/cmdline")
		cgroups, cgroupErr := os.ReadFile(dir + "/cgroup")
		if pidErr != nil || argvErr != nil || cgroupErr != nil { // it has ended
			continue
		}
		if !Runs(pid, program) || !Reads(strings.Split(string(argv), "\x00"), config) {
			continue
		}
		for part := range strings.FieldsFuncSeq(string(cgroups), func(r rune) bool { return r == '/' || r == '\n' }) {
			if strings.HasSuffix(part, ".service") && !slices.Contains(units, part) {
				units = append(units, part)
			}
		}
	}
	return units, nil
}

// Runs reports whether a process is a program of that name.
func Runs(pid int, program string) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && filepath.Base(strings.TrimSuffix(exe, " (deleted)")) == program
}

// Reads reports whether a daemon with these arguments reads a configuration: the one that it is given, or its usual one.
func Reads(argv []string, config string) bool {
	for i, arg := range argv {
		name, value, joined := strings.Cut(arg, "=")
		if !slices.Contains([]string{"--config", "-config", "-c", "--config-file"}, name) {
			continue
		}
		if !joined && i+1 < len(argv) {
			value = argv[i+1]
		}
		return value == config
	}
	return slices.Contains(usualConfigs, config)
}

var usualConfigs = []string{"/etc/containerd/config.toml", "/etc/crio/crio.conf", "/etc/docker/daemon.json"}
