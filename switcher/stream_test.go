package switcher_test

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestDeadlinesAreWrittenAndReadByKind(t *testing.T) {
	d := switcher.Deadlines{switcher.StreamWebSocket: switcher.Duration(30 * time.Minute), switcher.StreamUpload: switcher.Duration(2 * time.Hour)}
	text, err := json.Marshal(switcher.Options{Deadlines: d})
	if err != nil || string(text) != `{"drain_deadlines":{"websocket":"30m0s","upload":"2h0m0s"}}` {
		t.Fatalf("%s, %v", text, err)
	}
	var back switcher.Options
	if err := json.Unmarshal(text, &back); err != nil || back.Deadlines != d {
		t.Errorf("%+v, %v", back, err)
	}
	if text, err := json.Marshal(switcher.Options{}); err != nil || string(text) != "{}" {
		t.Errorf("%s, %v", text, err)
	}
}

func TestDeadlinesThatCannotBeUsedAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"websockets":"30m"}`:    `kind "websockets": want one of request, websocket`,
		`{"websocket":"soon"}`:    `drain deadline of websocket: duration "soon"`,
		`{"websocket":"0s"}`:      "drain deadline of websocket is 0: leave it out",
		`{"sse":"1m","sse":"2m"}`: "drain deadline of sse: given twice",
		`{"sse":5}`:               "drain deadline of sse",
		`"30m"`:                   "want an object",
		`[]`:                      "want an object",
		`{"websocket":"30m"`:      "unexpected",
	} {
		d := switcher.Deadlines{switcher.StreamSSE: 7}
		err := json.Unmarshal([]byte(text), &d)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if d != (switcher.Deadlines{switcher.StreamSSE: 7}) {
			t.Errorf("%s has changed %v", text, d)
		}
	}
	for name, o := range map[string]switcher.Options{
		"negative": {Deadlines: switcher.Deadlines{switcher.StreamSSE: -1}},
		"too long": {Deadlines: switcher.Deadlines{switcher.StreamSSE: switcher.Duration(169 * time.Hour)}},
	} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "drain deadline of sse") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAKindWithoutADeadlineHasTheDrainTimeout(t *testing.T) {
	o := switcher.Options{DrainTimeout: switcher.Duration(time.Minute), Deadlines: switcher.Deadlines{switcher.StreamUpload: switcher.Duration(time.Hour)}}
	for _, k := range switcher.StreamKinds() {
		want := time.Minute
		if k == switcher.StreamUpload {
			want = time.Hour
		}
		if got := o.Deadline(k); got != want {
			t.Errorf("%s: %s, want %s", k, got, want)
		}
		if again, err := switcher.ParseStreamKind(k.String()); err != nil || again != k {
			t.Errorf("%s is read as %s: %v", k, again, err)
		}
	}
}

func TestADrainEvictsFromItsFirstDeadlineOnAndShowsWhatItWaitsFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var asked []time.Duration // guarded by mu
		b := &bed{TB: t, store: &memory{}, configs: map[string]switcher.Config{"app": {Options: switcher.Options{
			DrainTimeout: switcher.Duration(time.Minute), Deadlines: switcher.Deadlines{switcher.StreamSSE: switcher.Duration(10 * time.Second), switcher.StreamUpload: switcher.Duration(time.Hour)},
		}}}}
		b.hooks.Evict = func(_ string, d switcher.Drain) int {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, time.Since(d.Started).Round(time.Second))
			return 0
		}
		oldest := time.Now().Add(-time.Hour)
		b.hooks.Streams = func(service string, d switcher.Drain) []switcher.StreamCount {
			if service != "app" || d.Color != blue || d.Deadline(switcher.StreamUpload) != time.Hour {
				t.Errorf("asked for %+v of %s", d, service)
			}
			return []switcher.StreamCount{{Kind: switcher.StreamSSE, Count: 3, Ending: 1, Oldest: oldest}}
		}
		b.open()
		release := b.work("app", 0, 1)
		_, err := b.cutover(green, "", "app")
		b.must(err)
		d := b.view("app").Cutover.Draining
		if !d.Deadline.Equal(d.Started.Add(time.Hour)) || len(d.Streams) != 1 {
			t.Fatalf("%+v", d)
		}
		if s := d.Streams[0]; s.Count != 3 || s.Ending != 1 || !s.Oldest.Equal(oldest) || !s.Deadline.Equal(d.Started.Add(10*time.Second)) {
			t.Errorf("%+v", s)
		}
		pass(9 * time.Second)
		times := func() []time.Duration { mu.Lock(); defer mu.Unlock(); return slices.Clone(asked) }
		if len(times()) != 0 {
			t.Errorf("asked to end after %s", times())
		}
		pass(3 * time.Second)
		if after := times(); len(after) < 2 || after[0] != 10*time.Second {
			t.Errorf("asked to end after %s", after)
		}
		release()
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestADrainOfSeveralServicesIsOverWithTheLastOfThemOrNobodyKnows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		early, late := time.Now().Add(time.Minute), time.Now().Add(time.Hour)
		b := &bed{TB: t, store: &memory{}, configs: map[string]switcher.Config{"app": {}, "other": {}}}
		b.hooks.Streams = func(service string, _ switcher.Drain) []switcher.StreamCount {
			if service == "app" {
				return []switcher.StreamCount{
					{Kind: switcher.StreamSSE, Count: 1, ETA: late}, {Kind: switcher.StreamLive, Count: 1}, {Kind: switcher.StreamGRPC, Count: 1, ETA: early}, {Kind: switcher.StreamUpload, Count: 1, ETA: early},
				}
			}
			return []switcher.StreamCount{
				{Kind: switcher.StreamSSE, Count: 2, ETA: early}, {Kind: switcher.StreamLive, Count: 2, ETA: early}, {Kind: switcher.StreamGRPC, Count: 2},
			}
		}
		b.open()
		release := b.work("app", 0, 1)
		_, err := b.cutover(green, "", "app", "other")
		b.must(err)
		want := map[switcher.StreamKind]time.Time{switcher.StreamSSE: late, switcher.StreamUpload: early}
		for _, c := range b.view("app").Cutover.Draining.Streams {
			if !c.ETA.Equal(want[c.Kind]) {
				t.Errorf("the last %s is gone at %v, want %v", c.Kind, c.ETA, want[c.Kind])
			}
		}
		release()
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
	})
}
