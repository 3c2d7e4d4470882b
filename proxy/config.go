package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/net/http/httpguts"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// Service is the config of one service: two pools, how they are checked, and
// how traffic moves between them.
type Service struct {
	// The color that serves while the service has no stored state, blue or
	// green. Later the state decides, whatever the config says: traffic
	// never moves because of a reload. Default: blue.
	Active string `json:"active,omitempty"`

	// Where the pools come from. Modules: static (addresses in the config),
	// file (a watched JSON file), consul (its catalog). Required.
	PoolsRaw json.RawMessage `json:"pools,omitempty" caddy:"namespace=greenroom.pools inline_key=source"`

	// The active health checks. An upstream is healthy when all those that
	// apply to its color pass. Default: one TCP check.
	Checks []*Check `json:"checks,omitempty"`

	// How to choose an upstream inside a pool: least_inflight, round_robin
	// or hash (by client). Default: least_inflight, for which WebSockets and
	// server-sent events, which mostly rest, count only where another is to go.
	Balance string `json:"balance,omitempty"`

	// What a client is known by, so that it keeps its color during a ramp.
	// Default: its IP address.
	Sticky *Sticky `json:"sticky,omitempty"`

	// Keeping sessions on their color when traffic moves. Default: requests
	// go by the split, each by itself.
	Pin *Pin `json:"pin,omitempty"`

	// How to reach the idle color before a cutover. Default: not at all.
	Preview *Preview `json:"preview,omitempty"`

	// The steps of a cutover, as "10:5m,50:10m": weight in percent, and how
	// long to hold it; "50:hold" waits for an operator. Default: none, the
	// traffic flips at once.
	Ramp string `json:"ramp,omitempty"`

	// The share of the target pool that must be healthy before each step of
	// a cutover, above 0 up to 1. Default: 1.
	MinHealthy float64 `json:"min_healthy,omitempty"`

	// How long the verdicts of the target pool must have been unchanged
	// before each step, 0 to 24h. Default: 0.
	Soak caddy.Duration `json:"soak,omitempty"`

	// More gates: of servers that are asked, warm-up, schema, live streams.
	// Default: none.
	Gates *Gates `json:"gates,omitempty"`

	// How long a cutover waits for its gates before it is refused or, in
	// the middle of a ramp, what on_failure says happens, up to 24h. Default: 30s.
	GateTimeout caddy.Duration `json:"gate_timeout,omitempty"`

	// What happens in the middle of a ramp when a gate refuses or stays closed,
	// the target has no healthy upstream left, or it does worse (compare): rollback brings all traffic back
	// at once; freeze holds the ramp at its weight until an operator resumes or
	// goes back; forward_only never goes back by itself, and goes on when the
	// gates open. Default: rollback.
	OnFailure switcher.FailurePolicy `json:"on_failure,omitempty"`

	// Comparing the target of a ramp with the color beside it. Default: by errors,
	// connect errors and latency.
	Compare *Compare `json:"compare,omitempty"`

	// How long after the flip a rollback is reckoned with, up to 720h: greenroom
	// rollback-window says when contracting the database's schema is safe. A
	// rollback goes through at any time. Default: 30m.
	RollbackWindow caddy.Duration `json:"rollback_window,omitempty"`

	// How long the color that lost its traffic may finish its work before
	// what is left is cut, up to 168h. Default: 10m.
	DrainTimeout caddy.Duration `json:"drain_timeout,omitempty"`

	// How long streams of a kind may finish in a drain, where that is not
	// drain_timeout: websocket, sse, download, upload, live (responses of
	// unknown length), grpc, request (all else), each up to 168h.
	DrainDeadlines switcher.Deadlines `json:"drain_deadlines,omitzero"`

	// How fast streams are ended at their deadline. Default: 2 percent per
	// second; a quarter of that while the other color is not all healthy.
	Evict *Pace `json:"evict,omitempty"`

	// The status code that a WebSocket is closed with when it is ended: one
	// that can be sent, 1000 to 1003, 1007 to 1014 or 3000 to 4999 (RFC 6455
	// §7.4). Default: 1012, service restart: some clients take 1001 for a word
	// not to come back.
	CloseCode int `json:"close_code,omitempty"`

	// Show of a client's address only the network, /24 or /48, in lists of
	// streams. Default: false.
	TruncateClients bool `json:"truncate_clients,omitempty"`

	// Continuing downloads whose upstream dies. Default: from upstreams of
	// the same color, where the rules allow it.
	Resume *Resume `json:"resume,omitempty"`

	// Sending requests with a body again when their upstream dies before it
	// has answered. Default: those of idempotent methods, with bodies of up to
	// 64 KiB.
	Replay *Replay `json:"replay,omitempty"`

	// Trying again, and passing over upstreams that refuse connections.
	Retry *Retry `json:"retry,omitempty"`

	// A response header that names the color that answered, for tests and
	// demonstrations. Default: none.
	ColorHeader string `json:"color_header,omitempty"`

	// Serve paths that different servers could read differently (encoded
	// slashes, backslashes or percent signs, dot segments, empty segments)
	// instead of answering 400. Default: false.
	AllowAmbiguousPaths bool `json:"allow_ambiguous_paths,omitempty"`

	// How to talk to the upstreams: any http.reverse_proxy.transport
	// module. Default: http, with HTTP/1.1 in plaintext.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`

	// By what requests are sent. Default: Greenroom's own forwarder where it
	// can do what the transport is set to.
	Forwarder *Forwarding `json:"forwarder,omitempty"`

	ramp    switcher.Ramp
	balance switcher.Balance
	active  switcher.Color
	gates   *builtGates
	limits  *compare.Limits // nil: nothing is compared
}

