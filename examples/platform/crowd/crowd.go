// Package crowd is viewers who are no people: they look at the catalog, chat,
// hear what is playing and watch the live stream, and keep to what browsers with
// the platform's page do. What they got, and what they did not, they count.
package crowd

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"sync"
	"time"
)

// Crowd is viewers of one platform.
type Crowd struct {
	// URL is what they open.
	URL string

	mu      sync.Mutex
	report  Report          // guarded by mu
	said    map[string]bool // ids of messages; guarded by mu
	talking []*chatter      // guarded by mu
}

// How many there are.
const (
	regulars  = 4
	chatters  = 4
	listeners = 8
	watchers  = 3
)

// Report is what they got until now.
type Report struct {
	// Catalog is answers to those who look at it, by the color that answered.
	Catalog map[string]Answers
	// Said is messages that were sent, Heard all that anybody saw of them, and
	// Again how often somebody had to connect again.
	Said, Heard, Again int
	// Lost is messages that somebody should have seen before a later one, and
	// Doubled those that somebody saw twice.
	Lost, Doubled int
	// Events is what was heard of what is playing; their numbers have no gaps, or
	// the events between are in Lost.
	Events int
	// Segments of the live stream that were watched, their Bytes, and how often a
	// watcher had nothing to show: Stalls.
	Segments, Bytes, Stalls int
}

// Answers are counted by what came.
type Answers struct{ OK, Failed int }

// Run is their visit, until the context ends.
func (c *Crowd) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for range regulars {
		all.Go(func() { c.regular(ctx) })
	}
	all.Go(func() { c.newcomers(ctx) })
	for range listeners {
		all.Go(func() { c.listen(ctx) })
	}
	for range watchers {
		all.Go(func() { c.watch(ctx) })
	}
	c.mu.Lock()
	c.said = make(map[string]bool)
	for n := range chatters {
		one := &chatter{name: fmt.Sprint("viewer ", n+1), who: person(), seen: make(map[string]bool), outbox: make(map[string]bool)}
		c.talking = append(c.talking, one)
		all.Go(func() { c.chat(ctx, one) })
	}
	c.mu.Unlock()
}

// Report returns what they got until now.
func (c *Crowd) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.report
	out.Catalog = make(map[string]Answers, len(c.report.Catalog))
	for color, answers := range c.report.Catalog {
		out.Catalog[color] = answers
	}
	return out
}

// Settle has the chatters say nothing new, and returns when all that was said has
// been seen by all of them.
func (c *Crowd) Settle(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := c.settled()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

func (c *Crowd) settled() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.talking {
		one.quiet = true
		if waiting := len(one.outbox); waiting > 0 {
			return fmt.Errorf("%d messages of %s have not come back", waiting, one.name)
		}
		for id := range c.said {
			if !one.seen[id] {
				return fmt.Errorf("%s has not seen the message %s", one.name, id)
			}
		}
	}
	return nil
}

// count changes the report.
func (c *Crowd) count(change func(*Report)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.report)
}

// person is a client with cookies of its own.
func person() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // it never is
	}
	return &http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: lines}
}

// lines are the crowd's connections, which are kept.
var lines = &http.Transport{MaxIdleConnsPerHost: 100, IdleConnTimeout: time.Minute}

// pause waits, and reports whether there is a reason to go on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
