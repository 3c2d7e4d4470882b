package cache

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Disk is where blocks go that memory has no room for. Only blocks of objects
// with a strong ETag go there: the others could not be told from a later version
// after a restart.
//
// Cache.Run writes; reads happen at any time. A disk that fails is left alone for
// a minute, and the cache goes on in memory.
type Disk struct {
	// Dir is the directory, and the cache's own. It is made with mode 0700 if it is
	// not there. Two processes may have it open while one takes over from the
	// other; the older one's Run should have ended by then, so that it writes no
	// more: each keeps to its Bytes by itself, and purges what it finds.
	Dir string

	// Bytes is for how much there is room, at least 16 blocks.
	Bytes int64
}

const (
	diskQueue   = 16              // victims that wait to be written; what is more is lost
	diskOff     = time.Minute     // for how long a disk that fails is left alone
	diskTimeout = 2 * time.Second // for a read; what takes longer has failed
	diskFlush   = 2 * time.Second // for what is in memory when Run ends
)

// disk is the index of what there is, and writes it.
type disk struct {
	dir   string
	room  int64
	block int64
	log   *slog.Logger

	// current is the version that memory knows of a key.
	current func(key string) (etag string, ok bool)

	off     atomic.Int64 // Unix nanoseconds until which the disk is left alone
	errors  atomic.Int64
	evicted atomic.Int64
	told    atomic.Bool // of a corrupt file
	wake    chan struct{}

	mu      sync.Mutex              // held for no call but those of the index itself
	objects map[keyHash]*diskObject // guarded by mu
	recent  *list.List              // of *diskBlock, the latest first; guarded by mu
	bytes   int64                   // guarded by mu
	pending []victim                // guarded by mu
	writing victim                  // guarded by mu
	doomed  []string                // files to be removed; guarded by mu
}

// diskObject is a version of which there are blocks. Of a key there is one.
type diskObject struct {
	key, scope, path string
	etag             string
	received         time.Time
	blocks           map[int64]*list.Element
}

type diskBlock struct {
	o     *diskObject
	n     int64
	bytes int64
}

// victim is a block that memory has no room for.
type victim struct {
	object *object
	n      int64
	data   []byte
}

func openDisk(o Disk, block int64, log *slog.Logger) (*disk, error) {
	if o.Dir == "" {
		return nil, errors.New("cache: Disk.Dir is empty, want a directory for the cache alone")
	}
	if o.Bytes < 16*block {
		return nil, fmt.Errorf("cache: Disk.Bytes is %d, want at least 16 blocks of %d", o.Bytes, block)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cache: Disk.Dir: %w", err)
	}
	return &disk{dir: o.Dir, room: o.Bytes, block: block, log: log, objects: map[keyHash]*diskObject{},
		recent: list.New(), wake: make(chan struct{}, 1)}, nil
}

// run finds what is there, and then writes what is offered until ctx ends;
// then, for a moment, what is still in memory.
func (d *disk) run(ctx context.Context, memory func(yield func(victim) bool)) {
	d.scan(ctx)
	for ctx.Err() == nil {
		if d.work() {
			continue
		}
		select {
		case <-d.wake:
		case <-ctx.Done():
		}
	}
	for d.work() {
	}
	until := time.Now().Add(diskFlush)
	for v := range memory {
		if time.Now().After(until) {
			break
		}
		d.write(v)
	}
	d.work()
}

// work removes what is doomed and writes one block. It reports whether there
// was anything to do.
func (d *disk) work() bool {
	some := d.bury()
	d.mu.Lock()
	v := victim{}
	if len(d.pending) > 0 {
		v, d.pending = d.pending[0], append([]victim(nil), d.pending[1:]...)
	}
	d.writing = v
	d.mu.Unlock()
	if v.object == nil {
		return some
	}
	d.write(v)
	d.mu.Lock()
	d.writing = victim{}
	d.mu.Unlock()
	return true
}

// bury removes the files that are doomed.
func (d *disk) bury() bool {
	d.mu.Lock()
	doomed := d.doomed
	d.doomed = nil
	d.mu.Unlock()
	for _, name := range doomed {
		d.remove(name)
	}
	return len(doomed) > 0
}

// nudge has Run look for work.
func (d *disk) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// offer has a block written, if the disk keeps up. It never blocks: memory's
// index is locked.
func (d *disk) offer(v victim) {
	if d.isOff() || v.object.void.Load() {
		return
	}
	d.mu.Lock()
	if len(d.pending) < diskQueue {
		d.pending = append(d.pending, v)
	}
	d.mu.Unlock()
	d.nudge()
}

// write stores a block, unless it is there, or its object is void.
func (d *disk) write(v victim) {
	o, hd := v.object, v.object.head.Load()
	if d.isOff() || o.void.Load() || !hd.shared || d.has(o, v.n) {
		return
	}
	description, err := encode(o, hd, v.n, d.block, v.data)
	if err != nil {
		d.fail("describing a block", err)
		return
	}
	size := int64(len(description) + len(v.data))
	d.makeRoom(size)
	if err := store(d.dir, d.name(hashKey(o.key), o.etag, v.n), description, v.data); err != nil {
		d.fail("writing a block", err)
		return
	}
	d.add(&diskObject{key: o.key, scope: o.scope, path: o.path, etag: o.etag, received: hd.received}, v.n, size)
	if o.void.Load() { // since a moment; who made it so may have looked before the block was there
		d.drop(o.key, o.etag)
	}
}

// isOff reports whether the disk is left alone.
func (d *disk) isOff() bool {
	until := d.off.Load()
	return until != 0 && until > time.Now().UnixNano()
}

// fail leaves the disk alone for a while.
func (d *disk) fail(what string, err error) {
	d.errors.Add(1)
	if !d.isOff() {
		d.log.Error("cache: the disk fails and is left alone for a minute; the cache goes on in memory", "dir", d.dir, "doing", what, "error", err)
	}
	d.off.Store(time.Now().Add(diskOff).UnixNano())
}

func (d *disk) stats(s *Stats) {
	d.mu.Lock()
	s.DiskBytes, s.DiskBlocks = d.bytes, d.recent.Len()
	d.mu.Unlock()
	s.DiskEvictions, s.DiskErrors = d.evicted.Load(), d.errors.Load()
}
