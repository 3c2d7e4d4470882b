package cache

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// Options are how New makes a cache. The zero value is one in memory.
type Options struct {
	// Memory is for how many bytes of blocks there is room, at least 16 blocks.
	// Default 256 MiB. See the package's comment for what comes on top.
	Memory int64

	// Block is the size of a block in bytes, 4 KiB to 16 MiB. Default 1 MiB.
	Block int

	// Disk takes what memory has no room for. Nil: none.
	Disk *Disk

	// Fills is how many fetches may be under way at once. Default 512.
	Fills int

	// Log is told of origins that do not keep their word, and of disks that
	// fail. Nil: slog.Default().
	Log *slog.Logger

	// Name is the cache's own in Cache-Status: a token of RFC 9651. Default
	// "greenroom".
	Name string
}

const (
	defaultMemory = 256 << 20
	defaultBlock  = 1 << 20
	defaultFills  = 512

	// maxWaiters is how many requests may wait for one answer.
	maxWaiters = 1 << 16
)

// Cache keeps objects of origins. New makes one; its methods may be called from
// any goroutine.
type Cache struct {
	block    int64
	memory   int64
	fills    int64
	name     string
	log      *slog.Logger
	disk     *disk // nil: none
	maxWhole int64 // of an object that is kept in one piece

	objects *otter.Cache[string, *object]
	pieces  *otter.Cache[pieceID, piece]

	lastID    atomic.Uint64
	running   atomic.Int64 // fetches for all, under way
	rings     atomic.Int64 // bytes that fills hold on to
	growing   atomic.Int64 // bytes of whole objects that are on their way in
	evictions atomic.Int64
	fetches   atomic.Int64
	fetched   atomic.Int64 // bytes
	told      atomic.Int64 // when the log was, in Unix nanoseconds

	mu       sync.Mutex          // goes before the mu of an object
	openings map[string]*opening // guarded by mu

	lifting [16]sync.Mutex // by key: one at a time looks on disk; goes before mu

	runs    sync.Mutex                    // goes after all others
	cancels map[uint64]context.CancelFunc // of what runs; guarded by runs; nil: closed
	lastRun uint64                        // guarded by runs
	wg      sync.WaitGroup
}

// New makes a cache. Close ends it.
func New(o Options) (*Cache, error) {
	c := &Cache{
		block: int64(o.Block), memory: o.Memory, fills: int64(o.Fills), name: o.Name, log: o.Log,
		openings: map[string]*opening{}, cancels: map[uint64]context.CancelFunc{},
	}
	if err := c.defaults(); err != nil {
		return nil, err
	}
	c.maxWhole = min(c.memory/8, 256<<20)
	var err error
	// Both caches do their upkeep on the goroutine that writes, so that they are
	// over their bound by no more than what is being written.
	inline := func(f func()) { f() }
	c.pieces, err = otter.New(&otter.Options[pieceID, piece]{
		MaximumWeight: uint64(c.memory),
		Weigher:       func(_ pieceID, p piece) uint32 { return p.weight() },
		OnDeletion:    c.evicted,
		Executor:      inline,
	})
	if err != nil {
		return nil, fmt.Errorf("cache: index of blocks: %w", err)
	}
	c.objects, err = otter.New(&otter.Options[string, *object]{
		MaximumWeight: uint64(c.memory / 16),
		Weigher:       func(_ string, o *object) uint32 { return o.weight() },
		Executor:      inline,
	})
	if err != nil {
		return nil, fmt.Errorf("cache: index of objects: %w", err)
	}
	if o.Disk != nil {
		if c.disk, err = openDisk(*o.Disk, c.block, c.log); err != nil {
			return nil, err
		}
		c.disk.current = func(key string) (string, bool) {
			e, ok := c.objects.GetEntryQuietly(key)
			if !ok {
				return "", false
			}
			return e.Value.etag, true
		}
	}
	return c, nil
}

