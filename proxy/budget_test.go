package proxy

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// spendAll returns how many retries a budget allows now.
func spendAll(b *budget, perSecond int) (n int) {
	for b.spend(perSecond, time.Now()) {
		n++
	}
	return n
}

func TestABudgetBeginsFullAndRefillsWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(budget)
		equal(t, "at first", spendAll(b, 10), 100)
		time.Sleep(time.Second)
		equal(t, "after a second", spendAll(b, 10), 10)
		time.Sleep(50 * time.Millisecond)
		equal(t, "after half a retry's time", spendAll(b, 10), 0)
		time.Sleep(50 * time.Millisecond)
		equal(t, "after the other half", spendAll(b, 10), 1)
		time.Sleep(time.Hour)
		equal(t, "after an hour", spendAll(b, 10), 100)
		equal(t, "at once again", spendAll(b, 10), 0)
	})
}

func TestABudgetIsEarnedByRequests(t *testing.T) {
	b := new(budget)
	equal(t, "with nothing earned", spendAll(b, 0), 0)
	for range 4 {
		b.earn(20)
	}
	equal(t, "after four requests at 20 percent", spendAll(b, 0), 0)
	b.earn(20)
	equal(t, "after five", spendAll(b, 0), 1)
	for range 1000 {
		b.earn(20)
	}
	equal(t, "after a thousand more", spendAll(b, 0), 200)
	for range 100_000 {
		b.earn(100)
	}
	equal(t, "after very many", spendAll(b, 0), 1000)
	for range 100 {
		b.earn(0)
	}
	equal(t, "at no percent", spendAll(b, 0), 0)
}

func TestABudgetSpentByManyIsSpentOnce(t *testing.T) {
	b := new(budget)
	var group sync.WaitGroup
	var spent atomic.Int64
	for range 8 {
		group.Go(func() {
			for range 500 {
				b.earn(10)
				if b.spend(0, time.Now()) {
					spent.Add(1)
				}
			}
		})
	}
	group.Wait()
	spent.Add(int64(spendAll(b, 0)))
	equal(t, "retries of 4000 requests at 10 percent", spent.Load(), 400)
}
