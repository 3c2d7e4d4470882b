package queue_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/greenroom-proxy/greenroom/examples/platform/internal/fixture"
	"github.com/greenroom-proxy/greenroom/examples/platform/queue"
)

func TestMain(m *testing.M) { fixture.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, db *pgxpool.Pool, subject string) {
	t.Helper()
	must(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		return queue.Add(t.Context(), tx, subject, queue.Input{Key: "uploads/" + subject})
	}))
}

func TestEachJobIsDoneByOneOfManyWorkersAndToldOnce(t *testing.T) {
	const jobs = 60
	db := fixture.Pool(t, fixture.Database(t, 1))
	for i := range jobs {
		add(t, db, fmt.Sprint(i))
		add(t, db, fmt.Sprint(i)) // a subject has one job
	}
	q := queue.Queue{DB: db, Lease: time.Minute}
	var mu sync.Mutex
	taken, told := map[string]int{}, map[string]int{}
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for {
				j, err := q.Take(t.Context(), fmt.Sprint(w))
				if err != nil {
					t.Error(err)
				}
				if err != nil || j == nil {
					return
				}
				mu.Lock()
				taken[j.Subject]++
				mu.Unlock()
				if err := q.Finish(t.Context(), j, queue.Output{Path: j.Input.Key, DurationMS: 1}); err != nil {
					t.Error(err)
				}
			}
		})
		workers.Go(func() {
			for {
				mu.Lock()
				whole := len(told) == jobs
				mu.Unlock()
				if whole {
					return
				}
				_, err := queue.Tell(t.Context(), db, func(_ pgx.Tx, r queue.Result) error {
					mu.Lock()
					defer mu.Unlock()
					told[r.Subject]++
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
	for i := range jobs {
		if s := fmt.Sprint(i); taken[s] != 1 || told[s] != 1 {
			t.Errorf("job %s: taken %d times, told %d times", s, taken[s], told[s])
		}
	}
}

func TestAWorkerThatHasLostItsLeaseIsNotBelieved(t *testing.T) {
	db := fixture.Pool(t, fixture.Database(t, 1))
	add(t, db, "a")
	q := queue.Queue{DB: db, Lease: time.Minute}
	frozen, err := q.Take(t.Context(), "frozen")
	must(t, err)
	if other, err := q.Take(t.Context(), "eager"); other != nil || err != nil {
		t.Fatalf("a job with a lease was taken: %v, %v", other, err)
	}
	must(t, q.Extend(t.Context(), frozen))
	_, err = db.Exec(t.Context(), "UPDATE jobs SET lease_until = now() - interval '1 second'")
	must(t, err)
	second, err := q.Take(t.Context(), "second")
	must(t, err)
	for _, err := range []error{
		q.Extend(t.Context(), frozen),
		q.Finish(t.Context(), frozen, queue.Output{Path: "wrong"}),
		q.Fail(t.Context(), frozen, errors.New("wrong")),
	} {
		if !errors.Is(err, queue.ErrLost) {
			t.Errorf("got %v", err)
		}
	}
	must(t, q.Finish(t.Context(), second, queue.Output{Path: "right"}))
	_, err = queue.Tell(t.Context(), db, func(_ pgx.Tx, r queue.Result) error {
		if r.Output == nil || r.Output.Path != "right" {
			t.Errorf("got %+v", r)
		}
		return nil
	})
	must(t, err)
}

func TestAJobThatFailsAgainAndAgainIsGivenUpAndTold(t *testing.T) {
	for _, how := range []string{"its workers fail", "its workers die"} {
		t.Run(how, func(t *testing.T) {
			db := fixture.Pool(t, fixture.Database(t, 1))
			add(t, db, "a")
			q := queue.Queue{DB: db, Lease: time.Minute}
			for i := range queue.MaxAttempts {
				j, err := q.Take(t.Context(), "w")
				if err != nil || j == nil || j.Attempt != i+1 {
					t.Fatalf("attempt %d: %+v, %v", i+1, j, err)
				}
				if how == "its workers fail" {
					must(t, q.Fail(t.Context(), j, errors.New("no video in it")))
				}
				if later, err := q.Take(t.Context(), "w"); later != nil || err != nil {
					t.Fatalf("it was tried again at once: %v, %v", later, err)
				}
				_, err = db.Exec(t.Context(), "UPDATE jobs SET not_before = now(), lease_until = now() - interval '1 second'")
				must(t, err)
			}
			if j, err := q.Take(t.Context(), "w"); j != nil || err != nil {
				t.Fatalf("one attempt too many: %v, %v", j, err)
			}
			found, err := queue.Tell(t.Context(), db, func(_ pgx.Tx, r queue.Result) error {
				if r.Output != nil || r.Error == "" {
					t.Errorf("got %+v", r)
				}
				return nil
			})
			if !found || err != nil {
				t.Errorf("nobody was told: %v", err)
			}
		})
	}
}
