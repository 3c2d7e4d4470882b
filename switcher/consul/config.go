package consul

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Config is how to reach Consul. The zero value asks the agent of this machine,
// without a token. It holds no secret, only where one is found.
type Config struct {
	// Address of the HTTP API: "127.0.0.1:8500", "http://host:port",
	// "https://host:port" or "unix:///path". Default "127.0.0.1:8500".
	Address string `json:"address,omitempty"`
	// TLS of an https address.
	TLS TLS `json:"tls,omitzero"`
	// TokenFile holds the ACL token. It is read again when it changes, and
	// when Consul refuses the token. If it vanishes the last good token stays.
	TokenFile string `json:"token_file,omitempty"`
	// TokenEnv names the environment variable that holds the ACL token.
	// Not together with TokenFile.
	TokenEnv string `json:"token_env,omitempty"`
	// Datacenter to ask, where a query names none. Default: the agent's.
	Datacenter string `json:"datacenter,omitempty"`
	// Namespace to ask, where a query names none (Consul Enterprise).
	// Default: CONSUL_NAMESPACE of the environment, else the token's.
	Namespace string `json:"namespace,omitempty"`
	// Partition to ask, where a query names none (Consul Enterprise).
	// Default: CONSUL_PARTITION of the environment, else the agent's.
	Partition string `json:"partition,omitempty"`
	// Wait is how long a query blocks for a change, 100ms to 15s. Default
	// and maximum 15s: after a wipe of Consul a query sleeps that long.
	Wait switcher.Duration `json:"wait,omitempty"`
	// Polls is how many queries may block at once, 1 to 1000. Default 100,
	// half of what an agent allows one address (http_max_conns_per_client).
	// Queries beyond it take turns, and block for a shorter time each.
	Polls int `json:"polls,omitempty"`
}

// TLS is how an https address is verified, and what is shown to it.
type TLS struct {
	// CAFile holds the authorities, in PEM, that the server's certificate
	// must come from. Default: those of the system.
	CAFile string `json:"ca_file,omitempty"`
	// CertFile and KeyFile hold the certificate to show, in PEM. They are
	// read again for each connection. Default: none is shown.
	CertFile string `json:"cert_file,omitempty"`
	KeyFile  string `json:"key_file,omitempty"`
	// ServerName that the server's certificate must carry. Default: the
	// host of the address.
	ServerName string `json:"server_name,omitempty"`
}

// The bounds and defaults of a Config.
const (
	DefaultAddress = "127.0.0.1:8500"
	MaxWait        = 15 * time.Second
	minWait        = 100 * time.Millisecond
	defaultPolls   = 100
	maxPolls       = 1000
)

// Validate names the field that cannot be used, and why. It touches no file.
func (c Config) Validate() error {
	at, err := parseAddress(c.Address)
	if err != nil {
		return fmt.Errorf("address %q: %w", withoutUser(c.Address), err)
	}
	if c.TLS != (TLS{}) && at.scheme != "https" {
		return fmt.Errorf("tls: the address %q is not https", c.Address)
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		return errors.New("tls: cert and key (cert_file, key_file) are only of use together")
	}
	if c.TokenFile != "" && c.TokenEnv != "" {
		return errors.New("token_file and token_env: only one of them")
	}
	if strings.ContainsAny(c.TokenEnv, "=\x00") {
		return fmt.Errorf("token_env %q: want the name of an environment variable, not a token", redact(c.TokenEnv))
	}
	if w := time.Duration(c.Wait); w != 0 && (w < minWait || w > MaxWait) {
		return fmt.Errorf("wait %s: want %s to %s", w, minWait, MaxWait)
	}
	if c.Polls < 0 || c.Polls > maxPolls {
		return fmt.Errorf("polls %d: want 1 to %d", c.Polls, maxPolls)
	}
	for field, name := range map[string]string{"datacenter": c.Datacenter, "namespace": c.Namespace, "partition": c.Partition} {
		if err := validateName(name); name != "" && err != nil {
			return fmt.Errorf("%s %q: %w", field, name, err)
		}
	}
	return nil
}

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	if c.Address == "" {
		c.Address = DefaultAddress
	}
	if c.Wait == 0 {
		c.Wait = switcher.Duration(MaxWait)
	}
	if c.Polls == 0 {
		c.Polls = defaultPolls
	}
	return c
}

// place is an address taken apart.
type place struct {
	scheme string // http, https or unix
	host   string // "host" or "host:port"; of a socket "localhost"
	path   string // of a socket
}

func parseAddress(address string) (place, error) {
	if address == "" {
		address = DefaultAddress
	}
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		if !strings.HasPrefix(path, "/") {
			return place{}, errors.New("a unix socket needs an absolute path, as unix:///run/consul.sock")
		}
		return place{scheme: "unix", host: "localhost", path: path}, nil
	}
	if !strings.Contains(address, "://") {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return place{}, errors.New("want host:port, a URL, or unix:///path")
		}
		address = "http://" + address
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return place{}, errors.New("is not a URL") // the error would repeat a password
	case u.Scheme != "http" && u.Scheme != "https":
		return place{}, fmt.Errorf("scheme %q: want http, https or unix", u.Scheme)
	case u.Hostname() == "":
		return place{}, errors.New("no host")
	case u.User != nil:
		return place{}, errors.New("no user in it: use token_file or token_env")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return place{}, errors.New("no path or query in it")
	}
	return place{scheme: u.Scheme, host: u.Host}, nil
}

// validateName accepts what Consul's names of services, datacenters and the
// like may be, and nothing that a URL's path gives a meaning to.
func validateName(name string) error {
	switch {
	case name == "":
		return errors.New("is empty")
	case len(name) > 128:
		return errors.New("is longer than 128 bytes")
	case strings.Trim(name, ".") == "":
		return errors.New("is not a name")
	}
	for _, r := range name {
		if r <= ' ' || r == 0x7f || strings.ContainsRune(`/\%?#"`, r) || r == '\uFFFD' {
			return fmt.Errorf("%q is not allowed in it", r)
		}
	}
	return nil
}

// checkEnv fails if the token should come from a variable that is not set.
func (c Config) checkEnv() error {
	if c.TokenEnv == "" {
		return nil
	}
	if _, ok := os.LookupEnv(c.TokenEnv); !ok {
		return fmt.Errorf("token_env: the environment has no %s", c.TokenEnv)
	}
	return nil
}

// withoutUser hides what may be a token or a password.
func withoutUser(address string) string {
	if at := strings.LastIndex(address, "@"); at >= 0 {
		return hidden + address[at:]
	}
	return address
}

// redact keeps the name of what looks like NAME=secret.
func redact(s string) string {
	name, _, _ := strings.Cut(s, "=")
	return name + "=***"
}
