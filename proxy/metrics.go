package proxy

import (
	"context"
	"path"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/greenroom-proxy/greenroom/internal/resume"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul"
)

// metrics are the collectors of the process. Caddy makes a new registry for
// each config, so that they are registered again with each, and counted on.
//
// The labels are bounded: services come from the config, and all the others
// are from closed sets.
type metrics struct {
	requests   *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	retries    *prometheus.CounterVec
	cutovers   *prometheus.CounterVec
	moves      *prometheus.HistogramVec
	drains     *prometheus.HistogramVec
	evictions  *prometheus.CounterVec
	fleet      *prometheus.CounterVec
	resumes    *prometheus.CounterVec
	carried    *prometheus.CounterVec
	refusals   *prometheus.CounterVec
	truncated  *prometheus.CounterVec
	replays    *prometheus.CounterVec
	unreplayed *prometheus.CounterVec
	gauges     gauges
	leaks      leaks
}

func newMetrics(rt *runtime) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "greenroom", Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "greenroom", Name: name, Help: help, Buckets: buckets,
		}, labels)
	}
	slow := []float64{0.1, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 6 * 3600}
	return &metrics{
		requests:   counter("requests_total", "Requests by the color that answered; 0xx: no answer was relayed.", "service", "color", "class"),
		seconds:    histogram("request_duration_seconds", "Time until the response was relayed to its end; tunnels until their head.", prometheus.DefBuckets, "service", "color", "class"),
		retries:    counter("retries_total", "Requests tried again at another upstream.", "service"),
		cutovers:   counter("moves_total", "Ended moves by kind and result.", "service", "kind", "result"),
		moves:      histogram("move_duration_seconds", "Time from a command to the end of its move, drain included.", slow, "service", "kind"),
		drains:     histogram("drain_duration_seconds", "Time until a color that lost its traffic was idle.", slow, "service"),
		evictions:  counter("evicted_total", "Streams ended at the deadline of a drain, or by greenroom evict.", "service", "color"),
		fleet:      counter("fleet_values_total", "Values in Consul's KV that were dealt with, by what came of them.", "service", "key", "result"),
		resumes:    counter("resumes_total", "Bodies that went on from another upstream.", "service"),
		carried:    counter("resumed_bytes_total", "Bytes that came from another upstream than the first.", "service"),
		refusals:   counter("resume_refusals_total", "Answers that were no continuation, by why.", "service", "reason"),
		truncated:  counter("truncated_total", "Downloads that were cut as their upstream died, by why they did not go on.", "service", "reason"),
		replays:    counter("replays_total", "Requests with a body that were sent again, to another upstream.", "service"),
		unreplayed: counter("replay_refusals_total", "Requests with a body that an upstream did not answer and that were not sent again, by why.", "service", "reason"),
		gauges:     gauges{rt},
		leaks:      leaks{rt},
	}
}

