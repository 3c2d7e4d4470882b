package proxy

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// gauges are read from the switcher when Prometheus asks.
type gauges struct{ rt *runtime }

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("greenroom_"+name, help, labels, nil)
}

var (
	gaugeInflight   = gauge("inflight", "Exchanges under way.", "service", "color")
	gaugeStreams    = gauge("streams", "Exchanges under way by what they have turned out to be.", "service", "color", "kind")
	gaugeSafe       = gauge("safe_to_stop", "1 for a color that has no traffic, and nothing under way.", "service", "color")
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
	gaugeApart      = gauge("fleet_apart", "1 while something keeps the service from being where the fleet is: a verdict, a gate, a lock, what a key holds.", "service")
	gaugeAnswers    = gauge("switcher_answering", "0 while the switcher has not answered this scrape: then all that tells of a service is missing.")
	gaugeSpooled    = gauge("replay_spooled_bytes", "What is kept of uploads that may have to be sent again, in memory and on disk.", "store")
	gaugePins       = gauge("pins", "Sessions that keep to the color.", "service", "color")
	countRefused    = gauge("pins_refused_total", "Requests of sessions that found no room to be pinned.", "service")
	countMoved      = gauge("pins_moved_total", "Sessions that left their color while they lived.", "service")
	gaugeWaiting    = gauge("gate_waiting", "1 while a move of the service waits for the gate; else there is no such series.", "service", "gate")
	gaugeHeld       = gauge("held", "1 while a ramp is held where it is, until somebody resumes or undoes it.", "service")
	gaugeCompared   = gauge("comparison_state", "1 for what comparing the colors of a ramp has come to; none: nothing is compared.", "service", "state")
	gaugeBuild      = gauge("build_info", "1; what this edge was built from.", "version", "caddy", "go")
	gaugeUnsaved    = gauge("state_unsaved", "1 while the state on disk is older than what is served.")
)

// Describe implements prometheus.Collector.
func (gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		gaugeInflight, gaugeUpstreams, gaugeHealthy, gaugeSplit, gaugeActive, gaugePhase, gaugeGeneration,
		gaugeAnswered, gaugeFleet, gaugeFleetFails, gaugeUnwritten, gaugeEpoch, gaugeApart, gaugeAnswers,
		gaugeLocked, gaugePoolsAge, gaugeSource, gaugeWarnings, gaugeConfig, gaugeUnsaved, gaugeSpooled, gaugeHeld, gaugeCompared,
		gaugePins, countRefused, countMoved, gaugeStreams, gaugeSafe, gaugeWaiting, gaugeBuild,
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
	send(gaugeBuild, 1, builtFrom()...)
	memory, disk := g.rt.spools.Held()
	send(gaugeSpooled, float64(memory), "memory")
	send(gaugeSpooled, float64(disk), "disk")
	ctx, cancel := context.WithTimeout(context.Background(), scrapePatience)
	defer cancel()
	send(gaugeUnsaved, oneIf(g.rt.switcher.Unsaved()))
	post := g.rt.fleet.Load()
	if post != nil {
		stats := post.fleet.Stats()
		send(gaugeFleet, seconds(stats.Answered))
		send(gaugeFleetFails, oneIf(stats.Error != ""))
		send(gaugeUnwritten, oneIf(stats.WriteError != ""))
	}
	views, err := g.rt.switcher.Services(ctx)
	send(gaugeAnswers, oneIf(err == nil))
	streams := g.rt.ledger.kinds()
	for _, v := range views { // none, if it does not answer
		collectService(v, send)
		collectStreams(v.Name, streams, send)
		collectPins(v, ch)
		if post != nil {
			if s, known := post.fleet.Local(v.Name); known {
				send(gaugeEpoch, float64(s.Epoch), v.Name)
				send(gaugeApart, oneIf(post.fleet.Trouble(v.Name) != ""), v.Name)
			}
		}
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
		send(gaugeSafe, oneIf(p.SafeToStop), v.Name, c.String())
	}
	for _, p := range []switcher.Phase{switcher.Steady, switcher.Preparing, switcher.Ramping, switcher.Draining} {
		send(gaugePhase, oneIf(v.Phase == p), v.Name, p.String())
	}
	for gate := range waitedFor(v) {
		send(gaugeWaiting, 1, v.Name, gate)
	}
	send(gaugeHeld, oneIf(v.Cutover != nil && v.Cutover.Held != nil), v.Name)
	compared := comparisonState(v)
	for _, state := range comparisonStates {
		send(gaugeCompared, oneIf(state == compared), v.Name, state)
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

func collectStreams(service string, under map[kindAt]int, send func(*prometheus.Desc, float64, ...string)) {
	for _, c := range switcher.Colors {
		for _, kind := range switcher.StreamKinds() {
			send(gaugeStreams, float64(under[kindAt{post{service, c}, kind}]), service, c.String(), kind.String())
		}
	}
}

// waitedFor names the gates that keep a move of v where it is.
func waitedFor(v switcher.ServiceView) map[string]bool {
	gates := make(map[string]bool)
	if v.Cutover == nil {
		return gates
	}
	for _, g := range v.Cutover.Gates {
		if g.Decision != switcher.Pass && (g.Service == "" || g.Service == v.Name) {
			gates[g.Gate] = true // two gates may have one name
		}
	}
	return gates
}

// notCompared stands beside the states of a comparison.
const notCompared = "none"

var comparisonStates = []string{notCompared, compare.TooFew.String(), compare.NoWorse.String(), compare.Worse.String()}

// comparisonState is that of the ramp under way. What status shows of one that
// has flipped or is undone is history.
func comparisonState(v switcher.ServiceView) string {
	if v.Cutover != nil && v.Phase == switcher.Ramping {
		if own := switcher.ComparisonsOf(v.Name, v.Cutover.Compared); len(own) > 0 {
			return own[0].State.String()
		}
	}
	return notCompared
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
