package main

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"path"
	"strconv"
	"strings"
	"sync"
)

// object is media that the origin has and the load knows: its bytes follow from
// its path, whose last element is its size, as /hot/7/1048576.ts. A playlist is
// text; all else is a piece of ring, over and over.
type object struct {
	size  int64
	ring  []byte
	start int64 // where in the ring it begins
}

// ringSize has no factor in common with the blocks of a cache, so that no block
// looks like another.
const ringSize = 8<<20 + 4093

var ring = sync.OnceValue(func() []byte {
	bytes := make([]byte, ringSize)
	_, _ = rand.NewChaCha8([32]byte([]byte("the bench measures these bytes.."))).Read(bytes) // never fails
	return bytes
})

// objectAt is the object of a path.
func objectAt(name string) (object, error) {
	base, ext, _ := strings.Cut(path.Base(name), ".")
	size, err := strconv.ParseInt(base, 10, 64)
	if err != nil || size < 0 {
		return object{}, fmt.Errorf("%s is no path of an object: want its size at the end", name)
	}
	if ext == "m3u8" {
		return object{size: size, ring: playlist(name, int(size))}, nil
	}
	sum := fnv.New64a()
	_, _ = io.WriteString(sum, name)
	return object{size: size, ring: ring(), start: int64(sum.Sum64() % ringSize)}, nil
}

// playlist is one that has ended, of a size.
func playlist(name string, size int) []byte {
	const end = "\n#EXT-X-ENDLIST\n"
	var b bytes.Buffer
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:6\n#EXT-X-PLAYLIST-TYPE:VOD\n# %s\n", name)
	for n := 0; b.Len() < size; n++ {
		fmt.Fprintf(&b, "#EXTINF:6.000,\nsegment-%05d.ts\n", n)
	}
	b.Truncate(max(size-len(end), 0))
	b.WriteString(end)
	return b.Bytes()[b.Len()-size:]
}

// at returns bytes from off on: at least one, at most n.
func (o object) at(off, n int64) []byte {
	i := (o.start + off) % int64(len(o.ring))
	return o.ring[i:min(i+n, int64(len(o.ring)))]
}

// same reports whether p is what the object has at off.
func (o object) same(p []byte, off int64) bool {
	for len(p) > 0 {
		want := o.at(off, int64(len(p)))
		if !bytes.Equal(p[:len(want)], want) {
			return false
		}
		p, off = p[len(want):], off+int64(len(want))
	}
	return true
}

// cursor reads an object, for http.ServeContent.
type cursor struct {
	object
	pos int64
}

// Seek knows the ways of http.ServeContent.
func (c *cursor) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.pos
	case io.SeekEnd:
		offset += c.size
	}
	c.pos = offset
	return offset, nil
}

func (c *cursor) Read(p []byte) (int, error) {
	if c.pos >= c.size {
		return 0, io.EOF
	}
	n := copy(p, c.at(c.pos, min(int64(len(p)), c.size-c.pos)))
	c.pos += int64(n)
	return n, nil
}
