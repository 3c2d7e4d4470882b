package proxy

import (
	"net/http"
	"slices"
	"strings"
)

// sentBy takes out of a request, as an upstream saw it from a proxy, what is
// meant to be different.
func sentBy(name string, m *message) {
	drop := func(fields ...string) {
		for _, f := range fields {
			delete(m.fields, f)
		}
	}
	// Who the client is, and what it asked for, is said by us alone, in these
	// three; httputil says it only when it is told to, and drops what came.
	drop("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host")
	// Trailers are compared elsewhere: httputil announces them and sends none, for
	// it has copied the request before they came.
	drop("trailer")
	m.trailer = nil
	// Of a body without content, a proxy may say so or not.
	if m.body == "" {
		m.framing = "none"
		drop("content-length", "transfer-encoding")
	}
	// net/http sends one User-Agent, and no empty one; the codec what came.
	if len(m.fields["user-agent"]) > 0 {
		if m.fields["user-agent"] = m.fields["user-agent"][:1]; m.fields["user-agent"][0] == "" {
			drop("user-agent")
		}
	}
	// The codec asks for 100 (Continue) where there is content that can wait, and
	// has no field go on that an upstream like CGI would take for framing.
	if m.framing == "none" {
		drop("expect")
	}
	drop("transfer_encoding", "content_length")
	if name == reference {
		for f := range m.fields {
			if claimsOrigin(http.CanonicalHeaderKey(f)) { // see claimsOrigin
				drop(f)
			}
		}
		// Only WebSockets are upgraded, and HTTP/2 is not talked of by fields.
		drop("upgrade", "connection", "http2-settings", "alt-svc")
		return
	}
	// Via is for us to write (RFC 9110 §7.6.3).
	via := m.fields["via"]
	via = slices.DeleteFunc(slices.Clone(via), func(v string) bool { return strings.HasSuffix(v, " greenroom") })
	if m.fields["via"] = via; len(via) == 0 {
		drop("via")
	}
	// The codec says that TE is for the next hop only (RFC 9110 §10.1.4).
	if slices.Equal(m.fields["connection"], []string{"TE"}) {
		drop("connection")
	}
}

// answeredBy does the same for a response as a client saw it from a proxy.
func answeredBy(name string, m *message, said string, head bool) {
	delete(m.fields, "date") // the server's clock
	// Names of trailers come in any order, and behind no body come none.
	if announced := m.fields["trailer"]; announced != nil {
		m.fields["trailer"] = names(announced)
	}
	if head {
		delete(m.fields, "trailer")
	}
	// That a body is empty may be said by a length, a chunk, or the connection's
	// end: as the upstream has said by when the head is sent.
	if m.framing != "none" && m.body == "" && len(m.trailer) == 0 {
		m.framing = "empty"
		delete(m.fields, "content-length")
		delete(m.fields, "transfer-encoding")
		delete(m.fields, "connection")
	}
	if name == reference {
		// It leads clients past the proxy.
		delete(m.fields, "alt-svc")
		delete(m.fields, "http2-settings")
		// It has the server guess what kind of content this is.
		if m.line != "400 Bad Request" && !strings.Contains(strings.ToLower(said), "\ncontent-type:") {
			delete(m.fields, "content-type")
		}
	}
}
