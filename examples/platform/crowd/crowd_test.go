package crowd

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/examples/platform/feed"
)

func TestAMessageThatIsMissingOrComesTwiceIsCounted(t *testing.T) {
	for name, c := range map[string]struct {
		seqs          []int64
		ids           string
		lost, doubled int
	}{
		"all, once":                    {[]int64{1, 2, 3}, "a b c", 0, 0},
		"two are missing":              {[]int64{1, 4}, "a d", 2, 0},
		"one comes again":              {[]int64{1, 2, 2, 3}, "a b b c", 0, 1},
		"one is in the table twice":    {[]int64{1, 2, 3}, "a b b", 0, 1},
		"an earlier one comes later":   {[]int64{1, 3, 2}, "a c b", 1, 1},
		"the first of all are missing": {[]int64{3}, "c", 2, 0},
	} {
		var crowd Crowd
		one := &chatter{seen: map[string]bool{}, outbox: map[string]bool{"a": true, "z": true}}
		for n, id := range strings.Fields(c.ids) {
			crowd.hear(one, feed.Entry{Seq: c.seqs[n], ID: id})
		}
		if r := crowd.Report(); r.Lost != c.lost || r.Doubled != c.doubled || r.Heard != len(c.seqs) {
			t.Errorf("%s: %+v", name, r)
		}
		if one.outbox["a"] == one.seen["a"] || !one.outbox["z"] {
			t.Errorf("%s: left in the outbox: %v", name, one.outbox)
		}
	}
}

func TestTheChatIsNotSettledBeforeAllHaveSeenAll(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it looks once
	one := &chatter{name: "one", seen: map[string]bool{}, outbox: map[string]bool{}}
	two := &chatter{name: "two", seen: map[string]bool{"a": true}, outbox: map[string]bool{}}
	crowd := &Crowd{said: map[string]bool{"a": true}, talking: []*chatter{one, two}}
	if err := crowd.Settle(ctx); err == nil || !strings.Contains(err.Error(), "one has not seen") {
		t.Errorf("one has not seen it: %v", err)
	}
	one.seen["a"], two.outbox["b"] = true, true
	if err := crowd.Settle(ctx); err == nil || !strings.Contains(err.Error(), "1 messages of two have not come back") {
		t.Errorf("one has not come back: %v", err)
	}
	delete(two.outbox, "b")
	if err := crowd.Settle(ctx); err != nil || !one.quiet || !two.quiet {
		t.Error(err)
	}
}

func TestEventsThatAreMissingOrComeTwiceAreCounted(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "after=7" {
			return
		}
		for _, seq := range []int{1, 2, 2, 5, 6, 7} {
			_, _ = fmt.Fprintf(w, "id: %d\nevent: playing\ndata: {}\n\n", seq)
		}
	}))
	defer s.Close()
	crowd := &Crowd{URL: s.URL}
	last := crowd.events(t.Context(), 0)
	if last = crowd.events(t.Context(), last); last != 7 {
		t.Errorf("the last is %d", last)
	}
	if r := crowd.Report(); r.Events != 6 || r.Lost != 2 || r.Doubled != 1 {
		t.Errorf("%+v", r)
	}
}

func TestAnswersAreCountedByTheColorThatGaveThem(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Greenroom-Color", "green")
		if r.Header.Get("Cookie") == "" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprint(w, "{}")
	}))
	crowd := &Crowd{URL: s.URL}
	who := person()
	crowd.look(t.Context(), who)
	address, err := http.NewRequest(http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	who.Jar.SetCookies(address.URL, []*http.Cookie{{Name: "platform", Value: "x"}})
	crowd.look(t.Context(), who)
	s.Close()
	crowd.look(t.Context(), who)
	r := crowd.Report()
	if r.Catalog["green"] != (Answers{OK: 1, Failed: 1}) || r.Catalog[""] != (Answers{Failed: 1}) {
		t.Errorf("%+v", r.Catalog)
	}
}
