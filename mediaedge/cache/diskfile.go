package cache

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A file holds one block and all that is known of its object:
//
//	8 bytes   diskMagic
//	4 bytes   length of the description, big-endian
//	4 bytes   CRC-32C of the description
//	          description, JSON
//	          the block's bytes, of which the description has length and CRC-32C
//
// Its name is made of hashes, and says which block of which version of which key
// it is, so that a version is written to the same place by whoever writes it.
const (
	diskMagic   = "grblock1"
	diskPrefix  = len(diskMagic) + 8
	maxMeta     = 64 << 10
	diskSuffix  = ".block"
	tempPattern = "tmp-*"
)

var (
	errCorrupt = errors.New("cache: the file is corrupt")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

type keyHash [16]byte

func hashKey(key string) keyHash {
	sum := sha256.Sum256([]byte(key))
	return keyHash(sum[:16])
}

// meta is the description.
type meta struct {
	Key, Scope, Path, ETag   string
	Size, Block, N           int64
	Length                   int
	CRC                      uint32
	Fields                   http.Header
	Received                 time.Time
	TTL, Age                 time.Duration
	StaleIfError, StaleWhile time.Duration
	Immutable                bool
}

// name is the path of a block's file below the directory.
func (d *disk) name(key keyHash, etag string, n int64) string {
	version := sha256.Sum256([]byte(etag))
	return filepath.Join(hex.EncodeToString(key[:1]),
		hex.EncodeToString(key[:])+"-"+hex.EncodeToString(version[:8])+"-"+strconv.FormatInt(n, 16)+diskSuffix)
}

// encode returns what stands before the block's bytes.
func encode(o *object, hd *head, n, block int64, data []byte) ([]byte, error) {
	description, err := json.Marshal(meta{
		Key: o.key, Scope: o.scope, Path: o.path, ETag: o.etag, Size: o.size, Block: block, N: n,
		Length: len(data), CRC: crc32.Checksum(data, castagnoli), Fields: hd.fields, Received: hd.received,
		TTL: hd.ttl, Age: hd.age, StaleIfError: hd.staleIfError, StaleWhile: hd.staleWhileRev, Immutable: hd.immutable,
	})
	if err != nil || len(description) > maxMeta {
		return nil, fmt.Errorf("%d bytes of description: %w", len(description), errors.Join(err, errors.ErrUnsupported))
	}
	b := make([]byte, 0, diskPrefix+len(description))
	b = append(b, diskMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(description)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(description, castagnoli))
	return append(b, description...), nil
}

// store writes a file that is there wholly or not at all. It is not synced: a
// checksum tells what a power cut has left.
func store(dir, name string, parts ...[]byte) error {
	path := filepath.Join(dir, name)
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), tempPattern)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err == nil {
			_, err = f.Write(p)
		}
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// remove removes a file. One that is not there is no error, and any other is
// the same as that of the next write.
func (d *disk) remove(name string) { _ = os.Remove(filepath.Join(d.dir, name)) }

// readMeta reads the description.
func readMeta(r io.Reader, block int64) (meta, error) {
	var prefix [diskPrefix]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return meta{}, short(err)
	}
	n, sum := binary.BigEndian.Uint32(prefix[len(diskMagic):]), binary.BigEndian.Uint32(prefix[len(diskMagic)+4:])
	if string(prefix[:len(diskMagic)]) != diskMagic || n > maxMeta {
		return meta{}, fmt.Errorf("%w: its beginning", errCorrupt)
	}
	description := make([]byte, n)
	if _, err := io.ReadFull(r, description); err != nil {
		return meta{}, short(err)
	}
	var m meta
	if crc32.Checksum(description, castagnoli) != sum || json.Unmarshal(description, &m) != nil {
		return meta{}, fmt.Errorf("%w: its description", errCorrupt)
	}
	if m.Block != block || m.ETag == "" || m.Size <= 0 || m.N < 0 || m.N > (m.Size-1)/block || int64(m.Length) != min(block, m.Size-m.N*block) {
		return meta{}, fmt.Errorf("%w: it does not fit", errCorrupt)
	}
	return m, nil
}

