package cli

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

var rewrite = flag.Bool("update", false, "rewrite the golden files")

// at is when all goldens are rendered; TestMain sets the zone.
var at = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return at.Add(-d) }
func after(d time.Duration) time.Time  { return at.Add(d) }

func TestRenderingsLookAsTheyShould(t *testing.T) {
	views := []switcher.ServiceView{calm(), ramping(), draining(), broken()}
	b := &board{views: views, events: exampleEvents(), oldest: oldest{pages: map[string]switcher.StreamPage{"chat": exampleStreams()}}}
	gone := &board{views: views[:1], down: errDown}
	plan := examplePlan()
	open := plan
	open.Deadlines[switcher.StreamWebSocket] = switcher.Duration(30 * time.Minute)
	open.Gates, open.Blocked, open.Ramp = nil, nil, nil
	for name, lines := range map[string][]line{
		"status":          statusTable(views, 0, at),
		"status-none":     statusTable(nil, 0, at),
		"details-calm":    details(&views[0], at),
		"details-ramping": details(&views[1], at),
		"details-drain":   details(&views[2], at),
		"details-broken":  details(&views[3], at),
		"watch":           b.lines(100, 40, at),
		"watch-gone":      gone.lines(100, 40, at),
		"plan-blocked":    planLines(&plan),
		"plan-open":       planLines(&open),
		"history":         historyLines(exampleHistory()),
		"history-none":    historyLines(nil),
	} {
		golden(t, name+".txt", paper{}, lines)
		golden(t, name+".color.txt", paper{color: true}, lines)
	}
	golden(t, "status-80.txt", paper{width: 80}, statusTable(views, 80, at))
	golden(t, "status-60.txt", paper{width: minWidth}, statusTable(views, minWidth, at))
	golden(t, "watch-low.txt", paper{width: 80}, b.lines(80, 24, at))
}

