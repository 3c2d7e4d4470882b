package cmcd

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
)

var sampleQuery = "token=abc&CMCD=bl%3D(21300%3Bv%2018000%3Ba)%2Cbr%3D(3200)%2Cbs%2Ccid%3D%22faec5fc2-ac30-11ea-bb37-0242ac130002%22%2Cd%3D4004%2Cdl%3D18500%2Cmtp%3D(48100)%2Cot%3Dv%2Crtp%3D12000%2Csf%3Dh%2Csid%3D%226e2fb550-c457-11e9-bb97-0800200c9a66%22%2Cst%3Dv%2Csta%3Dp%2Csu%2Ctb%3D(6000)%2Cv%3D2"

func BenchmarkParseQuery(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := ParseQuery(sampleQuery); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkParseHeader(b *testing.B) {
	h := http.Header{
		"Cmcd-Request": {"bl=21300,dl=18500,mtp=48100,su"}, "Cmcd-Object": {"br=3200,d=4004,ot=v,tb=6000"},
		"Cmcd-Status": {"bs,rtp=12000"}, "Cmcd-Session": {`cid="faec5fc2-ac30",sf=d,sid="6e2fb550-c457-11e9-bb97-0800200c9a66",st=v`},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := ParseHeader(h); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkStrictLibrary is what the library that the tests compare with takes for a header.
func BenchmarkStrictLibrary(b *testing.B) {
	fields := []string{"bl=21300,dl=18500,mtp=48100,su", "br=3200,d=4004,ot=v,tb=6000", "bs,rtp=12000", `cid="faec5fc2-ac30",sf=d,sid="6e2fb550-c457-11e9-bb97-0800200c9a66",st=v`}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := httpsfv.UnmarshalDictionary(fields); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStrip(b *testing.B) {
	for name, query := range map[string]string{"with": sampleQuery, "without": "token=abc&x=y&z=%20"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Strip(query)
			}
		})
	}
}

func BenchmarkObserve(b *testing.B) {
	report, _, err := ParseQuery(sampleQuery)
	if err != nil {
		b.Fatal(err)
	}
	sessions := make([]string, 50_000)
	for i := range sessions {
		sessions[i] = fmt.Sprintf("6e2fb550-c457-11e9-bb97-%012d", i)
	}
	scope := Scope{Name: "media", Color: "blue"}
	now := time.Now()
	b.Run("one core", func(b *testing.B) {
		m := New(Options{})
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			report.Session = sessions[i%len(sessions)]
			m.Observe(scope, report, now)
			i++
		}
	})
	b.Run("all cores", func(b *testing.B) {
		m := New(Options{})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			r := report
			for i := 0; pb.Next(); i++ {
				r.Session = sessions[i%len(sessions)]
				m.Observe(scope, r, now)
			}
		})
	})
}

func BenchmarkSnapshot(b *testing.B) {
	m := New(Options{})
	now := time.Now()
	for i := range 100_000 {
		m.Observe(Scope{Name: "media"}, Report{Session: fmt.Sprint(i)}, now)
	}
	for b.Loop() {
		m.Snapshot(now)
	}
}
