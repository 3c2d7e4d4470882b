package wsframe

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxCloseSize is the most bytes that AppendClose appends.
const MaxCloseSize = 2 + keySize + maxControl

// maxReason is the most bytes of a reason; the code takes 2.
const maxReason = maxControl - 2

// AppendClose appends a whole close frame to dst. A reason beyond 123 bytes is
// cut between two characters, and what is not UTF-8 in it becomes U+FFFD, since
// a peer may fail the connection over it. A frame toward a server has to be
// masked, and one toward a client must not be (RFC 6455 §5.1).
//
// Codes that no endpoint may send are refused, and dst is returned as it was.
// Of those that may be sent, 1014 is young enough for some peers to refuse it.
func AppendClose(dst []byte, code uint16, reason string, mask bool) ([]byte, error) {
	if !sendable(code) {
		return dst, fmt.Errorf("close code %d is not one to send: use 1000-1003, 1007-1014 or 3000-4999", code)
	}
	reason = cutReason(strings.ToValidUTF8(reason, string(utf8.RuneError)))
	size := byte(2 + len(reason))
	dst = append(dst, finBit|opClose, size)
	if mask {
		dst[len(dst)-1] |= maskBit
		dst = append(dst, make([]byte, keySize)...)
	}
	payload := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, code)
	dst = append(dst, reason...)
	if mask {
		// The payload is ours and not an attacker's, so that any key would
		// do; but §5.3 asks for strong entropy, and it is needed once in the
		// life of a stream. Read never fails.
		key := dst[payload-keySize : payload]
		_, _ = rand.Read(key)
		for i := range dst[payload:] {
			dst[payload+i] ^= key[i%keySize]
		}
	}
	return dst, nil
}

// sendable reports whether an endpoint may send the code: RFC 6455 §7.4, and
// 1012 to 1014 of IANA's registry. 1004 has no meaning; 1005, 1006 and 1015
// are what an endpoint tells itself.
func sendable(code uint16) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}

// cutReason cuts UTF-8 between two characters.
func cutReason(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	n := maxReason
	for !utf8.RuneStart(reason[n]) {
		n--
	}
	return reason[:n]
}
