package switchertest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAMemoryStoreIsAStore(t *testing.T) {
	TestStore(t, func(*testing.T) StoreHarness {
		store := &MemoryStore{}
		return StoreHarness{Open: func() switcher.Store { return store }}
	})
}

func TestAFakeSourceIsASource(t *testing.T) {
	TestSource(t, func(_ *testing.T, first switcher.Pools) SourceHarness {
		source := &FakeSource{}
		source.Push(first)
		return SourceHarness{
			Source: source,
			Set:    source.Push,
			Break:  func() { source.PushError(errors.New("broken")) },
			Remove: func() { source.PushError(nil) },
		}
	})
}

func TestStaticPoolsAreASource(t *testing.T) {
	TestSource(t, func(_ *testing.T, first switcher.Pools) SourceHarness {
		return SourceHarness{Source: switcher.Static(first)}
	})
}

func TestAMemoryStoreFailsWhileItIsTold(t *testing.T) {
	var store MemoryStore
	save(t, &store, FullState())
	broken := errors.New("disk full")
	store.FailWith(broken)
	if err := store.Save(t.Context(), generations(1, 1)); !errors.Is(err, broken) {
		t.Errorf("Save returned %v", err)
	}
	if _, err := store.Load(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Load returned %v", err)
	}
	if _, ok := store.Saved(); !ok || store.Saves() != 1 {
		t.Errorf("saved %v, %d times; want the first state kept", ok, store.Saves())
	}
	store.FailWith(nil)
	wantState(t, &store, FullState())
}

func TestAMemoryStoreCanBeStale(t *testing.T) {
	var store MemoryStore
	torn := errors.New("torn")
	store.StaleWith(torn)
	if _, err := store.Load(t.Context()); !errors.Is(err, switcher.ErrNoState) {
		t.Errorf("with nothing saved, Load returned %v", err)
	}
	save(t, &store, FullState())
	s, err := store.Load(t.Context())
	if !errors.Is(err, switcher.ErrStale) || !errors.Is(err, torn) || len(s.Services) == 0 {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestABlockedMemoryStoreHangsUntilReleaseOrTheContextsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store MemoryStore
		release := store.Block()
		ctx, cancel := context.WithCancel(t.Context())
		var first, second error
		var done sync.WaitGroup
		done.Go(func() { first = store.Save(ctx, FullState()) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !errors.Is(first, context.Canceled) || store.Saves() != 0 {
			t.Errorf("after its context ended, Save returned %v and saved %d times", first, store.Saves())
		}
		done.Go(func() { second = store.Save(t.Context(), FullState()) })
		synctest.Wait()
		if store.Saves() != 0 {
			t.Error("a blocked store saved")
		}
		release()
		release()
		done.Wait()
		if second != nil || store.Saves() != 1 {
			t.Errorf("after release, Save returned %v and saved %d times", second, store.Saves())
		}
		wantState(t, &store, FullState())
	})
}

func TestCheckReportsFindsWhatASourceMustNotTell(t *testing.T) {
	bad := errors.New("bad")
	good, other := Report{Pools: poolsOf(1, 1)}, Report{Pools: poolsOf(2, 1)}
	for name, c := range map[string]struct {
		reports []Report
		wrong   bool
	}{
		"nothing":            {nil, false},
		"changes":            {[]Report{good, other, good}, false},
		"a repetition":       {[]Report{good, good}, true},
		"recovery":           {[]Report{good, {Err: bad}, good}, false},
		"a failure again":    {[]Report{{Err: bad}, {Err: errors.New("bad")}}, true},
		"another failure":    {[]Report{{Err: bad}, {Err: errors.New("worse")}}, false},
		"a wordless failure": {[]Report{{Err: errors.New("")}}, true},
		"an invalid pool":    {[]Report{{Pools: switcher.Pools{Blue: []switcher.Upstream{{}}}}}, true},
	} {
		if err := CheckReports(c.reports); (err != nil) != c.wrong {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASinkNoticesCallsThatOverlap(t *testing.T) {
	var sink Sink
	for range 10_000 {
		var both sync.WaitGroup
		both.Go(func() { sink.Update(poolsOf(1, 1)) })
		both.Go(func() { sink.Fail(errors.New("bad")) })
		both.Wait()
		if sink.Overlapped() {
			return
		}
	}
	t.Error("two calls at once were not noticed in 10000 tries")
}

// TestFullStateSetsEveryField fails when a new field of the state is not in it,
// and so would not be tested.
func TestFullStateSetsEveryField(t *testing.T) {
	for name, service := range FullState().Services {
		if err := service.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	set := map[string]bool{}
	visit(reflect.ValueOf(FullState()), "State", set)
	for path, isSet := range set {
		if !isSet {
			t.Errorf("%s is zero in every service", path)
		}
	}
}

// visit notes for each field, by its path, whether it is set somewhere.
func visit(v reflect.Value, path string, set map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			visit(v.Elem(), path, set)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			visit(v.MapIndex(key), path, set)
		}
	case reflect.Slice:
		for i := range v.Len() {
			visit(v.Index(i), path, set)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				at := path + "." + f.Name
				set[at] = set[at] || !v.Field(i).IsZero()
				visit(v.Field(i), at, set)
			}
		}
	}
}