func (m *metrics) register(registry *prometheus.Registry) error {
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.retries, m.cutovers, m.moves, m.drains, m.evictions, m.fleet,
		m.resumes, m.carried, m.refusals, m.truncated, m.replays, m.unreplayed, m.gauges, m.leaks} {
		if err := registry.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// event counts ended moves; it is called for each event of the switcher.
func (m *metrics) event(e switcher.Event) {
	if e.Type != switcher.EventEnd {
		return
	}
	m.cutovers.WithLabelValues(e.Service, string(e.Kind), string(e.Result)).Inc()
	m.moves.WithLabelValues(e.Service, string(e.Kind)).Observe(time.Duration(e.Took).Seconds())
	if e.Drained > 0 {
		m.drains.WithLabelValues(e.Service).Observe(time.Duration(e.Drained).Seconds())
	}
}

func (m *metrics) evicted(service string, c switcher.Color, n int) {
	m.evictions.WithLabelValues(service, c.String()).Add(float64(n))
}

// resumer counts for one service; it is a resume.Observer.
type resumer struct {
	m       *metrics
	service string
}

func (m *metrics) resumer(service string) resume.Observer { return resumer{m, service} }

func (r resumer) Resumed()        { r.m.resumes.WithLabelValues(r.service).Inc() }
func (r resumer) Carried(n int64) { r.m.carried.WithLabelValues(r.service).Add(float64(n)) }
func (r resumer) Refused(reason resume.Reason) {
	r.m.refusals.WithLabelValues(r.service, string(reason)).Inc()
}
func (r resumer) Cut(reason resume.Reason) {
	r.m.truncated.WithLabelValues(r.service, string(reason)).Inc()
}

// noticed counts what came of a value in Consul's KV.
func (m *metrics) noticed(n consul.Notice) {
	m.fleet.WithLabelValues(n.Service, path.Base(n.Key), string(n.Result)).Inc()
}

// outcomes are the counters of one service, looked up once.
type outcomes struct {
	retries prometheus.Counter
	replays prometheus.Counter
	by      [2][classes]func() outcome // made at first use: an idle service costs no series
}

type outcome struct {
	requests prometheus.Counter
	seconds  prometheus.Observer
}

// classes are 0xx (nothing relayed) to 5xx.
const classes = 6

var classNames = [classes]string{"0xx", "1xx", "2xx", "3xx", "4xx", "5xx"}

func (m *metrics) of(service string) *outcomes {
	o := &outcomes{retries: m.retries.WithLabelValues(service), replays: m.replays.WithLabelValues(service)}
	for i, c := range switcher.Colors {
		for class, name := range classNames {
			o.by[i][class] = sync.OnceValue(func() outcome {
				return outcome{
					m.requests.WithLabelValues(service, c.String(), name),
					m.seconds.WithLabelValues(service, c.String(), name),
				}
			})
		}
	}
	return o
}

func (o *outcomes) count(c switcher.Color, status int, took time.Duration) {
	class := status / 100
	if class >= classes {
		class = 0
	}
	i := 0
	if c == switcher.Green {
		i = 1
	}
	at := o.by[i][class]()
	at.requests.Inc()
	at.seconds.Observe(took.Seconds())
}

// gauges are read from the switcher when Prometheus asks.
type gauges struct{ rt *runtime }

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("greenroom_"+name, help, labels, nil)
}

var (
	gaugeInflight   = gauge("inflight", "Exchanges under way.", "service", "color")
	gaugeUpstreams  = gauge("upstreams", "Upstreams in the pool.", "service", "color")
	gaugeHealthy    = gauge("upstreams_healthy", "Upstreams that this edge's checks call healthy.", "service", "color")
	gaugeSplit      = gauge("split_percent", "Share of the traffic.", "service", "color")
	gaugeActive     = gauge("active", "1 for the active color.", "service", "color")
	gaugePhase      = gauge("phase", "1 for the phase the service is in.", "service", "phase")
	gaugeGeneration = gauge("generation", "Generation of the service's state.", "service")
	gaugeLocked     = gauge("locked", "1 while a lock refuses moves.", "service")
	gaugePoolsAge   = gauge("pools_updated_timestamp_seconds", "When the source last announced the pools.", "service")
	gaugeSource     = gauge("source_failing", "1 while the source of the pools cannot be read.", "service")
	gaugeConfig     = gauge("config_loaded_timestamp_seconds", "When the config in force was loaded.")
	gaugeWarnings   = gauge("warnings", "What status warns of.", "service")
	gaugeAnswered   = gauge("pools_answered_timestamp_seconds", "When the source last confirmed the pools; 0: not since the edge started. Only of sources that are asked over and over.", "service")
	gaugeFleet      = gauge("fleet_answered_timestamp_seconds", "When Consul last answered for the keys of the fleet; 0: not since the edge started.")
	gaugeFleetFails = gauge("fleet_failing", "1 while the keys of the fleet cannot be read.")
	gaugeUnwritten  = gauge("fleet_write_failing", "1 while the last write to the keys of the fleet has failed.")
	gaugeEpoch      = gauge("fleet_epoch", "Epoch of the shared state that this edge last agreed with.", "service")
	gaugeSpooled    = gauge("replay_spooled_bytes", "What is kept of uploads that may have to be sent again, in memory and on disk.", "store")
	gaugePins       = gauge("pins", "Sessions that keep to the color.", "service", "color")
	countRefused    = gauge("pins_refused_total", "Requests of sessions that found no room to be pinned.", "service")
	countMoved      = gauge("pins_moved_total", "Sessions that left their color while they lived.", "service")
	gaugeUnsaved    = gauge("state_unsaved", "1 while the state on disk is older than what is served.")
)