func golden(t *testing.T, name string, p paper, lines []line) {
	t.Helper()
	out := newOutput()
	p.print(out, lines...)
	path := filepath.Join("testdata", name)
	if *rewrite {
		must(t, os.WriteFile(path, []byte(out.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if out.String() != string(want) {
		t.Errorf("%s (go test -update rewrites it):\n%s\nwant:\n%s", path, out, want)
	}
}

// calm is a service at rest after a cutover.
func calm() switcher.ServiceView {
	return switcher.ServiceView{
		Name: "app", Generation: 7, Active: switcher.Green, Previous: switcher.Blue, Split: switcher.All(switcher.Green),
		Last: &switcher.Move{
			ID: "k3f9q2m7xa", Kind: switcher.KindCutover, From: switcher.Blue, To: switcher.Green, Generation: 7, By: "uid 0 (root)",
			Started: before(2*time.Hour + 3*time.Minute), Ended: before(2 * time.Hour), Result: switcher.ResultDone, Evicted: 3,
		},
		Blue: switcher.PoolView{Role: "idle", SafeToStop: true, PoolHealth: switcher.PoolHealth{Total: 1, Healthy: 1}, Upstreams: []switcher.UpstreamView{
			{Upstream: switcher.Upstream{Address: "10.0.0.1:8080"}, Health: switcher.Health{Healthy: true, Known: true, Since: before(50 * time.Hour)}},
		}},
		Green: switcher.PoolView{Role: "active", Weight: 100, Inflight: 14, PoolHealth: switcher.PoolHealth{Total: 2, Healthy: 1}, Upstreams: []switcher.UpstreamView{
			{
				Upstream: switcher.Upstream{Address: "10.0.1.1:8080", Weight: 3, Meta: map[string]string{"zone": "a", "version": "1.42"}},
				Health: switcher.Health{Healthy: true, Known: true, Since: before(3 * time.Minute), Checks: []switcher.CheckHealth{{
					Check: "http GET /healthz", Healthy: true, Passes: 36,
					Last: []switcher.CheckResult{{At: before(2 * time.Second), Took: switcher.Duration(1200 * time.Microsecond), OK: true, Detail: "200"}},
				}}},
				Inflight: 14,
			},
			{
				Upstream: switcher.Upstream{Address: "10.0.1.2:8080"},
				Health: switcher.Health{Known: true, Since: before(12 * time.Second), Reason: "connection refused", Checks: []switcher.CheckHealth{{
					Check: "tcp", Fails: 4, Needed: 2, HeldUntil: after(8 * time.Second),
					Last: []switcher.CheckResult{
						{At: before(time.Second), Took: switcher.Duration(time.Millisecond), Detail: "connection refused"},
						{At: before(6 * time.Second), Took: switcher.Duration(time.Millisecond), OK: true},
					},
				}}},
				EjectedUntil: after(5 * time.Second),
			},
		}},
		Source: switcher.SourceView{Name: "file pools/app.json", Updated: before(4 * time.Minute)},
	}
}

// ramping is a service on a ramp whose next step waits for a gate.
func ramping() switcher.ServiceView {
	v := calm()
	v.Name, v.Generation, v.Phase, v.Active, v.Split, v.Previous, v.Last = "api", 12, switcher.Ramping, switcher.Blue, switcher.Weighted(switcher.Green, 25), 0, nil
	v.Blue, v.Green = v.Green, v.Blue
	v.Blue.Weight, v.Green.Weight, v.Green.Inflight, v.Green.SafeToStop = 75, 25, 5, false
	v.Cutover = &switcher.CutoverView{
		Cutover: switcher.Cutover{
			ID: "p5c1d8r0ez", Kind: switcher.KindCutover, Services: []string{"api"}, From: switcher.Blue, To: switcher.Green,
			Ramp: switcher.Ramp{{Weight: 25, Hold: 5 * time.Minute}, {Weight: 50, Hold: switcher.UntilResumed}}, Step: 1,
			Options: switcher.Options{GateTimeout: switcher.DefaultGateTimeout, DrainTimeout: switcher.DefaultDrainTimeout},
			By:      "uid 1000 (ann)", Reason: "release 42", Started: before(6 * time.Minute),
			Compared: exampleComparison(),
		},
		Gates: []switcher.Verdict{
			{Gate: "healthy", Service: "api", Decision: switcher.Pass, Reason: "1 of 1 healthy"},
			{Gate: "soak", Service: "api", Decision: switcher.Wait, Reason: "green's health changed 3s ago, must be unchanged for 30s"},
		},
		WaitsUntil: after(18 * time.Second),
	}
	return v
}

func exampleComparison() []switcher.Comparison {
	span := func(old, after compare.Side) compare.Span { return compare.Span{Seconds: 299.6, Old: old, New: after} }
	return []switcher.Comparison{{Service: "api", At: before(time.Second), Verdict: compare.Verdict{State: compare.Worse, Findings: []compare.Finding{
		{Metric: compare.Errors, State: compare.Worse, P: 0.0001, Level: 0.0003, Long: span(compare.Side{Samples: 7512, Failures: 8, Share: 8. / 7512}, compare.Side{Samples: 840, Failures: 42, Share: 0.05})},
		{Metric: compare.Connect, P: 1, Level: 0.0003, Long: span(compare.Side{}, compare.Side{})},
		{Metric: compare.Latency, Quantile: 0.95, State: compare.NoWorse, P: 1, Level: 0.0003, Long: span(compare.Side{Samples: 7504, Took: 123456 * time.Microsecond}, compare.Side{Samples: 798, Took: 1200 * time.Millisecond})},
	}}}}
}

// draining is a service whose old color finishes its work.
func draining() switcher.ServiceView {
	v := calm()
	v.Name, v.Phase, v.Previous = "chat", switcher.Draining, switcher.Blue
	v.Blue.Inflight, v.Blue.SafeToStop, v.Blue.Pinned, v.Green.Pinned = 28, false, 12, 1
	v.MediaLeak = &switcher.MediaLeak{
		Responses: 3412, Bytes: 1<<30 + 1<<28, Uploads: 1, UploadBytes: 5 << 20, Last: before(3 * time.Second), Example: "/vod/42/seg-0001.ts",
		Kinds: []switcher.KindLeak{{Kind: "segment", Responses: 3000, Bytes: 1<<30 + 1<<27}, {Kind: "playlist", Responses: 412, Bytes: 1 << 27}},
	}
	v.Pins = &switcher.PinsView{Max: 100000, Idle: switcher.Duration(time.Minute), Refused: 3, Moved: 2}
	v.Source = switcher.SourceView{Name: "consul chat by tag", Updated: before(3 * time.Hour), SourceReport: switcher.SourceReport{
		Answered: before(2 * time.Second), Notes: []string{"1 green instances cannot be used", "green: instance c7: no port"},
	}}
	v.Cutover = &switcher.CutoverView{
		Cutover: switcher.Cutover{ID: "w2x4y6z8aa", Kind: switcher.KindCutover, Services: []string{"chat"}, From: switcher.Blue, To: switcher.Green, Step: 1, Drain: switcher.Blue, By: "uid 0 (root)", Started: before(42 * time.Second)},
		Draining: &switcher.DrainView{
			Color: switcher.Blue, Started: before(40 * time.Second), Deadline: after(9*time.Minute + 20*time.Second),
			Initial: 140, Inflight: 28, Evicted: 1, ETA: after(10 * time.Second),
			Held: &switcher.HeldView{Sessions: 12, Oldest: before(41 * time.Minute), Until: after(14*time.Minute + 20*time.Second)},
			Streams: []switcher.StreamCount{
				{Kind: switcher.StreamRequest, Count: 1, Oldest: before(41 * time.Second), Deadline: before(10 * time.Second), Ending: 1, ETA: after(6 * time.Second)},
				{Kind: switcher.StreamWebSocket, Count: 25, Oldest: before(41 * time.Minute), Deadline: after(9*time.Minute + 20*time.Second), Ending: 3, ETA: after(10*time.Minute + 15*time.Second)},
				{Kind: switcher.StreamUpload, Count: 2, Oldest: before(3 * time.Minute), Deadline: after(2 * time.Hour)},
			},
		},
	}
	return v
}

// broken is a service on which nothing is as it should be, and that is held,
// locked, and wide.
func broken() switcher.ServiceView {
	v := ramping()
	v.Cutover.ID = "g7h8j9k0lm"
	v.Name, v.Blue, v.Green = "a-service-with-a-very-long-name-日本語", switcher.PoolView{Role: "active"}, switcher.PoolView{Role: "idle"}
	v.Lock = &switcher.Lock{Reason: "no deploys during the match", By: "uid 0 (root)", At: before(90 * time.Minute)}
	v.Cutover.Held, v.Cutover.Gates = &switcher.Hold{Reason: "step 1 of 3 waits for resume"}, nil
	v.Source = switcher.SourceView{Name: "consul app", Updated: before(26 * time.Hour), Error: "connection refused", ErrorSince: before(25 * time.Hour), Remembered: true}
	v.MediaLeak = &switcher.MediaLeak{Uploads: 2, UploadBytes: 3 << 30, Last: before(2 * time.Hour)}
	v.Warnings = []string{"the pools are those of yesterday: connection refused"}
	return v
}

func examplePlan() switcher.Plan {
	return switcher.Plan{
		Pinned:   12,
		Services: []string{"api", "app"}, From: switcher.Blue, To: switcher.Green, Inflight: 140,
		Ramp:    switcher.Ramp{{Weight: 10, Hold: 5 * time.Minute}, {Weight: 25}, {Weight: 50, Hold: switcher.UntilResumed}},
		Options: switcher.Options{GateTimeout: switcher.DefaultGateTimeout, DrainTimeout: switcher.DefaultDrainTimeout, PinDeadline: switcher.DefaultPinDeadline},
		Gates: []switcher.Verdict{
			{Gate: "healthy", Service: "api", Decision: switcher.Pass, Reason: "2 of 2 healthy"},
			{Gate: "soak", Service: "api", Decision: switcher.Wait, Reason: "green's health changed 3s ago, must be unchanged for 30s"},
			{Gate: "healthy", Service: "app", Decision: switcher.Refuse, Reason: "the green pool is empty"},
		},
		Compare: []string{"api: errors (2 times as many, and 0.5% more); in 1m0s and in 5m0s, from 100 samples of each color in 5m0s on"},
		Blocked: []string{"api, gate \"soak\": green's health changed 3s ago, must be unchanged for 30s", "app, gate \"healthy\": the green pool is empty"},
	}
}

func exampleHistory() []switcher.Move {
	return []switcher.Move{
		{
			ID: "m3", Kind: switcher.KindRollback, From: switcher.Green, To: switcher.Blue, Generation: 9, By: "uid 1000 (ann)", Reason: "green loses orders",
			Started: before(10 * time.Minute), Ended: before(9 * time.Minute), Result: switcher.ResultDone, Evicted: 2,
		},
		{ID: "m2", Kind: switcher.KindLock, Generation: 8, By: "uid 0 (root)", Started: before(time.Hour), Ended: before(time.Hour), Result: switcher.ResultDone},
		{
			ID: "m1", Kind: switcher.KindCutover, From: switcher.Blue, To: switcher.Green, Generation: 7, By: "uid 1000 (ann)",
			Started: before(2 * time.Hour), Ended: before(2*time.Hour - 30*time.Second), Result: switcher.ResultRefused, Detail: "waited 30s: app, gate \"healthy\": the green pool is empty",
		},
	}
}

func exampleEvents() []switcher.Event {
	return []switcher.Event{
		{At: before(9 * time.Second), Type: switcher.EventPhase, Service: "api", Detail: "preparing, was steady"},
		{At: before(8 * time.Second), Type: switcher.EventGate, Service: "api", Detail: "waits for api, gate \"soak\": green's health changed"},
		{At: before(7 * time.Second), Type: switcher.EventSplit, Service: "api", Split: switcher.Weighted(switcher.Green, 25), Detail: "traffic: blue 75%, green 25%"},
		{At: before(6 * time.Second), Type: switcher.EventHealth, Service: "app", Color: switcher.Green, Detail: "10.0.1.2:8080: connection refused"},
		{At: before(5 * time.Second), Type: switcher.EventHold, Service: "api", By: "uid 0 (root)", Detail: "held"},
		{At: before(4 * time.Second), Type: switcher.EventLost},
		{At: before(3 * time.Second), Type: switcher.EventServices, Service: "new", Detail: "service added"},
		{At: before(2 * time.Second), Type: switcher.EventEnd, Service: "app", Kind: switcher.KindCutover, Result: switcher.ResultAborted, Detail: "ann: too slow", Took: switcher.Duration(95 * time.Second)},
	}
}
