// Package wsframe ends a relayed WebSocket (RFC 6455) politely, in the middle
// of a byte stream that is otherwise copied without looking.
//
// It reads the headers of frames and nothing else, and so goes with whatever
// the two ends negotiated (permessage-deflate, say): reserved bits and reserved
// opcodes pass. It promises, for each direction:
//
//   - Bytes pass unchanged and in order, until a close frame is put behind a
//     whole frame. Nothing passes after that.
//   - At most one close frame: where the peer has begun one of its own, none is
//     put in.
//   - No frame is torn by ending. Where that cannot be, because the bytes are not
//     frames, or the source ended or the write failed before the frame was
//     whole, it says so, and the connection is to be cut.
//
// A [Tracker] follows the frames of one direction, [AppendClose] makes a close
// frame, and a [Lane] is the writer of one direction that End can end:
//
//	lane := wsframe.Lane{To: client}
//	go func() { pump(&lane, upstream); lane.Stop() }()
//	...
//	select {
//	case <-lane.End(frame):
//		outcome, err := lane.Outcome()
//		...
//	case <-bound: // in the middle of a frame whose rest does not come
//	}
//
// It has no goroutines and no clock: how long to wait is for the caller to say.
package wsframe
