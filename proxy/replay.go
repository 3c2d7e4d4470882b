package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/greenroom-proxy/greenroom/internal/spool"
)

// Replay says which requests with a body are sent again, to another upstream,
// when theirs dies before the head of a response has come. What is read of the
// body is kept meanwhile. A body that outgrows what is kept goes on all the same,
// and is then sent once; so are requests that an upstream was too slow for.
// Attempts and budget are those of Retry.
type Replay struct {
	// Never send such a request again, and keep no body. Default: false.
	Off bool `json:"off,omitempty"`

	// The methods, in capitals, that may reach upstreams more than once; or
	// all. Default: those that are idempotent (RFC 9110 §9.2.2): GET, HEAD,
	// OPTIONS, PUT and DELETE.
	Methods []string `json:"methods,omitempty"`

	// Requests with a field Idempotency-Key too, whatever their method: for
	// upstreams that know by it what they have done already. Default: false.
	IdempotencyKey bool `json:"idempotency_key,omitempty"`

	// How much of a body is kept in memory, in bytes, 4096 to 67108864
	// (64 MiB). Default: 65536.
	Memory int64 `json:"memory,omitempty"`

	// How much more of it is kept on disk, in bytes, up to 1099511627776
	// (1 TiB). Default: 0, nothing.
	Disk int64 `json:"disk,omitempty"`
}

// Spool bounds what all services together keep of uploads, and says where.
type Spool struct {
	// In memory, in bytes, up to 1099511627776 (1 TiB). Default: 67108864
	// (64 MiB).
	Memory int64 `json:"memory,omitempty"`

	// On disk, in bytes, up to 1125899906842624 (1 PiB). Default: 1073741824
	// (1 GiB).
	Disk int64 `json:"disk,omitempty"`

	// The directory of the files, which nobody else can open and which have
	// no name. Where bodies are large it deserves a file system of its own: one
	// that is full keeps state from being stored. Default: spool in state_dir.
	Dir string `json:"dir,omitempty"`
}

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
	tib = 1 << 40
)

func (s *Replay) prepare() error {
	if s.Memory == 0 {
		s.Memory = 64 * kib
	}
	if s.Methods == nil {
		s.Methods = []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete}
	}
	for _, m := range s.Methods {
		if m != "all" && (!httpguts.ValidHeaderFieldName(m) || m != strings.ToUpper(m)) {
			return fmt.Errorf("replay methods %.20q: want methods in capitals, or all", m)
		}
	}
	return errors.Join(
		inRange("replay memory", s.Memory, 4*kib, 64*mib),
		inRange("replay disk", s.Disk, 0, tib),
	)
}

// limits are those of one body of a service; s may be nil.
func (s *Spool) limits(r *Replay, stateDir string) (spool.Limits, error) {
	l := spool.Limits{
		Memory: r.Memory, Disk: r.Disk, AllMemory: 64 * mib, AllDisk: gib,
		Dir: filepath.Join(stateDir, "spool"),
	}
	if s == nil {
		return l, nil
	}
	if s.Memory != 0 {
		l.AllMemory = s.Memory
	}
	if s.Disk != 0 {
		l.AllDisk = s.Disk
	}
	if s.Dir != "" {
		var err error
		if l.Dir, err = filepath.Abs(s.Dir); err != nil {
			return l, fmt.Errorf("spool dir: %w", err)
		}
	}
	return l, errors.Join(
		inRange("spool memory", l.AllMemory, 0, tib),
		inRange("spool disk", l.AllDisk, 0, 1024*tib),
	)
}

// allows reports whether r may reach more than one upstream. A CONNECT never
// may: what follows it is no body.
func (s *Replay) allows(r *http.Request) bool {
	switch {
	case s.Off || r.Method == http.MethodConnect:
		return false
	case s.IdempotencyKey && r.Header.Get("Idempotency-Key") != "":
		return true
	}
	return slices.Contains(s.Methods, r.Method) || slices.Contains(s.Methods, "all")
}

// upload is the body of r, if it is to be kept.
func (e *edge) upload(w http.ResponseWriter, r *http.Request) *upload {
	if !hasBody(r) || r.ContentLength > e.spool.Total() || !e.config.Replay.allows(r) {
		return nil
	}
	return newUpload(w, r, spool.New(&e.runtime.spools, e.spool, r.ContentLength))
}

// unreplayed is why a request with a body that an upstream has not answered was
// not sent to another one. It is a label of a metric.
type unreplayed string

const (
	unreplayedOff        unreplayed = "off"
	unreplayedMethod     unreplayed = "method"
	unreplayedTimeout    unreplayed = "timeout"
	unreplayedTooLarge   unreplayed = "too_large"
	unreplayedFull       unreplayed = "full"
	unreplayedDisk       unreplayed = "disk"
	unreplayedAttempts   unreplayed = "attempts"
	unreplayedBudget     unreplayed = "budget"
	unreplayedNoUpstream unreplayed = "no_upstream"
	unreplayedClient     unreplayed = "client"
)

var unreplayedTexts = map[unreplayed]string{
	unreplayedOff:        "replay is off",
	unreplayedMethod:     "its method is not among those that may reach an upstream twice",
	unreplayedTimeout:    "the upstream may still be at it",
	unreplayedTooLarge:   "its body is larger than what is kept",
	unreplayedFull:       "what is kept of all bodies has reached its bound",
	unreplayedDisk:       "its body could not be kept on disk",
	unreplayedAttempts:   "it was tried as often as allowed",
	unreplayedBudget:     "the retry budget is spent",
	unreplayedNoUpstream: "there is no other upstream",
	unreplayedClient:     "its body broke off",
}

// whyNot is why again refuses a request that failed as it did.
func (t *trip) whyNot(r *http.Request, failed *AttemptError) unreplayed {
	switch {
	case failed.Timeout && failed.Stage != StageDial:
		return unreplayedTimeout
	case t.edge.config.Replay.Off:
		return unreplayedOff
	case !t.edge.config.Replay.allows(r):
		return unreplayedMethod
	case !failed.BodyRead:
		return unreplayedAttempts
	case t.upload == nil:
		return unreplayedTooLarge
	}
	switch why := t.upload.why(); {
	case errors.Is(why, spool.ErrFull):
		return unreplayedFull
	case errors.Is(why, spool.ErrDisk), errors.Is(why, errUnkept):
		return unreplayedDisk
	case why == nil && t.upload.failure() != nil:
		return unreplayedClient
	}
	return unreplayedTooLarge
}

// giveUp answers for an attempt that failed and is the last one. Where that
// leaves open what became of an upload, it says so.
func (t *trip) giveUp(w http.ResponseWriter, r *http.Request, failed *AttemptError, why unreplayed) error {
	t.failed(r)
	status := http.StatusBadGateway
	if failed.Timeout {
		status = http.StatusGatewayTimeout
	}
	if !hasBody(r) || failed.Stage == StageDial && !failed.BodyRead {
		return t.refuse(w, status, failed)
	}
	t.edge.runtime.metrics.unreplayed.WithLabelValues(t.edge.name, string(why)).Inc()
	return t.refuse(w, status, fmt.Errorf("%w; not sent to another upstream: %s", failed, unreplayedTexts[why]))
}
