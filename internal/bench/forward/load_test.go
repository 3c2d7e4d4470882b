package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// listen has serve answer each connection.
func listen(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); serve(c) }()
		}
	}()
	return l.Addr().String()
}

// answering writes the same to each request.
func answering(answer string) func(net.Conn) {
	return func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			if _, err := readPath(in); err != nil {
				return
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
			if strings.Contains(answer, "lie") {
				return
			}
		}
	}
}

func head(length int, more string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n", length, more)
}

func TestTheBackendsAnswerAsTheLoadAsks(t *testing.T) {
	b := newBackend(green)
	address := listen(t, func(c net.Conn) { _ = b.serve(c) })
	for _, p := range []plan{
		{Address: address, Connections: 3},
		{Address: address, Connections: 2, Bulk: int64(len(ring)) + 12345},
		{Address: address, Connections: 2, Bulk: 5},
	} {
		o, err := p.closed()
		if err != nil || o.Requests != int64(p.Connections) {
			t.Errorf("%+v: %+v, %v", p, o, err)
		}
	}
	p := plan{Address: address, Connections: 2, Rate: 1000, For: 20 * time.Millisecond}
	if o, err := p.open(); err != nil || o.Requests < 1 {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestWrongAnswersAreSeen(t *testing.T) {
	wrongBulk := []byte(strings.Repeat("x", 1000))
	for want, answer := range map[string]string{
		"status is 404":        "HTTP/1.1 404 Not Found\r\nContent-Length: 1024\r\n\r\n",
		"Content-Length 10,":   head(10, ""),
		"Content-Length -1,":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"begins with 'r'":      head(smallSize, "") + "r" + strings.Repeat("x", smallSize-1),
		"ends with 'y'":        head(smallSize, "") + "b" + strings.Repeat("x", smallSize-2) + "y",
		"in a body: EOF":       head(smallSize, "X-Is: a lie\r\n") + "b",
		"connection is not ke": head(smallSize, "Connection: close\r\n") + "b" + strings.Repeat("x", smallSize-1),
		"is no HTTP/1.1":       "HTTP/1.0 200 OK\r\n\r\n",
	} {
		p := plan{Address: listen(t, answering(answer)), Connections: 1}
		if _, err := p.closed(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	p := plan{Address: listen(t, answering(head(1000, "")+string(wrongBulk))), Connections: 1, Bulk: 1000}
	if _, err := p.closed(); err == nil || !strings.Contains(err.Error(), "other bytes") {
		t.Errorf("%v", err)
	}
}

// A load that waited for the answer, and only then sent the next, would see one
// slow request.
func TestAStallIsChargedToAllThatWaitedForIt(t *testing.T) {
	const stall, rate, waited = 100 * time.Millisecond, 1000, 20 * time.Millisecond
	end := make(chan struct{})
	small := string(newBackend(blue).small)
	address := listen(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for n := 0; ; n++ {
			if _, err := readPath(in); err != nil {
				return
			}
			switch n {
			case 0:
				<-time.After(stall)
			case 100:
				close(end)
			}
			if _, err := io.WriteString(c, small); err != nil {
				return
			}
		}
	})
	p := &plan{Address: address, Connections: 1, Rate: rate}
	pace, lanes, err := newPacing(p)
	if err != nil {
		t.Fatal(err)
	}
	pace.run(lanes, end)
	long := 0
	for _, took := range lanes[0].times {
		if took >= waited {
			long++
		}
	}
	if want := int((stall - waited) * rate / time.Second); long < want-1 {
		t.Errorf("%d of %d requests waited for %v or more, want %d", long, len(lanes[0].times), waited, want)
	}
}

func TestAConnectionThatIsClosedIsMadeAnewAndOnlyWhatItOwedIsMissed(t *testing.T) {
	small := string(newBackend(blue).small)
	polite := strings.Replace(small, "\r\n", "\r\nConnection: close\r\n", 1)
	var n atomic.Int64
	end := make(chan struct{})
	address := listen(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			if _, err := readPath(in); err != nil {
				return
			}
			answer := small
			switch n.Add(1) {
			case 1, 5:
				return
			case 10:
				answer = polite
			case 20:
				close(end)
			}
			if _, err := io.WriteString(c, answer); err != nil || answer == polite {
				return
			}
		}
	})
	pace, lanes, err := newPacing(&plan{Address: address, Connections: 1, Rate: 1000})
	if err != nil {
		t.Fatal(err)
	}
	o := pace.run(lanes, end)
	failed, unanswered := lanes[0].failed, lanes[0].unanswered
	if failed != 1 || unanswered != 1 || // the first on its connection, and one that was not
		o.Requests != n.Load()-2 {
		t.Errorf("%d failed, %d unanswered, %d answered of %d", failed, unanswered, o.Requests, n.Load())
	}
}

func TestAStreamThatEndsBeforeTheLoadIsCut(t *testing.T) {
	b := newBackend(blue)
	cut, done := make(chan struct{}), make(chan struct{})
	var n atomic.Int64
	address := listen(t, func(c net.Conn) {
		if n.Add(1) > 1 {
			_ = b.serve(c)
			return
		}
		go func() { defer close(done); _ = b.serve(c) }()
		<-cut
	})
	var s streams
	if err := s.open(&plan{Address: address, Streams: 3}); err != nil {
		t.Fatal(err)
	}
	close(cut)
	err := rig.Until(t.Context(), "one is cut", func() (bool, error) { return s.cut.Load() > 0, nil })
	if err != nil {
		t.Fatal(err)
	}
	if got := s.close(); got != 1 {
		t.Errorf("%d are cut", got)
	}
	<-done
}

func TestStaleIsWhatTheOtherColorAnsweredBetweenAnAcknowledgementAndTheNextCommand(t *testing.T) {
	flips := []flip{{green, 100, 110}, {blue, 200, 210}}
	for _, c := range []struct {
		what  string
		a     answer
		stale bool
	}{
		{"before all flips", answer{50, 60, blue}, false},
		{"sent before the acknowledgement", answer{105, 150, blue}, false},
		{"of the right color", answer{120, 130, green}, false},
		{"of the old color", answer{120, 130, blue}, true},
		{"perhaps of the next flip", answer{120, 205, blue}, false},
		{"of the old color, the other way", answer{220, 230, green}, true},
		{"long after", answer{900, 910, blue}, false},
	} {
		v := judge([]answer{c.a}, flips)
		if (v.Stale == 1) != c.stale || v.Stale > 1 {
			t.Errorf("%s: %+v", c.what, v)
		}
	}
	v := judge([]answer{{120, 121, blue}, {140, 150, blue}, {220, 221, green}}, flips)
	if v.Stale != 3 || v.StaleFor.Max != 30 || v.Green != 1 || v.Flips != 2 {
		t.Errorf("%+v", v)
	}
}

func TestQuantilesAreOfTheTimesAsTheyWere(t *testing.T) {
	var times []time.Duration
	for n := 1000; n >= 0; n-- {
		times = append(times, time.Duration(n))
	}
	if q := quantilesOf(times); q != (quantiles{500, 990, 999, 1000}) {
		t.Errorf("%+v", q)
	}
	if q := quantilesOf(nil); q != (quantiles{}) {
		t.Errorf("%+v", q)
	}
}
