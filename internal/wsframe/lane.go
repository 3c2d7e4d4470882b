package wsframe

import (
	"errors"
	"io"
	"sync"
)

// Lane is the writer of one direction of a relayed WebSocket: it passes on what
// it is given, from the first byte after the handshake, until End puts a close
// frame behind a whole frame.
//
// One goroutine writes, and calls Stop when nothing more is to come. All other
// methods may be called from anywhere at any time. There is never more than one
// write to To under way, but End may be the one that makes it. A Lane must not
// be copied; the zero value leads nowhere and fails every write.
type Lane struct {
	To io.Writer // not to be changed after the first use

	mu      sync.Mutex // never held while To writes
	track   Tracker    // guarded by mu
	phase   phase      // guarded by mu
	writing bool       // guarded by mu: a Write is under way, and looks at the phase again after it
	end     *ending    // guarded by mu; nil until there is an end to tell of
}

// phase is what becomes of the bytes that are written.
type phase uint8

const (
	passing   phase = iota // they pass
	asked                  // they pass until the frame is whole
	injecting              // they are swallowed; a close frame is being written
	ended                  // they are swallowed
	over                   // they are refused: stopped, or a write failed
)

// ending is what a Lane holds only once it ends.
type ending struct {
	frame     []byte
	done      chan struct{} // closed when outcome is set
	outcome   Outcome
	err       error // why, if Failed
	swallowed int64
}

// Outcome is how the end of a Lane went.
type Outcome uint8

const (
	Pending    Outcome = iota // not asked for, or still waiting for a frame's rest
	Injected                  // the close frame was written, behind a whole frame
	PeerClosed                // the peer's own close frame was passed on whole; none was put in
	Lost                      // what passes cannot be frames, and goes on passing
	Stopped                   // the source ended before
	Failed                    // a write failed
)

var outcomes = [...]string{"pending", "injected", "peer closed", "lost", "stopped", "failed"}

func (o Outcome) String() string { return outcomes[o] }

var errNowhere = errors.New("a lane without a writer: set To")

// Write passes p on. After a close frame was put in, it swallows the rest of p
// and all that follows, and reports it as written.
func (l *Lane) Write(p []byte) (int, error) {
	pass, err := l.enter(p)
	if err != nil {
		return 0, err
	}
	if pass == 0 {
		return len(p), nil
	}
	if n, err := l.send(p[:pass]); err != nil {
		l.fail(err)
		return n, err
	}
	if l.leave(p[pass:]) {
		if err := l.inject(); err != nil {
			return pass, err
		}
	}
	return len(p), nil
}

// End asks for frame to be the last thing that is passed on. A Lane between
// two frames, where no Write is under way, has it written by End itself, which
// takes as long as To does; else the Write that makes the frame whole does it.
// The channel is closed when there is an Outcome. That may be never, if the
// peer does not finish its frame or To blocks: whoever waits sets a bound, and
// cuts the connection then.
//
// The first End or Ask counts; others get the same channel. The frame must not
// be changed before it is closed, and an empty one ends the Lane without a word.
func (l *Lane) End(frame []byte) <-chan struct{} {
	l.mu.Lock()
	done := l.ask(frame)
	inject := l.phase == asked && !l.writing && l.decide()
	l.mu.Unlock()
	if inject {
		_ = l.inject() // in the Outcome
	}
	return done
}

// Ask is an End that never writes: the next Write, Stop or End does.
func (l *Lane) Ask(frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ask(frame)
}

// ask is called with mu held.
func (l *Lane) ask(frame []byte) <-chan struct{} {
	if l.end == nil {
		l.end = &ending{frame: frame, done: make(chan struct{})}
		l.phase = asked
	}
	return l.end.done
}

// Stop says that no Write follows. A close frame that was asked for and can be
// written now is written, and one that is being written is waited for, so that
// after Stop nothing is written to To. An End that still waits for a frame's
// rest is Stopped, and so is one that comes later.
func (l *Lane) Stop() {
	l.mu.Lock()
	if l.phase == asked && !l.writing && l.decide() {
		l.mu.Unlock()
		_ = l.inject() // in the Outcome
		return
	}
	if l.phase == passing || l.phase == asked {
		l.phase = over
		o := l.verdict()
		if o == Pending || o == Injected {
			o = Stopped
		}
		l.settle(o, nil)
	}
	wait, end := l.phase == injecting, l.end
	l.mu.Unlock()
	if wait {
		<-end.done
	}
}

// Outcome says how the end went; the error is of the write that Failed.
func (l *Lane) Outcome() (Outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end == nil {
		return Pending, nil
	}
	return l.end.outcome, l.end.err
}

// SourceClosed reports whether the source has sent a whole close frame, be it
// passed on or swallowed: to an end that was put into the other direction, it
// is the answer.
func (l *Lane) SourceClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.track.Closed()
}

// Swallowed returns how many bytes came after the end.
func (l *Lane) Swallowed() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end == nil {
		return 0
	}
	return l.end.swallowed
}

// enter begins a Write: it returns how many bytes of p pass. If they are 0,
// nothing has begun.
func (l *Lane) enter(p []byte) (pass int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pass = len(p)
	switch {
	case l.phase == over:
		return 0, io.ErrClosedPipe
	case l.phase == injecting, l.phase == ended:
		l.swallow(p)
		return 0, nil
	case l.phase == asked && !l.track.Closing():
		pass = l.track.Next(p)
	default:
		l.track.Advance(p)
	}
	l.writing = pass > 0
	return pass, nil
}

// leave ends the part of a Write that passes bytes on. It reports whether the
// close frame is to be written now; rest is what comes after that.
func (l *Lane) leave(rest []byte) (inject bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = false
	inject = l.phase == asked && l.decide()
	if len(rest) > 0 {
		l.swallow(rest)
	}
	return inject
}

// decide does what was asked for, if it can be done now. It reports whether the
// caller has to inject. Called with mu held and no Write under way.
func (l *Lane) decide() (inject bool) {
	switch o := l.verdict(); o {
	case Pending:
		return false
	case Injected:
		l.phase = injecting
		return true
	default:
		l.phase = passing
		l.settle(o, nil)
		return false
	}
}

// verdict is what an end comes to between what has passed and what has not.
// Called with mu held.
func (l *Lane) verdict() Outcome {
	switch {
	case l.track.Closed():
		return PeerClosed
	case l.track.Lost():
		return Lost
	case l.track.Boundary():
		return Injected
	}
	return Pending
}

// swallow counts bytes that come after the end. Called with mu held.
func (l *Lane) swallow(p []byte) {
	l.end.swallowed += int64(len(p))
	l.track.Advance(p)
}

// inject writes the close frame. Only who was told to does it, once.
func (l *Lane) inject() error {
	l.mu.Lock()
	frame := l.end.frame
	l.mu.Unlock()
	if len(frame) > 0 {
		if _, err := l.send(frame); err != nil {
			l.fail(err)
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phase = ended
	l.settle(Injected, nil)
	return nil
}

func (l *Lane) send(p []byte) (int, error) {
	if l.To == nil {
		return 0, errNowhere
	}
	n, err := l.To.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

func (l *Lane) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing, l.phase = false, over
	l.settle(Failed, err)
}

// settle tells of the end, unless that has been done. Called with mu held.
func (l *Lane) settle(o Outcome, err error) {
	if l.end == nil {
		l.end = &ending{done: make(chan struct{})}
	}
	if l.end.outcome == Pending {
		l.end.outcome, l.end.err, l.end.frame = o, err, nil
		close(l.end.done)
	}
}
