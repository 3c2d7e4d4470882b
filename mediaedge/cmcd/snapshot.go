package cmcd

import (
	"cmp"
	"slices"
	"time"
)

// Stats is what a Meter knows of one scope. Counters only grow.
type Stats struct {
	Scope Scope

	// Counters of reports.
	Reports uint64 // all that could be read
	Starved uint64 // of those, that tell of starvation (Report.Starving)
	Startup uint64 // of those, with su
	Failing uint64 // of those, that tell of an error (Report.Failing)
	Refused uint64 // of those, of a session that did not fit (Options.MaxSessions)
	Moved   uint64 // of those, a session's first after it came from another color
	Invalid uint64 // could not be read, and are in none of the others

	// Gauges of sessions within the window.
	Sessions        int // alive
	StarvedSessions int // of those, that starved here

	// Histograms of what reports say.
	Throughput Histogram // mtp, kbit/s
	Buffer     Histogram // bl, milliseconds
}

// Histogram is one as Prometheus takes it.
type Histogram struct {
	Count   uint64
	Sum     float64
	Buckets map[float64]uint64 // cumulative, by upper bound, without the infinite one
}

// Upper bounds of buckets, inclusive.
var (
	throughputBounds = [...]uint32{500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000}
	bufferBounds     = [...]uint32{0, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000}
)

// histogram counts into buckets, the last being the infinite one.
type histogram struct {
	sum     uint64
	buckets [max(len(throughputBounds), len(bufferBounds)) + 1]uint64
}

func (h *histogram) observe(n Number, bounds []uint32) {
	if !n.Known {
		return
	}
	i := 0
	for i < len(bounds) && n.N > bounds[i] {
		i++
	}
	h.buckets[i]++
	h.sum += uint64(n.N)
}

// addTo adds h to a histogram with all its buckets.
func (h *histogram) addTo(sum *Histogram, bounds []uint32) {
	count := uint64(0)
	for i, bound := range bounds {
		count += h.buckets[i]
		sum.Buckets[float64(bound)] += count
	}
	sum.Count += count + h.buckets[len(bounds)]
	sum.Sum += float64(h.sum)
}

// Snapshot returns what is known at now of each scope that had a report,
// sorted by name and color. Reports that come meanwhile may be in it or not. It
// looks at every session: some milliseconds for 100,000.
func (m *Meter) Snapshot(now time.Time) []Stats {
	names := m.scopes.Load().names
	all := make([]Stats, len(names))
	for i := range all {
		all[i] = Stats{Scope: names[i], Throughput: Histogram{Buckets: map[float64]uint64{}}, Buffer: Histogram{Buckets: map[float64]uint64{}}}
	}
	for i := range m.shards {
		m.addShard(all, &m.shards[i], now.UnixNano())
	}
	all = slices.DeleteFunc(all, func(s Stats) bool { return s.Reports == 0 && s.Invalid == 0 })
	slices.SortFunc(all, func(a, b Stats) int {
		return cmp.Or(cmp.Compare(a.Scope.Name, b.Scope.Name), cmp.Compare(a.Scope.Color, b.Scope.Color))
	})
	return all
}

func (m *Meter) addShard(all []Stats, s *shard, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.sweep(s, now)
	for id, t := range s.tallies[:min(len(s.tallies), len(all))] {
		if t != nil {
			t.addTo(&all[id])
		}
	}
	for _, was := range s.sessions {
		if int(was.scope) >= len(all) {
			continue // a scope that is newer than this snapshot
		}
		all[was.scope].Sessions++
		if was.starved != 0 && now-was.starved <= int64(m.options.Window) {
			all[was.scope].StarvedSessions++
		}
	}
}

func (t *tally) addTo(sum *Stats) {
	sum.Reports += t.reports
	sum.Starved += t.starved
	sum.Startup += t.startup
	sum.Failing += t.failing
	sum.Refused += t.refused
	sum.Moved += t.moved
	sum.Invalid += t.invalid
	t.throughput.addTo(&sum.Throughput, throughputBounds[:])
	t.buffer.addTo(&sum.Buffer, bufferBounds[:])
}
