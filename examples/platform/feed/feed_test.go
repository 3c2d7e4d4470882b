package feed_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/examples/platform/feed"
	"github.com/greenroom-proxy/greenroom/examples/platform/internal/fixture"
)

func TestMain(m *testing.M) { fixture.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsAppendedAgainIsOneEntry(t *testing.T) {
	f := feed.Feed{DB: fixture.Pool(t, fixture.Database(t, 1))}
	first, err := f.Append(t.Context(), feed.Chat, "ann", "1", "hello")
	must(t, err)
	again, err := f.Append(t.Context(), feed.Chat, "ann", "1", "hello")
	must(t, err)
	other, err := f.Append(t.Context(), feed.Chat, "bob", "1", "hello")
	must(t, err)
	if first.Seq != 1 || again.Seq != 1 || !again.At.Equal(first.At) || other.Seq != 2 {
		t.Errorf("got %+v, %+v, %+v", first, again, other)
	}
	if _, err := f.Append(t.Context(), "nowhere", "ann", "2", ""); err == nil {
		t.Error("an entry of a topic that is not there")
	}
}

func TestFollowersSeeEveryEntryOnceAndInOrderWhileManyAppend(t *testing.T) {
	const authors, each = 8, 25
	dsn := fixture.Database(t, 1)
	f := feed.Feed{DB: fixture.Pool(t, dsn)}
	var bell feed.Bell
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { bell.Run(ctx, dsn, slog.New(slog.DiscardHandler)) })
	seen := make([][]int64, 4)
	var followers sync.WaitGroup
	for i := range seen {
		followers.Go(func() {
			full := fmt.Errorf("that is all")
			err := f.Follow(ctx, &bell, feed.Chat, 0, time.Minute, func(e feed.Entry) error {
				if seen[i] = append(seen[i], e.Seq); len(seen[i]) == authors*each {
					return full
				}
				return nil
			}, func() error { return nil })
			if err != full {
				t.Error(err)
			}
		})
	}
	for a := range authors {
		running.Go(func() {
			for i := range each {
				if _, err := f.Append(ctx, feed.Chat, fmt.Sprint(a), fmt.Sprint(i), i); err != nil {
					t.Error(err)
					cancel() // nobody sees them all now
				}
			}
		})
	}
	followers.Wait()
	cancel()
	running.Wait()
	for i, s := range seen {
		if t.Failed() {
			return
		}
		if !slices.IsSorted(s) || s[0] != 1 || s[len(s)-1] != authors*each {
			t.Errorf("follower %d saw %v", i, s)
		}
	}
}
