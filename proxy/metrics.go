package proxy

import (
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
	undone     *prometheus.CounterVec
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
		undone:     counter("automatic_rollbacks_total", "Moves to the color that were undone because it was found wanting, by what.", "service", "color", "cause"),
		gauges:     gauges{rt},
		leaks:      leaks{rt},
	}
}

func (m *metrics) register(registry *prometheus.Registry) error {
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.retries, m.cutovers, m.moves, m.drains, m.evictions, m.fleet,
		m.resumes, m.carried, m.refusals, m.truncated, m.replays, m.unreplayed, m.undone, m.gauges, m.leaks} {
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

// takenBack is a hook of the switcher.
func (m *metrics) takenBack(service string, c switcher.Color, by switcher.FailureCause) {
	m.undone.WithLabelValues(service, c.String(), string(by)).Inc()
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
		for _, cause := range switcher.FailureCauses() {
			m.undone.WithLabelValues(service, c.String(), string(cause)) // 0, or nobody would see the first increase
		}
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
