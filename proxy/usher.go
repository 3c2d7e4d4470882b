package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Pace is how fast streams are ended.
type Pace struct {
	// Streams per second, 1 to 100000. Default: none, percent counts.
	PerSecond int `json:"per_second,omitempty"`

	// Share of the streams that were there when it began, per second, above
	// 0 up to 100. Default: 2.
	Percent float64 `json:"percent,omitempty"`
}

const defaultPercent = 2

func (p *Pace) validate() error {
	switch {
	case p == nil:
		return nil
	case p.PerSecond != 0 && p.Percent != 0:
		return errors.New("evict: streams per second or a percentage, not both")
	case p.Percent < 0 || p.Percent > 100 || p.Percent != p.Percent:
		return fmt.Errorf("evict: %v percent per second: want above 0 to 100", p.Percent)
	}
	return inRange("evict per second", p.PerSecond, 0, 100000)
}

// closeCode accepts what may be sent in a close frame (RFC 6455 §7.4).
func closeCode(code int) error {
	switch {
	case code == 0, 1000 <= code && code <= 1003, 1007 <= code && code <= 1014, 3000 <= code && code <= 4999:
		return nil
	}
	return fmt.Errorf("close_code %d: want one that can be sent (RFC 6455 §7.4), as 1012 or 4000", code)
}

// quota is how many of so many streams end in one second. While the color that
// they will come back to is not healthy as a whole it is a quarter, and at least
// one.
func (p Pace) quota(initial int, healthy bool) int {
	n := p.PerSecond
	if n == 0 {
		n = int(float64(initial)*cmp.Or(p.Percent, defaultPercent)/100 + 0.5)
	}
	if !healthy {
		n /= 4
	}
	return max(n, 1)
}

// usher shows streams out: no more of them at once than the pace allows, spread
// over each second by chance, so that their clients do not come back as a herd.
type usher struct {
	ledger *ledger
	// pace and healthy are asked each second, for a service and the color
	// that the streams are on.
	pace    func(service string) Pace
	healthy func(service string, c switcher.Color) bool
	ended   func(service string, c switcher.Color, n int)
	// press is how many of so many must end in the next second whatever the
	// pace. Nil: none.
	press func(wanted int) int

	mu   sync.Mutex
	jobs map[post]*eviction // guarded by mu
}

// post is one color of a service.
type post struct {
	service string
	color   switcher.Color
}

// eviction is the streams of a post that are to end.
type eviction struct {
	wanted  []*entry // the next first
	initial int
	since   time.Time // of the drain that it belongs to
	ended   int       // since then
	running bool
	recent  []time.Time // of run: when the latest ended
}

var errEvicted = errors.New("ended so that its client comes back elsewhere")

// endPatience is how long a stream may take to end with manners.
const endPatience = 5 * time.Second

// show begins to end the streams that want chooses and that have not been asked
// yet; it returns how many these are, and how many have been ended since the
// drain began. Uploads go last: what they have brought would be lost.
func (u *usher) show(service string, c switcher.Color, since time.Time, want func(*entry) bool) (added, ended int) {
	fresh := u.ledger.of(service, func(e *entry) bool {
		return e.lease.Color == c && !e.wanted.Load() && want(e) && !e.wanted.Swap(true)
	})
	slices.SortFunc(fresh, func(a, b *entry) int { return a.started.Compare(b.started) })
	u.mu.Lock()
	defer u.mu.Unlock()
	at := post{service, c}
	job := u.jobs[at]
	if job == nil {
		job = new(eviction)
		if u.jobs == nil {
			u.jobs = make(map[post]*eviction)
		}
		u.jobs[at] = job
	}
	if !job.since.Equal(since) {
		job.since, job.ended = since, 0
	}
	if len(job.wanted) == 0 {
		job.initial = 0
	}
	job.wanted = append(job.wanted, fresh...)
	slices.SortStableFunc(job.wanted, func(a, b *entry) int { return cmp.Compare(lateness(a), lateness(b)) })
	job.initial += len(fresh)
	if len(job.wanted) > 0 && !job.running {
		job.running = true
		go u.run(at, job)
	}
	return len(fresh), job.ended
}

// sinceOf is the beginning of the drain that the evictions of a post belong to.
func (u *usher) sinceOf(service string, c switcher.Color) (since time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if job := u.jobs[post{service, c}]; job != nil {
		since = job.since
	}
	return since
}

// endedOf is how many have been ended since the drain of a post began.
func (u *usher) endedOf(at post) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	if job := u.jobs[at]; job != nil {
		return job.ended
	}
	return 0
}

func lateness(e *entry) int {
	if e.streamKind() == switcher.StreamUpload {
		return 1
	}
	return 0
}

// run ends the wanted streams of a post, second by second.
func (u *usher) run(at post, job *eviction) {
	for {
		second := time.Now().Add(time.Second)
		batch, quota := u.batch(at, job)
		if batch == nil {
			return
		}
		for i, e := range batch {
			// One of n, at a random moment in its n-th part of the second.
			part := time.Second / time.Duration(len(batch))
			time.Sleep(time.Until(second.Add(-time.Second + time.Duration(i)*part + rand.N(part))))
			job.awaitTurn(quota)
			if e.endOn(at.color, errEvicted, endPatience) {
				u.mu.Lock()
				job.ended++
				u.mu.Unlock()
				u.ended(at.service, at.color, 1)
			}
		}
		time.Sleep(time.Until(second))
	}
}

// awaitTurn waits until fewer than quota have ended within a second, so that
// what is late does not come in a burst. Only run calls it.
func (j *eviction) awaitTurn(quota int) {
	if n := len(j.recent) - quota; n >= 0 {
		time.Sleep(time.Until(j.recent[n].Add(time.Second)))
		j.recent = slices.Delete(j.recent, 0, n+1)
	}
	j.recent = append(j.recent, time.Now())
}

// batch takes what ends in the next second; nil when nothing is left.
func (u *usher) batch(at post, job *eviction) (batch []*entry, quota int) {
	pace, healthy := u.pace(at.service), u.healthy(at.service, at.color)
	u.mu.Lock()
	defer u.mu.Unlock()
	job.wanted = slices.DeleteFunc(job.wanted, func(e *entry) bool { return !e.leaves(at.color) })
	quota = pace.quota(job.initial, healthy)
	if u.press != nil {
		quota = max(quota, u.press(len(job.wanted)))
	}
	n := min(quota, len(job.wanted))
	if n == 0 {
		job.running = false
		return nil, 0
	}
	batch = slices.Clone(job.wanted[:n])
	job.wanted = slices.Delete(job.wanted, 0, n)
	return batch, quota
}
