package cmcd

import (
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Meter. The zero value means the defaults.
type Options struct {
	// Window is how long a session counts as alive after its last report, and
	// as starved after its last report of starvation. Default 60 s, at least 1 s.
	Window time.Duration

	// MaxSessions is how many sessions are known at a time, in all scopes
	// together. Default 100,000. A session costs 50 to 110 bytes, as maps grow
	// by doubling. Beyond it new sessions are refused and counted, until others
	// have expired; their reports count all the same.
	MaxSessions int
}

// Scope is what a Meter counts by: names from the configuration, never from a
// client.
type Scope struct {
	// Name is that of a media rule or service.
	Name string

	// Color is that which served the request, or empty. A session whose color
	// changes moves with it, and what it then says of the time before is not
	// held against the new color.
	Color string
}

// MaxScopes is how many scopes a Meter tells apart. Any others share the
// zero Scope, so that a configuration that is reloaded for ever with new names
// stays bounded.
const MaxScopes = 256

const shards = 32 // by session: few enough to add up, more than cores want at once

// Meter adds up reports. It keeps no session's id, only a hash of it under a
// key of this process. Make one with New; it is safe for concurrent use.
type Meter struct {
	options Options
	seed    maphash.Seed
	known   atomic.Int64 // sessions in all shards
	naming  sync.Mutex   // held while scopes is replaced
	scopes  atomic.Pointer[scopes]
	shards  [shards]shard
}

// New returns a Meter that has seen nothing.
func New(o Options) *Meter {
	if o.Window <= 0 {
		o.Window = time.Minute
	}
	o.Window = max(o.Window, time.Second)
	if o.MaxSessions <= 0 {
		o.MaxSessions = 100_000
	}
	m := &Meter{options: o, seed: maphash.MakeSeed()}
	m.scopes.Store(&scopes{names: []Scope{{}}, ids: map[Scope]int{{}: 0}})
	return m
}

// scopes numbers the scopes. Number 0 is that of the zero Scope.
type scopes struct {
	names []Scope // by number
	ids   map[Scope]int
}

// find returns the number that the scope has, or is to share.
func (s *scopes) find(scope Scope) (id int, ok bool) {
	id, ok = s.ids[scope]
	return id, ok || len(s.names) > MaxScopes
}

// id returns the scope's number, which it has for ever.
func (m *Meter) id(scope Scope) int {
	if id, ok := m.scopes.Load().find(scope); ok {
		return id
	}
	m.naming.Lock()
	defer m.naming.Unlock()
	was := m.scopes.Load()
	if id, ok := was.find(scope); ok {
		return id
	}
	id := len(was.names)
	next := &scopes{names: append(slices.Clip(was.names), scope), ids: maps.Clone(was.ids)}
	next.ids[scope] = id
	m.scopes.Store(next)
	return id
}

// shard holds some of the sessions, and what their reports add up to.
type shard struct {
	mu       sync.Mutex
	sessions map[uint64]session // guarded by mu
	tallies  []*tally           // guarded by mu; by number of the scope
	swept    int64              // guarded by mu
	_        [64]byte           // a cache line of its own
}

// session is what is known of one. Times are Unix nanoseconds.
type session struct {
	seen    int64
	starved int64 // 0: not seen to starve
	scope   int32
	stands  standing
}

// standing is how a session counts among the Viewers of its scope.
type standing uint8

const (
	arrived  standing = iota // had one report here
	watching                 // had more, and none of starvation
	suffered                 // starved here
)

// tally is what the reports of one scope in one shard add up to.
type tally struct {
	reports, starved, startup, failing, refused, moved, invalid uint64

	viewers Viewers

	throughput, buffer histogram
}

func (s *shard) tally(id int) *tally {
	for len(s.tallies) <= id {
		s.tallies = append(s.tallies, nil)
	}
	if s.tallies[id] == nil {
		s.tallies[id] = new(tally)
	}
	return s.tallies[id]
}

// Observe counts a report that came at now. A report without a session counts
// too, but for no session.
//
// The first report of a session in a scope makes the session alive there, and
// starved only if a later one says so again: bs is about the time before
// the report, which may have been another color's, or another edge's. One
// invented id for each request therefore makes no starved session.
func (m *Meter) Observe(scope Scope, r Report, now time.Time) {
	id := m.id(scope)
	key := rand.Uint64()
	if r.Session != "" {
		key = m.key(scope.Name, r.Session)
	}
	s := &m.shards[key%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tally(id)
	t.count(r)
	if r.Session != "" {
		m.session(s, t, key, id, r.Starving(), now.UnixNano())
	}
}

// Invalid counts n reports of the scope that could not be read.
func (m *Meter) Invalid(scope Scope, n int) {
	if n <= 0 {
		return
	}
	id := m.id(scope)
	s := &m.shards[rand.Uint64()%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally(id).invalid += uint64(n)
}

// key tells sessions of one scope's name apart, whatever their color.
func (m *Meter) key(name, id string) uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	_, _ = h.WriteString(id)
	_ = h.WriteByte(0) // not in an id
	_, _ = h.WriteString(name)
	return h.Sum64()
}

func (m *Meter) session(s *shard, t *tally, key uint64, id int, starving bool, now int64) {
	if now-s.swept >= int64(m.options.Window)/4 {
		m.sweep(s, now)
	}
	was, ok := s.sessions[key]
	switch {
	case ok && was.scope != int32(id):
		t.moved++
		s.leave(was)
		was.scope, was.starved, was.stands = int32(id), 0, arrived
	case ok:
		was.stands = t.viewers.reported(was.stands, starving)
		if starving {
			was.starved = max(was.starved, now)
		}
	default:
		if m.known.Add(1) > int64(m.options.MaxSessions) {
			m.known.Add(-1)
			t.refused++
			return
		}
		was.scope = int32(id)
	}
	was.seen = max(was.seen, now)
	if s.sessions == nil {
		s.sessions = make(map[uint64]session)
	}
	s.sessions[key] = was
}

// sweep forgets the shard's sessions that are no longer alive.
func (m *Meter) sweep(s *shard, now int64) {
	s.swept = now
	before := len(s.sessions)
	for key, was := range s.sessions {
		if now-was.seen > int64(m.options.Window) {
			s.leave(was)
			delete(s.sessions, key)
		}
	}
	if len(s.sessions) == 0 {
		s.sessions = nil // a map never gives its memory back
	}
	m.known.Add(int64(len(s.sessions) - before))
}

func (t *tally) count(r Report) {
	t.reports++
	if r.Starving() {
		t.starved++
	}
	if r.Startup {
		t.startup++
	}
	if r.Failing() {
		t.failing++
	}
	t.throughput.observe(r.Throughput, throughputBounds[:])
	t.buffer.observe(r.Buffer, bufferBounds[:])
}
