package e2e

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// From the moment at which "consul kv put" sends a key until a client has the
// first answer of the other color, through a real Consul and a real edge. The
// triggers come one in two seconds: an edge asks Consul at most five times a
// second, so that triggers that follow each other faster wait for that.
func BenchmarkAKeyInConsulUntilTheFirstAnswerFromTheOtherColor(b *testing.B) {
	f := newFleet(b, 1)
	e := f.edges[0]
	f.start(e)
	f.agrees(switcher.Blue, e)
	client := &http.Client{}
	var took []time.Duration
	pace := time.NewTicker(2 * time.Second)
	defer pace.Stop()
	to := switcher.Green
	for b.Loop() {
		b.StopTimer()
		<-pace.C
		b.StartTimer()
		began := time.Now()
		f.put(to.String())
		for answerOf(b, client, "http://"+e.http+"/") != to.String() {
		}
		took = append(took, time.Since(began))
		to = to.Other()
	}
	slices.Sort(took)
	at := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
}

func answerOf(t testing.TB, client *http.Client, url string) string {
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
