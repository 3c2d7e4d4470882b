package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// strictBackend is an upstream that reads requests in the one way of RFC 9112,
// takes nothing that could be read in another, and keeps what it has heard. Each
// answer names the target that it is for.
type strictBackend struct {
	address string
	early   func(target string) bool // which are answered before their bodies are read

	all   sync.WaitGroup
	mu    sync.Mutex
	heard []heardRequest    // guarded by mu
	says  map[string]string // guarded by mu; by target, instead of an answer
	ended map[string]bool   // guarded by mu; by target: the connection that it came over has
	last  net.Conn          // guarded by mu; which had the latest answer
}

// heardRequest is what came over a connection from where the one before ended.
type heardRequest struct {
	method, target, body string
	whole                bool // else the connection ended within
	framed               bool // by a field
	flaw                 string
}

func (r heardRequest) String() string {
	return fmt.Sprintf("%s %s with %.100q, whole: %v %s", r.method, r.target, r.body, r.whole, r.flaw)
}

// shut ends a side of a connection behind what was said.
const shut = "\x00SHUT"

func newStrictBackend(t *testing.T) *strictBackend {
	t.Helper()
	b := &strictBackend{says: make(map[string]string), early: func(string) bool { return false }, ended: make(map[string]bool)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	b.address = l.Addr().String()
	b.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.all.Go(func() {
				defer c.Close()
				b.serve(c)
			})
		}
	})
	t.Cleanup(func() { l.Close() })
	return b
}

func (b *strictBackend) serve(c net.Conn) {
	var targets []string
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, target := range targets {
			b.ended[target] = true
		}
	}()
	for br := bufio.NewReader(c); ; {
		if _, err := br.Peek(1); err != nil {
			return
		}
		r, err := b.hear(br, c)
		switch {
		case err == nil:
			r.whole = true
		case errors.As(err, new(flawed)):
			r.flaw = err.Error()
		}
		targets = append(targets, r.target)
		b.mu.Lock()
		b.heard = append(b.heard, r)
		b.mu.Unlock()
		if err != nil || !b.early(r.target) && !b.answer(c, r) {
			return
		}
	}
}

// left reports whether the connection that a target came over has ended.
func (b *strictBackend) left(target string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended[target]
}

// answer answers, and reports whether the connection goes on.
func (b *strictBackend) answer(c net.Conn, r heardRequest) bool {
	b.mu.Lock()
	b.last = c
	text, scripted := b.says[r.target]
	b.mu.Unlock()
	if !scripted {
		body := answerTo(r.target)
		text = fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Answer: %s\r\nContent-Length: %d\r\n\r\n", r.target, len(body))
		if r.method != "HEAD" {
			text += body
		}
	}
	text, ends := strings.CutSuffix(text, shut)
	_, err := io.WriteString(c, text)
	return err == nil && !ends
}

// script has the backend say text instead of an answer, and go on, or end if there
// is a shut.
func (b *strictBackend) script(target, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.says[target] = text
}

// interject says something on the connection of the latest answer.
func (b *strictBackend) interject(t *testing.T, text string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	send(t, b.last, text)
}

func answerTo(target string) string { return "answer to " + target }

// flawed is why bytes are no request.
type flawed string

func (f flawed) Error() string { return string(f) }

const tokenBytes = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func isToken(s string) bool { return s != "" && strings.Trim(s, tokenBytes) == "" }

// plainLine reads a line, without its CRLF.
func plainLine(br *bufio.Reader) (string, error) {
	s, err := br.ReadString('\n')
	if err != nil {
		return "", err
	}
	s, ok := strings.CutSuffix(s, "\r\n")
	if !ok || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return "", flawed(fmt.Sprintf("a bad line %q", s))
	}
	return s, nil
}

// fieldLines reads fields up to and with the empty line, by their names in lower case.
func fieldLines(br *bufio.Reader) (map[string][]string, error) {
	all := make(map[string][]string)
	for {
		s, err := plainLine(br)
		if err != nil || s == "" {
			return all, err
		}
		name, value, ok := strings.Cut(s, ":")
		if !ok || !isToken(name) {
			return nil, flawed(fmt.Sprintf("a bad field %q", s))
		}
		name = strings.ToLower(name)
		all[name] = append(all[name], strings.Trim(value, " \t"))
	}
}

// hear reads one request.
func (b *strictBackend) hear(br *bufio.Reader, c net.Conn) (r heardRequest, err error) {
	first, err := plainLine(br)
	if err != nil {
		return r, err
	}
	parts := strings.Split(first, " ")
	if len(parts) != 3 || !isToken(parts[0]) || parts[1] == "" || parts[1] != "*" && parts[1][0] != '/' || parts[2] != "HTTP/1.1" {
		return r, flawed(fmt.Sprintf("a bad request line %q", first))
	}
	r.method, r.target = parts[0], parts[1]
	all, err := fieldLines(br)
	if err != nil {
		return r, err
	}
	for name, values := range all {
		if as := strings.ReplaceAll(name, "_", "-"); as != name { // as CGI has it
			all[as] = append(all[as], values...)
		}
	}
	coding, lengths := all["transfer-encoding"], all["content-length"]
	switch {
	case len(all["host"]) != 1:
		return r, flawed(fmt.Sprintf("Hosts %q", all["host"]))
	case len(coding)+len(lengths) > 1, len(coding) == 1 && coding[0] != "chunked":
		return r, flawed(fmt.Sprintf("codings %q, lengths %q", coding, lengths))
	}
	switch {
	case b.early(r.target):
		b.answer(c, r)
	case len(all["expect"]) > 0:
		_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	r.framed = len(coding)+len(lengths) > 0
	if len(coding) == 1 {
		r.body, _, err = chunkedBody(br)
		return r, err
	}
	if len(lengths) == 0 {
		return r, nil
	}
	if strings.Trim(lengths[0], "0123456789") != "" {
		return r, flawed(fmt.Sprintf("the length %q", lengths[0]))
	}
	n, err := strconv.ParseInt(lengths[0], 10, 64)
	if err != nil {
		return r, flawed(err.Error())
	}
	body, err := io.ReadAll(io.LimitReader(br, n))
	if r.body = string(body); err == nil && int64(len(body)) < n {
		err = io.ErrUnexpectedEOF
	}
	return r, err
}

func chunkedBody(br *bufio.Reader) (body string, trailer map[string][]string, err error) {
	for {
		s, err := plainLine(br)
		if err != nil {
			return body, nil, err
		}
		n, err := strconv.ParseUint(s, 16, 31)
		if err != nil {
			return body, nil, flawed(fmt.Sprintf("a chunk's size %q", s))
		}
		if n == 0 {
			trailer, err = fieldLines(br)
			return body, trailer, err
		}
		chunk, err := io.ReadAll(io.LimitReader(br, int64(n)))
		if body += string(chunk); err != nil || uint64(len(chunk)) < n {
			return body, nil, io.ErrUnexpectedEOF
		}
		if s, err := plainLine(br); err != nil || s != "" {
			return body, nil, flawed(fmt.Sprintf("%q, %v behind a chunk", s, err))
		}
	}
}

// of returns what was heard of a target.
func (b *strictBackend) of(target string) (found []heardRequest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.heard {
		if r.target == target {
			found = append(found, r)
		}
	}
	return found
}

// others returns what was heard besides some targets, and what was flawed.
func (b *strictBackend) others(targets []string) (found []heardRequest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.heard {
		if r.flaw != "" || !slices.Contains(targets, r.target) {
			found = append(found, r)
		}
	}
	return found
}
