package cmcd

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestEachLineOfABodyIsAReport(t *testing.T) {
	body := samples[6].dictionary + "\n" + samples[7].dictionary + "\r\n\n%%%\n" + strings.Repeat("k,", 100) + "\n\r\n" + samples[8].dictionary
	want := []Report{samples[6].want, samples[7].want, samples[8].want}
	got, invalid, err := ParseEvents(strings.NewReader(body))
	if !slices.Equal(got, want) || invalid != 2 || err != nil {
		t.Errorf("%+v, %d, %v", got, invalid, err)
	}
	got, invalid, err = ParseEvents(iotest.OneByteReader(strings.NewReader("")))
	if got != nil || invalid != 0 || err != nil {
		t.Errorf("nothing: %+v, %d, %v", got, invalid, err)
	}
}

func TestABodyBeyondTheBoundsIsRefusedWhole(t *testing.T) {
	for name, body := range map[string]string{
		"201 lines":             strings.Repeat("bs\n", MaxEvents+1),
		"65,537 bytes":          "bs\n" + strings.Repeat("\n", MaxEventsBody-2),
		"one line without end":  strings.Repeat("x", 1<<20),
		"201 lines of nonsense": strings.Repeat("%\n", MaxEvents+1),
	} {
		if got, invalid, err := ParseEvents(strings.NewReader(body)); got != nil || invalid != 0 || !errors.Is(err, ErrEvents) {
			t.Errorf("%s: %d reports, %d, %v", name, len(got), invalid, err)
		}
	}
	for name, body := range map[string]string{
		"200 lines":    strings.Repeat("bs\n", MaxEvents),
		"65,536 bytes": strings.Repeat("bs\n", MaxEvents) + strings.Repeat("\n", MaxEventsBody-3*MaxEvents),
	} {
		if got, invalid, err := ParseEvents(strings.NewReader(body)); len(got) != MaxEvents || invalid != 0 || err != nil {
			t.Errorf("%s: %d reports, %d, %v", name, len(got), invalid, err)
		}
	}
}

func TestABodyThatEndsEarlyIsRefusedWhole(t *testing.T) {
	body := io.MultiReader(strings.NewReader("bs\nsu\n"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if got, invalid, err := ParseEvents(body); got != nil || invalid != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%+v, %d, %v", got, invalid, err)
	}
}

// endless counts what is read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.read += len(p)
	return len(p), nil
}

func TestABodyWithoutEndIsReadToTheBoundOnly(t *testing.T) {
	var e endless
	if _, _, err := ParseEvents(&e); !errors.Is(err, ErrEvents) || e.read > MaxEventsBody+1 {
		t.Errorf("read %d, %v", e.read, err)
	}
}
