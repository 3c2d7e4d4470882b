package healthcheck

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
)

var insecureTLS = &tls.Config{InsecureSkipVerify: true}

func TestATCPProbePassesWhenAConnectionOpens(t *testing.T) {
	address := listen(t).Addr().String()
	wantPass(t, TCP{}, address)
	wantPass(t, TCP{}, "tcp4/"+address)
	_, socket := listenUnix(t)
	wantPass(t, TCP{}, socket)
	closed := closedAddress(t)
	wantFailure(t, TCP{}, closed, "dial tcp "+closed+": connect: connection refused")
}

func TestATCPProbeWithTLSWantsAHandshake(t *testing.T) {
	address, trust := serveTLS(t, nil)
	wantPass(t, TCP{TLS: trust}, address)
	wantFailure(t, TCP{TLS: &tls.Config{RootCAs: trust.RootCAs, ServerName: "other.test"}}, address,
		"tls handshake: tls: failed to verify certificate: x509: certificate is valid for example.com, *.example.com, not other.test")
	wantFailure(t, TCP{TLS: insecureTLS}, serveRaw(t, func(conn net.Conn) { io.WriteString(conn, "220 smtp ready\r\n") }),
		"tls handshake: tls: first record does not look like a TLS handshake")
	wantFailure(t, TCP{TLS: insecureTLS}, serveRaw(t, func(net.Conn) {}), "connection closed without an answer")
}
