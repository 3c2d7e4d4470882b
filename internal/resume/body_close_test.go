package resume

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
)

func TestTheClientLeavesAndNobodyIsAsked(t *testing.T) {
	gone := errors.New("client gone")
	ctx, leave := context.WithCancelCause(t.Context())
	count := &tally{}
	b := NewBody(ctx, io.NopCloser(dying(content[:10], context.Canceled, false)), NewTransfer(planOf(exchange()), Options{Observer: count, Next: none(t)}))
	defer b.Close()
	if _, err := io.ReadFull(b, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	leave(gone)
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, gone) || errors.Is(err, ErrCut) || err == io.EOF {
		t.Error(err)
	}
	count.equal(t, 0, 0, nil, nil)
}

func TestCloseEndsASearchAndWhatItFindsIsClosedOnce(t *testing.T) {
	for _, heeds := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			answer := make(chan *http.Response)
			count := &tally{}
			b, first := newBody(t, dying(content[:10], errDead, true), Options{Observer: count, Next: func(ctx context.Context, _ int64, _ error) (*http.Response, error) {
				if heeds {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return <-answer, nil
			}})
			result := make(chan error, 1)
			go func() {
				_, err := io.ReadAll(b)
				result <- err
			}()
			synctest.Wait()
			b.Close()
			late := rest(10, strings.NewReader(""))
			if !heeds {
				synctest.Wait()
				answer <- late
			}
			if err := <-result; err != http.ErrBodyReadAfterClose {
				t.Errorf("Read: %v", err)
			}
			b.Close()
			if n := late.Body.(*tracked).closed(); !heeds && n != 1 {
				t.Errorf("the late one was closed %d times", n)
			}
			if first.closed() != 1 {
				t.Errorf("the first was closed %d times", first.closed())
			}
			count.equal(t, 0, 0, nil, nil)
		})
	}
}

func TestCloseBesideReadsClosesEachBodyOnce(t *testing.T) {
	for i := range 200 {
		var bodies []*tracked
		b, first := newBody(t, dying(content[:10], errDead, false), Options{Attempts: size, Next: func(_ context.Context, at int64, _ error) (*http.Response, error) {
			res := rest(at, dying(content[at:][:1], errDead, i%2 == 0))
			bodies = append(bodies, res.Body.(*tracked))
			return res, nil
		}})
		done := make(chan error, 1)
		begun := make(chan struct{})
		go func() {
			var p [1]byte
			var err error
			for n := 0; err == nil; n++ {
				if n == i {
					close(begun)
				}
				_, err = b.Read(p[:])
			}
			done <- err
		}()
		<-begun
		b.Close()
		if err := <-done; err != http.ErrBodyReadAfterClose {
			t.Errorf("Read: %v", err)
		}
		for n, body := range append(bodies, first) {
			if body.closed() != 1 {
				t.Errorf("body %d of %d was closed %d times", n, len(bodies)+1, body.closed())
			}
		}
	}
}

// closing is an Observer that closes a body as soon as it goes on.
type closing struct {
	tally
	body *Body
}

func (c *closing) Resumed() { c.body.Close() }

func TestAContinuationThatIsFoundAsTheBodyIsClosedIsClosedToo(t *testing.T) {
	found := rest(0, strings.NewReader("never read"))
	c := &closing{}
	c.body, _ = newBody(t, iotest.ErrReader(errDead), Options{Observer: c, Next: func(context.Context, int64, error) (*http.Response, error) {
		return found, nil
	}})
	if n, err := c.body.Read(make([]byte, 10)); n != 0 || err != http.ErrBodyReadAfterClose {
		t.Errorf("%d, %v", n, err)
	}
	if n := found.Body.(*tracked).closed(); n != 1 {
		t.Errorf("closed %d times", n)
	}
}
