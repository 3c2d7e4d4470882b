package media

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/greenroom-proxy/greenroom/mediaedge"
	"github.com/greenroom-proxy/greenroom/mediaedge/cache"
	"github.com/greenroom-proxy/greenroom/mediaedge/cmcd"
)

// result is what came of a request: a cache.Result, or one of those below.
type result int

const (
	redirected = result(cache.Bypass) + 1 + iota
	passed     // from the origin, past the cache
	refused
	resultCount
)

func (r result) String() string {
	switch r {
	case redirected:
		return "redirect"
	case passed:
		return "pass"
	case refused:
		return "refused"
	}
	return cache.Result(r).String()
}

// counts are what came of the requests for one name.
type counts struct {
	requests [kindCount][resultCount]atomic.Uint64
	bytes    [kindCount]atomic.Uint64
}

func (c *counts) count(kind mediaedge.Kind, r result, bytes int64) {
	c.requests[kind][r].Add(1)
	c.bytes[kind].Add(uint64(bytes))
}

// sum adds up the requests with one of the results; with none, all.
func (c *counts) sum(results ...result) (n uint64) {
	for kind := range c.requests {
		if len(results) == 0 {
			for r := range c.requests[kind] {
				n += c.requests[kind][r].Load()
			}
		}
		for _, r := range results {
			n += c.requests[kind][r].Load()
		}
	}
	return n
}

func (c *counts) sent() (n uint64) {
	for kind := range c.bytes {
		n += c.bytes[kind].Load()
	}
	return n
}

// metrics is the collector of the process, registered again with each config.
// Its labels are bounded: names come from the config, all others from closed
// sets.
type metrics struct {
	meter *cmcd.Meter

	mu    sync.Mutex
	names map[string]*counts // guarded by mu
}

func (m *metrics) of(name string) *counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] == nil {
		m.names[name] = new(counts)
	}
	return m.names[name]
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("greenroom_media_"+name, help, labels, nil)
}

var (
	descRequests = desc("requests_total", "Requests for media, by what came of them.", "name", "kind", "result")
	descBytes    = desc("bytes_total", "Bytes of media sent to clients.", "name", "kind")

	descCacheObjects = desc("cache_objects", "Objects whose head is in memory.")
	descCacheBytes   = desc("cache_bytes", "Bytes of media that are kept.", "store")
	descFills        = desc("cache_fills", "Fetches for the cache that are under way.")
	descFetches      = desc("cache_fetches_total", "Requests of the cache to origins.")
	descFetched      = desc("cache_fetched_bytes_total", "Bytes that the cache has read from origins.")
	descEvictions    = desc("cache_evictions_total", "Blocks dropped for want of room.", "store")
	descDiskErrors   = desc("cache_disk_errors_total", "Files of the cache that could not be written or read, or were corrupt.")

	descHealthy   = desc("origin_endpoint_healthy", "1 while the endpoint is asked before those that are not healthy.", "name", "endpoint")
	descAttempts  = desc("origin_attempts_total", "Requests to an endpoint.", "name", "endpoint")
	descFailures  = desc("origin_failures_total", "Requests to an endpoint that count against it.", "name", "endpoint")
	descFailovers = desc("origin_failovers_total", "Requests that went on to another endpoint.", "name")
	descResumes   = desc("origin_resumes_total", "Bodies that went on after their endpoint had died.", "name")
	descCut       = desc("origin_cut_total", "Bodies that could have gone on, and did not.", "name")

	descReports    = desc("cmcd_reports_total", "CMCD reports of players (CTA-5004), by what they tell of.", "name", "report")
	descSessions   = desc("cmcd_sessions", "Sessions that reported within the last minute.", "name")
	descStarved    = desc("cmcd_sessions_starved", "Of those, the ones whose buffer ran empty.", "name")
	descThroughput = desc("cmcd_throughput_kbps", "Throughput that players measured, in kbit/s.", "name")
	descBuffer     = desc("cmcd_buffer_milliseconds", "Media that players had in their buffers.", "name")
)

// Describe implements prometheus.Collector.
func (*metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descRequests, descBytes, descCacheObjects, descCacheBytes, descFills, descFetches, descFetched, descEvictions, descDiskErrors,
		descHealthy, descAttempts, descFailures, descFailovers, descResumes, descCut,
		descReports, descSessions, descStarved, descThroughput, descBuffer,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	apps := started.all()
	if len(apps) == 0 || len(apps[0].handlers) == 0 {
		return
	}
	seen := make(map[string]bool)
	for _, h := range apps[0].handlers {
		if seen[h.Name] {
			continue
		}
		seen[h.Name] = true
		h.counts.collect(h.Name, counter)
		if h.source != nil {
			h.source.collect(counter, gauge)
		}
	}
	collectCache(apps[0].cell.Stats(), counter, gauge)
	for _, s := range m.meter.Snapshot(time.Now()) {
		if seen[s.Scope.Name] {
			collectPlayers(s, ch, counter, gauge)
		}
	}
}

type (
	sendCounter func(d *prometheus.Desc, n uint64, labels ...string)
	sendGauge   func(d *prometheus.Desc, n float64, labels ...string)
)

func (c *counts) collect(name string, counter sendCounter) {
	for _, kind := range kinds {
		any := false
		for r := range resultCount {
			if n := c.requests[kind][r].Load(); n > 0 {
				any = true
				counter(descRequests, n, name, kind.String(), r.String())
			}
		}
		if any {
			counter(descBytes, c.bytes[kind].Load(), name, kind.String())
		}
	}
}

func (s *source) collect(counter sendCounter, gauge sendGauge) {
	status := s.Status()
	for _, e := range status.Endpoints {
		healthy := 0.0
		if e.Healthy {
			healthy = 1
		}
		gauge(descHealthy, healthy, s.name, e.URL)
		counter(descAttempts, e.Attempts, s.name, e.URL)
		counter(descFailures, e.Failures, s.name, e.URL)
	}
	counter(descFailovers, status.Failovers, s.name)
	counter(descResumes, status.Resumes, s.name)
	counter(descCut, status.Cut, s.name)
}

func collectCache(s cache.Stats, counter sendCounter, gauge sendGauge) {
	gauge(descCacheObjects, float64(s.Objects))
	gauge(descCacheBytes, float64(s.MemoryBytes), "memory")
	gauge(descCacheBytes, float64(s.DiskBytes), "disk")
	gauge(descFills, float64(s.Fills))
	counter(descFetches, uint64(s.Fetches))
	counter(descFetched, uint64(s.OriginBytes))
	counter(descEvictions, uint64(s.Evictions), "memory")
	counter(descEvictions, uint64(s.DiskEvictions), "disk")
	counter(descDiskErrors, uint64(s.DiskErrors))
}

func collectPlayers(s cmcd.Stats, ch chan<- prometheus.Metric, counter sendCounter, gauge sendGauge) {
	name := s.Scope.Name
	for report, n := range map[string]uint64{
		"all": s.Reports, "starved": s.Starved, "startup": s.Startup, "error": s.Failing, "invalid": s.Invalid, "refused": s.Refused,
	} {
		counter(descReports, n, name, report)
	}
	gauge(descSessions, float64(s.Sessions), name)
	gauge(descStarved, float64(s.StarvedSessions), name)
	ch <- prometheus.MustNewConstHistogram(descThroughput, s.Throughput.Count, s.Throughput.Sum, s.Throughput.Buckets, name)
	ch <- prometheus.MustNewConstHistogram(descBuffer, s.Buffer.Count, s.Buffer.Sum, s.Buffer.Buckets, name)
}
