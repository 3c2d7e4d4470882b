package consul

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

// BenchmarkAThousandServicesWatched prints what it costs to watch 1,000 services
// for b.N seconds in calm, and how long a change to one of them takes.
func BenchmarkAThousandServicesWatched(b *testing.B) {
	const services = 1000
	server := consultest.Shared(b)
	proxy := consultest.NewProxy(b, server.Address)
	client, err := NewClient(Config{Address: proxy.Address}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	before := runtime.NumGoroutine()
	var names []string
	var sinks []*switchertest.Sink
	for range services {
		service := uniqueName()
		server.Apply(b, instances(service, switcher.Blue, 1), nil)
		sink, stop := runSource(b, NewSource(client, SourceConfig{Query: Query{Service: service}}))
		defer stop()
		names, sinks = append(names, service), append(sinks, sink)
	}
	for _, sink := range sinks {
		waitRecovery(b, sink, 1, 0)
	}
	b.ResetTimer()
	began := cpu()
	for range b.N {
		time.Sleep(time.Second)
	}
	b.ReportMetric(float64((cpu()-began).Milliseconds())/float64(b.N), "cpu-ms/s")
	b.ReportMetric(float64(proxy.Open()), "connections")
	b.ReportMetric(float64(runtime.NumGoroutine()-before-3*proxy.Open()), "goroutines")
	changed := time.Now()
	server.Apply(b, instances(names[services/2], switcher.Green, 1), nil)
	waitRecovery(b, sinks[services/2], 1, 1)
	b.ReportMetric(float64(time.Since(changed).Milliseconds()), "ms/change")
}

// cpu returns the time that this process has used; the proxy's is in it.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
