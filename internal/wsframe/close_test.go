package wsframe

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"
)

// unmask takes a close frame apart.
func unmask(t *testing.T, b []byte) (code uint16, reason string, key []byte) {
	t.Helper()
	if v := reference(b); !v.boundary || !v.closed || b[0] != 0x88 {
		t.Fatalf("% x is not a close frame: %+v", b, v)
	}
	payload := bytes.Clone(b[2:])
	if b[1] >= 128 {
		key, payload = payload[:4], payload[4:]
		for i := range payload {
			payload[i] ^= key[i%4]
		}
	}
	return binary.BigEndian.Uint16(payload), string(payload[2:]), key
}

func TestACloseFrameIsWhatTheRFCShows(t *testing.T) {
	b, err := AppendClose([]byte("before"), 1001, "moving", false)
	if want := "before\x88\x08\x03\xe9moving"; err != nil || string(b) != want {
		t.Errorf("got %q, %v; want %q", b, err, want)
	}
	if b, err = AppendClose(nil, 3000, "", false); err != nil || string(b) != "\x88\x02\x0b\xb8" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestACloseFrameTowardAServerIsMaskedAfreshEachTime(t *testing.T) {
	keys := map[string]bool{}
	for range 100 {
		b, err := AppendClose(nil, 1012, "restart", true)
		if err != nil {
			t.Fatal(err)
		}
		code, reason, key := unmask(t, b)
		if code != 1012 || reason != "restart" || len(b) != 2+4+2+7 {
			t.Errorf("% x says %d %q", b, code, reason)
		}
		keys[string(key)] = true
	}
	if len(keys) < 99 {
		t.Errorf("%d keys in 100 frames", len(keys))
	}
}

func TestOnlyCodesThatMayBeSentAreSent(t *testing.T) {
	dst := []byte("as it was")
	for code := range 1 << 16 {
		want := code >= 3000 && code <= 4999
		switch code {
		case 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014:
			want = true
		}
		b, err := AppendClose(dst, uint16(code), "", false)
		if (err == nil) != want || err != nil && string(b) != "as it was" {
			t.Errorf("%d: %q, %v", code, b, err)
		}
	}
}

func TestAReasonIsCutBetweenTwoCharacters(t *testing.T) {
	for _, char := range []string{"a", "é", "€", "😀"} {
		for pad := range 5 {
			for count := range 130 {
				long := strings.Repeat("x", pad) + strings.Repeat(char, count)
				b, err := AppendClose(nil, 1001, long, count%2 == 0)
				if err != nil {
					t.Fatal(err)
				}
				_, got, _ := unmask(t, b)
				fits := strings.HasPrefix(long, got) && utf8.ValidString(got) && len(b) <= MaxCloseSize
				if !fits || len(got) > 123 || len(got) < len(long) && len(got)+len(char) <= 123 {
					t.Fatalf("%q became %q (%d bytes)", long, got, len(got))
				}
			}
		}
	}
}

func TestAReasonThatIsNotUTF8IsMadeSo(t *testing.T) {
	for reason, want := range map[string]string{
		"a\xffb":                                "a\uFFFDb",
		"\xed\xa0\x80":                          "\uFFFD",
		strings.Repeat("x", 121) + "\xff" + "y": strings.Repeat("x", 121),
		strings.Repeat("x", 120) + "\xff" + "y": strings.Repeat("x", 120) + "\uFFFD",
	} {
		b, err := AppendClose(nil, 1001, reason, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, got, _ := unmask(t, b); got != want {
			t.Errorf("%q became %q, want %q", reason, got, want)
		}
	}
}

func TestACloseFrameIntoABufferAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, MaxCloseSize)
	if n := testing.AllocsPerRun(100, func() { _, _ = AppendClose(buf, 1001, "moving", true) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
