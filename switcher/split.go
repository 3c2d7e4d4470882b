package switcher

import "fmt"

// Buckets is the number of equal shares that clients are hashed into: one
// hundredth of a percent of the weight each.
const Buckets = 10000

// Split says how much of the traffic each color takes, in percent. The two
// weights add to 100. The zero value is no split and serves nobody.
type Split struct {
	Blue  uint8 `json:"blue"`
	Green uint8 `json:"green"`
}

// All gives everything to c.
func All(c Color) Split { return Weighted(c, 100) }

// Weighted gives percent (0–100) to c and the rest to the other color.
func Weighted(c Color, percent uint8) Split {
	percent = min(percent, 100)
	if c == Green {
		return Split{Blue: 100 - percent, Green: percent}
	}
	return Split{Blue: percent, Green: 100 - percent}
}

// Weight returns the percentage of c.
func (s Split) Weight(c Color) uint8 {
	if c == Green {
		return s.Green
	}
	return s.Blue
}

// Pick returns the color that serves bucket, a number in [0, Buckets). Green
// owns the low end and blue the high end, so that as a weight grows each
// client moves at most once, and never back.
func (s Split) Pick(bucket uint16) Color {
	if int(bucket) < int(s.Green)*(Buckets/100) {
		return Green
	}
	return Blue
}

// Validate reports a split whose weights do not add to 100.
func (s Split) Validate() error {
	if int(s.Blue)+int(s.Green) != 100 {
		return fmt.Errorf("split blue %d, green %d: the weights must add to 100", s.Blue, s.Green)
	}
	return nil
}

func (s Split) String() string { return fmt.Sprintf("blue %d%%, green %d%%", s.Blue, s.Green) }

// Bucket maps a client's stable key to its bucket in [0, Buckets). It depends
// on nothing but the service's name and the key, so that every edge, and every
// restart of one, puts a client into the same bucket. FNV-1a 64 with the
// finalizer of MurmurHash3, since FNV alone leaves the high bits of short keys
// poorly mixed.
func Bucket(service, key string) uint16 { return bucketOf(HashKey(service, key)) }

// HashKey is the 64-bit hash that Bucket and the Hash balance go by.
func HashKey(service, key string) uint64 {
	h := fnv(fnvOffset, service)
	h = (h ^ 0xff) * fnvPrime // no byte of UTF-8: "ab"+"c" differs from "a"+"bc"
	return mix(fnv(h, key))
}

const fnvOffset, fnvPrime = 14695981039346656037, 1099511628211

func fnv(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// bucketOf scales 64 random bits to a bucket without a division.
func bucketOf(h uint64) uint16 { return uint16((h >> 32) * Buckets >> 32) }
