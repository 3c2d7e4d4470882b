package consul

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// maxToken bounds a token; Consul's are UUIDs, or JWTs at a gateway.
const maxToken = 8 << 10

// secret is a token. However it is printed, it does not show.
type secret string

const hidden = "***"

func (secret) String() string               { return hidden }
func (secret) GoString() string             { return hidden }
func (secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
func (secret) LogValue() slog.Value         { return slog.StringValue(hidden) }

// Format hides it from every verb, also %x and %d.
func (secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// conceal takes the token out of a text that others wrote.
func (s secret) conceal(text string) string {
	if s == "" {
		return text
	}
	return strings.ReplaceAll(text, string(s), hidden)
}

// token tells the token of each request.
type token struct {
	file string
	env  string
	log  *slog.Logger

	mu      sync.Mutex
	value   secret    // last good one; guarded by mu
	seen    fileStamp // of the file when value was read; guarded by mu
	refused bool      // Consul did not take value: read again; guarded by mu
	trouble string    // last logged; guarded by mu
}

// fileStamp tells one content of a file from another, without reading it.
type fileStamp struct {
	modified time.Time
	size     int64
}

// none: the client is anonymous.
func (t *token) none() bool { return t.file == "" && t.env == "" }

// get returns the token to send; empty if none is configured. It fails only
// when there never was one.
func (t *token) get() (secret, error) {
	if t.env != "" {
		return clean(os.Getenv(t.env), "the environment variable "+t.env)
	}
	if t.file == "" {
		return "", nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.read()
	if err == nil {
		t.trouble = ""
		return t.value, nil
	}
	if t.value == "" {
		return "", err
	}
	if err.Error() != t.trouble {
		t.trouble = err.Error()
		t.log.Warn("the token of Consul cannot be read anew: the last one stays", "error", err)
	}
	return t.value, nil
}

// refuse has the file read again at the next request: Consul did not take what
// it held.
func (t *token) refuse() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused = true
}

// read looks whether the file has changed. The caller holds mu.
func (t *token) read() error {
	info, err := os.Stat(t.file)
	if err != nil {
		return plainPath(t.file, err)
	}
	now := fileStamp{info.ModTime(), info.Size()}
	if t.value != "" && now == t.seen && !t.refused {
		return nil
	}
	if !info.Mode().IsRegular() || info.Size() > maxToken {
		return fmt.Errorf("token file %s: is not a file of at most %d bytes", t.file, maxToken)
	}
	data, err := os.ReadFile(t.file)
	if err != nil {
		return plainPath(t.file, err)
	}
	value, err := clean(string(data), "token file "+t.file)
	if err != nil {
		return err
	}
	t.value, t.seen, t.refused = value, now, false
	return nil
}

func plainPath(file string, err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("token file %s cannot be read: %w", file, err)
}

// clean refuses what cannot stand in a header. The error does not repeat it.
func clean(text, where string) (secret, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", fmt.Errorf("%s is empty", where)
	case len(text) > maxToken:
		return "", fmt.Errorf("%s: a token has at most %d bytes", where, maxToken)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", fmt.Errorf("%s holds something else than a token", where)
	}
	return secret(text), nil
}
