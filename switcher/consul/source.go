package consul

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// SourceConfig is where the pools of one service come from, and how careful to
// be with them.
type SourceConfig struct {
	// Query of the catalog.
	Query Query `json:"query"`
	// Colors are how to tell them. Default: by the tags "blue" and "green".
	Colors Naming `json:"colors,omitzero"`
	// Hold is how long upstreams are kept that vanished from the catalog with
	// more than half of their pool, and still probe healthy: 1s to 10m.
	// Default 30s.
	Hold switcher.Duration `json:"hold,omitempty"`
	// Reads is how many reads, 5 s apart, must agree that such upstreams are
	// gone if our own probes know nothing of them: 1 to 100. Default 3.
	Reads int `json:"reads,omitempty"`

	// Probed tells what our own probes say. Default: they know nothing.
	Probed Probed `json:"-"`
	// Last is the pools as an earlier process knew them. They are told, as
	// stale, if the first answer is a failure or does not come within half a
	// second, and guarded like any others. Default: none.
	Last switcher.Pools `json:"-"`
	// Log is told which instances are left out, and why. Default: nothing is
	// logged.
	Log *slog.Logger `json:"-"`
}

// The defaults of a SourceConfig.
const (
	DefaultHold  = 30 * time.Second
	DefaultReads = 3
	wipedHold    = 3 * time.Minute
)

// firstAnswer is how long the first answer is waited for before the pools of an
// earlier process are told: an edge holds requests for some seconds only.
const firstAnswer = 500 * time.Millisecond

var errSilent = errors.New("no answer yet")

// Validate names the field that cannot be used, and why.
func (c SourceConfig) Validate() error {
	if err := c.Colors.Validate(); err != nil {
		return err
	}
	if c.Colors.By == ByService && c.Query.Service != "" {
		return errors.New("service: colors by service name both services, and no third")
	}
	for _, color := range switcher.Colors {
		if err := c.Colors.withDefaults().queries(c.Query).Of(color).Validate(); err != nil {
			return err
		}
	}
	if h := time.Duration(c.Hold); h != 0 && (h < time.Second || h > 10*time.Minute) {
		return fmt.Errorf("hold %s: want 1s to 10m", h)
	}
	if c.Reads < 0 || c.Reads > 100 {
		return fmt.Errorf("reads %d: want 1 to 100", c.Reads)
	}
	return switcher.ValidatePools(c.Last)
}

