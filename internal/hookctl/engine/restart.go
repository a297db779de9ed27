package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// restart restarts the daemon that reads a configuration, if systemd has started it: nobody else knows how.
func restart(daemon, config string) error {
	units, err := unitsOf(daemon, config)
	if err != nil {
		return err
	}
	if len(units) != 1 {
		return fmt.Errorf("%s has to read %s anew, but is run by no unit of systemd, or by several (%d found); restart it as it was started, and do without --reload here",
			daemon, config, len(units))
	}
	systemctl, err := find("systemctl")
	if err != nil {
		return err
	}
	_, err = output(systemctl, "restart", units[0])
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
		exe, exeErr := os.Readlink(dir + "/exe")
		argv, argvErr := os.ReadFile(dir + "/cmdline")
		cgroups, cgroupErr := os.ReadFile(dir + "/cgroup")
		if exeErr != nil || argvErr != nil || cgroupErr != nil { // it has ended, or is the kernel's
			continue
		}
		if filepath.Base(strings.TrimSuffix(exe, " (deleted)")) != program || !reads(strings.Split(string(argv), "\x00"), config) {
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

// reads says whether a daemon with these arguments reads a configuration: the one that it is given, or its usual one.
func reads(argv []string, config string) bool {
	for i, arg := range argv {
		name, value, joined := strings.Cut(arg, "=")
		if name != "--config" && name != "-config" && name != "-c" {
			continue
		}
		if !joined && i+1 < len(argv) {
			value = argv[i+1]
		}
		return value == config
	}
	return slices.Contains(usualConfigs, config)
}

var usualConfigs = []string{"/etc/containerd/config.toml", "/etc/crio/crio.conf"}
