package spool

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

const plenty = 1 << 30

func limits(t *testing.T, memory, disk int64) Limits {
	return Limits{Memory: memory, Disk: disk, AllMemory: plenty, AllDisk: plenty, Dir: filepath.Join(t.TempDir(), "spool")}
}

func noise(n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(b)
	return b
}

// writeAll writes in pieces of random sizes, and returns how much was kept.
func writeAll(s *Spool, b []byte) (kept int, err error) {
	for len(b) > 0 {
		n := min(len(b), 1+rand.IntN(50_000))
		if err := s.Write(b[:n]); err != nil {
			return kept, err
		}
		kept, b = kept+n, b[n:]
	}
	return kept, nil
}

func readFrom(t *testing.T, s *Spool, off int64) []byte {
	t.Helper()
	var all []byte
	buf := make([]byte, 10_000)
	for {
		n, err := s.ReadAt(buf[:1+rand.IntN(len(buf))], off)
		all, off = append(all, buf[:n]...), off+int64(n)
		if err == io.EOF && n == 0 {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func held(t *testing.T, r *Room, wantMemory, wantDisk int64) {
	t.Helper()
	if m, d := r.Held(); m != wantMemory || d != wantDisk {
		t.Errorf("held: %d in memory, %d on disk; want %d and %d", m, d, wantMemory, wantDisk)
	}
}

func TestWhatWasWrittenIsReadBackFromMemoryAndDisk(t *testing.T) {
	content := noise(300_000)
	for _, memory := range []int64{0, 1, 4096, 65536, 100_001, 300_000} {
		var room Room
		s := New(&room, limits(t, memory, 300_000-memory), -1)
		if _, err := writeAll(s, content); err != nil {
			t.Fatal(err)
		}
		for _, off := range []int64{0, 1, memory, 299_999, 300_000} {
			if !bytes.Equal(readFrom(t, s, off), content[off:]) {
				t.Errorf("%d in memory: other bytes from %d on", memory, off)
			}
		}
		if _, d := room.Held(); d != 300_000-memory {
			t.Errorf("%d on disk", d)
		}
		s.Free()
		s.Free()
		held(t, &room, 0, 0)
		if err := s.Write(content); err == nil {
			t.Error("a spool that is freed takes more")
		}
	}
}

func TestASmallBodyTakesASmallBlock(t *testing.T) {
	var room Room
	for size, want := range map[int64]int64{1: smallBlock, smallBlock: smallBlock, smallBlock + 1: largeBlock} {
		s := New(&room, limits(t, 65536, 0), size)
		if err := s.Write(noise(int(size))); err != nil {
			t.Fatal(err)
		}
		held(t, &room, want, 0)
		s.Free()
	}
}

func TestABoundIsNeverPassedAndSaysWhichItWas(t *testing.T) {
	for name, c := range map[string]struct {
		limits func(*Limits)
		size   int
		want   error
	}{
		"exactly":                         {func(*Limits) {}, 165_536, nil},
		"one byte too many":               {func(*Limits) {}, 165_537, ErrTooLarge},
		"no disk":                         {func(l *Limits) { l.Disk = 0 }, 65_537, ErrTooLarge},
		"all memory held, no disk":        {func(l *Limits) { l.AllMemory, l.Disk = largeBlock, 0 }, 65_536, ErrFull},
		"all memory held, the disk helps": {func(l *Limits) { l.AllMemory = largeBlock }, 100_000, nil},
		"all memory held, and the disk":   {func(l *Limits) { l.AllMemory = 0 }, 165_536, ErrFull},
		"all of the disk held":            {func(l *Limits) { l.AllDisk = 10 }, 100_000, ErrFull},
		"the directory cannot be made":    {func(l *Limits) { l.Dir = "/dev/null/x" }, 100_000, ErrDisk},
	} {
		var room Room
		l := limits(t, 65_536, 100_000)
		c.limits(&l)
		s := New(&room, l, -1)
		content := noise(c.size)
		kept, err := writeAll(s, content)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if got := readFrom(t, s, 0); !bytes.HasPrefix(content, got) || len(got) < kept {
			t.Errorf("%s: what was kept is not what came", name)
		}
		if m, d := room.Held(); m > l.AllMemory || d > l.AllDisk {
			t.Errorf("%s: %d in memory and %d on disk are held", name, m, d)
		}
		s.Free()
		held(t, &room, 0, 0)
	}
}

func TestAFullDiskIsAnErrorAndHoldsNothing(t *testing.T) {
	var room Room
	s := New(&room, limits(t, 65_536, plenty), -1)
	s.open = func(string) (*os.File, error) { return os.OpenFile("/dev/full", os.O_RDWR, 0) }
	content := noise(65_536)
	if err := s.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(content); !errors.Is(err, ErrDisk) || !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	held(t, &room, 65_536, 0)
	if !bytes.Equal(readFrom(t, s, 0), content) {
		t.Error("what was in memory is not")
	}
	s.Free()
	held(t, &room, 0, 0)
}

func TestAFileIsPrivateAndHasNoName(t *testing.T) {
	var room Room
	l := limits(t, 0, plenty)
	s := New(&room, l, -1)
	defer s.Free()
	if err := s.Write(noise(1000)); err != nil {
		t.Fatal(err)
	}
	if names, err := os.ReadDir(l.Dir); err != nil || len(names) != 0 {
		t.Errorf("%v %v", names, err)
	}
	dir, _ := os.Stat(l.Dir)
	file, err := s.file.Stat()
	if err != nil || dir.Mode().Perm() != 0o700 || file.Mode().Perm() != 0o600 {
		t.Errorf("directory %v, file %v: %v", dir.Mode(), file.Mode(), err)
	}
}

func TestManySpoolsShareOneRoom(t *testing.T) {
	var room Room
	l := limits(t, 65_536, 0)
	l.AllMemory = 10 * 65_536
	content := noise(65_536)
	var spools []*Spool
	full := 0
	for range 20 {
		s := New(&room, l, -1)
		if err := s.Write(content); errors.Is(err, ErrFull) {
			full++
			s.Free()
			continue
		}
		spools = append(spools, s)
	}
	if full != 10 || len(spools) != 10 {
		t.Errorf("%d were refused", full)
	}
	for _, s := range slices.Backward(spools) {
		s.Free()
	}
	held(t, &room, 0, 0)
}
