package cache

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// mark says of an object that holds nothing why: its requests pass through.
type mark uint8

const (
	unmarked   mark = iota
	passAll         // private, no-store, Vary: *
	passRanges      // no strong ETag: ranges cannot be put together
)

// markTTL is for how long requests pass through before they are put together
// again, to see whether the origin has changed its mind.
const markTTL = 10 * time.Second

// object is one version of what the origin has for a key.
//
// There are two kinds. One in blocks has a strong ETag and a known size, so
// that any of its blocks can be asked for at any time. All others are kept in
// one piece, made by one fetch, and are there wholly or not at all.
type object struct {
	id               uint64
	key, scope, path string
	etag             string // strong, if it is in blocks
	inBlocks         bool
	status           int
	mark             mark
	live             playlist
	head             atomic.Pointer[head]

	// retry is until when, in Unix nanoseconds, the origin is not asked again
	// after it has failed.
	retry atomic.Int64

	// void: its blocks do not go to disk any more. There is a later version, or it
	// was purged.
	void atomic.Bool

	mu       sync.Mutex
	size     int64         // guarded by mu; -1: not known yet
	growing  *whole        // guarded by mu; one piece on its way in
	fills    []*fill       // guarded by mu
	progress chan struct{} // guarded by mu; closed when a fill gets on or ends; nil: nobody waits
	dead     bool          // guarded by mu: nothing of it is kept from now on
	noRanges bool          // guarded by mu: the origin answers ranges with all of it
}

// whole are the bytes of an object in one piece.
type whole struct {
	parts [][]byte // each but the last a block long; guarded by the object's mu until it is done; nil: gone already
	size  int64    // so far
	done  bool
	err   error
}

// pieceID is a block of an object in blocks, or -1 for all of one in one piece.
type pieceID struct {
	object uint64
	n      int64
}

// piece is what memory is for.
type piece struct {
	object *object
	data   []byte
	whole  *whole
}

// overhead is what a piece or a head costs beside its bytes, about.
const overhead = 256

func (p piece) weight() uint32 {
	if p.whole != nil {
		return uint32(p.whole.size) + overhead
	}
	return uint32(len(p.data)) + overhead
}

func (o *object) weight() uint32 {
	n := 3*overhead + 2*len(o.key) + len(o.scope) + len(o.path)
	for key, vv := range o.head.Load().fields {
		n += overhead/4 + len(key) + len(vv[0])
	}
	return uint32(n)
}

func (c *Cache) newObject(req Request, status int, hd *head) *object {
	o := &object{id: c.lastID.Add(1), key: req.Key, scope: req.Scope, path: req.Path, status: status, size: -1}
	o.head.Store(hd)
	return o
}

// blocks is how many the object has.
func (c *Cache) blocks(size int64) int64 { return (size + c.block - 1) / c.block }

// length returns the object's size, -1 if it is not known yet.
func (o *object) length() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size
}

// tell wakes all who wait for the object to grow. The caller holds o.mu.
func (o *object) tell() {
	if o.progress != nil {
		close(o.progress)
		o.progress = nil
	}
}

// news returns what tell closes. The caller holds o.mu.
func (o *object) news() <-chan struct{} {
	if o.progress == nil {
		o.progress = make(chan struct{})
	}
	return o.progress
}

// keep puts a piece into memory, unless the object has died meanwhile. Death
// comes first and then takes away what is there, so that one of the two looks
// sees the other.
func (c *Cache) keep(o *object, n int64, p piece) {
	id := pieceID{o.id, n}
	c.pieces.Set(id, p)
	o.mu.Lock()
	dead := o.dead
	o.mu.Unlock()
	if dead {
		c.pieces.Invalidate(id)
	}
}

// kill has nothing of the object kept from now on. Readers go on.
func (c *Cache) kill(o *object) {
	o.void.Store(true)
	o.mu.Lock()
	o.dead = true
	size := o.size
	o.mu.Unlock()
	c.pieces.Invalidate(pieceID{o.id, -1})
	if !o.inBlocks {
		return
	}
	if held := int64(c.pieces.EstimatedSize()); c.blocks(size) > 4*held { // a giant, of which little can be here
		for id := range c.pieces.Keys() {
			if id.object == o.id {
				c.pieces.Invalidate(id)
			}
		}
		return
	}
	for n := range c.blocks(size) {
		c.pieces.Invalidate(pieceID{o.id, n})
	}
}

// drop kills an object that is found wanting, and forgets it.
func (c *Cache) drop(o *object) {
	c.kill(o)
	c.objects.ComputeIfPresent(o.key, func(now *object) (*object, otter.ComputeOp) {
		if now == o {
			return nil, otter.InvalidateOp
		}
		return nil, otter.CancelOp
	})
	if c.disk != nil {
		c.disk.drop(o.key, o.etag)
	}
}

// fromDisk finds an object of which there are blocks on disk. Of those who want
// it at once one reads.
func (c *Cache) fromDisk(key string) (*object, bool) {
	if _, _, ok := c.disk.find(key); !ok {
		return nil, false
	}
	lock := &c.lifting[hashKey(key)[0]%byte(len(c.lifting))]
	lock.Lock()
	defer lock.Unlock()
	if o, ok := c.objects.GetIfPresent(key); ok {
		return o, true
	}
	etag, n, ok := c.disk.find(key)
	if !ok {
		return nil, false
	}
	m, data, err := c.disk.load(key, etag, n)
	if err != nil {
		return nil, false
	}
	o := &object{id: c.lastID.Add(1), key: key, scope: m.Scope, path: m.Path, etag: etag, inBlocks: true, status: http.StatusOK, size: m.Size}
	o.head.Store(m.head())
	c.mu.Lock()
	if now, ok := c.objects.GetIfPresent(key); ok {
		o = now
	} else {
		c.objects.Set(key, o)
		c.keep(o, n, piece{object: o, data: data})
	}
	c.mu.Unlock()
	if etag, _, ok := c.disk.find(key); !ok || etag != o.etag { // purged meanwhile
		if o.inBlocks && o.etag == m.ETag {
			c.drop(o)
		}
		return nil, false
	}
	return o, true
}

// evicted hears of pieces that memory has no room for.
func (c *Cache) evicted(e otter.DeletionEvent[pieceID, piece]) {
	if !e.WasEvicted() {
		return
	}
	c.evictions.Add(1)
	if c.disk != nil && e.Value.whole == nil {
		c.disk.offer(victim{e.Value.object, e.Key.n, e.Value.data})
	}
}
