package cache

import (
	"context"
	"io"
)

// reserve takes room for n bytes of objects in one piece that are on their way.
func (c *Cache) reserve(n int64) bool {
	if c.growing.Add(n) > c.memory/2 {
		c.growing.Add(-n)
		return false
	}
	return true
}

// runWhole reads an object in one piece. One whose size is not known, and that
// outgrows the room, goes through a window: who is too slow for it falls out.
func (f *fill) runWhole(ctx context.Context, c *Cache, src io.Reader) error {
	o, w := f.o, f.o.growing
	reserved, room := max(o.size, 0), c.maxWhole/c.block
	defer func() { c.growing.Add(-reserved) }()
	in := source{c: c, r: src}
	var err error
	for n := int64(0); err == nil; n++ {
		ahead := max(room/2, 1)
		if o.size >= 0 {
			ahead = room + 1 // there is room for all of it
		}
		if err = f.pace(ctx, c, n, ahead, forever); err != nil {
			return err
		}
		if o.size < 0 && n < room {
			if c.reserve(c.block) {
				reserved += c.block
			} else {
				room = max(n, 2)
			}
		}
		if err = f.part(c, &in, w); err == nil && n >= room {
			f.slide(n - room)
		}
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// part reads one block, or what is left; io.EOF: that was all.
func (f *fill) part(c *Cache, in *source, w *whole) error {
	limit := c.block
	if f.o.size >= 0 {
		limit = min(limit, f.o.size-w.size)
	}
	var b buffer
	if f.o.size >= 0 {
		b.data = make([]byte, 0, limit)
	}
	for int64(len(b.data)) < limit {
		n, err := b.read(in.r, int(limit))
		c.fetched.Add(int64(n))
		if f.o.size >= 0 && w.size+int64(n) == f.o.size { // a surplus must show before the last byte is out
			if err := in.end(err); err != nil {
				return err
			}
			f.grow(w, b.data, n)
			return io.EOF
		}
		f.grow(w, b.data, n)
		switch {
		case err == io.EOF && f.o.size < 0:
			return io.EOF
		case err == io.EOF:
			return &lieError{"the body ends early"}
		case err != nil:
			return err
		}
	}
	if limit == 0 { // of an object without bytes
		if err := in.end(nil); err != nil {
			return err
		}
		return io.EOF
	}
	return nil
}

// grow shows that the last part now is data, n bytes longer than before.
func (f *fill) grow(w *whole, data []byte, n int) {
	if n == 0 {
		return
	}
	f.o.mu.Lock()
	defer f.o.mu.Unlock()
	if len(data) == n {
		w.parts = append(w.parts, data)
	} else {
		w.parts[len(w.parts)-1] = data
	}
	w.size += int64(n)
	f.o.tell()
}

// slide gives part n up. What has lost a part is not kept.
func (f *fill) slide(n int64) {
	f.o.mu.Lock()
	defer f.o.mu.Unlock()
	f.o.growing.parts[n] = nil
	f.o.dead = true
}

// finishWhole is the end of an object in one piece: it is kept, if it is all
// there, or gone.
func (f *fill) finishWhole(c *Cache, err error) {
	o := f.o
	o.mu.Lock()
	w := o.growing
	w.done, w.err = true, err
	if err == nil {
		o.size = w.size
		if n := len(w.parts); n > 0 && w.parts[n-1] != nil {
			last := buffer{data: w.parts[n-1]}
			w.parts[n-1] = last.clip()
		}
	}
	keep := err == nil && !o.dead
	o.mu.Unlock()
	if keep {
		c.keep(o, -1, piece{object: o, whole: w})
	}
	o.mu.Lock()
	o.growing = nil
	o.mu.Unlock()
	if !keep {
		c.drop(o)
	}
	f.finish(c, err)
}
