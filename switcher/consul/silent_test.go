package consul

import (
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

func TestAProcessThatStartsWhileConsulIsSilentBeginsWithItsLastPools(t *testing.T) {
	server := consultest.Shared(t)
	for name, colors := range map[string]func(service string) (Query, Naming){
		"by tag": func(service string) (Query, Naming) { return Query{Service: service}, Naming{} },
		"by service": func(service string) (Query, Naming) {
			return Query{}, Naming{By: ByService, Blue: service, Green: "other"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			service := uniqueName()
			server.Apply(t, instances(service, switcher.Blue, 3), nil)
			proxy := consultest.NewProxy(t, server.Address)
			proxy.Stall()
			last := switcher.Pools{Blue: []switcher.Upstream{{Address: "10.0.0.1:9001", Weight: 1}, {Address: "10.0.0.2:9001", Weight: 1}}}
			query, naming := colors(service)
			source := NewSource(testClient(t, Config{Address: proxy.Address}), SourceConfig{Query: query, Colors: naming, Last: last})
			sink, _ := runSource(t, source)
			waitWords(t, sink, "no answer yet")
			if reports := sink.Reports(); !switchertest.SamePools(reports[0].Pools, last) || !source.Status().Answered.IsZero() {
				t.Errorf("told %v first; status %+v", reports[0], source.Status())
			}
			proxy.Resume()
			waitRecovery(t, sink, 3, 0)
			wantNothingLost(t, sink.Reports(), 2, 0)
		})
	}
}

func TestACatalogThatIsEmptyWhenTheProcessBeginsIsNotBelievedForThreeMinutes(t *testing.T) {
	g := newGuard(limits{reads: 3, spacing: 2500 * time.Millisecond, hold: 30 * time.Second, wiped: 3 * time.Minute}, upstreams("a b c d"))
	began := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, s := range []struct {
		after             time.Duration
		found, dead, want string
	}{
		{0, "", "", "a b c d"},
		{time.Minute, "", "d", "a b c"},
		{2 * time.Minute, "a", "", "a b c"}, // they return one by one
		{179 * time.Second, "a b", "", "a b c"},
		{180 * time.Second, "a b", "", "a b"},
		{200 * time.Second, "a e f", "", "a e f"},
		{210 * time.Second, "", "", "a e f"},
		{240 * time.Second, "", "", ""}, // as ever
	} {
		pool, v := g.judge(sight{at: began.Add(s.after), vouched: true}, upstreams(s.found), probes("a b c e f", s.dead))
		if got := hostsOf(pool); got != s.want {
			t.Errorf("after %s: pool %q, want %q", s.after, got, s.want)
		}
		if v.held > 0 && s.after < 3*time.Minute && !v.until.Equal(began.Add(3*time.Minute)) {
			t.Errorf("after %s: held until %s", s.after, v.until)
		}
	}
}
