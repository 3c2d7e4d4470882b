package media

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// redacted stands for what no log may have.
const redacted = "REDACTED"

// sendSecret writes a head whose Location and cookies open media to whoever
// reads them, and takes them out of what Caddy logs afterwards: the access log
// is made of the same map.
//
// A writer between here and the log may hold the head back, as encode does
// until it has seen a body. It is then written to the next writer down: what
// is held back later finds it written.
func sendSecret(w http.ResponseWriter, status int) {
	log := recorder(w)
	for next := w; ; {
		next.WriteHeader(status)
		if log == nil || log.Status() != 0 {
			break
		}
		next = next.(interface{ Unwrap() http.ResponseWriter }).Unwrap()
	}
	if log == nil {
		return // nothing is logged, and nothing may be changed that may not be sent yet
	}
	h := w.Header()
	if target, err := url.Parse(h.Get("Location")); err == nil {
		target.RawQuery = redacted
		h.Set("Location", target.String())
	}
	if len(h["Set-Cookie"]) > 0 {
		h["Set-Cookie"] = []string{redacted}
	}
}

// recorder is what the access log reads the status from: the last one on the
// way to the client. Nil: there is no access log.
func recorder(w http.ResponseWriter) (found caddyhttp.ResponseRecorder) {
	for {
		if r, ok := w.(caddyhttp.ResponseRecorder); ok {
			found = r
		}
		below, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return found
		}
		w = below.Unwrap()
	}
}

// tokens are the parameters, in lower case, whose values may open media, of the
// schemes that mediaedge/sign knows and of others in use.
var tokens = map[string]bool{
	"signature": true, "policy": true, "x-amz-signature": true, "x-amz-credential": true, "x-amz-security-token": true,
	"x-goog-signature": true, "x-goog-credential": true, "verify": true, "__token__": true, "hdnts": true, "hdnea": true, "hdntl": true,
	"md5": true, "token": true, "access_token": true, "auth": true, "authorization": true, "jwt": true, "key": true, "sig": true,
	"sign": true, "hmac": true, "hash": true, "secret": true, "password": true, "session": true, "api_key": true, "apikey": true, "urlprefix": true,
}

// redactQuery hides the values of tokens in a query, and of what cannot be read.
func redactQuery(query string) string {
	if query == "" {
		return ""
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, value, has := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		switch {
		case err != nil || strings.Contains(pair, ";"):
			pairs[i] = redacted
		case has && value != "" && tokens[strings.ToLower(plain)]:
			pairs[i] = name + "=" + redacted
		}
	}
	return strings.Join(pairs, "&")
}

// redactURI does so in a request target or a Referer.
func redactURI(uri string) string {
	before, query, has := strings.Cut(uri, "?")
	if !has {
		return uri
	}
	return before + "?" + redactQuery(query)
}

// quiet keeps a request with a token out of Caddy's access log, which would show
// its URL, and returns what logs it instead, without the token: to the same
// logs, in the same form. It returns nil if the request has none, or none is
// to be logged. base is accessLogger's.
func quiet(base *zap.Logger, w http.ResponseWriter, r *http.Request) func() {
	uri, referer := redactURI(r.RequestURI), redactURI(r.Header.Get("Referer"))
	if uri == r.RequestURI && referer == r.Header.Get("Referer") {
		return nil
	}
	log := recorder(w)
	if skip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.LogSkipVar).(bool); skip || log == nil {
		return nil
	}
	caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true)
	shown := r.Clone(r.Context())
	shown.RequestURI = uri
	if referer != "" {
		shown.Header.Set("Referer", referer)
	}
	begun := time.Now()
	return func() {
		level := zapcore.InfoLevel
		if log.Status() >= 500 {
			level = zapcore.ErrorLevel
		}
		for _, logger := range accessLogs(base, r) {
			if c := logger.Check(level, "handled request"); c != nil {
				c.Write(zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: shown}), zap.Duration("duration", time.Since(begun)),
					zap.Int("size", log.Size()), zap.Int("status", log.Status()),
					zap.Object("resp_headers", caddyhttp.LoggableHTTPHeader{Header: log.Header()}))
			}
		}
	}
}

// accessLogger is what Caddy's servers log by: it reaches the logs that are a
// site's own, which the default logger leaves out.
func accessLogger(ctx caddy.Context) *zap.Logger {
	return ctx.Logger(new(caddyhttp.App)).Named("log.access")
}

// accessLogs are where Caddy logs the request.
func accessLogs(base *zap.Logger, r *http.Request) []*zap.Logger {
	s, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || s.Logs == nil {
		return []*zap.Logger{base}
	}
	names := []string{s.Logs.DefaultLoggerName}
	host := strings.ToLower(r.Host)
	if i := strings.LastIndexByte(host, ':'); i > 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	_, above, _ := strings.Cut(host, ".")
	for _, h := range []string{host, "*." + above} {
		if own, ok := s.Logs.LoggerNames[h]; ok {
			names = own
			break
		}
	}
	if own := caddyhttp.GetVar(r.Context(), caddyhttp.AccessLoggerNameVarKey); own != nil {
		if list, ok := own.([]any); ok {
			names = nil
			for _, n := range list {
				if name, ok := n.(string); ok {
					names = append(names, name)
				}
			}
		}
	}
	var logs []*zap.Logger
	for _, n := range names {
		if n == "" {
			logs = append(logs, base)
		} else {
			logs = append(logs, base.Named(n))
		}
	}
	return logs
}
