package cache

import (
	"container/list"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

// makeRoom gives up what was not used for longest.
func (d *disk) makeRoom(size int64) {
	d.mu.Lock()
	for e := d.recent.Back(); e != nil && d.bytes+size > d.room; e = d.recent.Back() {
		d.forget(e)
		d.evicted.Add(1)
	}
	d.mu.Unlock()
	d.bury()
}

// add puts a block into the index. Of two versions the one received later stays.
func (d *disk) add(o *diskObject, n, size int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	hash := hashKey(o.key)
	at := d.objects[hash]
	if at != nil && (at.etag != o.etag || at.key != o.key) {
		if at.received.After(o.received) {
			d.doomed = append(d.doomed, d.name(hash, o.etag, n))
			return
		}
		d.forgetObject(at)
		at = nil
	}
	if at == nil {
		o.blocks = map[int64]*list.Element{}
		at = o
		d.objects[hash] = at
	}
	if at.blocks[n] == nil {
		at.blocks[n] = d.recent.PushFront(&diskBlock{at, n, size})
		d.bytes += size
	}
}

// forget takes a block out of the index and dooms its file. The caller holds mu.
func (d *disk) forget(e *list.Element) {
	b := d.recent.Remove(e).(*diskBlock)
	hash := hashKey(b.o.key)
	d.bytes -= b.bytes
	delete(b.o.blocks, b.n)
	if len(b.o.blocks) == 0 && d.objects[hash] == b.o {
		delete(d.objects, hash)
	}
	d.doomed = append(d.doomed, d.name(hash, b.o.etag, b.n))
}

// forgetObject forgets all its blocks. The caller holds mu.
func (d *disk) forgetObject(o *diskObject) {
	for _, e := range o.blocks {
		d.forget(e)
	}
}

// drop forgets a version.
func (d *disk) drop(key, etag string) {
	d.mu.Lock()
	if o := d.objects[hashKey(key)]; o != nil && o.etag == etag {
		d.forgetObject(o)
	}
	d.mu.Unlock()
	d.nudge()
}

// supersede forgets all versions but this one.
func (d *disk) supersede(key, etag string) {
	d.mu.Lock()
	if o := d.objects[hashKey(key)]; o != nil && o.etag != etag {
		d.forgetObject(o)
	}
	d.mu.Unlock()
	d.nudge()
}

// purge forgets what matches, and removes it at once.
func (d *disk) purge(match func(scope, path string) bool, gone map[string]bool) {
	d.mu.Lock()
	for _, v := range append(d.pending[:len(d.pending):len(d.pending)], d.writing) {
		if v.object != nil && match(v.object.scope, v.object.path) {
			v.object.void.Store(true)
		}
	}
	for _, o := range d.objects {
		if match(o.scope, o.path) {
			gone[o.key] = true
			d.forgetObject(o)
		}
	}
	d.mu.Unlock()
	d.bury()
}

// has reports whether the block is there.
func (d *disk) has(o *object, n int64) bool {
	if d.isOff() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at(o.key, o.etag, n) != nil
}

// at is the place of a block in the index. The caller holds mu.
func (d *disk) at(key, etag string, n int64) *list.Element {
	if o := d.objects[hashKey(key)]; o != nil && o.etag == etag && o.key == key {
		return o.blocks[n]
	}
	return nil
}

// find returns the version that is there of a key, and a block of it: the first,
// if it is there.
func (d *disk) find(key string) (etag string, n int64, ok bool) {
	if d.isOff() {
		return "", 0, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.objects[hashKey(key)]
	if o == nil || o.key != key {
		return "", 0, false
	}
	if o.blocks[0] != nil {
		return o.etag, 0, true
	}
	for n := range o.blocks {
		return o.etag, n, true
	}
	return "", 0, false
}

// load reads a block, and what is known of its object. What is wrong with it is
// forgotten.
func (d *disk) load(key, etag string, n int64) (meta, []byte, error) {
	name := d.name(hashKey(key), etag, n)
	m, data, err := d.readInTime(filepath.Join(d.dir, name))
	if err == nil && (m.Key != key || m.ETag != etag || m.N != n) {
		err = fmt.Errorf("%w: it is of another object", errCorrupt)
	}
	d.mu.Lock()
	e := d.at(key, etag, n)
	switch {
	case e == nil: // what a purge takes away is not served after it
		err = errors.New("cache: the block was dropped while it was read")
	case err == nil:
		d.recent.MoveToFront(e)
	default:
		d.forget(e)
	}
	d.mu.Unlock()
	if err == nil {
		return m, data, nil
	}
	d.nudge()
	switch {
	case e == nil, errors.Is(err, fs.ErrNotExist): // another process has needed the room
	case errors.Is(err, errCorrupt):
		d.errors.Add(1)
		if !d.told.Swap(true) {
			d.log.Warn("cache: a block on disk is corrupt; it is fetched again, and others like it without a word", "file", name, "reason", err)
		}
	default:
		d.fail("reading a block", err)
	}
	return meta{}, nil, err
}

// readInTime reads a file, or gives up: a disk may hang.
func (d *disk) readInTime(path string) (meta, []byte, error) {
	type result struct {
		m    meta
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		m, data, err := read(path, d.block)
		done <- result{m, data, err}
	}()
	timer := time.NewTimer(diskTimeout)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.m, r.data, r.err
	case <-timer.C:
		return meta{}, nil, fmt.Errorf("it takes longer than %v", diskTimeout)
	}
}
