package ask

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Secret reads a secret anew, so that it can be replaced without a reload. Its
// errors name the place, never what is there. A nil Secret is empty.
type Secret func() (string, error)

// Field is a header field with a secret in it.
type Field struct {
	Name  string
	Value Secret
}

// Web asks one server by its URL. It must not be copied or changed after first
// use.
type Web struct {
	// URL asked; see ParseURL.
	URL *url.URL
	// Fields sent with each request.
	Fields []Field
	// TLS, if not nil, replaces the defaults of https.
	TLS *tls.Config

	once      sync.Once
	transport *http.Transport
}

// ParseURL wants an absolute http or https URL without a user, a password or a
// fragment: the config that it is in can be read by others.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("URL: %w", errors.Unwrap(err)) // the URL itself may hold a password
	case u.User != nil:
		return nil, errors.New("URL: it holds a user: put a secret into a header, from a file or the environment")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Opaque != "":
		return nil, fmt.Errorf("URL %.200q: want http://… or https://…", text)
	case u.Fragment != "":
		return nil, fmt.Errorf("URL %.200q: it has a fragment, which is never sent", text)
	}
	return u, nil
}

// String is the URL as it is shown: without its query, which may be a secret.
func (w *Web) String() string {
	shown := *w.URL
	shown.RawQuery, shown.ForceQuery = "", false
	return shown.String()
}

// Get asks, and reads at most limit bytes of the answer.
func (w *Web) Get(ctx context.Context, limit int64) (Answer, error) {
	return w.send(ctx, http.MethodGet, nil, limit)
}

// Post sends JSON, and reads at most limit bytes of the answer.
func (w *Web) Post(ctx context.Context, body []byte, limit int64) (Answer, error) {
	return w.send(ctx, http.MethodPost, body, limit)
}

func (w *Web) send(ctx context.Context, method string, body []byte, limit int64) (Answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, w.URL.String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, errors.New("no request can be made of the URL")
	}
	r.Header.Set("User-Agent", "greenroom")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	var secrets []string
	for _, f := range w.Fields {
		value, err := f.Value.Read()
		if err != nil {
			return Answer{}, fmt.Errorf("header %s: %w", f.Name, err)
		}
		secrets = append(secrets, value)
		r.Header.Set(f.Name, value)
	}
	w.once.Do(w.open)
	a, err := send(w.transport, r, limit)
	for _, s := range secrets {
		a.Body = []byte(Without(string(a.Body), s))
	}
	if err != nil {
		err = errors.New(Without(err.Error(), secrets...))
	}
	return a, err
}

// CloseIdle closes the connections that no request uses. They close by
// themselves ten seconds after their last one.
func (w *Web) CloseIdle() {
	w.once.Do(w.open)
	w.transport.CloseIdleConnections()
}

func (w *Web) open() {
	w.transport = &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial,
		TLSClientConfig:        w.TLS,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		IdleConnTimeout:        idleFor,
	}
}

// Read returns the secret without the white space around it, and refuses what
// cannot be sent in a header field.
func (s Secret) Read() (string, error) {
	if s == nil {
		return "", nil
	}
	value, err := s()
	if err != nil {
		return "", err
	}
	value = strings.TrimSpace(value)
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", errors.New("the secret has a control character in it: is it a file of several lines?")
	}
	return value, nil
}

// Without takes secrets out of a text, and the words of one that has several, as
// "Bearer …".
func Without(text string, secrets ...string) string {
	for _, s := range secrets {
		for _, part := range append([]string{s}, strings.Fields(s)...) {
			if len(part) >= 8 || part == s && s != "" {
				text = strings.ReplaceAll(text, part, "***")
			}
		}
	}
	return text
}
