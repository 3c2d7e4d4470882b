package switcher_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// model drives a Switcher at random and checks after each step what must
// always hold.
type model struct {
	*bed
	rand  *rand.Rand
	trace []string
	seen  map[string]switcher.ServiceView // as of the last step
	out   []func()                        // leases to release

	visits int // of sessions
}

var modelServices = []string{"a", "b", "c"}

func TestWhateverHappensTheInvariantsHold(t *testing.T) {
	seeds := 20
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				config := switcher.Config{Gates: healthyAll(), Options: switcher.Options{GateTimeout: switcher.Duration(5 * time.Second)}}
				if seed%2 == 1 {
					config.Pins, config.PinDeadline = switcher.PinConfig{Idle: 3 * time.Second, Max: 20}, switcher.Duration(8*time.Second)
				}
				m := &model{
					bed:  newBed(t, config, modelServices...),
					rand: rand.New(rand.NewPCG(1, uint64(seed))),
					seen: make(map[string]switcher.ServiceView),
				}
				m.check()
				for range 120 {
					m.step()
					if t.Failed() {
						t.Fatalf("after %q", m.trace[max(0, len(m.trace)-12):])
					}
				}
				for _, release := range m.out {
					release()
				}
			})
		})
	}
}

func (m *model) step() {
	name := modelServices[m.rand.IntN(len(modelServices))]
	c := switcher.Colors[m.rand.IntN(2)]
	group := []string{name}
	for _, other := range modelServices {
		if other != name && m.rand.IntN(3) == 0 {
			group = append(group, other)
		}
	}
	actions := []func(string, switcher.Color, []string) string{m.move, m.move, m.move, m.halt, m.world, m.world, m.wait, m.wait, m.process}
	if m.configs[name].Pins.Max > 0 {
		actions = append(actions, m.session, m.session, m.session)
	}
	did := actions[m.rand.IntN(len(actions))](name, c, group)
	m.trace = append(m.trace, did)
	m.check()
}

// move is a command that may move traffic.
func (m *model) move(_ string, c switcher.Color, group []string) string {
	var err error
	var did string
	switch m.rand.IntN(5) {
	case 0:
		did = fmt.Sprint("cutover ", c, group)
		_, err = m.cutover(c, "", group...)
	case 1:
		did = fmt.Sprint("ramp ", c, group)
		_, err = m.cutover(c, "10:2s,40:hold,70:1s", group...)
	case 2:
		weight := uint8(m.rand.IntN(11) * 10)
		did = fmt.Sprint("split ", c, weight, group)
		_, err = m.split(c, weight, group...)
	case 3:
		did = fmt.Sprint("rollback ", group)
		_, err = m.Rollback(m.Context(), switcher.RollbackRequest{Request: request(group...), Force: m.rand.IntN(2) == 0})
	case 4:
		did = fmt.Sprint("abort ", group)
		_, err = m.Abort(m.Context(), request(group...))
	}
	return fmt.Sprint(did, ": ", err)
}

// halt is a command that moves none.
func (m *model) halt(_ string, _ switcher.Color, group []string) string {
	req := request(group...)
	req.Reason = "because"
	var err error
	n := m.rand.IntN(5)
	switch n {
	case 0:
		_, err = m.Hold(m.Context(), req)
	case 1:
		_, err = m.Resume(m.Context(), req)
	case 2:
		_, err = m.Lock(m.Context(), req)
	case 3:
		_, err = m.Unlock(m.Context(), req)
	case 4:
		_, err = m.Drain(m.Context(), switcher.DrainRequest{Request: req})
	}
	return fmt.Sprint([]string{"hold", "resume", "lock", "unlock", "drain"}[n], group, ": ", err)
}

// world is what happens outside.
func (m *model) world(name string, c switcher.Color, _ []string) string {
	switch m.rand.IntN(4) {
	case 0:
		healthy := m.rand.IntN(3) > 0
		m.health(name, c, healthy)
		return fmt.Sprint("health ", name, c, healthy)
	case 1:
		bucket := uint16(m.rand.IntN(switcher.Buckets))
		m.out = append(m.out, m.work(name, bucket, 1))
		return fmt.Sprint("work on ", name)
	case 2:
		for _, release := range m.out {
			release()
		}
		m.out = nil
		return "all released"
	}
	if m.rand.IntN(2) == 0 {
		m.store.failWith(errDisk)
		return "store fails"
	}
	m.store.failWith(nil)
	return "store works"
}

// session is a request of one of a few sessions, which may last, or the command
// that lets the sessions of a drain move.
func (m *model) session(name string, _ switcher.Color, group []string) string {
	if m.rand.IntN(8) == 0 {
		_, err := m.Drain(m.Context(), switcher.DrainRequest{Request: request(group...), Options: switcher.Options{Pins: switcher.PinsDrop}})
		return fmt.Sprint("drop the pins of ", group, ": ", err)
	}
	n := m.rand.IntN(30)
	if n >= 25 {
		n = 1000 + m.visits // one that begins
	}
	m.visits++
	l, ok := m.Service(name).AcquireSession(uint16(m.rand.IntN(switcher.Buckets)), switcher.SessionOf(fmt.Sprint(n)))
	switch {
	case !ok:
		m.Errorf("%s has no lease for a session", name)
		return "no lease"
	case !l.Table.Serves(l.Color), n >= 1000 && l.Table.Split.Weight(l.Color) == 0:
		m.Errorf("%s: session %d went to %s by %s, %s held", name, n, l.Color, l.Table.Split, l.Table.Held)
	}
	if m.rand.IntN(4) == 0 {
		m.out = append(m.out, l.Release)
	} else {
		l.Release()
	}
	return fmt.Sprint("session ", n, " of ", name, " to ", l.Color)
}

