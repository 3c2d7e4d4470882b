package consul

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

// bubble runs a source on a fake Consul with four blue hosts, at the usual pace,
// in the time of a synctest bubble.
type bubble struct {
	*fake
	client *Client
	source *Source
	sink   *switchertest.Sink
}

func inBubble(t *testing.T, c SourceConfig, test func(*testing.T, *bubble)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{fake: newFake()}
		b.client = fakeClient(t, b.fake, Config{})
		b.hosts("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
		c.Query.Service = "app"
		b.source = NewSource(b.client, c)
		sink, stop := runSource(t, b.source)
		b.sink = sink
		synctest.Wait()
		b.wantBlue(t, 4)
		test(t, b)
		stop()
		b.client.Close()
	})
}

// after lets time pass.
func (b *bubble) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (b *bubble) blue() int {
	p, _ := lastPools(b.sink.Reports())
	return len(p.Blue)
}

func (b *bubble) wantBlue(t *testing.T, n int) {
	t.Helper()
	if got := b.blue(); got != n {
		t.Errorf("%d blue upstreams, want %d; told %v", got, n, b.sink.Reports())
	}
}

// failure returns what was told last, if it was a failure.
func (b *bubble) failure() string {
	reports := b.sink.Reports()
	if err := reports[len(reports)-1].Err; err != nil {
		return err.Error()
	}
	return ""
}

// until counts the seconds to what done accepts, up to a limit.
func (b *bubble) until(t *testing.T, limit time.Duration, done func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !done() {
		if time.Since(began) > limit {
			t.Fatalf("not within %s; told %v", limit, b.sink.Reports())
		}
		b.after(100 * time.Millisecond)
	}
	return time.Since(began)
}

func TestTenMinutesOfOutageLoseNothingAndEndWithinTwentySeconds(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		words  string
		most   int // requests in ten minutes
	}{
		"500":       {500, "No cluster leader", "answered 500: No cluster leader", 120},
		"429":       {429, "Your IP is issuing too many concurrent connections", "answered 429", 120},
		"garbage":   {200, "<html>It works!", "not JSON", 120},
		"null":      {200, "null", "no index", 120},
		"a list":    {200, `["x"]`, "the answer has a string", 120},
		"truncated": {200, `[{"Node":{"Node":"n"`, "not JSON", 120},
		"silence":   {0, "", "no answer within 15s", 60},
		"forbidden": {403, "Permission denied", "answered 403: Permission denied", 120},
		"moved":     {302, "elsewhere", "answered 302", 120},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, SourceConfig{}, func(t *testing.T, b *bubble) {
				began := time.Now()
				b.fails(c.status, c.body)
				b.after(10 * time.Minute)
				b.wantBlue(t, 4)
				wantWords(t, b.failure(), c.words)
				if age := time.Since(b.source.Status().Answered); age < 9*time.Minute {
					t.Errorf("the data seem to be %s old", age)
				}
				if n := b.asked(began); n > c.most {
					t.Errorf("%d requests in 10 minutes", n)
				}
				b.works()
				took := b.until(t, 20*time.Second, func() bool { return b.failure() == "" })
				t.Logf("%d requests; recovered after %s", b.asked(began), took)
				wantNothingLost(t, b.sink.Reports(), 4, 0)
			})
		})
	}
}

func TestInCalmThereAreTwoRequestsInEachWait(t *testing.T) {
	inBubble(t, SourceConfig{}, func(t *testing.T, b *bubble) {
		began := time.Now()
		b.after(10 * time.Minute)
		if n := b.asked(began); n > 2*40 {
			t.Errorf("%d requests in 10 minutes", n)
		}
		if age := time.Since(b.source.Status().Answered); age > 16*time.Second {
			t.Errorf("the data seem to be %s old", age)
		}
		if n := len(b.sink.Reports()); n != 1 {
			t.Errorf("told %d times, want once", n)
		}
	})
}

func TestBlockingAnswersOfALeaderNeedNoSecondRead(t *testing.T) {
	inBubble(t, SourceConfig{}, func(t *testing.T, b *bubble) {
		b.change(func() { b.classic = true })
		b.after(time.Minute)
		began := time.Now()
		b.after(10 * time.Minute)
		if n := b.asked(began); n > 40 {
			t.Errorf("%d requests in 10 minutes", n)
		}
		b.hosts("10.0.0.1", "10.0.0.2", "10.0.0.3")
		b.after(time.Second)
		b.wantBlue(t, 3)
	})
}

func TestAServiceThatNeverRestsIsReadFiveTimesASecondAtMost(t *testing.T) {
	inBubble(t, SourceConfig{}, func(t *testing.T, b *bubble) {
		began := time.Now()
		for range 1000 {
			b.change(func() {})
			b.after(10 * time.Millisecond)
		}
		if n := b.asked(began); n > 2*5*10+2 {
			t.Errorf("%d requests in 10 s", n)
		}
	})
}

func TestAViewThatEmptiesWithoutALeaderOnlyWakes(t *testing.T) {
	inBubble(t, SourceConfig{}, func(t *testing.T, b *bubble) {
		b.mu.Lock()
		b.instead = func(r *http.Request) (*http.Response, error) {
			if r.URL.Query().Get("index") == "" {
				return nil, nil // the truth
			}
			response := answerWith(200, "[]")
			response.Header.Set("X-Consul-Index", r.URL.Query().Get("index"))
			response.Header.Set("X-Consul-KnownLeader", "false")
			response.Header.Set("X-Consul-LastContact", "0")
			return response, nil
		}
		b.mu.Unlock()
		b.change(func() {})
		b.after(time.Minute)
		if n := len(b.sink.Reports()); n != 1 {
			t.Errorf("told %v", b.sink.Reports())
		}
	})
}

