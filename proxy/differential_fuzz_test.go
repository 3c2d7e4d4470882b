package proxy

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzForward makes a request and what an upstream says to it of bytes, each of
// which chooses among what is likely to matter, and wants our forwarders to do
// as httputil does.
func FuzzForward(f *testing.F) {
	for n := range 40 {
		seed := make([]byte, 24)
		for i := range seed {
			seed[i] = byte(n * (i + 3) * 7 >> (i % 3))
		}
		f.Add(seed)
	}
	forwarders := forwardersOf(f)
	c := newContest(f, forwarders)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 300 {
			return
		}
		d := &dice{data}
		request := d.request()
		answer, odd := d.answer(strings.HasPrefix(request, "HEAD"))
		c.compare(t, request, answer, odd)
		forwarders[forwardFast].(*fastForwarder).t.CloseIdleConnections()
	})
}

// dice are bytes to choose by; 0 for ever when they are used up.
type dice struct{ data []byte }

func (d *dice) next() byte {
	if len(d.data) == 0 {
		return 0
	}
	b := d.data[0]
	d.data = d.data[1:]
	return b
}

func (d *dice) of(choices ...string) string { return choices[int(d.next())%len(choices)] }

// text is up to most bytes of which each is among those allowed.
func (d *dice) text(most int, allowed string) string {
	var b strings.Builder
	for range int(d.next()) % (most + 1) {
		b.WriteByte(allowed[int(d.next())%len(allowed)])
	}
	return b.String()
}

const (
	targetBytes = "/a.2fF?=&;:@!$'()*+,-_~[]{}|^`\"<>\\\xc3\xa9"
	valueBytes  = "ab ,;=\"()<>\t0:/\xc3\xa9\xff\\%"
)

// fields are lines of a head, by names that mean something and others.
func (d *dice) fields(b *strings.Builder, named []string) {
	for range d.next() % 6 {
		name := d.of(named...)
		if name == "" {
			name = "X-" + d.text(6, tokenBytes)
		}
		value := d.of("", "1", "trailers", "x-a", "X-A, x-b, close", "keep-alive", "a, b", "*", "gzip")
		if d.next()%3 == 0 {
			value = d.text(20, valueBytes)
		}
		fmt.Fprintf(b, "%s:%s%s\r\n", name, d.of(" ", "", "\t", "  "), value)
	}
}

// content is a body framed by a field, which it brings along.
func (d *dice) content(b *strings.Builder, more ...string) {
	switch framing := d.of(append([]string{"none", "length", "chunked", "chunked", "trailer"}, more...)...); framing {
	case "none":
		b.WriteString("\r\n")
	case "length":
		body := d.text(40, valueBytes)
		fmt.Fprintf(b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	case "close":
		b.WriteString("\r\n" + d.text(40, valueBytes) + shut)
	default:
		b.WriteString("Transfer-Encoding: chunked\r\n")
		if framing == "trailer" {
			b.WriteString(d.of("Trailer: X-T\r\n", "Trailer: X-T, X-U\r\n", "Trailer: X-Real-IP\r\n", "Trailer: x-t\r\nTrailer: x-u\r\n", ""))
		}
		b.WriteString("\r\n")
		for range d.next() % 4 {
			if chunk := d.text(30, valueBytes); chunk != "" {
				fmt.Fprintf(b, "%s%x%s\r\n%s\r\n", d.of("", "0", "00"), len(chunk), d.of("", ";a", ";a=b", ";a=\"b\""), chunk)
			}
		}
		b.WriteString("0\r\n")
		if framing == "trailer" {
			b.WriteString(d.of("X-T: 1\r\n", "X-T: 1\r\nX-U: 2\r\n", "X-T: 1\r\nX-T:\r\n", "X-Real-IP: 1\r\n", ""))
		}
		b.WriteString("\r\n")
	}
}

func (d *dice) request() string {
	var b strings.Builder
	method, target, minor := d.of("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "X"), "/"+d.text(20, targetBytes)+d.of("", "%2f", "%41%c3%A9", "%00", "?%zz", "?a=%2F;b", "%"), d.of("1", "1", "1", "0")
	fmt.Fprintf(&b, "%s %s HTTP/1.%s\r\nHost: site.example\r\n", method, target, minor)
	d.fields(&b, []string{
		"", "X-A", "x-b", "Connection", "TE", "Via", "Accept-Encoding", "User-Agent", "Cookie", "Range", "Keep-Alive", "Proxy-Authorization", "X-Forwarded-For", "Forwarded", "X-Real-IP", "X_Real_IP",
		"Content-Type", "Date", "Idempotency-Key", "Max-Forwards", "Authorization", "Early-Data", "Alt-Svc", "Proxy-Connection", "If-None-Match", "Transfer_Encoding",
	})
	if minor == "0" { // which knows no chunks
		body := d.text(40, valueBytes)
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	} else {
		d.content(&b)
	}
	return b.String()
}

// answer is what an upstream says, and whether any of it is against the standard.
func (d *dice) answer(head bool) (answer string, odd bool) {
	var b strings.Builder
	for range d.next() % 3 {
		fmt.Fprintf(&b, "HTTP/1.1 %s\r\n", d.of("103 Early Hints", "100 Continue", "102 Processing", "110 X"))
		d.fields(&b, []string{"", "Link", "X-A"})
		b.WriteString("\r\n")
	}
	status := d.of("200 OK", "200 ", "204 No Content", "304 Not Modified", "404 Not Found", "206 Partial Content", "500 X", "301 Moved", "205 Reset", "999 X", "226 IM Used", "200")
	fmt.Fprintf(&b, "HTTP/1.1 %s\r\n", status)
	d.fields(&b, []string{"", "X-A", "x-b", "Connection", "Set-Cookie", "Content-Type", "ETag", "Location", "Server", "Via", "Keep-Alive", "Upgrade", "Alt-Svc", "Cache-Control", "Content-Encoding", "Proxy-Authenticate", "Vary"})
	before := b.String()
	b.Reset()
	d.content(&b, "close", "close")
	rest := b.String()
	switch {
	case head, strings.HasPrefix(status, "304"):
		rest, _, _ = strings.Cut(rest, "\r\n\r\n")
		if rest != "" { // the fields, without content
			rest = strings.TrimPrefix(rest, "\r\n") + "\r\n"
		}
		rest = strings.TrimSuffix(strings.TrimPrefix(rest, "\r\n"), shut) + "\r\n"
	case strings.HasPrefix(status, "204"):
		rest = "\r\n"
	case rest == "\r\n": // until the connection ends
		rest += shut
	}
	answer = before + rest
	if d.next()%4 != 3 {
		return answer, false
	}
	answer, _ = strings.CutSuffix(answer, shut)
	return d.spoiled(answer) + shut, true
}

// spoiled is text with something at a place in it that is as like as not wrong.
func (d *dice) spoiled(text string) string {
	at := (int(d.next())<<8 | int(d.next())) % (len(text) + 1)
	what := d.of("\r\nContent-Length: 3", "\r\nTransfer-Encoding: chunked", "\r\n folded", "\n", "\r", "\x00", " ", ":", "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "x", ";", "-", "cut")
	if what == "cut" {
		return text[:at]
	}
	return text[:at] + what + text[at:]
}
