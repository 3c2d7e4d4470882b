package resume

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// tally is an Observer.
type tally struct {
	mu      sync.Mutex
	resumed int
	carried int64
	refused []Reason
	cut     []Reason
}

func (c *tally) Resumed()         { c.mu.Lock(); defer c.mu.Unlock(); c.resumed++ }
func (c *tally) Carried(n int64)  { c.mu.Lock(); defer c.mu.Unlock(); c.carried += n }
func (c *tally) Refused(r Reason) { c.mu.Lock(); defer c.mu.Unlock(); c.refused = append(c.refused, r) }
func (c *tally) Cut(r Reason)     { c.mu.Lock(); defer c.mu.Unlock(); c.cut = append(c.cut, r) }

func (c *tally) equal(t *testing.T, resumed int, carried int64, refused, cut []Reason) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resumed != resumed || c.carried != carried || !slices.Equal(c.refused, refused) || !slices.Equal(c.cut, cut) {
		t.Errorf("resumed %d, carried %d, refused %q, cut %q; want %d, %d, %q, %q", c.resumed, c.carried, c.refused, c.cut, resumed, carried, refused, cut)
	}
}

var errDead = errors.New("upstream died")

// tracked counts its closes.
type tracked struct {
	io.Reader
	mu     sync.Mutex
	closes int
}

func (b *tracked) Close() error { b.mu.Lock(); defer b.mu.Unlock(); b.closes++; return nil }

func (b *tracked) closed() int { b.mu.Lock(); defer b.mu.Unlock(); return b.closes }

// rest is the honest continuation of exchange at byte at, sent by body.
func rest(at int64, body io.Reader) *http.Response {
	return &http.Response{
		StatusCode: 206, ContentLength: -1, Body: &tracked{Reader: body},
		Header: http.Header{"Etag": {`"v1"`}, "Content-Range": {ContentRange{at, size - 1, size}.String()}},
	}
}

// none is a Next for what must not be asked.
func none(t *testing.T) Next {
	return func(_ context.Context, at int64, cause error) (*http.Response, error) {
		t.Errorf("asked for a continuation at %d: %v", at, cause)
		return nil, ErrNoUpstream
	}
}

// isCut wants err to be that of a body that was cut because of cause.
func isCut(t *testing.T, err, cause error) {
	t.Helper()
	if !errors.Is(err, ErrCut) || !errors.Is(err, cause) || errors.Is(err, io.EOF) {
		t.Errorf("error %v: want ErrCut and %v, and no EOF", err, cause)
	}
}

