package app_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/greenroom-proxy/greenroom/examples/platform/internal/fixture"
	"github.com/greenroom-proxy/greenroom/internal/realserver"
)

const titles = 3000

const viewers = 6

// load is viewers who change titles, each their own, by any version that serves,
// and look whether all versions say so afterwards.
type load struct {
	at       atomic.Pointer[[]instance]
	rounds   [viewers]atomic.Int64
	failures atomic.Int64
	// said is what each title was set to last, in milliseconds, by its id; -1 while
	// it is being changed.
	said [titles + 1]atomic.Int64
}

// serve says by which instances requests go, and returns when no others do.
func (l *load) serve(t *testing.T, at ...instance) {
	t.Helper()
	l.at.Store(&at)
	l.settle(t)
}

// settle waits until each viewer has come around, and around again.
func (l *load) settle(t *testing.T) {
	t.Helper()
	for n := range l.rounds {
		end := l.rounds[n].Load() + 2
		must(t, realserver.Until("a viewer to come around", func() error {
			switch {
			case l.failures.Load() > 0:
				return realserver.ErrEnded
			case l.rounds[n].Load() < end:
				return errors.New("not yet")
			}
			return nil
		}))
	}
}

// run is one viewer. Titles of which id%viewers is n are theirs.
func (l *load) run(ctx context.Context, t *testing.T, n int) {
	for ctx.Err() == nil {
		id := rand.IntN(titles/viewers)*viewers + n + 1
		ms := int64(rand.IntN(20_000_000))
		at := *l.at.Load()
		l.said[id].Store(-1)
		if err := l.change(ctx, at[rand.IntN(len(at))], id, ms); err != nil && ctx.Err() == nil {
			l.failures.Add(1)
			t.Errorf("change title %d: %v", id, err)
			return
		}
		l.said[id].Store(ms)
		for _, one := range at {
			if err := l.look(ctx, one, id, ms); err != nil && ctx.Err() == nil {
				l.failures.Add(1)
				t.Error(err)
				return
			}
		}
		l.rounds[n].Add(1)
	}
}

func (l *load) change(ctx context.Context, at instance, id int, ms int64) error {
	status, err := call(ctx, http.DefaultClient, "PUT", fmt.Sprintf("%s/api/titles/%d", at.URL, id), map[string]any{"duration_ms": ms}, nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	return err
}

// all asks an instance for all titles: each must say what it was set to last, by
// whichever version.
func (l *load) all(t *testing.T, at instance) {
	t.Helper()
	compared := 0
	for after := 0; after < titles; {
		before := l.snapshot()
		var found catalog
		status, err := call(t.Context(), http.DefaultClient, "GET", fmt.Sprintf("%s/api/catalog?after=%d", at.URL, after), nil, &found)
		if err != nil || status != http.StatusOK || len(found.Titles) == 0 {
			t.Fatalf("the catalog after %d: %d, %v", after, status, err)
		}
		now := l.snapshot()
		for _, one := range found.Titles {
			after = int(one.ID)
			ms := now[one.ID]
			if ms < 0 || ms != before[one.ID] {
				continue // it is being changed
			}
			compared++
			if one.Length != text(ms) {
				t.Errorf("title %d is %s, and was set to %s", one.ID, one.Length, text(ms))
			}
		}
	}
	if compared < titles*9/10 {
		t.Errorf("only %d titles were compared", compared)
	}
}

func (l *load) snapshot() (said [titles + 1]int64) {
	for id := range said {
		said[id] = l.said[id].Load()
	}
	return said
}

// look asks an instance for a title, which must have a length, by the second.
func (l *load) look(ctx context.Context, at instance, id int, ms int64) error {
	var found catalog
	status, err := call(ctx, http.DefaultClient, "GET", fmt.Sprintf("%s/api/catalog?after=%d", at.URL, id-1), nil, &found)
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("the catalog: %d, %w", status, err)
	}
	got, want := found.Titles[0], text(ms)
	if got.ID != int64(id) || got.Length != want || got.DurationMS != nil && *got.DurationMS/1000 != ms/1000 {
		return fmt.Errorf("title %d is %+v, and was set to %d ms, %s", id, got, ms, want)
	}
	return nil
}

func text(ms int64) string {
	s := ms / 1000
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// migrateBehindAReader migrates while somebody reads for so long that it has to
// stand back a few times.
func migrateBehindAReader(t *testing.T, dsn string, to int64, window func(context.Context) error) {
	t.Helper()
	fixture.BehindAReader(t, dsn, fixture.LogFile(t), func() error { return fixture.Migrate(t.Context(), dsn, to, window) })
}

func TestAColumnIsReplacedUnderTheLoadOfBothVersionsAndNobodyWaitsOrLosesAnything(t *testing.T) {
	dsn := fixture.Database(t, 1)
	fixture.Exec(t, dsn, `INSERT INTO titles (name, state, length_text) SELECT 'title ' || i, 'ready',
		to_char(make_interval(secs => i), 'FMHH24:MI:SS') FROM generate_series(1, $1) i`, titles)
	_, name, _ := strings.Cut(dsn, "dbname=")
	fixture.Exec(t, dsn, fmt.Sprintf("ALTER DATABASE %s SET deadlock_timeout = %d", name, fixture.Blocked.Milliseconds()))
	fixture.Exec(t, dsn, fmt.Sprintf("ALTER DATABASE %s SET log_lock_waits = on", name))

	var l load
	for id := range l.said {
		l.said[id].Store(int64(id) * 1000)
	}
	ctx, cancel := context.WithCancel(t.Context())
	v1 := start(t, dsn, "v1", nil)
	l.at.Store(&[]instance{v1})
	locks := fixture.WatchLocks(t, dsn, fixture.LogFile(t))
	var running sync.WaitGroup
	for n := range viewers {
		running.Go(func() { l.run(ctx, t, n) })
	}
	defer running.Wait()
	defer cancel()

	l.settle(t)
	migrateBehindAReader(t, dsn, 2, nil) // expand
	v2 := start(t, dsn, "v2", nil)
	l.serve(t, v1, v2) // a ramp: both write
	must(t, fixture.Migrate(t.Context(), dsn, 3, nil))
	l.settle(t)
	l.serve(t, v2)
	l.serve(t, v1) // rolled back: what v2 has written v1 reads, below too
	l.all(t, v1)
	l.all(t, v2)
	l.serve(t, v1, v2)
	l.serve(t, v2)
	v1.stop()
	migrateBehindAReader(t, dsn, 4, func(context.Context) error { return nil }) // contract
	l.settle(t)
	l.all(t, v2)
	cancel()
	running.Wait()

	locks.End()
	var changes int64
	for n := range l.rounds {
		changes += l.rounds[n].Load()
	}
	t.Logf("%d changes, %d failed; %s", changes, l.failures.Load(), locks)
}
