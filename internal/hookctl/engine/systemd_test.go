package engine

import "testing"

// TestReads: k3s has a containerd of its own, dockerd may have one, and neither reads the usual file.
func TestReads(t *testing.T) {
	const usual = "/etc/containerd/config.toml"
	for _, test := range []struct {
		argv   []string
		config string
		want   bool
	}{
		{[]string{"/usr/bin/containerd"}, usual, true},
		{[]string{"/usr/bin/containerd", "--log-level", "info"}, usual, true},
		{[]string{"/usr/bin/containerd"}, "/srv/config.toml", false},
		{[]string{"containerd", "--config", usual}, usual, true},
		{[]string{"containerd", "--config=" + usual}, usual, true},
		{[]string{"containerd", "--config", "/var/run/docker/containerd/containerd.toml"}, usual, false},
		{[]string{"containerd", "-c", "/var/lib/rancher/k3s/agent/etc/containerd/config.toml"}, usual, false},
		{[]string{"containerd", "-c", "/srv/config.toml"}, "/srv/config.toml", true},
		{[]string{"containerd", "-c=/srv/config.toml"}, "/srv/config.toml", true},
		{[]string{"containerd", "--config"}, usual, false},
		{[]string{"/usr/bin/crio"}, "/etc/crio/crio.conf", true},
	} {
		if got := Reads(test.argv, test.config); got != test.want {
			t.Errorf("%q reads %s: %t", test.argv, test.config, got)
		}
	}
}
