// Package warmup is the gate that has the target's upstreams answer a number of
// requests before traffic comes to them: what fills their caches and pools of
// connections, and compiles their code, is then no client's request.
package warmup

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/ask"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// Defaults and limits of a Gate.
const (
	DefaultRequests = 10
	MaxRequests     = 10000
	DefaultTimeout  = 5 * time.Second

	atOnce  = 8         // upstreams that are warmed at a time
	maxBody = 256 << 10 // of an answer that is read; what is more is not waited for
)

// Asker sends one GET to an upstream and reads at most limit bytes of the answer.
// *ask.Upstreams is one. The forwarder may be another, so that the connections
// are those that traffic will use.
type Asker interface {
	Get(ctx context.Context, address, target string, header http.Header, limit int64) (ask.Answer, error)
}

// Gate warms each healthy upstream of the target, one request after the other,
// until so many in a row were answered with 2xx, and in time if that is asked.
// An upstream stays warm for one move, and until its health changes: one that has
// restarted, or joins during a ramp, is warmed before the next step. A plan
// sends nothing. It must not be copied after first use.
type Gate struct {
	// Called is the gate's name. Default: warmup.
	Called string
	// Path and query that are asked for, beginning with a slash.
	Path string
	// Requests in a row that make an upstream warm, 1 to MaxRequests. Default:
	// DefaultRequests.
	Requests int
	// Within is the longest time to an answer's head that counts: an answer that
	// took longer begins the row anew. Default: 0, any time does.
	Within time.Duration
	// Timeout of one request. Default: DefaultTimeout.
	Timeout time.Duration
	// Upstreams sends the requests. Required.
	Upstreams Asker

	mu   sync.Mutex
	move string          // that the rows belong to; guarded by mu
	rows map[string]*row // by address; guarded by mu
}

// row is how warm an upstream is. The round that warms it owns it.
type row struct {
	busy    sync.Mutex
	since   time.Time // of the health that it was warmed in
	answers int       // in a row that count
	slow    string    // why the latest that did not count came too late
}

// Name implements switcher.Gate.
func (g *Gate) Name() string {
	if g.Called == "" {
		return "warmup"
	}
	return g.Called
}

// Check implements switcher.Gate.
func (g *Gate) Check(ctx context.Context, p switcher.GateInput) switcher.Verdict {
	targets := p.Healthy(p.To)
	if p.Planned() {
		return switcher.Verdict{Decision: switcher.Pass, Reason: fmt.Sprintf(
			"a cutover begins with %d × GET %s to each of %d upstreams; a plan sends none", g.requests(), g.Path, len(targets))}
	}
	if len(targets) == 0 {
		return switcher.Verdict{Reason: fmt.Sprintf("%s has no healthy upstream to warm", p.To)}
	}
	rows := g.rowsOf(p.ID, targets)
	reasons := make([]string, len(targets))
	places := make(chan struct{}, atOnce)
	var warming sync.WaitGroup
	for i, u := range targets {
		places <- struct{}{}
		warming.Go(func() {
			defer func() { <-places }()
			reasons[i] = g.warm(ctx, u, rows[i])
		})
	}
	warming.Wait()
	return g.verdict(targets, reasons)
}

// verdict names the first upstream that is not warm.
func (g *Gate) verdict(targets []switcher.UpstreamState, reasons []string) switcher.Verdict {
	cold, first := 0, ""
	for i, reason := range reasons {
		if reason == "" {
			continue
		}
		if cold++; first == "" {
			first = targets[i].Address + " " + reason
		}
	}
	if cold == 0 {
		return switcher.Verdict{Decision: switcher.Pass, Reason: fmt.Sprintf("%d upstreams answered %d × GET %s in a row", len(targets), g.requests(), g.Path)}
	}
	return switcher.Verdict{Reason: fmt.Sprintf("%d of %d upstreams are not warm: %s", cold, len(targets), first)}
}

// rowsOf finds or makes the rows of a move's targets, and forgets all others.
func (g *Gate) rowsOf(move string, targets []switcher.UpstreamState) []*row {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.rows
	if g.move != move {
		before = nil
	}
	g.move, g.rows = move, make(map[string]*row, len(targets))
	list := make([]*row, len(targets))
	for i, u := range targets {
		r := before[u.Address]
		if r == nil || !r.since.Equal(u.Since) {
			r = &row{since: u.Since}
		}
		g.rows[u.Address], list[i] = r, r
	}
	return list
}

// warm goes on with an upstream's row until it is complete, an answer is bad or
// the time is up, and says why it is not warm. In one round it sends no more
// than two rows, so that one that stays slow is not hammered.
func (g *Gate) warm(ctx context.Context, u switcher.UpstreamState, r *row) string {
	if !r.busy.TryLock() {
		return "is still being warmed by the round before"
	}
	defer r.busy.Unlock()
	want := g.requests()
	for range 2 * want {
		if r.answers >= want {
			return ""
		}
		bad, slow := g.once(ctx, u.Address)
		switch {
		case ctx.Err() != nil: // the round's time is up, whatever the answer was
			return fmt.Sprintf("has answered %d of %d × GET %s so far", r.answers, want, g.Path)
		case bad != "":
			r.answers = 0
			return fmt.Sprintf("%s (want %d good answers in a row)", bad, want)
		case slow != "":
			r.answers, r.slow = 0, slow
		default:
			r.answers++
		}
	}
	if r.answers >= want {
		return ""
	}
	return fmt.Sprintf("%s (want %d in a row in time)", r.slow, want)
}

// once sends one request, and says what is wrong with the answer, or with its
// time.
func (g *Gate) once(ctx context.Context, address string) (bad, slow string) {
	timeout := g.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	a, err := g.Upstreams.Get(ctx, address, g.Path, nil, maxBody)
	switch {
	case err != nil:
		return fmt.Sprintf("GET %s: %s", g.Path, ask.Line(err.Error())), ""
	case a.Status < 200 || a.Status > 299:
		return fmt.Sprintf("GET %s answered %d", g.Path, a.Status), ""
	case g.Within > 0 && a.Took > g.Within:
		return "", fmt.Sprintf("GET %s took longer than %s", g.Path, g.Within)
	}
	return "", ""
}

func (g *Gate) requests() int {
	if g.Requests == 0 {
		return DefaultRequests
	}
	return g.Requests
}

var (
	_ switcher.Gate = (*Gate)(nil)
	_ Asker         = (*ask.Upstreams)(nil)
)
