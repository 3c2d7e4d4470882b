package proxy

import "github.com/caddyserver/caddy/v2"

// Gates are what must hold before each step of a cutover, besides min_healthy
// and soak. All are asked at once. One that waits is asked again each second
// until gate_timeout; what that means in the middle of a ramp on_failure says.
// greenroom plan asks them without moving anything. Each has a name of its own, and
// none of healthy, soak, connections and store, which are Greenroom's.
type Gates struct {
	// Gates that ask a server by POST.
	HTTP []*HTTPGate `json:"http,omitempty"`

	// Gates that warm the upstreams of the target.
	Warmup []*WarmupGate `json:"warmup,omitempty"`

	// Gates that hold the schema of a database within what both colors can
	// work with.
	Schema []*SchemaGate `json:"schema,omitempty"`

	// Gates that watch live HLS streams of the target.
	Live []*LiveGate `json:"live,omitempty"`
}

// HTTPGate posts what is about to happen, as JSON, to a server before each step:
// version, service, id, from, to, weight, step, steps, by, reason, now, health,
// upstreams, dry_run (for a plan). An answer of 2xx opens the gate; any other refuses, with
// the first line of its body, also a redirect, which is not followed. A server
// that cannot be reached or does not answer in time is waited for until
// gate_timeout, and then refused.
type HTTPGate struct {
	// The name in status, plan and errors. Default: http.
	Name string `json:"name,omitempty"`

	Request

	// Longest time for an answer, 100ms to 10s. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
}

// Request is how to ask a server by its URL.
type Request struct {
	// The URL, http or https, without a user or a password. Its query is not
	// shown in reasons. HTTP_PROXY and the like count. Required.
	URL string `json:"url,omitempty"`

	// Header fields with a secret: the value is or ends with a placeholder such
	// as {env.GATE_TOKEN} or {file./run/secrets/gate}, as in "Bearer {env.TOKEN}";
	// never the secret itself, since a config is shown by Caddy's admin API. It is
	// read again with each request. Default: none.
	Headers map[string]string `json:"headers,omitempty"`

	// TLS to the server. Default: that of the system.
	TLS *CheckTLS `json:"tls,omitempty"`
}

// Direct is how to ask an upstream itself.
type Direct struct {
	// The Host to ask for. Default: the upstream's address.
	Host string `json:"host,omitempty"`

	// TLS to the upstream. Default: plaintext.
	TLS *CheckTLS `json:"tls,omitempty"`
}

// WarmupGate sends each healthy upstream of the target GET requests, one after
// the other, until enough in a row were answered with 2xx. Each is warmed once in
// a cutover, and again if its health changes meanwhile.
type WarmupGate struct {
	// The name in status, plan and errors. Default: warmup.
	Name string `json:"name,omitempty"`

	// Path and query to ask for. Required.
	Path string `json:"path,omitempty"`

	// Good answers in a row that make an upstream warm, 1 to 10000. Default: 10.
	Requests int `json:"requests,omitempty"`

	// The longest time to an answer that counts, 1ms to 10s: a slower one begins
	// the row anew. Default: any time counts.
	Within caddy.Duration `json:"within,omitempty"`

	// Longest time for an answer, 100ms to 10s. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	Direct
}

// SchemaGate wants the version of a database's schema to be one that both colors
// work with: the target, or it fails; and the color that loses traffic, or there
// is no way back. If the second is lost in the middle of a ramp, the ramp is held
// whatever on_failure says. What cannot be read is waited for until gate_timeout.
// A rollback asks no gate; greenroom plan to the color before says what this one
// thinks of it.
type SchemaGate struct {
	// The name in status, plan and errors. Default: schema.
	Name string `json:"name,omitempty"`

	// Where the version is: one of postgres, http and consul. Required.
	Postgres *PostgresVersion `json:"postgres,omitempty"`
	HTTP     *HTTPVersion     `json:"http,omitempty"`
	// A key of Consul's KV that holds the version alone.
	Consul string `json:"consul,omitempty"`

	// The versions that a color works with, as "12..14" or "12". Default: only
	// its upstreams say.
	Blue  string `json:"blue,omitempty"`
	Green string `json:"green,omitempty"`

	// The entries of an upstream's metadata, and the members of what path
	// answers, that hold the first and the last version it works with. Of several
	// declarations the narrowest counts. Default: schema_min and schema_max.
	MinKey string `json:"min_key,omitempty"`
	MaxKey string `json:"max_key,omitempty"`

	// A path that every healthy upstream of both colors answers with 200 and a
	// JSON object with min_key and max_key. Default: none is asked.
	Path string `json:"path,omitempty"`

	// Longest time for the version, and for the upstreams, 100ms to 10s.
	// Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	Direct
}

// PostgresVersion reads a version from PostgreSQL, in a transaction that cannot
// write, on a new connection each time.
type PostgresVersion struct {
	// Where the database is, as "host=/run/postgresql dbname=app user=greenroom"
	// or postgres://…; without a password, or else one placeholder {env.…} or
	// {file.…} for all of it. What it leaves out comes from where libpq takes it:
	// PGHOST and the like, service=…, passfile=…. Default: all of it from there.
	DSN string `json:"dsn,omitempty"`

	// A placeholder for the password, {env.…} or {file.…}, read again each time.
	// Default: that of a password file, or none.
	Password string `json:"password,omitempty"`

	// A query that returns one row of one column, the version, or the text
	// "dirty 14" while the migration to it is not done. Default: the highest version
	// in schema_migrations, if there is no row whose column dirty is true.
	Query string `json:"query,omitempty"`
}

// HTTPVersion reads a version from a server that answers a GET with 200.
type HTTPVersion struct {
	Request

	// The member of the JSON object in its body. Default: the body is the number.
	Field string `json:"field,omitempty"`
}

// LiveGate watches live HLS streams at the target's healthy upstreams (the first
// 32) for three target durations before each step: all playlists answer and move
// on, the window, the durations, the first and last segment, the end. It compares
// them with those of the color on air: players that go on with the target must
// find the same ladder, and the same segments under the same numbers. If none of
// the first 8 healthy upstreams of that color has a stream (404), or none shows it
// whole for three target durations, it is compared with nothing.
// URLs in playlists that have host are the upstreams' own; other servers are not
// asked, and a stream that has playlists nowhere else does not pass.
// gate_timeout must be longer than three target durations.
type LiveGate struct {
	// The name in status, plan and errors. Default: live.
	Name string `json:"name,omitempty"`

	// The streams: paths of multivariant or media playlists, 1 to 16. Required.
	Paths []string `json:"paths,omitempty"`

	// How far the end of a stream may be behind now by its program date, 1s to
	// 24h. Default: 30s.
	MaxLag caddy.Duration `json:"max_lag,omitempty"`

	// How far the ends of both colors may be apart by their program dates, 100ms
	// to 1h, and the same segment if that is longer than half of it. Default: two
	// target durations, and half a segment.
	MaxSkew caddy.Duration `json:"max_skew,omitempty"`

	// Let the colors have other segments under the same numbers, and other
	// ladders: something splices them, or sessions stay on their color. Default:
	// true where the service pins sessions, else false.
	Unaligned *bool `json:"unaligned,omitempty"`

	Direct
}

// all lists the gates that there are, in the order shown.
func (g *Gates) all() (list []gateConfig) {
	if g == nil {
		return nil
	}
	for _, c := range g.Warmup {
		list = append(list, c)
	}
	for _, c := range g.Live {
		list = append(list, c)
	}
	for _, c := range g.Schema {
		list = append(list, c)
	}
	for _, c := range g.HTTP {
		list = append(list, c)
	}
	return list
}