func (c *Cache) defaults() error {
	if c.memory == 0 {
		c.memory = defaultMemory
	}
	if c.block == 0 {
		c.block = defaultBlock
	}
	if c.fills == 0 {
		c.fills = defaultFills
	}
	if c.name == "" {
		c.name = "greenroom"
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	switch {
	case c.block < 4<<10 || c.block > 16<<20:
		return fmt.Errorf("cache: Block is %d, want 4096 to 16777216", c.block)
	case c.memory < 16*c.block:
		return fmt.Errorf("cache: Memory is %d, want at least 16 blocks of %d", c.memory, c.block)
	case c.fills < 1:
		return fmt.Errorf("cache: Fills is %d, want at least 1", c.fills)
	case !token(c.name):
		return fmt.Errorf("cache: Name is %q, want a token of letters, digits, '-', '.' and '_' that begins with a letter", c.name)
	}
	return nil
}

// token reports whether s can stand in Cache-Status as it is.
func token(s string) bool {
	for i, ch := range []byte(s) {
		letter := 'a' <= ch|0x20 && ch|0x20 <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789-._", rune(ch))) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// Run keeps the disk: it finds what an earlier process has left there, writes
// what memory has no room for, and when ctx ends what is in memory, for two
// seconds at most. Without a disk it only waits for the end of ctx.
func (c *Cache) Run(ctx context.Context) {
	if c.disk != nil {
		c.disk.run(ctx, func(yield func(victim) bool) {
			for id, p := range c.pieces.All() {
				if p.whole == nil && !yield(victim{p.object, id.n, p.data}) {
					return
				}
			}
		})
	}
	<-ctx.Done()
}

// Close ends all fetches, and with them the readers that wait for them; then no
// goroutine of the cache is left, if Run has returned.
func (c *Cache) Close() error {
	c.runs.Lock()
	for _, cancel := range c.cancels {
		cancel()
	}
	c.cancels = nil
	c.runs.Unlock()
	c.wg.Wait()
	return nil
}

// Stats returns the figures of now.
func (c *Cache) Stats() Stats {
	s := Stats{
		Objects: c.objects.EstimatedSize(), MemoryBytes: int64(c.pieces.WeightedSize()), Blocks: c.pieces.EstimatedSize(),
		Fills: int(c.running.Load()), Evictions: c.evictions.Load(), Fetches: c.fetches.Load(), OriginBytes: c.fetched.Load(),
	}
	if c.disk != nil {
		c.disk.stats(&s)
	}
	return s
}

// start runs f in a goroutine that Close waits for, with a context that has
// the values of ctx and not its end; it counts as a fetch until f returns. The
// CancelFunc ends it early. The context ends with f, unless f reports that it has
// given away what needs it.
func (c *Cache) start(ctx context.Context, f func(context.Context) (given bool)) (context.CancelFunc, error) {
	if c.running.Add(1) > c.fills {
		c.running.Add(-1)
		return nil, ErrBusy
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.runs.Lock()
	if c.cancels == nil {
		c.runs.Unlock()
		c.running.Add(-1)
		cancel()
		return nil, ErrClosed
	}
	c.lastRun++
	id := c.lastRun
	c.cancels[id] = cancel
	c.wg.Add(1)
	c.runs.Unlock()
	go func() {
		defer c.wg.Done()
		given := false
		defer func() {
			if !given {
				cancel()
			}
			c.running.Add(-1)
			c.runs.Lock()
			delete(c.cancels, id)
			c.runs.Unlock()
		}()
		given = f(ctx)
	}()
	return cancel, nil
}

// fetch asks the origin, and counts.
func (c *Cache) fetch(ctx context.Context, origin Fetcher, method string, h http.Header) (*http.Response, error) {
	c.fetches.Add(1)
	res, err := origin.Fetch(ctx, method, h)
	if err != nil {
		return nil, fmt.Errorf("cache: asking the origin: %w", err)
	}
	if res.Header == nil {
		res.Header = http.Header{}
	}
	if res.Body == nil {
		res.Body = http.NoBody
	}
	return res, nil
}

// negativeTerms are those of a 404.
func negativeTerms(t Terms) Terms { return Terms{TTL: t.Negative} }

// lied tells the log of an origin that does not keep its word, every ten seconds
// at most.
func (c *Cache) lied(o *object, err *lieError) {
	now := time.Now().UnixNano()
	if last := c.told.Load(); (last == 0 || now-last > int64(10*time.Second)) && c.told.CompareAndSwap(last, now) {
		c.log.Warn("cache: an origin does not keep its word; what was kept of the object is dropped",
			"scope", o.scope, "path", o.path, "reason", err.what)
	}
}