// Retry says when a request is tried at another upstream, and when an upstream
// is passed over.
type Retry struct {
	// How many more upstreams a request may be tried at, 0 to 10. Only what
	// does no harm is tried again: a connection that could not be made, or a
	// request that died without an answer and that is a GET, HEAD or OPTIONS
	// without a body or such that Replay allows it. Default: 2.
	Attempts *int `json:"attempts,omitempty"`

	// The retry budget: how many retries per 100 requests, 0 to 100.
	// Default: 20.
	BudgetPercent *int `json:"budget_percent,omitempty"`

	// Retries per second that are always allowed, 0 to 1000. Default: 10.
	BudgetMin *int `json:"budget_min,omitempty"`

	// Pass over an upstream after this many connect errors in a row, 0
	// (never) to 1000. Default: 1.
	EjectAfter *int `json:"eject_after,omitempty"`

	// For how long, 100ms to 1h. Default: 10s.
	EjectFor caddy.Duration `json:"eject_for,omitempty"`
}

var serviceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?$`)

// prepare checks what can be checked without loading modules.
func (s *Service) prepare() (err error) {
	s.active = switcher.Blue
	if s.Active != "" {
		if s.active, err = switcher.ParseColor(s.Active); err != nil {
			return fmt.Errorf("active: %w", err)
		}
	}
	if s.Balance != "" {
		if s.balance, err = switcher.ParseBalance(s.Balance); err != nil {
			return err
		}
	}
	if s.ramp, err = switcher.ParseRamp(s.Ramp); err != nil {
		return err
	}
	if s.MinHealthy == 0 {
		s.MinHealthy = 1
	}
	if s.Retry == nil {
		s.Retry = new(Retry)
	}
	if s.Resume == nil {
		s.Resume = new(Resume)
	}
	if s.Replay == nil {
		s.Replay = new(Replay)
	}
	if s.Forwarder == nil {
		s.Forwarder = new(Forwarding)
	}
	if s.gates, err = s.Gates.build(s); err != nil {
		return err
	}
	if s.limits, err = s.Compare.limits(s.Pin != nil); err != nil {
		return err
	}
	return errors.Join(
		s.Forwarder.prepare(),
		s.Resume.prepare(),
		s.Replay.prepare(),
		fieldName("color_header", s.ColorHeader),
		inRange("min_healthy", s.MinHealthy, 0.001, 1),
		inRange("soak", time.Duration(s.Soak), 0, 24*time.Hour),
		s.options().Validate(),
		s.Retry.prepare(),
		s.Evict.validate(),
		closeCode(s.CloseCode),
		s.Sticky.validate(),
		s.Pin.prepare(),
	)
}

func (s *Service) options() switcher.Options {
	return switcher.Options{GateTimeout: switcher.Duration(s.GateTimeout), DrainTimeout: switcher.Duration(s.DrainTimeout), Deadlines: s.DrainDeadlines, PinDeadline: s.Pin.deadline(),
		OnFailure: s.OnFailure, RollbackWindow: switcher.Duration(s.RollbackWindow)}
}

// switcherConfig is the part of the config that the switcher goes by.
func (s *Service) switcherConfig() switcher.Config {
	gates := []switcher.Gate{switcher.HealthyShare{Min: s.MinHealthy}}
	if s.Soak > 0 {
		gates = append(gates, switcher.Soak{For: time.Duration(s.Soak)})
	}
	if s.gates != nil {
		gates = append(gates, s.gates.gates...)
	}
	return switcher.Config{Active: s.active, Ramp: s.ramp, Gates: gates, Compare: s.limits, Pins: s.Pin.config(), Options: s.options()}
}

func (r *Retry) prepare() error {
	orDefault(&r.Attempts, 2)
	orDefault(&r.BudgetPercent, 20)
	orDefault(&r.BudgetMin, 10)
	orDefault(&r.EjectAfter, 1)
	if r.EjectFor == 0 {
		r.EjectFor = caddy.Duration(10 * time.Second)
	}
	return errors.Join(
		inRange("retries (retry.attempts)", *r.Attempts, 0, 10),
		inRange("retry_percent (retry.budget_percent)", *r.BudgetPercent, 0, 100),
		inRange("retries_per_second (retry.budget_min)", *r.BudgetMin, 0, 1000),
		inRange("eject (retry.eject_after)", *r.EjectAfter, 0, 1000),
		inRange("eject duration (retry.eject_for)", time.Duration(r.EjectFor), 100*time.Millisecond, time.Hour),
	)
}

func (r *Retry) ejection() switcher.Ejection {
	return switcher.Ejection{After: *r.EjectAfter, For: time.Duration(r.EjectFor)}
}

func orDefault[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

func inRange[T int | int64 | float64 | time.Duration](field string, value, low, high T) error {
	if value >= low && value <= high { // false for NaN
		return nil
	}
	return fmt.Errorf("%s is %v: want %v to %v", field, value, low, high)
}

// fieldName wants what can be the name of a header field or a cookie, if there
// is one.
func fieldName(option, name string) error {
	if name == "" || httpguts.ValidHeaderFieldName(name) {
		return nil
	}
	return fmt.Errorf("%s %q: want a name of letters, digits and dashes", option, name)
}
