package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestEventsFollowHelloInOrder(t *testing.T) {
	sw := newRecorder()
	s := start(t, sw, Settings{})
	const changes = 10
	seen := uint64(0)
	for update, err := range s.Events(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if update.Hello != nil {
			if len(update.Hello) != 2 || update.Hello[1].Name != "web" {
				t.Fatalf("%+v", update)
			}
			for i := range changes {
				sw.emit(switcher.Event{Type: switcher.EventSplit, Service: "app", Generation: uint64(i), Split: switcher.Split{Blue: 90, Green: 10}})
			}
			continue
		}
		seen++
		if e := update.Event; e.Seq != seen || e.Generation != seen-1 || e.Split.Green != 10 || e.Type != switcher.EventSplit {
			t.Fatalf("%+v", e)
		}
		if seen == changes {
			break
		}
	}
	<-sw.left // breaking off ends the subscription
}

// What happens between looking and listening is heard.
func TestAChangeDuringHelloIsNotMissed(t *testing.T) {
	sw := newRecorder()
	sw.views = func() ([]switcher.ServiceView, error) {
		sw.emit(switcher.Event{Type: switcher.EventLock, Service: "app"})
		return []switcher.ServiceView{{Name: "app"}}, nil
	}
	s := start(t, sw, Settings{})
	for update, err := range s.Events(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if update.Hello == nil {
			break
		}
	}
}

func TestAFilterLeavesOutOtherServices(t *testing.T) {
	sw := newRecorder()
	s := start(t, sw, Settings{})
	var got []string
	for update, err := range s.Events(t.Context(), "web", "app") {
		if err != nil {
			t.Fatal(err)
		}
		if update.Hello != nil {
			for _, name := range []string{"api", "web", "other", "app", ""} {
				sw.emit(switcher.Event{Type: switcher.EventHealth, Service: name})
			}
			continue
		}
		got = append(got, update.Event.Service)
		if update.Event.Service == "" { // what speaks of no service concerns all
			break
		}
	}
	if fmt.Sprint(got) != "[web app ]" {
		t.Error(got)
	}
}

func TestASlowReaderLosesEventsAndIsGreetedAnew(t *testing.T) {
	sw := newRecorder()
	sw.backlog = 2
	s := start(t, sw, Settings{})
	pull, stop := iter.Pull2(s.Events(t.Context()))
	defer stop()
	next := func() Update {
		update, err, ok := pull()
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		return update
	}
	if first := next(); first.Hello == nil {
		t.Fatal(first)
	}
	detail := strings.Repeat("x", 10000)
	for !sw.emit(switcher.Event{Type: switcher.EventHealth, Detail: detail}) { // until socket and backlog are full
	}
	if _, err := s.Services(t.Context()); err != nil { // others are served meanwhile
		t.Error(err)
	}
	lost := false
	for {
		update := next()
		if update.Hello != nil {
			break
		}
		if lost {
			t.Fatalf("%+v after events were lost", update)
		}
		if lost = update.Event.Type == switcher.EventLost; !lost {
			sw.emit(switcher.Event{Type: switcher.EventHealth}) // there is room for the news of the loss
		}
	}
	if !lost {
		t.Error("greeted without having lost anything")
	}
}

func TestAReaderThatNeverReadsIsCutOff(t *testing.T) {
	sw := newRecorder()
	audit := openAudit(t)
	h := NewHandler(sw, audit, nil)
	h.writeTimeout = time.Millisecond
	s := startHandler(t, Settings{Socket: filepath.Join(openDir(t), "c")}, h, audit)
	conn := dial(t, s.path())
	if _, err := io.WriteString(conn, sent{"GET", "/v1/events", "", ""}.String()); err != nil {
		t.Fatal(err)
	}
	event := switcher.Event{Type: switcher.EventHealth, Detail: strings.Repeat("x", 10000)}
	for {
		select {
		case <-sw.left:
			return
		default:
			sw.emit(event)
		}
	}
}

func TestTheSwitchersEndEndsTheStream(t *testing.T) {
	sw := newRecorder()
	s := start(t, sw, Settings{})
	for update, err := range s.Events(t.Context()) {
		if update.Hello != nil {
			sw.close()
		} else if !errors.Is(err, ErrStreamEnded) {
			t.Error(err)
		}
	}
}

func TestShutdownEndsEventStreams(t *testing.T) {
	s := start(t, newRecorder(), Settings{})
	stopped := make(chan error, 1)
	for update, err := range s.Events(t.Context()) {
		if update.Hello != nil {
			go func() { stopped <- s.stop() }()
		} else if !errors.Is(err, ErrStreamEnded) {
			t.Error(err)
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestTheCallersContextEndsTheLoopWithItsError(t *testing.T) {
	s := start(t, newRecorder(), Settings{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pairs := 0
	for _, err := range s.Events(ctx) {
		cancel()
		if pairs++; pairs == 2 && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if pairs != 2 {
		t.Error(pairs)
	}
}

// chunks is a ResponseWriter that hands over each write.
type chunks struct {
	*httptest.ResponseRecorder
	text chan string
}

func (c chunks) Write(p []byte) (int, error) { c.text <- string(p); return len(p), nil }

func TestASilentStreamIsKeptAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := newRecorder()
		h := NewHandler(sw, nil, nil)
		ctx, cancel := context.WithCancel(WithIdentity(t.Context(), Identity{Role: RoleView}))
		w := chunks{httptest.NewRecorder(), make(chan string)}
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events", nil))
		}()
		if first := <-w.text; !strings.HasPrefix(first, "event: hello\ndata: {\"services\":[{") || !strings.HasSuffix(first, "}\n\n") {
			t.Errorf("%q", first)
		}
		begin := time.Now()
		for range 3 {
			if text := <-w.text; text != ": keep-alive\n\n" {
				t.Errorf("%q", text)
			}
		}
		if took := time.Since(begin); took != 3*keepAlive {
			t.Error(took)
		}
		sw.emit(switcher.Event{Type: switcher.EventLock, Service: "app"})
		if text := <-w.text; !strings.HasPrefix(text, "id: 1\nevent: lock\ndata: {\"seq\":1,") {
			t.Errorf("%q", text)
		}
		cancel()
		<-done
		if kind := w.Header().Get("Content-Type"); kind != "text/event-stream" {
			t.Error(kind)
		}
	})
}
