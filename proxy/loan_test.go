package proxy

import "testing"

func TestABufferIsWholeOnlyWhileTheFlowFillsIt(t *testing.T) {
	var l loan
	equal(t, "at first", len(l.buffer()), idleBufferSize)
	for _, step := range []struct{ read, next int }{
		{1, idleBufferSize}, {idleBufferSize - 1, idleBufferSize},
		{idleBufferSize, copyBufferSize}, {copyBufferSize, copyBufferSize}, {idleBufferSize, copyBufferSize},
		{idleBufferSize - 1, idleBufferSize}, {idleBufferSize, copyBufferSize}, {0, idleBufferSize},
	} {
		l.passed(step.read)
		equal(t, "the next buffer", len(l.buffer()), step.next)
	}
	l.giveBack()
	l.giveBack()
	equal(t, "given back", l.big == nil, true)
}

func TestALoanThatBeginsWithACopyBufferAllocatesNoOther(t *testing.T) {
	var l loan
	l.borrow()
	l.borrow()
	equal(t, "borrowed", len(l.buffer()), copyBufferSize)
	l.passed(copyBufferSize)
	equal(t, "small", len(l.small), 0)
	l.giveBack()
}
