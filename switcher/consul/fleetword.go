package consul

import (
	"context"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// noteWord takes down this edge's last word on a move of its own that was undone:
// by a verdict of its comparison, or, if the fleet had started the move, by an
// operator. Without it the edge would follow those who went on, to where it was
// just brought back from. What a gate or the target's health undid is no such
// word: that passes, and is tried again.
func (s *seat) noteWord(ctx context.Context, view switcher.ServiceView) {
	if s.past != returning && !s.seen.heard {
		return // it knows of no epoch yet
	}
	m := s.lastMove(ctx, view)
	if m.ID == s.memory.Word || !s.isWord(m) {
		return
	}
	s.memory.Word = m.ID
	if s.past == joining {
		return // it is from before this edge was one of them
	}
	st, err := s.shared()
	if err != nil {
		st = nil
	}
	if s.memory.Bond.oppose(m, st) {
		s.noticeState(Outcome{Diverged, apart(s.memory.Bond, standOf(view), st)}, m.ID)
	}
}

func (s *seat) isWord(m switcher.Move) bool {
	switch m.Undone {
	case switcher.UndoneByComparison:
		return true
	case switcher.UndoneByCommand:
		return m.ID == s.memory.Move || m.ID == s.chase.id
	}
	return false
}

// oppose makes an undone move the edge's last word on one epoch: the one that
// names the move's target already, else the next, which the move would have made.
// If the fleet has gone elsewhere meanwhile, nothing is left to oppose. It reports
// whether the edge is apart from st by that.
func (b *bond) oppose(m switcher.Move, st *SharedState) (diverged bool) {
	newer := st != nil && st.Epoch > b.Epoch
	if newer && st.Active != m.To {
		return false
	}
	b.Against, b.Why = b.Epoch+1, plain(m.Detail, maxWhy)
	if newer {
		b.Against, b.Diverged, b.Alone = st.Epoch, st.Epoch, false
	}
	return newer
}

// maxWhy bounds bond.Why, in bytes, so that a status has room for what to do.
const maxWhy = 350