func TestATransferThatIsCopiedByItsCallerResumesAlike(t *testing.T) {
	var asked []int64
	count := &tally{}
	tr := NewTransfer(planOf(rangeExchange()), Options{Observer: count, Next: func(_ context.Context, at int64, _ error) (*http.Response, error) {
		asked = append(asked, at)
		res := rest(at, strings.NewReader(""))
		res.Header.Set("Content-Range", ContentRange{at, 100999, 200000}.String())
		return res, nil
	}})
	for _, n := range []int64{4000, 0, 90000} {
		if err := tr.Advance(n); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Resume(t.Context(), errDead); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(asked, []int64{5000, 5000, 95000}) || tr.At() != 95000 || tr.Remaining() != 6000 {
		t.Errorf("asked at %d; at %d, %d remain", asked, tr.At(), tr.Remaining())
	}
	if err := tr.Advance(6000); err != nil || tr.Remaining() != 0 {
		t.Errorf("%v, %d remain", err, tr.Remaining())
	}
	if _, err := tr.Resume(t.Context(), errDead); err == nil || errors.Is(err, ErrCut) || !errors.Is(err, errDead) {
		t.Errorf("after the end: %v", err)
	}
	count.equal(t, 3, 96000, nil, nil)
	isCut(t, tr.Advance(1), ErrCut)
	count.equal(t, 3, 96000, nil, []Reason{ReasonSurplus})
}

func TestAdvancingByTooMuchOrBackwardsEndsATransfer(t *testing.T) {
	for _, n := range []int64{-1, size + 1} {
		tr := NewTransfer(planOf(exchange()), Options{Next: none(t)})
		isCut(t, tr.Advance(n), ErrCut)
		_, err := tr.Resume(t.Context(), errDead)
		isCut(t, err, ErrCut)
		if tr.At() != 0 {
			t.Errorf("at %d", tr.At())
		}
	}
}

func TestAttemptsAreOfTheWholeTransfer(t *testing.T) {
	for attempts, want := range map[int]int{0: DefaultAttempts, -1: 0, 1: 1, 5: 5} {
		asked := 0
		count := &tally{}
		tr := NewTransfer(planOf(exchange()), Options{Attempts: attempts, Observer: count, Next: func(_ context.Context, at int64, _ error) (*http.Response, error) {
			asked++
			if asked == want {
				return nil, io.EOF // as a transport says it
			}
			return rest(at, strings.NewReader("")), nil
		}})
		var err error
		for err == nil {
			_, err = tr.Resume(t.Context(), errDead)
		}
		isCut(t, err, errDead)
		if asked != want {
			t.Errorf("Attempts %d: asked %d times", attempts, asked)
		}
		_, again := tr.Resume(t.Context(), errors.New("another"))
		if again != err {
			t.Errorf("an end is not final: %v, then %v", err, again)
		}
		var refused []Reason
		if want > 0 {
			refused = []Reason{ReasonFailed}
		}
		count.equal(t, max(want-1, 0), 0, refused, []Reason{ReasonAttempts})
	}
}

func TestWhatIsRefusedIsClosedAndCountedAndTheNextOneAsked(t *testing.T) {
	bad := rest(0, strings.NewReader(""))
	bad.Header.Set("Etag", `"v2"`)
	good := rest(0, strings.NewReader(""))
	answers := []*http.Response{bad, good}
	count := &tally{}
	tr := NewTransfer(planOf(exchange()), Options{Observer: count, Next: func(context.Context, int64, error) (*http.Response, error) {
		res := answers[0]
		answers = answers[1:]
		return res, nil
	}})
	res, err := tr.Resume(t.Context(), errDead)
	if err != nil || res != good {
		t.Fatal(res, err)
	}
	if bad.Body.(*tracked).closed() != 1 || good.Body.(*tracked).closed() != 0 {
		t.Errorf("closed: refused %d, accepted %d", bad.Body.(*tracked).closed(), good.Body.(*tracked).closed())
	}
	count.equal(t, 1, 0, []Reason{ReasonETagChanged}, nil)
}

func TestNextCanSayThatThereIsNoOther(t *testing.T) {
	asked := 0
	count := &tally{}
	tr := NewTransfer(planOf(exchange()), Options{Observer: count, Next: func(context.Context, int64, error) (*http.Response, error) {
		asked++
		return nil, ErrNoUpstream
	}})
	_, err := tr.Resume(t.Context(), errDead)
	isCut(t, err, errDead)
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	count.equal(t, 0, 0, nil, []Reason{ReasonNoUpstream})
}

func TestPatienceIsOverAllAttemptsOfAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count := &tally{}
		began := time.Now()
		tr := NewTransfer(planOf(exchange()), Options{Attempts: 10, Patience: 5 * time.Second, Observer: count, Next: func(ctx context.Context, _ int64, _ error) (*http.Response, error) {
			select {
			case <-time.After(2 * time.Second):
				return nil, errors.New("refused")
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}})
		_, err := tr.Resume(t.Context(), errDead)
		isCut(t, err, errDead)
		if waited := time.Since(began); waited != 5*time.Second {
			t.Errorf("waited %v", waited)
		}
		count.equal(t, 0, 0, []Reason{ReasonFailed, ReasonFailed}, []Reason{ReasonPatience})
	})
}

func TestAContinuationThatComesTooLateIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := rest(0, strings.NewReader(""))
		count := &tally{}
		tr := NewTransfer(planOf(exchange()), Options{Patience: time.Second, Observer: count, Next: func(ctx context.Context, _ int64, _ error) (*http.Response, error) {
			<-ctx.Done()
			return late, nil
		}})
		_, err := tr.Resume(t.Context(), errDead)
		isCut(t, err, errDead)
		if n := late.Body.(*tracked).closed(); n != 1 {
			t.Errorf("closed %d times", n)
		}
		count.equal(t, 0, 0, nil, []Reason{ReasonPatience})
	})
}