func TestStaleReadsAddAndRemoveNothing(t *testing.T) {
	for name, header := range map[string]http.Header{
		"without a leader": {"X-Consul-Knownleader": {"false"}},
		"long ago":         {"X-Consul-Lastcontact": {"60000"}},
		"from a cache":     {"X-Cache": {"HIT"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, SourceConfig{}, func(t *testing.T, b *bubble) {
				b.mu.Lock()
				b.header = header
				b.mu.Unlock()
				b.hosts("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9")
				b.after(10 * time.Minute)
				b.wantBlue(t, 5) // the new one must pass our probes first
				wantWords(t, b.failure(), "1 of 4 upstreams of blue vanished from the catalog: held until a leader")
				b.mu.Lock()
				b.header = nil
				b.mu.Unlock()
				b.until(t, 10*time.Second, func() bool { return b.blue() == 4 && b.failure() == "" })
			})
		})
	}
}

func TestMoreThanHalfIsHeldUntilReadsOrProbesAgree(t *testing.T) {
	healthy := func(string) (bool, bool) { return true, true }
	for name, c := range map[string]struct {
		probed   Probed
		from, to time.Duration
	}{
		"with no probes, three reads":     {nil, 10 * time.Second, 16 * time.Second},
		"with healthy probes, the hold":   {healthy, 30 * time.Second, 36 * time.Second},
		"with failed probes, not at all":  {func(string) (bool, bool) { return false, true }, 0, time.Second},
		"with unknown probes, as without": {func(string) (bool, bool) { return true, false }, 10 * time.Second, 16 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, SourceConfig{Probed: c.probed}, func(t *testing.T, b *bubble) {
				b.hosts("10.0.0.4")
				took := b.until(t, time.Minute, func() bool { return b.blue() == 1 && b.failure() == "" })
				if took < c.from || took > c.to {
					t.Errorf("took %s, want %s to %s", took, c.from, c.to)
				}
				if c.from > 0 {
					wantWords(t, b.sink.Reports()[1].Err.Error(), "3 of 4 upstreams of blue vanished from the catalog at once: held until")
				}
			})
		})
	}
}

func TestWhatIsAddedWhileOthersAreHeldServesAtOnce(t *testing.T) {
	inBubble(t, SourceConfig{}, func(t *testing.T, b *bubble) {
		b.hosts("10.0.0.4", "10.0.0.5", "10.0.0.6")
		b.after(time.Second)
		b.wantBlue(t, 6)
		wantWords(t, b.failure(), "3 of 4 upstreams")
		b.until(t, 20*time.Second, func() bool { return b.blue() == 3 && b.failure() == "" })
		b.mu.Lock()
		defer b.mu.Unlock()
		if !slices.ContainsFunc(b.queries, func(q string) bool { return strings.Contains(q, "consistent") }) ||
			slices.ContainsFunc(b.queries, func(q string) bool { return strings.Contains(q, "cached") || strings.Contains(q, "stale") }) {
			t.Errorf("asked %q", b.queries)
		}
	})
}

func TestAHoldEndsWhenTheUpstreamsReturn(t *testing.T) {
	inBubble(t, SourceConfig{}, func(t *testing.T, b *bubble) {
		b.hosts()
		b.after(7 * time.Second)
		wantWords(t, b.failure(), "4 of 4 upstreams of blue vanished")
		b.hosts("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
		b.after(time.Second)
		if b.failure() != "" || b.source.Status().Held.Blue != 0 {
			t.Errorf("failure is %q, status %+v", b.failure(), b.source.Status())
		}
		b.hosts() // the count begins anew
		b.after(7 * time.Second)
		wantNothingLost(t, b.sink.Reports(), 4, 0)
	})
}

func TestAFilteredAnswerIsNeverEnoughToLoseAPool(t *testing.T) {
	inBubble(t, SourceConfig{Probed: func(string) (bool, bool) { return false, true }}, func(t *testing.T, b *bubble) {
		b.mu.Lock()
		b.header = http.Header{"X-Consul-Results-Filtered-By-Acls": {"true"}}
		b.mu.Unlock()
		b.hosts("10.0.0.1", "10.0.0.2", "10.0.0.3")
		b.after(10 * time.Minute)
		wantWords(t, b.failure(), "ACLs filter the answer")
		b.wantBlue(t, 4)
	})
}

func TestACatalogThatWentBackInTimeIsNotBelievedForThreeMinutes(t *testing.T) {
	inBubble(t, SourceConfig{}, func(t *testing.T, b *bubble) {
		b.change(func() { b.index, b.entries = 7, nil })
		took := b.until(t, 5*time.Minute, func() bool { return strings.Contains(b.failure(), "went back in time") })
		if took > 17*time.Second {
			t.Errorf("noticed after %s, want one wait", took)
		}
		b.after(150 * time.Second)
		b.wantBlue(t, 4)
		b.until(t, time.Minute, func() bool { return b.blue() == 0 && b.failure() == "" })
	})
}

func TestTheUsualMovesOfADeploymentAreNotHeld(t *testing.T) {
	inBubble(t, SourceConfig{}, func(t *testing.T, b *bubble) {
		for _, hosts := range []string{
			"10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5", "10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5",
			"10.0.0.4 10.0.0.5", "10.0.0.4 10.0.0.6", "10.0.0.6",
		} {
			list := strings.Fields(hosts)
			b.hosts(list...)
			b.after(time.Second)
			b.wantBlue(t, len(list))
			if b.failure() != "" {
				t.Errorf("%s: %s", hosts, b.failure())
			}
		}
	})
}
