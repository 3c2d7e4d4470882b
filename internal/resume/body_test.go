package resume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// content is what exchange announces.
var content = noise(size)

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b)
	return b
}

// dying reads b, and then err: beside the last bytes or after them.
func dying(b []byte, err error, beside bool) io.Reader {
	r := io.MultiReader(bytes.NewReader(b), iotest.ErrReader(err))
	if beside {
		return iotest.DataErrReader(r)
	}
	return r
}

// from is a Next that goes on in content by what body makes of it.
func from(body func(rest []byte) io.Reader) Next {
	return func(_ context.Context, at int64, _ error) (*http.Response, error) {
		return rest(at, body(content[at:])), nil
	}
}

func honest(rest []byte) io.Reader { return bytes.NewReader(rest) }

func newBody(t *testing.T, first io.Reader, o Options) (*Body, *tracked) {
	body := &tracked{Reader: first}
	b := NewBody(t.Context(), body, NewTransfer(planOf(exchange()), o))
	t.Cleanup(func() { b.Close() })
	return b, body
}

// prefix wants got to be a true part of content, shorter than it.
func prefix(t *testing.T, got []byte) {
	t.Helper()
	if len(got) >= len(content) || !bytes.HasPrefix(content, got) {
		t.Errorf("%d bytes that are no true part", len(got))
	}
}

func TestABodyWithoutFailureIsReadAsItIs(t *testing.T) {
	for name, first := range map[string]io.Reader{
		"whole": bytes.NewReader(content), "end beside": iotest.DataErrReader(bytes.NewReader(content)),
		"halves": iotest.HalfReader(bytes.NewReader(content)), "bytes": iotest.OneByteReader(bytes.NewReader(content)),
	} {
		b, body := newBody(t, first, Options{Next: none(t)})
		if err := iotest.TestReader(b, content); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := b.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: after the end: %v", name, err)
		}
		b.Close()
		b.Close()
		if body.closed() != 1 {
			t.Errorf("%s: closed %d times", name, body.closed())
		}
		if _, err := b.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
			t.Errorf("%s: after Close: %v", name, err)
		}
	}
}

func TestABodyGoesOnWhereverItDies(t *testing.T) {
	for _, cut := range []int{0, 1, 511, 512, 513, 50_000, size - 513, size - 512, size - 2, size - 1, size} {
		for _, cause := range []error{errDead, io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded, fmt.Errorf("read: %w", io.EOF)} {
			if cut == size && cause == io.EOF {
				continue
			}
			for _, beside := range []bool{false, true} {
				count := &tally{}
				b, body := newBody(t, dying(content[:cut], cause, beside), Options{Observer: count, Next: from(honest)})
				got, err := io.ReadAll(b)
				if err != nil || !bytes.Equal(got, content) {
					t.Fatalf("cut at %d by %v (beside: %v): %d bytes, %v", cut, cause, beside, len(got), err)
				}
				if count.resumed != 1 || body.closed() != 1 || count.carried < int64(size-cut) {
					t.Errorf("cut at %d by %v: resumed %d, carried %d, closed %d", cut, cause, count.resumed, count.carried, body.closed())
				}
			}
		}
	}
}

func TestTwoDeathsInARow(t *testing.T) {
	count := &tally{}
	cuts := []int{0, 70_000, 20_000}
	var bodies []*tracked
	b, _ := newBody(t, dying(content[:10_000], errDead, false), Options{Observer: count, Next: func(_ context.Context, at int64, _ error) (*http.Response, error) {
		res := rest(at, dying(content[at:][:cuts[0]], io.EOF, false))
		cuts = cuts[1:]
		bodies = append(bodies, res.Body.(*tracked))
		return res, nil
	}})
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	b.Close()
	for i, body := range bodies {
		if body.closed() != 1 {
			t.Errorf("body %d closed %d times", i, body.closed())
		}
	}
	count.equal(t, 3, 90_000, nil, nil)
}

func TestABodyIsCutWhenAttemptsAreExhausted(t *testing.T) {
	for _, cause := range []error{errDead, io.EOF, fmt.Errorf("read: %w", io.EOF)} {
		count := &tally{}
		b, _ := newBody(t, dying(content[:10_000], cause, false), Options{Observer: count,
			Next: from(func(rest []byte) io.Reader { return dying(rest[:10], cause, false) })})
		got, err := io.ReadAll(b)
		if cause == errDead {
			isCut(t, err, errDead)
		} else {
			isCut(t, err, io.ErrUnexpectedEOF)
		}
		if len(got) != 10_030 {
			t.Errorf("%d bytes", len(got))
		}
		prefix(t, got)
		count.equal(t, 3, 30, nil, []Reason{ReasonAttempts})
		if _, again := b.Read(make([]byte, 1)); again != err {
			t.Errorf("%v, then %v", err, again)
		}
	}
}

func TestASurplusCutsABodyBeforeItsLastBytes(t *testing.T) {
	surplus := append(bytes.Clone(content), "more"...)
	for name, read := range map[string]func(io.Reader) io.Reader{
		"as it comes": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "end beside": iotest.DataErrReader,
	} {
		count := &tally{}
		b, body := newBody(t, read(bytes.NewReader(surplus)), Options{Observer: count, Next: none(t)})
		got, err := io.ReadAll(b)
		isCut(t, err, ErrCut)
		prefix(t, got)
		if body.closed() != 1 {
			t.Errorf("%s: closed %d times", name, body.closed())
		}
		b, _ = newBody(t, dying(content[:10], errDead, false), Options{Observer: count,
			Next: from(func(rest []byte) io.Reader { return read(bytes.NewReader(append(bytes.Clone(rest), 0))) })})
		got, err = io.ReadAll(b)
		isCut(t, err, ErrCut)
		prefix(t, got)
		count.equal(t, 1, int64(len(got)-10), nil, []Reason{ReasonSurplus, ReasonSurplus})
	}
}

func TestASurplusStaysOutOfTheReadersBuffer(t *testing.T) {
	b, _ := newBody(t, strings.NewReader(string(content)+strings.Repeat("x", 1000)), Options{Next: none(t)})
	p := make([]byte, size+1000)
	if n, err := b.Read(p); n != 0 || !errors.Is(err, ErrCut) {
		t.Errorf("%d, %v", n, err)
	}
	if bytes.HasSuffix(p, []byte("x")) || p[size] != 0 {
		t.Error("it came")
	}
}

func TestTheLastBytesWaitForTheEnd(t *testing.T) {
	// An end that is not clean, after all bytes have come.
	count := &tally{}
	b, _ := newBody(t, dying(content, errDead, false), Options{Observer: count, Next: from(honest)})
	p := make([]byte, size-100)
	if _, err := io.ReadFull(b, p); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, content[size-100:]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	count.equal(t, 1, 100, nil, nil)

	// An end that never comes.
	b, _ = newBody(t, io.MultiReader(bytes.NewReader(content), silent{}), Options{Next: from(honest), Attempts: -1})
	got, err = io.ReadAll(b)
	isCut(t, err, io.ErrNoProgress)
	prefix(t, got)
}

// silent reads nothing, for ever.
type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

func TestReadingNothingDoesNothing(t *testing.T) {
	b, _ := newBody(t, iotest.ErrReader(errDead), Options{Next: none(t)})
	if n, err := b.Read(nil); n != 0 || err != nil {
		t.Error(n, err)
	}
	b, _ = newBody(t, silent{}, Options{Next: none(t)})
	if n, err := b.Read(make([]byte, 1)); n != 0 || err != nil {
		t.Error(n, err)
	}
}
