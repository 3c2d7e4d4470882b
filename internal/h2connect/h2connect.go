// Package h2connect turns on extended CONNECT in net/http's HTTP/2 server,
// which WebSockets over HTTP/2 need (RFC 8441).
//
// Go 1.26 reads GODEBUG for it while net/http is initialized, and does not
// know the setting in a //go:debug line. Packages are initialized in the order
// of their import paths once what they import is: this one imports nothing
// that imports net/http, and its path sorts before "net/http", so it is in
// time. TestTheServerOffersExtendedConnect in proxy fails when it is not.
package h2connect

import "os"

func init() {
	const setting = "http2xconnect=1"
	if before := os.Getenv("GODEBUG"); before != "" {
		_ = os.Setenv("GODEBUG", before+","+setting)
		return
	}
	_ = os.Setenv("GODEBUG", setting)
}