func (c SourceConfig) withDefaults() SourceConfig {
	c.Colors = c.Colors.withDefaults()
	if c.Hold == 0 {
		c.Hold = switcher.Duration(DefaultHold)
	}
	if c.Reads == 0 {
		c.Reads = DefaultReads
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Source tells the pools of one service from Consul's catalog.
type Source struct {
	client  *Client
	config  SourceConfig
	queries switcher.PerColor[Query]
	invalid error
	// looked is called after each look at what the watches know, for tests.
	looked func()

	mu     sync.Mutex
	status Status // guarded by mu
}

var _ switcher.Source = (*Source)(nil)

// NewSource makes a source. What Validate refuses is told when it runs.
func NewSource(client *Client, c SourceConfig) *Source {
	s := &Source{client: client, invalid: c.Validate(), looked: func() {}}
	s.config = c.withDefaults()
	s.queries = s.config.Colors.queries(c.Query)
	return s
}

// String implements switcher.Source.
func (s *Source) String() string { return s.config.Colors.describe(s.config.Query) }

// Run implements switcher.Source.
func (s *Source) Run(ctx context.Context, sink switcher.Sink) error {
	if s.invalid != nil && ctx.Err() == nil {
		sink.Fail(fmt.Errorf("%s: %w", s, s.invalid))
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	news := make(chan struct{}, 1)
	r := newRun(s, sink)
	for _, c := range switcher.Colors {
		if c == switcher.Green && s.queries.Green == s.queries.Blue {
			r.subs.Green = r.subs.Blue
			break
		}
		sub := s.client.subscribe(s.queries.Of(c), news)
		defer s.client.leave(sub)
		*r.subs.At(c) = sub
	}
	late := time.NewTimer(firstAnswer)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			r.late = r.remembers()
		case <-news:
		}
		if ctx.Err() != nil {
			return ctx.Err() // both were ready
		}
		r.look()
		s.looked()
	}
}

// run is the state of one Run.
type run struct {
	*Source
	sink   switcher.Sink
	subs   switcher.PerColor[*subscription]
	sides  switcher.PerColor[*side]
	teller teller
	logged []string // reasons last logged
	outage outage
	late   bool // an answer that has not come is a failure
}

func newRun(s *Source, sink switcher.Sink) *run {
	r := &run{Source: s, sink: sink}
	for _, c := range switcher.Colors {
		*r.sides.At(c) = &side{color: c, guard: newGuard(limits{
			reads: s.config.Reads, spacing: s.client.pace.confirm / 2,
			hold: time.Duration(s.config.Hold), wiped: wipedHold,
		}, s.config.Last.Of(c))}
	}
	return r
}

// look judges what the watches know, and tells what is new.
func (r *run) look() {
	var pools switcher.Pools
	var problems []error
	var answered, pending bool
	answers := switcher.PerColor[answer]{}
	for _, c := range switcher.Colors {
		a := r.subs.Of(c).latest()
		if a.last.at.IsZero() {
			pending = !r.late
			a.last.err = errSilent
		}
		*answers.At(c) = a
		side := r.sides.Of(c)
		problems = append(problems, side.see(r, a)...)
		*pools.At(c) = side.guard.pool
		answered = answered || side.answered
	}
	if r.subs.Blue == r.subs.Green && answers.Blue.last.err != nil {
		problems = problems[:1] // both sides say the same
	}
	for _, c := range switcher.Colors {
		sub := r.subs.Of(c)
		sub.urge(r.sides.Of(c).held > 0 || r.subs.Blue == r.subs.Green && r.sides.Of(c.Other()).held > 0)
	}
	if pending || r.outage.halfway(answers) {
		return
	}
	failure := together(problems)
	r.note(answers, failure)
	r.tell(pools, answered || r.remembers(), failure)
}

// remembers reports whether there are pools of an earlier process.
func (r *run) remembers() bool { return len(r.config.Last.Blue)+len(r.config.Last.Green) > 0 }

// together makes one line of what is wrong with both sides.
func together(problems []error) error {
	switch len(problems) {
	case 0:
		return nil
	case 1:
		return problems[0]
	}
	return fmt.Errorf("%w; %w", problems[0], problems[1])
}

// tell passes on what the sink does not know. A failure follows the pools that
// it goes with.
func (r *run) tell(pools switcher.Pools, known bool, failure error) {
	updated := known && r.teller.pools(pools, failure)
	if updated {
		r.sink.Update(switcher.Pools{Blue: slices.Clone(pools.Blue), Green: slices.Clone(pools.Green)})
	}
	if r.teller.failure(failure, updated) {
		r.sink.Fail(failure)
	}
}

// side is one color of a Run.
type side struct {
	color    switcher.Color
	guard    *guard
	judged   uint64    // the good answer last judged, by its count
	version  uint64    // of the instances that were chosen from
	chosen   selection // of them
	strays   int       // among them, of neither color
	answered bool      // there was an answer that could be used
	problem  error     // with the last good answer
	held     int       // upstreams that vanished and are kept
}

// see judges an answer, once, and returns what is wrong with it.
func (d *side) see(r *run, a answer) []error {
	if a.count != d.judged {
		d.judged = a.count
		d.problem = d.judge(r, a)
	}
	switch {
	case a.last.err != nil:
		what := "service " + r.queries.Of(d.color).Service
		return []error{r.client.explain(what, a.last.err)}
	case d.problem != nil:
		return []error{d.problem}
	}
	return nil
}

func (d *side) judge(r *run, a answer) error {
	if a.version != d.version {
		d.version = a.version
		d.chosen = choose(a.instances, r.config.Colors, d.color)
		d.strays = colorless(a.instances, r.config.Colors)
	}
	chosen := d.chosen
	if len(chosen.pool) == 0 && len(d.guard.pool) == 0 && len(a.instances) == 0 && !d.believable(a) {
		return fmt.Errorf("%s: nothing is in the catalog for %s, but %s", r.Source, d.color, doubt(a.good))
	}
	d.answered = true
	if len(chosen.pool) == 0 && chosen.left > 0 {
		return fmt.Errorf("%s: none of %d instances of %s can be used: %s", r.Source, chosen.left, d.color, chosen.refused[0])
	}
	pool, v := d.guard.judge(a.good, chosen.pool, r.config.Probed)
	d.held = v.held
	if r.config.Query.Near == "" {
		sortPool(pool)
	}
	if v.held == 0 {
		return nil
	}
	return errors.New(r.Source.String() + ": " + v.sentence(d.color))
}

// believable: an empty answer to begin with is meant only if a leader says so
// and ACLs hide nothing.
func (d *side) believable(a answer) bool { return a.good.vouched && !a.good.filtered }

func doubt(s sight) string {
	if !s.vouched {
		return "no leader of Consul vouches for that"
	}
	return "the token may not read all of it (ACLs filter the answer)"
}

func sortPool(pool []switcher.Upstream) {
	slices.SortFunc(pool, func(a, b switcher.Upstream) int { return strings.Compare(a.Address, b.Address) })
}
