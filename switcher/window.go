package switcher

import (
	"fmt"
	"time"
)

// WindowState says whether the version before may still be needed.
type WindowState string

// The states of a rollback window.
const (
	// WindowOpen: the version before serves, finishes its work, or is still
	// reckoned with. What it needs must stay: contracting is not safe.
	WindowOpen WindowState = "open"
	// WindowClosed: the last cutover is final as far as was agreed on.
	WindowClosed WindowState = "closed"
	// WindowUndone: the last cutover was undone, and the version before serves.
	WindowUndone WindowState = "undone"
)

// RollbackWindow says whether a rollback of a service is still reckoned with. It
// decides nothing for the Switcher: a rollback goes through all the same.
type RollbackWindow struct {
	State WindowState `json:"state"`
	// To is the color that a rollback goes to; none where there is nothing to
	// go back to.
	To Color `json:"to,omitempty"`
	// Until is when the window closes, if the old color is drained by then;
	// zero: not known, or not by itself.
	Until time.Time `json:"until,omitzero"`
	// Reason says in a sentence why it is as it is.
	Reason string `json:"reason"`
}

// rollbackWindow looks at all that could still need the version before. In
// doubt it is open.
func (m *machine) rollbackWindow(now time.Time) *RollbackWindow {
	st := &m.state
	w := &RollbackWindow{State: WindowOpen, To: st.Previous, Until: st.RollbackUntil}
	old := st.Active.Other()
	switch c := st.Cutover; {
	case m.doubt != "":
		w.Reason, w.Until = "nobody knows what this edge did before: "+m.doubt, time.Time{}
	case c != nil && c.Ending != "":
		w.State, w.Reason = WindowUndone, fmt.Sprintf("the %s to %s is being undone (%s)", c.Kind, c.To, c.Ending)
	case c != nil && c.Kind == KindRollback:
		w.State, w.Reason = WindowUndone, fmt.Sprintf("a rollback to %s is under way", c.To)
	case c != nil && st.Phase != Draining:
		w.Reason, w.Until = fmt.Sprintf("a %s to %s is %s: %s still serves", c.Kind, c.To, st.Phase, c.From), time.Time{}
	case c != nil:
		w.Reason = fmt.Sprintf("%s drains: %d in-flight", c.Drain, m.inflight(c.Drain))
	case st.Previous == 0 && st.undone():
		w.State, w.Reason = WindowUndone, "the last cutover was undone: "+st.Active.String()+" serves again"
	case st.Previous == 0:
		w.Reason = "no cutover has been completed here: nothing says that the version before is gone"
	case m.inflight(old) > 0:
		w.Reason = fmt.Sprintf("%d in-flight on %s", m.inflight(old), old)
	case st.RollbackUntil.IsZero():
		w.Reason = "nobody knows when traffic left " + st.Previous.String() + ": cut over again, or ask who did"
	case now.Before(st.RollbackUntil):
		w.Reason = fmt.Sprintf("a rollback to %s is reckoned with until %s", st.Previous, st.RollbackUntil.Format(time.RFC3339))
	default:
		w.State, w.Reason = WindowClosed, fmt.Sprintf("%s is drained, and its time was over at %s", st.Previous, st.RollbackUntil.Format(time.RFC3339))
	}
	return w
}

// undone reports that the latest move of traffic in history took it back.
func (st *ServiceState) undone() bool {
	for _, m := range st.History {
		switch {
		case m.Kind == KindRollback, m.Result == ResultRolledBack:
			return true
		case m.Kind == KindCutover || m.Kind == KindSplit:
			if m.Result == ResultAborted {
				return true
			}
			if m.Result == ResultDone || m.Result == ResultSuperseded {
				return false
			}
		}
	}
	return false
}

// afterWindow says of a rollback that it comes late; empty of one in time.
func afterWindow(members []*machine, now time.Time) string {
	for _, m := range members {
		if until := m.state.RollbackUntil; !until.IsZero() && now.After(until) {
			return fmt.Sprintf("the rollback window of %s was closed since %s: if the schema was contracted since, %s may not work with it",
				m.name, until.Format(time.RFC3339), m.state.Previous)
		}
	}
	return ""
}