func TestAContinuationOutlivesPatienceAndEndsWithTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var given []context.Context
		tr := NewTransfer(planOf(exchange()), Options{Patience: time.Second, Next: func(ctx context.Context, at int64, _ error) (*http.Response, error) {
			given = append(given, ctx)
			return rest(at, strings.NewReader("")), nil
		}})
		client, leave := context.WithCancel(t.Context())
		for i := range 2 {
			if _, err := tr.Resume(client, errDead); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour) // of the bubble
			if given[i].Err() != nil {
				t.Errorf("continuation %d: %v", i, context.Cause(given[i]))
			}
		}
		if given[0].Err() == nil {
			t.Error("the first continuation's context goes on")
		}
		leave()
		if given[1].Err() == nil {
			t.Error("a continuation outlives its client")
		}
	})
}

func TestAClientThatLeftIsNoFailure(t *testing.T) {
	count := &tally{}
	gone := errors.New("client gone")
	ctx, leave := context.WithCancelCause(t.Context())
	leave(gone)
	tr := NewTransfer(planOf(exchange()), Options{Observer: count, Next: none(t)})
	if _, err := tr.Resume(ctx, context.Canceled); !errors.Is(err, gone) || errors.Is(err, ErrCut) {
		t.Errorf("before: %v", err)
	}
	ctx, leave = context.WithCancelCause(t.Context())
	late := rest(0, strings.NewReader(""))
	for name, answer := range map[string]func() (*http.Response, error){
		"an error":       func() (*http.Response, error) { return nil, errors.New("canceled") },
		"a continuation": func() (*http.Response, error) { return late, nil },
	} {
		tr = NewTransfer(planOf(exchange()), Options{Observer: count, Next: func(context.Context, int64, error) (*http.Response, error) {
			leave(gone)
			return answer()
		}})
		if _, err := tr.Resume(ctx, errDead); !errors.Is(err, gone) || errors.Is(err, ErrCut) {
			t.Errorf("meanwhile, %s: %v", name, err)
		}
		ctx, leave = context.WithCancelCause(t.Context())
	}
	if late.Body.(*tracked).closed() != 1 {
		t.Error("a continuation for nobody stays open")
	}
	leave(io.EOF)
	if _, err := tr.Resume(ctx, errDead); errors.Is(err, io.EOF) {
		t.Errorf("%v passes for an end", err)
	}
	count.equal(t, 0, 0, nil, nil)
}

func TestALimitRefusesWhoComesTooMany(t *testing.T) {
	limit := &Limit{PerKey: 2}
	count := &tally{}
	var try func(key string, depth int) error
	try = func(key string, depth int) error {
		tr := NewTransfer(planOf(exchange()), Options{Limit: limit, Key: key, Observer: count, Next: func(_ context.Context, at int64, _ error) (*http.Response, error) {
			if depth == 0 {
				return rest(at, strings.NewReader("")), nil
			}
			if err := try(key, depth-1); err != nil {
				return nil, err
			}
			return rest(at, strings.NewReader("")), try("other", 0)
		}})
		_, err := tr.Resume(t.Context(), errDead)
		return err
	}
	if err := try("app", 1); err != nil {
		t.Errorf("two at once: %v", err)
	}
	count.equal(t, 3, 0, nil, nil)
	isCut(t, try("app", 2), errDead)
	if len(limit.held) != 0 {
		t.Errorf("still held: %v", limit.held)
	}
	if !slices.Contains(count.cut, ReasonLimit) {
		t.Errorf("cut %q", count.cut)
	}
}

func TestTheZeroLimitHasADefaultAndNoLimitHasNone(t *testing.T) {
	limit := &Limit{}
	for i := range DefaultPerKey + 1 {
		if got, want := limit.Take("app"), i < DefaultPerKey; got != want {
			t.Fatalf("place %d: %v", i, got)
		}
		if !(*Limit)(nil).Take("app") {
			t.Fatal("no limit refuses")
		}
	}
	limit.Give("app")
	(*Limit)(nil).Give("app")
	if !limit.Take("app") {
		t.Error("a place that was given back is lost")
	}
}
