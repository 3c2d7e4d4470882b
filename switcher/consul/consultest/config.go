package consultest

import (
	"fmt"
	"net/http"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/realserver"
	"github.com/hashicorp/consul/api"
)

// ports of one server, all on loopback.
type ports struct{ http, https, server, lan, wan int }

func freePorts() (ports, error) {
	p, err := realserver.Ports(5)
	if err != nil {
		return ports{}, err
	}
	return ports{http: p[0], https: p[1], server: p[2], lan: p[3], wan: p[4]}, nil
}

// arguments of the process.
func (s *Server) arguments() []string {
	p := s.ports
	args := []string{
		"agent", "-bind", "127.0.0.1", "-log-level", "warn",
		"-hcl", "disable_update_check=true",
		"-hcl", fmt.Sprintf("ports { http=%d server=%d serf_lan=%d serf_wan=%d dns=-1 grpc=-1 grpc_tls=-1 }", p.http, p.server, p.lan, p.wan),
		"-hcl", fmt.Sprintf(`addresses { http="127.0.0.1 unix://%s" https="127.0.0.1" }`, s.Socket),
		"-hcl", `performance { raft_multiplier=1 }`,
	}
	if s.options.Persistent {
		args = append(args, "-server", "-bootstrap-expect=1", "-data-dir", s.dataDir(), "-node", fmt.Sprintf("server-%d", p.server))
	} else {
		args = append(args, "-dev")
	}
	if s.options.ACL {
		args = append(args, "-hcl", fmt.Sprintf(
			`acl { enabled=true default_policy="deny" enable_token_persistence=false tokens { initial_management=%q agent=%q } }`, s.Token, s.Token))
	}
	if s.options.TLS {
		args = append(args,
			"-hcl", fmt.Sprintf("ports { https=%d }", p.https),
			"-hcl", fmt.Sprintf("tls { https { ca_file=%q cert_file=%q key_file=%q verify_incoming=true } }", s.CAFile, s.CertFile, s.KeyFile))
	}
	if s.options.Config != "" {
		args = append(args, "-hcl", s.options.Config)
	}
	return args
}

// client asks the server over connections that end with each answer: they are
// not to be taken for leaks of what is tested.
func (s *Server) client() (*api.Client, error) {
	return api.NewClient(&api.Config{
		Address: s.Address, Token: s.Token,
		HttpClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute},
	})
}
