package healthcheck

import "testing"

func TestAddressesAreReadInCaddysForm(t *testing.T) {
	for address, want := range map[string]target{
		"10.0.0.7:80":            {"tcp", "10.0.0.7:80", "10.0.0.7"},
		"[::1]:80":               {"tcp", "[::1]:80", "::1"},
		"app.internal:http":      {"tcp", "app.internal:http", "app.internal"},
		"tcp/app:80":             {"tcp", "app:80", "app"},
		"tcp6/[::1]:80":          {"tcp6", "[::1]:80", "::1"},
		"unix//run/app.sock":     {"unix", "/run/app.sock", ""},
		"unix/relative/app.sock": {"unix", "relative/app.sock", ""},
		"unix/@abstract":         {"unix", "@abstract", ""},
	} {
		if got, err := parseAddress(address); err != nil || got != want {
			t.Errorf("parseAddress(%q) = %+v, %v; want %+v", address, got, err, want)
		}
	}
}

func TestAnAddressThatCannotBeDialedIsRefusedWithTheReason(t *testing.T) {
	for address, want := range map[string]string{
		"":                `address "": want host:port`,
		"app":             `address "app": want host:port`,
		"::1:80":          `address "::1:80": want host:port`,
		"app:":            `address "app:": bad port ""`,
		"app:65536":       `address "app:65536": bad port "65536"`,
		"unix/":           `address "unix/": no path`,
		"udp/app:53":      `address "udp/app:53": network "udp", want tcp, tcp4, tcp6 or unix`,
		"http://app:80":   `address "http://app:80": network "http:", want tcp, tcp4, tcp6 or unix`,
		"/run/app.sock":   `address "/run/app.sock": network "", want tcp, tcp4, tcp6 or unix`,
		"tcp/app:80/path": `address "tcp/app:80/path": bad port "80/path"`,
	} {
		if err := ValidateAddress(address); err == nil || err.Error() != want {
			t.Errorf("ValidateAddress(%q):\n got %v\nwant %s", address, err, want)
		}
		wantFailure(t, TCP{}, address, want)
		wantFailure(t, HTTP{}, address, want)
		wantFailure(t, GRPC{}, address, want)
	}
}
