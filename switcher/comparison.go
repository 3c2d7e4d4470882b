package switcher

import (
	"fmt"
	"slices"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// compareEvery is how often the colors of a ramp are compared.
const compareEvery = time.Second

// Comparison is what came of comparing the color that gains a service's traffic
// with the one that loses it, while both served.
type Comparison struct {
	Service string `json:"service"`
	// At is when the numbers were as they are told.
	At time.Time `json:"at"`
	compare.Verdict
}

// comparing is the comparison of one member of a ramp.
type comparing struct {
	judge  *compare.Judge
	limits compare.Limits // as configured
	told   compare.State  // the highest state that an event has told of
	split  Split          // as of the latest look
}

// compare looks at what both colors of each member do, and returns what is held
// against the target. It begins with the first step, since before it there is
// nothing to compare, and ends with the flip, since after it nothing runs beside
// the target. After a restart it begins anew.
func (s *Switcher) compare(r *run, now time.Time) *failure {
	if r.phase != Ramping || s.hooks.Samples == nil {
		return nil
	}
	if now.Sub(r.compared) < compareEvery {
		return r.worse
	}
	before := r.worse
	r.compared, r.worse = now, nil
	for _, m := range r.members {
		c := s.sample(r, m, now)
		if c == nil {
			continue
		}
		f, worse := c.judge.Worse()
		if worse && r.worse == nil {
			detail := fmt.Sprintf("%s: %s is worse than %s: %s", m.name, r.cut.To, r.cut.From, f.Sentence(r.cut.From.String(), r.cut.To.String()))
			r.worse = &failure{by: FailureCause(f.Metric), detail: detail, cause: fmt.Errorf("%w: %s", ErrRefused, detail)}
		}
		s.tellOf(r, m, c)
	}
	if before != nil && r.worse == nil && r.cut.Held == nil {
		r.failing = false // if it comes to be worse again, that is told again
	}
	return r.worse
}

// sample takes in what a member's colors have done; nil: it compares nothing.
func (s *Switcher) sample(r *run, m *machine, now time.Time) *comparing {
	limits := m.config.Compare
	if limits == nil {
		delete(r.comparing, m.name)
		r.cut.Compared = slices.DeleteFunc(slices.Clone(r.cut.Compared), func(c Comparison) bool { return c.Service == m.name })
		return nil
	}
	pair := compare.Pair{Old: s.hooks.Samples(m.name, r.cut.From), New: s.hooks.Samples(m.name, r.cut.To)}
	c := r.comparing[m.name]
	if c != nil && c.limits == *limits {
		if c.split == m.state.Split {
			c.judge.Observe(now, pair)
		} else {
			c.split = m.state.Split
			c.judge.Step(now, pair)
		}
		return c
	}
	if r.comparing == nil {
		r.comparing = make(map[string]*comparing)
	}
	c = &comparing{judge: compare.New(*limits, len(r.members), pair, now), limits: *limits, split: m.state.Split}
	r.comparing[m.name] = c
	return c
}

// tellOf emits an event when a comparison has come further than before.
func (s *Switcher) tellOf(r *run, m *machine, c *comparing) {
	v := c.judge.Verdict()
	if v.State <= c.told {
		return
	}
	c.told = v.State
	for _, f := range v.Findings {
		if f.State != v.State {
			continue
		}
		tell := f.Brief
		if v.State == compare.Worse {
			tell = f.Sentence
		}
		s.emit(m, Event{Type: EventCompare, Color: r.cut.To,
			Detail: v.State.Words() + ": " + tell(r.cut.From.String(), r.cut.To.String())})
		return
	}
}

// afresh forgets a verdict against the target, as somebody has decided to go on
// all the same: it takes new samples to come to another. That holds too if the
// target has done well of late, since the evidence against it stays.
func (r *run) afresh() {
	for _, c := range r.comparing {
		if c.told == compare.Worse {
			r.comparing, r.worse = nil, nil
			return
		}
	}
}

// comparisons are the numbers as of the latest look, or those of before a restart
// or the flip.
func (r *run) comparisons() []Comparison {
	if len(r.comparing) == 0 {
		return r.cut.Compared
	}
	var list []Comparison
	for _, m := range r.members {
		if c := r.comparing[m.name]; c != nil {
			list = append(list, Comparison{m.name, r.compared, c.judge.Verdict()})
		}
	}
	return list
}

// conclusions are comparisons as they are stored: without what had too few samples.
func (r *run) conclusions() (list []Comparison) {
	for _, c := range r.comparisons() {
		c.Findings = slices.DeleteFunc(slices.Clone(c.Findings), func(f compare.Finding) bool { return f.State == compare.TooFew })
		list = append(list, c)
	}
	return list
}

// ComparisonsOf returns those of one service: one, or none.
func ComparisonsOf(service string, list []Comparison) []Comparison {
	i := slices.IndexFunc(list, func(c Comparison) bool { return c.Service == service })
	if i < 0 {
		return nil
	}
	return list[i : i+1 : i+1]
}

// stopComparing says, at the flip, why there will be no further verdict.
func (s *Switcher) stopComparing(r *run) {
	for _, m := range r.members {
		c := r.comparing[m.name]
		if c == nil {
			continue
		}
		v, how := c.judge.Verdict(), "ended as no worse so far"
		if v.State == compare.TooFew {
			how = "ended without a verdict, of too few samples: " + v.Findings[0].Brief(r.cut.From.String(), r.cut.To.String())
		}
		s.emit(m, Event{Type: EventCompare, Color: r.cut.To, Detail: fmt.Sprintf(
			"%s; %s serves no traffic beside it any more", how, r.cut.From)})
	}
	r.comparing, r.worse = nil, nil
}

// planComparison says what a ramp of m would be judged by.
func (s *Switcher) planComparison(m *machine, ramp Ramp) []string {
	switch {
	case m.config.Compare == nil || s.hooks.Samples == nil:
		return nil
	case len(ramp) == 0:
		return []string{m.name + ": nothing: without a step in between the colors never serve side by side"}
	}
	return []string{m.name + ": " + m.config.Compare.String()}
}