func (m *model) wait(string, switcher.Color, []string) string {
	d := time.Duration(m.rand.IntN(4000)) * time.Millisecond
	pass(d)
	return fmt.Sprint("pass ", d)
}

// process reconfigures or restarts; the leases of a process end with it.
func (m *model) process(name string, _ switcher.Color, _ []string) string {
	if m.rand.IntN(2) == 0 {
		fewer := map[string]switcher.Config{}
		for other, c := range m.configs {
			if other != name {
				fewer[other] = c
			}
		}
		m.must(m.Configure(m.Context(), fewer))
		m.check()
		m.must(m.Configure(m.Context(), m.configs))
		m.pools(name, 2, 2)
		return "removed and added " + name
	}
	m.store.failWith(nil)
	pass(3 * time.Second) // what is not stored by now cannot be resumed
	m.check()
	before := make(map[string]switcher.ServiceView)
	for _, s := range modelServices {
		before[s] = m.view(s)
	}
	m.out = nil
	m.restart()
	for s, was := range before {
		now := m.view(s)
		if now.Generation < was.Generation || now.Split != was.Split || now.Active != was.Active {
			m.Errorf("%s: before the restart %d %s, after it %d %s", s, was.Generation, was.Split, now.Generation, now.Split)
		}
		m.pools(s, 2, 2)
	}
	return "restart"
}

// check looks at what must hold at any time.
func (m *model) check() {
	for range 10 { // what is due by now happens after a command, one phase each time
		_, err := m.Services(m.Context())
		m.must(err)
		synctest.Wait()
	}
	views, err := m.Services(m.Context())
	m.must(err)
	byMove := map[string]switcher.Split{}
	for _, v := range views {
		if err := v.Split.Validate(); err != nil {
			m.Errorf("%s: %v", v.Name, err)
		}
		if (v.Phase == switcher.Steady) != (v.Cutover == nil) {
			m.Errorf("%s is %s with cutover %t", v.Name, v.Phase, v.Cutover != nil)
		}
		if mixed := v.Split.Blue%100 != 0; mixed != (v.Phase == switcher.Ramping) {
			m.Errorf("%s is %s with %s", v.Name, v.Phase, v.Split)
		}
		if c := v.Cutover; c != nil {
			if split, ok := byMove[c.ID]; ok && split != v.Split {
				m.Errorf("%s moves with others and has %s, they %s", v.Name, v.Split, split)
			}
			if byMove[c.ID] = v.Split; !slices.Contains(c.Services, v.Name) {
				m.Errorf("%s is in a move of %q", v.Name, c.Services)
			}
		}
		if was, ok := m.seen[v.Name]; ok {
			m.compare(was, v)
		}
		m.seen[v.Name] = v
		m.served(v)
	}
}

// compare checks what may not change from one step to the next.
func (m *model) compare(was, now switcher.ServiceView) {
	if now.Generation < was.Generation {
		m.Errorf("%s: generation %d after %d", now.Name, now.Generation, was.Generation)
	}
	if was.Split != now.Split && was.Generation == now.Generation {
		m.Errorf("%s: %s and %s at one generation", now.Name, was.Split, now.Split)
	}
	if was.Lock == nil || now.Lock == nil || was.Split == now.Split || was.Lock.At != now.Lock.At {
		return
	}
	if c := now.Cutover; c != nil && (c.Ending != "" || c.Kind == switcher.KindRollback) {
		return
	}
	if l := now.Last; now.Phase == switcher.Steady && l != nil && (l.Kind == switcher.KindRollback || l.Result != switcher.ResultDone) {
		return
	}
	m.Errorf("%s is locked, and went from %s to %s", now.Name, was.Split, now.Split)
}

// served checks that the board, and the store unless it lags, say what status says.
func (m *model) served(v switcher.ServiceView) {
	t := m.Service(v.Name).Table()
	for _, c := range switcher.Colors {
		switch p := v.Pool(c); {
		case p.SafeToStop && t.Serves(c):
			m.Errorf("%s: %s is called safe to stop, and still serves sessions", v.Name, c)
		case !t.Serves(c) && p.Pinned > 0:
			m.Errorf("%s: %d sessions are pinned to %s, which serves none", v.Name, p.Pinned, c)
		case t.Held == c && (v.Phase != switcher.Draining || v.Cutover.Draining.Held == nil || v.Cutover.Ending != ""):
			m.Errorf("%s: %s is held for sessions in %s", v.Name, c, v.Phase)
		}
	}
	if t.Split != v.Split || t.Generation != v.Generation {
		m.Errorf("%s: status says %s, the table %s", v.Name, v.Split, t.Split)
	}
	if m.Unsaved() || m.store.written() == 0 {
		return
	}
	st := m.store.state(m, v.Name)
	if st.Generation == 0 && v.Generation == 1 {
		return // nothing was stored since it was added
	}
	if st.Split != v.Split || st.Generation != v.Generation || st.Phase != v.Phase || len(st.History) > switcher.MaxHistory {
		m.Errorf("%s: stored %+v, served %+v", v.Name, st, v)
	}
}
