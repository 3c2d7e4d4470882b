package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

// readable is a policy that shows the catalog.
const readable = `service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }`

// guarded is a Consul with ACLs, the token of the edge, and what stands between
// the two.
type guarded struct {
	*consultest.Server
	t           *testing.T
	file, token string
	hostile     *hostile
	line        *consultest.Proxy
}

func newGuarded(t *testing.T) *guarded {
	g := &guarded{Server: consultest.Start(t, consultest.Options{ACL: true}), t: t, file: filepath.Join(t.TempDir(), "token")}
	g.Policy(t, "edge", readable)
	g.renew()
	g.hostile = newHostile(t, g.Address)
	g.line = consultest.NewProxy(t, g.hostile.address)
	return g
}

// renew puts a new token in the file.
func (g *guarded) renew() { g.t.Helper(); g.use(g.NewToken(g.t, "edge")) }

func (g *guarded) use(token string) {
	g.t.Helper()
	g.token = token
	if err := os.WriteFile(g.file+".new", []byte(g.token+"\n"), 0o600); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Rename(g.file+".new", g.file); err != nil {
		g.t.Fatal(err)
	}
}

// catalog returns what Consul tells the edge of the service.
func (g *guarded) catalog() string {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, "http://"+g.Server.Address+"/v1/health/service/app?passing=1", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("X-Consul-Token", g.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}

// troubles of a Consul that runs.
func (g *guarded) troubles(b *bed) []trouble {
	list := []trouble{{
		name: "the token's policy is narrowed", says: "ACLs filter the answer",
		harm: func() {
			g.Policy(g.t, "edge", `service "other" { policy = "read" }`)
			b.until("the catalog is empty", func() bool { return g.catalog() == "[]" })
			b.says("ACLs filter the answer")
			b.outlastsHolds()
		},
		heal: func() { g.Policy(g.t, "edge", readable) },
	}, {
		name: "the token is deleted", says: "answered 403",
		harm: func() { g.DeleteToken(g.t, g.token) }, heal: g.renew,
	}, {
		name: "no byte comes", says: "no answer within",
		harm: g.line.Stall, heal: g.line.Resume,
	}, {
		name: "each answer is late",
		harm: func() {
			g.hostile.turn(late)
			b.outlastsHolds() // by answers that were late
			b.outlastsHolds()
		},
		heal: func() { g.hostile.turn(nil) },
	}}
	for name, c := range map[string]struct {
		mood mood
		says string
	}{
		"Consul answers 401":       {mood: refusing(http.StatusUnauthorized), says: "answered 401"},
		"Consul answers 429":       {mood: refusing(http.StatusTooManyRequests), says: "answered 429"},
		"Consul answers 500":       {mood: refusing(http.StatusInternalServerError), says: "answered 500"},
		"Consul answers with HTML": {mood: saying200("<html>welcome</html>", true), says: "not JSON"},
		"Consul answers with half": {mood: saying200(`[{"Service": {"ID": "a`, true), says: "not JSON"},
		"[] comes without index":   {mood: saying200("[]", false), says: "no index"},
	} {
		list = append(list, trouble{
			name: name, says: c.says,
			harm: func() { g.hostile.turn(c.mood) }, heal: func() { g.hostile.turn(nil) },
		})
	}
	return list
}

func TestAConsulThatRefusesStallsOrTalksNonsenseCostsNoRequestAndNoPool(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	b := newBed(t, g.Server, g.line.Address, "wait 1s\ntoken_file "+g.file)
	for _, c := range g.troubles(b) {
		b.survive(c, g.Server)
	}
	b.end()
}

func TestATokenThatExpiresCostsNoRequestAndNoPool(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.use(g.BriefToken(t, "edge"))
	b := newBed(t, g.Server, g.Address, "wait 1s\ntoken_file "+g.file)
	b.survive(trouble{
		name: "the token expires", says: "answered 403", heal: g.renew,
		harm: func() {
			began := time.Now()
			b.until("most of its minute is over", func() bool { return time.Since(began) > 45*time.Second })
		},
	}, g.Server)
	b.end()
}

func TestAnEdgeThatStartsWhileConsulStallsServesFromItsMemory(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	b := newBed(t, g.Server, g.line.Address, "wait 1s\ntoken_file "+g.file)
	b.survive(trouble{
		name: "the edge is killed and started while no byte comes", says: "no answer",
		harm: func() {
			g.line.Stall()
			b.restart()
		},
		heal: g.line.Resume,
	}, g.Server)
	b.end()
}

// restart kills the edge and starts it again, and wants status to say how old
// its pools are.
func (b *bed) restart() {
	b.t.Helper()
	b.load.without(func() {
		b.kill()
		b.start()
	})
	b.until("the pools of before are healthy", func() bool { v := b.view(); return v.Blue.Healthy == 2 && v.Green.Healthy == 2 })
	b.until("status says that they are old", func() bool {
		return strings.Contains(b.cli("status").stdout, "the pools are those of before this edge started")
	})
}

// each does something with all servers.
func each(t *testing.T, servers []*consultest.Server, do func(*consultest.Server, testing.TB)) func() {
	return func() {
		for _, s := range servers {
			do(s, t)
		}
	}
}

func TestThreeConsulsThatFallOneByOneTogetherAndForLongCostNoRequestAndNoPool(t *testing.T) {
	t.Parallel()
	servers := consultest.Cluster(t, 3)
	leader, followers := consultest.Leader(t, servers)
	b := newBed(t, followers[0], followers[0].Address, "")
	b.t.Logf("the edge asks %s", followers[0].Address)
	kill, launch := each(t, servers, (*consultest.Server).Kill), each(t, servers, (*consultest.Server).Launch)
	restart := func() { launch(); consultest.AllReady(t, servers) }
	b.survive(trouble{
		name: "the leader is killed",
		harm: func() { leader.Kill(t) },
		heal: func() { consultest.AllReady(t, followers) },
	}, followers[0])
	leader.Launch(t)
	consultest.AllReady(t, servers)
	b.survive(trouble{
		name: "two of three are killed, and there is no leader", says: "answered 500",
		harm: func() { leader.Kill(t); followers[1].Kill(t) },
		heal: func() { leader.Launch(t); followers[1].Launch(t); consultest.AllReady(t, servers) },
	}, followers[0])
	for _, c := range []trouble{
		{name: "all three are killed", says: "connection refused", harm: kill, heal: restart},
		{name: "a long outage, and the edge is killed in it", says: "connection refused", heal: restart, harm: func() {
			kill()
			b.until("the outage is long", func() bool { return b.failing(12 * time.Second) })
			b.probes()
			b.restart()
			b.probes()
			b.until("the outage is long again", func() bool { return b.failing(12 * time.Second) })
		}},
		{name: "all is wiped while the edge is killed too", says: "vanished", heal: func() { b.register(followers[0]) }, harm: func() {
			kill()
			b.restart()
			each(t, servers, (*consultest.Server).Wipe)()
			restart()
			b.says("vanished")
			b.outlastsHolds()
		}},
		{name: "all is wiped, and registered again later", says: "went back in time", wiped: true, heal: func() { b.register(followers[0]) }, harm: func() {
			b.age(followers[0])
			each(t, servers, (*consultest.Server).Wipe)()
			restart()
			b.says("went back in time")
			b.outlastsHolds()
		}},
	} {
		b.survive(c, followers[0])
	}
	b.end()
}

// outlastsHolds waits for a good answer that is later than any hold of the bed.
func (b *bed) outlastsHolds() {
	b.t.Helper()
	from := b.view().Source.Answered
	b.until("an answer is beyond the hold", func() bool { return b.view().Source.Answered.Sub(from) > 2*time.Second })
}

// failing reports whether the source has failed for so long.
func (b *bed) failing(long time.Duration) bool {
	since := b.view().Source.ErrorSince
	return !since.IsZero() && time.Since(since) > long
}
