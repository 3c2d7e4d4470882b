package switcher_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// locked is the plain way to do what Acquire does, for the ratio.
type locked struct {
	mu       sync.RWMutex
	table    *switcher.Table               // guarded by mu
	inflight switcher.PerColor[sync.Mutex] // guards count
	count    switcher.PerColor[int64]
}

func (s *locked) acquire(bucket uint16) switcher.Color {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.table.Split.Pick(bucket)
	s.add(c, 1)
	return c
}

func (s *locked) add(c switcher.Color, n int64) {
	mu := s.inflight.At(c)
	mu.Lock()
	*s.count.At(c) += n
	mu.Unlock()
}

func BenchmarkAcquireRelease(b *testing.B) {
	bed := newBed(b, switcher.Config{}, "app")
	svc := bed.Service("app")
	plain := &locked{table: svc.Table()}
	for _, n := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("switcher/goroutines=%d", n), func(b *testing.B) {
			parallel(b, n, func(bucket uint16) {
				l, _ := svc.Acquire(bucket)
				l.Release()
			})
		})
		b.Run(fmt.Sprintf("rwmutex/goroutines=%d", n), func(b *testing.B) {
			parallel(b, n, func(bucket uint16) { plain.add(plain.acquire(bucket), -1) })
		})
	}
}

// parallel shares b.N turns among n goroutines.
func parallel(b *testing.B, n int, turn func(bucket uint16)) {
	b.Helper()
	b.ReportAllocs()
	if n == 1 {
		for i := range b.N {
			turn(uint16(i & 4095))
		}
		return
	}
	b.SetParallelism(max(n/runtime.GOMAXPROCS(0), 1))
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			turn(uint16(i & 4095))
		}
	})
}

func BenchmarkPick(b *testing.B) {
	for _, balance := range []switcher.Balance{switcher.LeastInflight, switcher.RoundRobin, switcher.Hash} {
		for _, n := range []int{2, 10, 100} {
			b.Run(fmt.Sprintf("%s/upstreams=%d", balance, n), func(b *testing.B) {
				p, now := pool(b, make([]int, n)...), time.Now()
				b.ReportAllocs()
				for i := range b.N {
					e := p.Pick(balance, uint64(i), nil, now)
					e.Begin()
					e.End()
				}
			})
		}
	}
}

// BenchmarkAcquireSession is Acquire for requests of 4,096 sessions.
func BenchmarkAcquireSession(b *testing.B) {
	bed := newBed(b, switcher.Config{Pins: switcher.PinConfig{Idle: time.Hour, Max: 100_000}}, "app")
	svc := bed.Service("app")
	sessions := make([]switcher.Session, 4096)
	for i := range sessions {
		sessions[i] = switcher.SessionOf(fmt.Sprint(i))
	}
	for _, n := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			parallel(b, n, func(bucket uint16) {
				l, _ := svc.AcquireSession(bucket, sessions[bucket])
				l.Release()
			})
		})
	}
}

// BenchmarkPins says what 100,000 sessions take, and what it takes to look
// through them.
func BenchmarkPins(b *testing.B) {
	const count = 100_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	bed := newBed(b, switcher.Config{Pins: switcher.PinConfig{Idle: time.Hour, Max: count}}, "app")
	svc := bed.Service("app")
	for i := range count {
		l, _ := svc.AcquireSession(0, switcher.SessionOf(fmt.Sprint(i)))
		l.Release()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		svc.TidyPins()
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/count, "B/session")
}
