package switcher_test

import (
	"math"
	"net/netip"
	"strconv"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Clients keep their color over an upgrade of the edge only as long as these
// values stay: they must never change between versions.
func TestBucketsNeverChange(t *testing.T) {
	for _, c := range []struct {
		service, key string
		bucket       uint16
	}{
		{"app", "", 5007},
		{"app", "client", 7381},
		{"app", "10.0.0.1", 1907},
		{"app", "10.0.0.2", 3608},
		{"shop", "10.0.0.1", 4599},
		{"", "x", 7005},
		{"app", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", 2155},
		{"größe", "ключ", 4160},
	} {
		if got := switcher.Bucket(c.service, c.key); got != c.bucket {
			t.Errorf("Bucket(%q, %q) is %d, was %d", c.service, c.key, got, c.bucket)
		}
	}
}

func TestServiceAndKeyDoNotRunTogether(t *testing.T) {
	if switcher.HashKey("ab", "c") == switcher.HashKey("a", "bc") || switcher.HashKey("a", "b") == switcher.HashKey("b", "a") {
		t.Error("two different clients have one hash")
	}
}

func TestAClientMovesOnceAndNeverBack(t *testing.T) {
	for bucket := range uint16(switcher.Buckets) {
		for _, c := range switcher.Colors {
			moved := false
			for weight := range uint8(101) {
				now := switcher.Weighted(c, weight).Pick(bucket) == c
				if moved && !now {
					t.Fatalf("bucket %d left %s again at %d%%", bucket, c, weight)
				}
				moved = now
			}
			if !moved {
				t.Fatalf("bucket %d is not on %s at 100%%", bucket, c)
			}
			if switcher.Weighted(c, 0).Pick(bucket) == c {
				t.Fatalf("bucket %d is on %s at 0%%", bucket, c)
			}
		}
	}
}

func TestEachWeightTakesExactlyItsShareOfTheBuckets(t *testing.T) {
	for weight := range uint8(101) {
		n := 0
		for bucket := range uint16(switcher.Buckets) {
			if switcher.Weighted(green, weight).Pick(bucket) == green {
				n++
			}
		}
		if n != int(weight)*switcher.Buckets/100 {
			t.Errorf("green at %d%% has %d buckets", weight, n)
		}
	}
}

func TestClientsAreSpreadEvenly(t *testing.T) {
	const clients, parts = 1_000_000, 100
	keys := map[string]func(int) string{
		"numbers":   strconv.Itoa,
		"addresses": func(i int) string { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String() },
	}
	for name, key := range keys {
		var count [parts]int
		for i := range clients {
			count[int(switcher.Bucket("app", key(i)))*parts/switcher.Buckets]++
		}
		share := 0
		for weight, n := range count {
			share += n
			if got, want := float64(share)/clients, float64(weight+1)/parts; math.Abs(got-want) > 0.01 {
				t.Errorf("%s: a weight of %d%% takes %.2f%%", name, weight+1, got*100)
			}
			if math.Abs(float64(n)-clients/parts) > 0.1*clients/parts {
				t.Errorf("%s: percent %d has %d clients", name, weight, n)
			}
		}
	}
}

func TestRandomBucketsAreInRange(t *testing.T) {
	low, high := uint16(switcher.Buckets), uint16(0)
	for range 200_000 {
		b := switcher.RandomBucket()
		low, high = min(low, b), max(high, b)
	}
	if low > 10 || high >= switcher.Buckets || high < switcher.Buckets-10 {
		t.Errorf("200,000 random buckets lie in %d to %d", low, high)
	}
}

func TestASplitAddsToAHundred(t *testing.T) {
	for _, s := range []switcher.Split{{}, {Blue: 50, Green: 51}, {Blue: 200, Green: 156}, {Blue: 99}} {
		if s.Validate() == nil {
			t.Errorf("%s is called valid", s)
		}
	}
	for _, c := range switcher.Colors {
		for weight := range uint8(101) {
			s := switcher.Weighted(c, weight)
			if s.Validate() != nil || s.Weight(c) != weight || s.Weight(c.Other()) != 100-weight {
				t.Errorf("%s at %d: %s", c, weight, s)
			}
		}
		if switcher.Weighted(c, 250) != switcher.All(c) {
			t.Error("more than all")
		}
	}
}
