package proxy

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestTheRateIsThatSinceTheLastLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := stage(t)
		l := new(ledger)
		e := enter(t, l, s, false)
		defer e.close()
		e.Became(switcher.StreamSSE)
		look := func(when string, want int64) {
			t.Helper()
			equal(t, when, l.streams("app", switcher.StreamQuery{}, time.Now()).Streams[0].Rate, want)
		}
		look("as it begins", 0)
		time.Sleep(100 * time.Millisecond)
		e.Sent(100)
		look("soon afterwards, since the start", 1000)
		time.Sleep(9900 * time.Millisecond)
		e.Sent(900)
		look("the first look", 100)
		time.Sleep(2 * time.Second)
		e.Sent(3000)
		e.Received(1000)
		look("both ways since then", 2000)
		time.Sleep(100 * time.Millisecond)
		e.Sent(1 << 20)
		look("a moment later", 2000)
		time.Sleep(lookEvery)
		look("with what came meanwhile", 1747626) // a MiB in 0.6 s
		time.Sleep(time.Minute)
		look("silent ever since", 0)
	})
}

func TestABodyOfKnownLengthIsGoneWhenItsRateSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := stage(t)
		l := new(ledger)
		open := func(k switcher.StreamKind, length int64, received, sent int) *entry {
			e := enter(t, l, s, false)
			e.Expects(length)
			e.Became(k)
			e.Received(received)
			e.Sent(sent)
			return e
		}
		open(switcher.StreamDownload, 1000, 0, 500)
		slow := open(switcher.StreamDownload, 1000, 77, 100)
		upload := open(switcher.StreamUpload, 1000, 250, 0)
		open(switcher.StreamSSE, -1, 0, 100)
		open(switcher.StreamRequest, 0, 0, 0)
		time.Sleep(10 * time.Second)
		etas := func() map[switcher.StreamKind]time.Duration {
			left := make(map[switcher.StreamKind]time.Duration)
			for _, c := range l.counts("app", switcher.Blue, time.Now()) {
				if !c.ETA.IsZero() {
					left[c.Kind] = time.Until(c.ETA).Truncate(time.Second)
				}
			}
			return left
		}
		got := etas()
		equal(t, "kinds of which it is known", len(got), 2)
		equal(t, "the slower download, 900 left at 17 a second", got[switcher.StreamDownload], 52*time.Second)
		equal(t, "the upload, 750 left at 25 a second", got[switcher.StreamUpload], 30*time.Second)

		time.Sleep(time.Second)
		slow.Sent(900)
		upload.Received(50)
		got = etas()
		_, known := got[switcher.StreamDownload]
		equal(t, "known of the downloads, one of which stands still", known, false)
		equal(t, "the upload, 700 left at 50 a second", got[switcher.StreamUpload], 14*time.Second)

		open(switcher.StreamUpload, -1, 500, 0)
		time.Sleep(time.Second)
		upload.Received(100)
		equal(t, "known of the uploads, one of which is of unknown length", len(etas()), 0)
	})
}

func TestABodyThatWouldTakeAgesHasNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := stage(t)
		e := enter(t, new(ledger), s, false)
		defer e.close()
		e.Became(switcher.StreamDownload)
		e.Expects(math.MaxInt64)
		e.Sent(1)
		time.Sleep(time.Second)
		_, known := e.left(time.Now())
		equal(t, "known", known, false)
	})
}

func TestTheLastOfAKindIsGoneWhenTheEvictionsAreThrough(t *testing.T) {
	began := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	minutes := func(n int) switcher.Duration { return switcher.Duration(time.Duration(n) * time.Minute) }
	d := switcher.Drain{Color: switcher.Blue, Started: began, Options: switcher.Options{
		DrainTimeout: minutes(10), Deadlines: switcher.Deadlines{switcher.StreamSSE: minutes(1), switcher.StreamUpload: minutes(60)},
	}}
	after := func(d time.Duration) time.Time { return began.Add(d) }
	counts := func() []switcher.StreamCount {
		return []switcher.StreamCount{
			{Kind: switcher.StreamWebSocket, Count: 95},
			{Kind: switcher.StreamSSE, Count: 30, Ending: 10},
			{Kind: switcher.StreamDownload, Count: 5, ETA: after(3 * time.Minute)},
			{Kind: switcher.StreamUpload, Count: 1, ETA: after(2 * time.Hour)},
		}
	}
	ten := func(int) int { return 10 }
	for name, c := range map[string]struct {
		now  time.Time
		want map[switcher.StreamKind]time.Duration // since it began
	}{
		"before any deadline": {began, map[switcher.StreamKind]time.Duration{
			switcher.StreamSSE:       time.Minute + 2*time.Second + endPatience,
			switcher.StreamWebSocket: 10*time.Minute + 12*time.Second + endPatience, // behind the SSE that may be left, with the downloads
			switcher.StreamDownload:  3 * time.Minute,
			switcher.StreamUpload:    time.Hour + 13*time.Second + endPatience, // and not when it would have been whole
		}},
		"in the middle of the first": {after(2 * time.Minute), map[switcher.StreamKind]time.Duration{
			switcher.StreamSSE:       2*time.Minute + 2*time.Second + endPatience,
			switcher.StreamWebSocket: 10*time.Minute + 12*time.Second + endPatience,
			switcher.StreamDownload:  3 * time.Minute,
			switcher.StreamUpload:    time.Hour + 13*time.Second + endPatience,
		}},
	} {
		list := counts()
		forecast(list, d, ten, c.now)
		for _, got := range list {
			equal(t, name+": "+got.Kind.String(), got.ETA, after(c.want[got.Kind]))
		}
	}
}

// onRequest is a transport that looks at what it is to send.
type onRequest func(*http.Request) *http.Response

func (f onRequest) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func TestTheLengthIsThatOfTheBodyUnderWay(t *testing.T) {
	var f *front
	var x *Exchange
	var upload int64
	fw, err := newTransportForwarder(onRequest(func(*http.Request) *http.Response {
		x = <-f.exchanges
		upload = x.length.Load()
		return &http.Response{
			StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
			ContentLength: 107, Body: &steps{pieces: []int{107}},
		}
	}), forwardOptions{})
	must(t, err)
	f = newFront(t, fw, "10.0.0.1:1").start(t, frontH1)
	res, err := http.Post("http://"+f.addr(), "text/plain", strings.NewReader("seventeen letters"))
	must(t, err)
	equal(t, "bytes", len(readAll(t, res.Body)), 107)
	must(t, res.Body.Close())
	must(t, receive(t, f.results))
	equal(t, "of the upload", upload, 17)
	equal(t, "of the download", x.length.Load(), 107)
	equal(t, "kind", x.streamKind(), switcher.StreamDownload)
}
