package media

import (
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// server stands for Caddy's HTTP app, whose logs have the access logs.
type server struct{}

// CaddyModule implements caddy.Module.
func (server) CaddyModule() caddy.ModuleInfo { return caddy.ModuleInfo{ID: "http"} }

// accessLogger is what Caddy writes its access logs to, to whichever files.
func accessLogger(ctx caddy.Context) *zap.Logger { return ctx.Logger(server{}).Named("log.access") }

// quiet keeps a request out of Caddy's access log if that would show a token:
// its URL is taken from the client, and the fields of the response as they have
// been sent, so that nothing can be changed for the log alone. What is returned
// instead is the writer to answer by, and what writes the line, without the
// token: to the same logs, in the same form, but for fields that log_append has
// added. signs: the response has a token.
//
// The function is nil if Caddy may log the request, or does not.
func (h *Handler) quiet(w http.ResponseWriter, r *http.Request, signs bool) (http.ResponseWriter, func()) {
	target, logs := r.RequestURI, (*caddyhttp.ServerLogConfig)(nil)
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		target = original.RequestURI
	}
	if s, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		logs = s.Logs
	}
	if skip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.LogSkipVar).(bool); skip || logs == nil {
		return w, nil
	}
	shown, clean := h.secrets.request(r, target)
	if clean && !signs {
		return w, nil
	}
	caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true)
	if clean {
		shown = r.Clone(r.Context())
		shown.RequestURI = target
	}
	seen := &seen{ResponseWriter: w, body: r.Body}
	if r.Body != nil {
		r.Body = seen
	}
	names := logNames(logs, r)
	return seen, func() {
		for _, name := range names {
			seen.log(h.access.Named(name), shown, h.secrets.response(w.Header()))
		}
	}
}

// seen notes what a log tells of an answer, and of the body that was read for it.
type seen struct {
	http.ResponseWriter
	status int
	size   int
	body   io.ReadCloser
	read   int
}

// WriteHeader notes the status, but for that of an answer that only announces
// another.
func (s *seen) WriteHeader(status int) {
	if s.status == 0 && status >= 200 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *seen) Write(p []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	n, err := s.ResponseWriter.Write(p)
	s.size += n
	return n, err
}

// Unwrap is for http.ResponseController.
func (s *seen) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *seen) Read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	s.read += n
	return n, err
}

// Close closes the request's body.
func (s *seen) Close() error { return s.body.Close() }

// log writes a line as Caddy does. What Caddy leaves out of credentials is left
// out in any case.
func (s *seen) log(to *zap.Logger, r *http.Request, head http.Header) {
	level := zapcore.InfoLevel
	if s.status >= 500 {
		level = zapcore.ErrorLevel
	}
	if name, ok := caddyhttp.GetVar(r.Context(), caddyhttp.LogLevelVar).(string); ok {
		if own, err := zapcore.ParseLevel(name); err == nil && own >= zapcore.DebugLevel && own <= zapcore.ErrorLevel {
			level = own
		}
	}
	line := to.Check(level, "handled request")
	if line == nil {
		return
	}
	var user string
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		user, _ = repl.GetString("http.auth.user.id")
	}
	var duration time.Duration
	if start, ok := caddyhttp.GetVar(r.Context(), "start_time").(time.Time); ok {
		duration = time.Since(start)
	}
	line.Write(zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: r}), zap.Int("bytes_read", s.read), zap.String("user_id", user),
		zap.Duration("duration", duration), zap.Int("size", s.size), zap.Int("status", s.status),
		zap.Object("resp_headers", caddyhttp.LoggableHTTPHeader{Header: head}))
}

// logNames are the loggers that Caddy gives a request to; none if it does not
// log it.
func logNames(logs *caddyhttp.ServerLogConfig, r *http.Request) []string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	patterns := patterns(host)
	var names []string
	mapped := false
	for _, p := range patterns {
		if names, mapped = logs.LoggerNames[p]; mapped {
			break
		}
	}
	if !mapped {
		skipped := func(pattern string) bool { return slices.Contains(patterns, strings.ToLower(pattern)) }
		if logs.SkipUnmappedHosts || slices.ContainsFunc(logs.SkipHosts, skipped) {
			return nil
		}
		names = []string{logs.DefaultLoggerName}
	}
	own, ok := caddyhttp.GetVar(r.Context(), caddyhttp.AccessLoggerNameVarKey).([]any)
	if !ok {
		return names
	}
	names = nil
	for _, n := range own {
		if name, ok := n.(string); ok {
			names = append(names, name)
		}
	}
	return names
}

// patterns are the host itself and what may stand for it in Caddy's config of
// logs: a.b.c, *.b.c, *.*.c, *.*.*
func patterns(host string) []string {
	host = strings.ToLower(host)
	all, labels := []string{host}, strings.Split(host, ".")
	for i, label := range labels {
		if label == "" {
			continue
		}
		labels[i] = "*"
		all = append(all, strings.Join(labels, "."))
	}
	return all
}