// Describe implements prometheus.Collector.
func (gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		gaugeInflight, gaugeUpstreams, gaugeHealthy, gaugeSplit, gaugeActive, gaugePhase, gaugeGeneration,
		gaugeAnswered, gaugeFleet, gaugeFleetFails, gaugeUnwritten, gaugeEpoch,
		gaugeLocked, gaugePoolsAge, gaugeSource, gaugeWarnings, gaugeConfig, gaugeUnsaved, gaugeSpooled,
		gaugePins, countRefused, countMoved,
	} {
		ch <- d
	}
}

// scrapePatience bounds how long a scrape waits for the switcher.
const scrapePatience = 2 * time.Second

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	app := g.rt.inForce.Load()
	if app == nil {
		return
	}
	send(gaugeConfig, seconds(app.loaded))
	memory, disk := g.rt.spools.Held()
	send(gaugeSpooled, float64(memory), "memory")
	send(gaugeSpooled, float64(disk), "disk")
	ctx, cancel := context.WithTimeout(context.Background(), scrapePatience)
	defer cancel()
	views, err := g.rt.switcher.Services(ctx)
	if err != nil {
		return
	}
	send(gaugeUnsaved, oneIf(g.rt.switcher.Unsaved()))
	post := g.rt.fleet.Load()
	for _, v := range views {
		collectService(v, send)
		collectPins(v, ch)
		if post != nil {
			if s, known := post.fleet.Local(v.Name); known {
				send(gaugeEpoch, float64(s.Epoch), v.Name)
			}
		}
	}
	if post != nil {
		stats := post.fleet.Stats()
		send(gaugeFleet, seconds(stats.Answered))
		send(gaugeFleetFails, oneIf(stats.Error != ""))
		send(gaugeUnwritten, oneIf(stats.WriteError != ""))
	}
}

func collectService(v switcher.ServiceView, send func(*prometheus.Desc, float64, ...string)) {
	for _, c := range switcher.Colors {
		p := v.Pool(c)
		send(gaugeInflight, float64(p.Inflight), v.Name, c.String())
		send(gaugeUpstreams, float64(p.Total), v.Name, c.String())
		send(gaugeHealthy, float64(p.Healthy), v.Name, c.String())
		send(gaugeSplit, float64(p.Weight), v.Name, c.String())
		send(gaugeActive, oneIf(v.Active == c), v.Name, c.String())
	}
	for _, p := range []switcher.Phase{switcher.Steady, switcher.Preparing, switcher.Ramping, switcher.Draining} {
		send(gaugePhase, oneIf(v.Phase == p), v.Name, p.String())
	}
	send(gaugeGeneration, float64(v.Generation), v.Name)
	send(gaugeLocked, oneIf(v.Lock != nil), v.Name)
	send(gaugePoolsAge, seconds(v.Source.Updated), v.Name)
	if !v.Source.Answered.IsZero() || v.Source.Remembered {
		send(gaugeAnswered, seconds(v.Source.Answered), v.Name)
	}
	send(gaugeSource, oneIf(v.Source.Error != ""), v.Name)
	send(gaugeWarnings, float64(len(v.Warnings)), v.Name)
}

// collectPins sends what is known of sessions, where any are pinned.
func collectPins(v switcher.ServiceView, ch chan<- prometheus.Metric) {
	if v.Pins == nil {
		return
	}
	for _, c := range switcher.Colors {
		ch <- prometheus.MustNewConstMetric(gaugePins, prometheus.GaugeValue, float64(v.Pool(c).Pinned), v.Name, c.String())
	}
	ch <- prometheus.MustNewConstMetric(countRefused, prometheus.CounterValue, float64(v.Pins.Refused), v.Name)
	ch <- prometheus.MustNewConstMetric(countMoved, prometheus.CounterValue, float64(v.Pins.Moved), v.Name)
}

func oneIf(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
