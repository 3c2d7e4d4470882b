package main

import "fmt"

// workload is one kind of load.
type workload struct {
	name, what string
	// count objects of so many bytes. With a span, there is a single object, of
	// which each connection reads a stretch: count ranges of so many bytes, one
	// after the other.
	count int
	size  int64
	span  int64 // 0: objects whole
	ext   string
	hot   bool // all of it has been asked for before
	small bool // counts by requests; all others by bytes
	// together is how many clients ask for the same at the same time.
	together int
}

// scale is how large everything is.
type scale struct {
	connections int
	unit        int64 // what stands for 1 MiB
	few         int   // divides how many objects and ranges there are
}

// workloads are all that is measured.
func workloads(s scale) []workload {
	n := func(count int) int { return max(count/s.few, 1) }
	object := 1024 * s.unit
	return []workload{
		{name: "hot-1m", what: "segments of 1 MiB, hot", count: n(200), size: s.unit, ext: "ts", hot: true, together: 1},
		{name: "hot-8m", what: "segments of 8 MiB, hot", count: n(25), size: 8 * s.unit, ext: "ts", hot: true, together: 1},
		{name: "cold-8m", what: "segments of 8 MiB, cold, 8 clients each", count: n(16), size: 8 * s.unit, ext: "ts", together: min(8, s.connections)},
		{name: "ranges-cold", what: "ranges of 1 MiB of one object of 1 GiB, cold", count: n(16), size: object, span: s.unit, ext: "mp4", together: 1},
		{name: "ranges-hot", what: "the same ranges, hot", count: n(16), size: object, span: s.unit, ext: "mp4", hot: true, together: 1},
		{name: "playlists", what: "playlists of 2 KiB, hot", count: n(200), size: 2 << 10, ext: "m3u8", hot: true, together: 1, small: true},
	}
}

// groups are what each group of connections asks for.
func (w workload) groups(connections int) [][]request {
	groups := make([][]request, max(connections/w.together, 1))
	for i := range groups {
		switch {
		case w.span > 0:
			groups[i] = w.stretch(i, len(groups))
		case w.hot: // all of them, each from another one on
			for n := range w.count {
				groups[i] = append(groups[i], w.object((n+i*w.count/len(groups))%w.count))
			}
		default: // each by one group
			for n := i; n < w.count; n += len(groups) {
				groups[i] = append(groups[i], w.object(n))
			}
		}
	}
	return groups
}

func (w workload) object(n int) request {
	return request{Path: fmt.Sprintf("/%s/%d/%d.%s", w.name, n, w.size, w.ext), Length: w.size}
}

// stretch is what one of some viewers of a single object reads: range after
// range, which begin where no block of a cache does.
func (w workload) stretch(viewer, viewers int) (requests []request) {
	first := int64(viewer)*(w.size/int64(viewers)) + w.span/3
	for range min(w.count, int((w.size/int64(viewers)-w.span)/w.span)) {
		r := w.object(0)
		r.First, r.Length, r.Ranged = first, w.span, true
		requests = append(requests, r)
		first += w.span
	}
	return requests
}

// once is each object or range once: what a cache has to have seen to be hot.
func (w workload) once(connections int) [][]request {
	if w.span > 0 {
		return w.groups(connections)
	}
	w.hot = false
	return w.groups(connections)
}
