package consul

import (
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestJudgeState(t *testing.T) {
	state := func(epoch uint64, c switcher.Color, k SharedKind) *SharedState {
		return &SharedState{Format: 1, Epoch: epoch, Active: c, Kind: k, Edge: "edge-2"}
	}
	five := bond{Epoch: 5, Active: blue}
	for name, c := range map[string]struct {
		bond  bond
		at    stand
		state *SharedState
		want  course
	}{
		"a first edge":                       {bond{}, stand{active: green}, nil, course{deed: publish, epoch: 1, to: green}},
		"a first edge that moves":            {bond{}, stand{active: blue, to: green}, nil, course{deed: wait}},
		"a new edge where the fleet is":      {bond{}, stand{active: blue}, state(5, blue, SharedCutover), course{deed: adopt, epoch: 5}},
		"a new edge where it is not":         {bond{}, stand{active: green}, state(5, blue, SharedCutover), course{deed: follow, epoch: 5, to: blue}},
		"all is well":                        {five, stand{active: blue}, state(5, blue, SharedCutover), course{deed: rest}},
		"a move under way":                   {five, stand{active: blue, to: green}, state(5, blue, SharedCutover), course{deed: rest}},
		"an own move":                        {five, stand{active: green}, state(5, blue, SharedCutover), course{deed: publish, epoch: 6, to: green}},
		"the same move of another":           {five, stand{active: green}, state(6, green, SharedCutover), course{deed: adopt, epoch: 6}},
		"a lost race":                        {five, stand{active: green}, state(7, blue, SharedCutover), course{deed: follow, epoch: 7, to: blue}},
		"a lost race with a rollback":        {five, stand{active: green, previous: blue}, state(7, blue, SharedRollback), course{deed: retreat, epoch: 7, to: blue}},
		"another's cutover":                  {five, stand{active: blue}, state(6, green, SharedCutover), course{deed: follow, epoch: 6, to: green}},
		"a cutover to where a rollback goes": {five, stand{active: blue, previous: green}, state(6, green, SharedCutover), course{deed: follow, epoch: 6, to: green}},
		"another's rollback":                 {five, stand{active: blue, previous: green}, state(6, green, SharedRollback), course{deed: retreat, epoch: 6, to: green}},
		"a rollback elsewhere":               {five, stand{active: blue}, state(6, green, SharedRollback), course{deed: follow, epoch: 6, to: green}},
		"a rollback during a move":           {five, stand{active: blue, to: green}, state(7, blue, SharedRollback), course{deed: retreat, epoch: 7, to: blue}},
		"a cutover during a move":            {five, stand{active: blue, to: green}, state(7, blue, SharedCutover), course{deed: wait}},
		"a move that goes there":             {five, stand{active: blue, to: green}, state(6, green, SharedCutover), course{deed: wait}},
		"a move while cut off":               {bond{Epoch: 5, Active: blue, Alone: true}, stand{active: green}, state(7, blue, SharedCutover), course{deed: diverge, epoch: 7}},
		"a move while cut off, in time":      {bond{Epoch: 5, Active: blue, Alone: true}, stand{active: green}, state(5, blue, SharedCutover), course{deed: publish, epoch: 6, to: green}},
		"diverged":                           {bond{Epoch: 5, Active: blue, Diverged: 7}, stand{active: green}, state(7, blue, SharedCutover), course{deed: stay}},
		"diverged, and back by hand":         {bond{Epoch: 5, Active: blue, Diverged: 7}, stand{active: blue}, state(7, blue, SharedCutover), course{deed: adopt, epoch: 7}},
		"diverged, and a newer epoch":        {bond{Epoch: 5, Active: blue, Diverged: 7}, stand{active: green}, state(9, blue, SharedCutover), course{deed: follow, epoch: 9, to: blue}},
		"where a move was undone":            {bond{Epoch: 5, Active: blue, Against: 6}, stand{active: blue}, state(6, green, SharedCutover), course{deed: diverge, epoch: 6}},
		"where one was undone, and again":    {bond{Epoch: 5, Active: blue, Against: 6}, stand{active: blue, to: green}, state(6, green, SharedCutover), course{deed: wait}},
		"where one was undone, and is there": {bond{Epoch: 5, Active: blue, Against: 6}, stand{active: green}, state(6, green, SharedCutover), course{deed: adopt, epoch: 6}},
		"undone, and nothing new":            {bond{Epoch: 5, Active: blue, Against: 6}, stand{active: blue}, state(5, blue, SharedCutover), course{deed: rest}},
		"undone, and a rollback there":       {bond{Epoch: 5, Active: blue, Against: 6}, stand{active: blue}, state(6, green, SharedRollback), course{deed: follow, epoch: 6, to: green}},
		"undone, and a newer epoch":          {bond{Epoch: 5, Active: blue, Against: 6, Diverged: 6}, stand{active: blue}, state(8, green, SharedCutover), course{deed: follow, epoch: 8, to: green}},
		"a state that is gone":               {five, stand{active: blue}, nil, course{deed: publish, epoch: 5, to: blue}},
		"a state that is gone after a move":  {five, stand{active: green}, nil, course{deed: publish, epoch: 6, to: green}},
		"a state that went back":             {five, stand{active: blue}, state(3, green, SharedCutover), course{deed: publish, epoch: 6, to: blue}},
		"an epoch of two colors":             {five, stand{active: blue}, state(5, green, SharedCutover), course{deed: diverge, epoch: 5}},
	} {
		got := judgeState(c.bond, c.at, c.state)
		got.why = ""
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// TestJudgeStateAlways goes through all small cases.
func TestJudgeStateAlways(t *testing.T) {
	colors := []switcher.Color{0, blue, green}
	each := func(f func(bond, stand, *SharedState)) {
		for n := range 3 * 3 * 2 * 4 * 4 * 2 * 3 * 3 * 5 * 2 * 3 {
			pick := func(m int) int { v := n % m; n /= m; return v }
			b := bond{Active: colors[pick(3)]}
			if b.Active.Valid() {
				b.Epoch = uint64(1 + pick(3))
				b.Alone = pick(2) == 1
				b.Diverged = uint64(pick(4))
				b.Against = uint64(pick(4))
			}
			at := stand{active: colors[1+pick(2)], previous: colors[pick(3)]}
			if pick(3) == 0 {
				at.to = at.active.Other()
			}
			var st *SharedState
			if epoch := uint64(pick(5)); epoch > 0 {
				kinds := []SharedKind{SharedCutover, SharedRollback, SharedInitial}
				st = &SharedState{Format: 1, Epoch: epoch, Active: colors[1+pick(2)], Kind: kinds[pick(3)], Edge: "e"}
			}
			f(b, at, st)
		}
	}
	cases := 0
	each(func(b bond, at stand, st *SharedState) {
		cases++
		c := judgeState(b, at, st)
		bad := ""
		switch c.deed {
		case publish:
			newer := st == nil && c.epoch >= b.Epoch || st != nil && c.epoch > st.Epoch
			if at.to != 0 || c.to != at.active || !newer || c.epoch == 0 {
				bad = "publishes what is not, or an old epoch"
			}
		case follow:
			if st == nil || at.to != 0 || st.Epoch <= b.Epoch || c.to != st.Active || c.to == at.active {
				bad = "follows what is not newer, or during a move"
			}
		case retreat:
			if st == nil || st.Kind != SharedRollback || st.Epoch <= b.Epoch || c.to != st.Active {
				bad = "rolls back without a rollback"
			}
		case diverge:
			if at.to != 0 || at.active == st.Active || c.epoch != st.Epoch {
				bad = "stays away from where it is, or during a move"
			}
		case adopt:
			if st == nil || at.to != 0 || st.Active != at.active || st.Epoch < b.Epoch {
				bad = "agrees to what it does not serve"
			}
		}
		if bad != "" {
			t.Errorf("%s: %+v %+v %+v: %+v", bad, b, at, st, c)
		}
	})
	t.Logf("%d cases", cases)
}

func TestJudgeDesired(t *testing.T) {
	value := func(index uint64, text string) pair {
		p := pairOf(&api.KVPair{ModifyIndex: index, Value: []byte(text)})
		return p
	}
	was := value(100, "green").handled()
	onBlue := &SharedState{Format: 1, Epoch: 5, Active: blue, Kind: SharedCutover, Edge: "e"}
	byTrigger := &SharedState{Format: 1, Epoch: 5, Active: blue, Kind: SharedCutover, Edge: "e", Trigger: 101}
	fresh := &SharedState{Format: 1, Epoch: 1, Active: blue, Kind: SharedInitial, Edge: "e"}
	for name, c := range map[string]struct {
		handled handled
		past    past
		apart   bool
		desired pair
		state   *SharedState
		at      uint64
		want    Result
		news    bool
	}{
		"no key":                           {handled: was, past: returning},
		"the same":                         {handled: was, past: returning, desired: value(100, "green")},
		"a new one":                        {handled: was, past: returning, desired: value(101, "green"), news: true},
		"the first one":                    {past: returning, desired: value(7, "green"), state: fresh, at: 9, news: true},
		"an older one":                     {handled: was, past: returning, desired: value(99, "blue"), want: Stale, news: true},
		"the same index, another value":    {handled: was, past: returning, desired: value(100, "blue"), want: Stale, news: true},
		"garbage":                          {handled: was, past: returning, desired: value(101, "grün"), want: Malformed, news: true},
		"too long":                         {handled: was, past: returning, desired: value(101, string(make([]byte, maxValue+1))), want: Malformed, news: true},
		"before the fleet moved":           {handled: was, past: returning, desired: value(101, "green"), state: onBlue, at: 102, want: Stale, news: true},
		"after the fleet moved":            {handled: was, past: returning, desired: value(103, "green"), state: onBlue, at: 102, news: true},
		"where the fleet has gone by it":   {handled: was, past: returning, desired: value(101, "blue"), state: onBlue, at: 102, news: true},
		"a second trigger at once":         {handled: was, past: returning, desired: value(102, "green"), state: byTrigger, at: 103, news: true},
		"a second one while it was apart":  {handled: was, past: returning, apart: true, desired: value(102, "green"), state: byTrigger, at: 103, want: Stale, news: true},
		"an older one than the state's":    {past: returning, desired: value(100, "green"), state: byTrigger, at: 103, want: Stale, news: true},
		"before a state of another Consul": {handled: was, past: returning, desired: value(101, "green"), state: &SharedState{Format: 1, Epoch: 5, Active: blue, Kind: SharedCutover, Edge: "e", Trigger: 5000}, at: 102, want: Stale, news: true},
		"the same while it was cut off":    {handled: was, past: returning, apart: true, desired: value(101, "blue"), state: onBlue, at: 102, want: Stale, news: true},
		"what a new edge finds":            {past: joining, desired: value(103, "green"), state: onBlue, at: 102, want: Stale, news: true},
		"what a new edge finds true":       {past: joining, desired: value(103, "blue"), state: onBlue, at: 102, want: Applied, news: true},
		"what the first edge finds":        {past: joining, desired: value(103, "green"), news: true},
		"what one without a memory finds":  {past: lost, desired: value(103, "green"), want: Stale, news: true},
		"what one without a memory finds2": {past: lost, desired: value(103, "green"), state: onBlue, at: 1, want: Stale, news: true},
	} {
		got := judgeDesired(c.handled, c.past, c.apart, c.desired, c.state, c.at)
		if got.news != c.news || got.result != c.want || (got.reason == "") != (c.want == "") {
			t.Errorf("%s: got %+v, want %q", name, got, c.want)
		}
		if carries := got.intent.To.Valid(); carries != (c.news && c.want == "") {
			t.Errorf("%s: carried out: %v", name, carries)
		}
	}
	again := judgeDesired(was, returning, false, value(7, "green"), onBlue, 9)
	if !again.news || again.result != "" || again.intent.To.Valid() {
		t.Errorf("the same value in a Consul that counts anew: %+v", again)
	}
}