func short(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: it is short", errCorrupt)
	}
	return err
}

// read reads a block, and checks it.
func read(path string, block int64) (meta, []byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return meta{}, nil, err
	}
	defer f.Close()
	m, err := readMeta(f, block)
	if err != nil {
		return meta{}, nil, err
	}
	data := make([]byte, m.Length)
	if _, err := io.ReadFull(f, data); err != nil {
		return meta{}, nil, short(err)
	}
	if crc32.Checksum(data, castagnoli) != m.CRC {
		return meta{}, nil, fmt.Errorf("%w: its bytes", errCorrupt)
	}
	if n, _ := f.Read(make([]byte, 1)); n != 0 {
		return meta{}, nil, fmt.Errorf("%w: it is long", errCorrupt)
	}
	return m, data, nil
}

// scan puts files into the index that it does not know: what an earlier process
// has left, or another one has written. What is no block is removed.
func (d *disk) scan(ctx context.Context) {
	dirs, err := os.ReadDir(d.dir)
	if err != nil {
		d.fail("looking for blocks", err)
		return
	}
	for _, sub := range dirs {
		files, err := os.ReadDir(filepath.Join(d.dir, sub.Name()))
		if err != nil || !sub.IsDir() {
			continue // what is not the cache's own is not touched at this level
		}
		for _, file := range files {
			if ctx.Err() != nil {
				return
			}
			d.adopt(filepath.Join(sub.Name(), file.Name()))
		}
	}
	d.makeRoom(0)
}

func (d *disk) adopt(name string) {
	base := filepath.Base(name)
	info, err := os.Lstat(filepath.Join(d.dir, name))
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	if !strings.HasSuffix(base, diskSuffix) {
		if strings.HasPrefix(base, "tmp-") && time.Since(info.ModTime()) > time.Hour { // of a process that has died
			d.remove(name)
		}
		return
	}
	if d.knows(name) {
		return
	}
	m, err := d.peek(name)
	switch {
	case errors.Is(err, errCorrupt):
		d.errors.Add(1)
		d.remove(name)
	case err != nil:
	case d.name(hashKey(m.Key), m.ETag, m.N) != name:
		d.remove(name)
	default:
		if etag, ok := d.current(m.Key); ok && etag != m.ETag {
			d.remove(name)
			return
		}
		d.add(&diskObject{key: m.Key, scope: m.Scope, path: m.Path, etag: m.ETag, received: m.Received}, m.N, info.Size())
	}
}

// knows reports whether a file is in the index, by its name.
func (d *disk) knows(name string) bool {
	parts := strings.Split(strings.TrimSuffix(filepath.Base(name), diskSuffix), "-")
	if len(parts) != 3 {
		return false
	}
	hash, err := hex.DecodeString(parts[0])
	n, errN := strconv.ParseInt(parts[2], 16, 64)
	if err != nil || errN != nil || len(hash) != len(keyHash{}) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.objects[keyHash(hash)]
	return o != nil && o.blocks[n] != nil && d.name(keyHash(hash), o.etag, n) == name
}

// peek reads the description of a file.
func (d *disk) peek(name string) (meta, error) {
	f, err := os.Open(filepath.Join(d.dir, name))
	if err != nil {
		return meta{}, err
	}
	defer f.Close()
	return readMeta(f, d.block)
}

// head is what the description says of the response.
func (m meta) head() *head {
	hd := &head{
		fields: pick(m.Fields), received: m.Received, immutable: m.Immutable,
		policy: policy{shared: true, ttl: clamp(m.TTL), age: clamp(m.Age), staleIfError: clamp(m.StaleIfError), staleWhileRev: clamp(m.StaleWhile)},
	}
	if m.Received.After(time.Now()) { // the clock was set back: nobody knows how old it is
		hd.age, hd.ttl = longest, 0
	}
	hd.modified = lastModified(hd.fields)
	return hd
}
