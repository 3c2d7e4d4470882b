package cmcd

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func known(n uint32) Number { return Number{N: n, Known: true} }

const uuid = "6e2fb550-c457-11e9-bb97-0800200c9a66"

// samples are dictionaries as players send them, and what is read of them.
var samples = []struct {
	name, dictionary string
	want             Report
}{
	{
		"all of version 1, as dash.js sends it",
		`bl=21300,br=3200,bs,cid="faec5fc2-ac30-11ea-bb37-0242ac130002",d=4004,dl=18500,mtp=48100,nor="..%2F300kbps%2Ftrack.m4v",nrr="12323-48763",ot=v,pr=1.08,rtp=12000,sf=d,sid="` + uuid + `",st=v,su,tb=6000`,
		Report{
			Version: 1, Session: uuid, Starved: true, Startup: true, Buffer: known(21300), Bitrate: known(3200), Throughput: known(48100),
			Enough: known(12000), Duration: known(4004), Deadline: known(18500), Object: "v", Format: "d", Stream: "v",
		},
	},
	{
		"hls.js, version 1, a first segment",
		`br=1280,d=6000,mtp=10000,ot=v,sf=h,sid="` + uuid + `",st=l,su,tb=5200`,
		Report{
			Version: 1, Session: uuid, Startup: true, Bitrate: known(1280), Throughput: known(10000), Duration: known(6000),
			Object: "v", Format: "h", Stream: "l",
		},
	},
	{
		"hls.js, version 1, a playlist",
		`ot=m,sf=h,sid="` + uuid + `",su`,
		Report{Version: 1, Session: uuid, Startup: true, Object: "m", Format: "h"},
	},
	{
		"Shaka, version 1, low latency",
		`bl=2400,br=5000,cid="",d=2000,dl=2400,mtp=22100,ot=av,sf=h,sid="` + uuid + `",st=ll`,
		Report{
			Version: 1, Session: uuid, Buffer: known(2400), Bitrate: known(5000), Throughput: known(22100), Duration: known(2000),
			Deadline: known(2400), Object: "av", Format: "h", Stream: "ll",
		},
	},
	{
		"version 2 of a request",
		`bl=(21300),br=(3200),bs,bsa=(1),bsd=(420),cid="x",d=4004,dl=18500,lb=(400),ltc=3100,mtp=(48100),nor=("../seg 2.m4v";r="0-99"),ot=v,pt=45000,rtp=12000,sf=h,sid="` + uuid + `",sn=4,st=l,sta=p,tb=(6000),tbl=(30000),v=2`,
		Report{
			Version: 2, Session: uuid, Starved: true, Buffer: known(21300), Bitrate: known(3200), Throughput: known(48100), Enough: known(12000),
			Duration: known(4004), Deadline: known(18500), Object: "v", Format: "h", Stream: "l", State: "p",
		},
	},
	{
		"version 2 with a number for each type of object",
		`bl=(9000;v 1200;a),br=(128;a 4500;v),mtp=(9000;a 12000;v),v=2`,
		Report{Version: 2, Buffer: known(1200), Bitrate: known(4500), Throughput: known(12000)},
	},
	{
		"an event: the state is now rebuffering",
		`bl=(0),e=ps,sid="` + uuid + `",sn=12,sta=r,ts=1763717340000,v=2`,
		Report{Version: 2, Session: uuid, Buffer: known(0), State: "r", Event: "ps"},
	},
	{
		"an event: an error with two codes",
		`e=e,ec=("ERR001" "a,b;c)"),sid="` + uuid + `",sta=f,ts=1763717340000,v=2`,
		Report{Version: 2, Session: uuid, Error: true, State: "f", Event: "e"},
	},
	{
		"an event: a response has come",
		`e=rr,mtp=(48100),rc=200,sid="` + uuid + `",ts=1763717340000,ttfb=41,ttlb=310,url="https://media.example.com/a.m4s?x=(1,2",v=2`,
		Report{Version: 2, Session: uuid, Throughput: known(48100), Event: "rr"},
	},
	{
		"keys of one's own",
		`com.example-hello="wor,ld",com.example-n=1,com.example-q="\"bs\",",com.example-flag,bl=700`,
		Report{Version: 1, Buffer: known(700)},
	},
}

func TestWhatPlayersSendIsReadFromTheQuery(t *testing.T) {
	for _, s := range samples {
		// URLSearchParams writes a space as +, encodeURIComponent as %20.
		for _, encoded := range []string{url.QueryEscape(s.dictionary), strings.ReplaceAll(url.QueryEscape(s.dictionary), "+", "%20")} {
			for _, query := range []string{"CMCD=" + encoded, "a=b&CMCD=" + encoded + "&c=d", "%43MC%44=" + encoded, "cmcd=bs&CMCDx=bs&CMCD=" + encoded + "&CMCD=bs"} {
				got, ok, err := ParseRequest(httptest.NewRequest("GET", "/a.m4s?"+query, nil))
				if got != s.want || !ok || err != nil {
					t.Errorf("%s, ?%s:\n got %+v, %v, %v\nwant %+v", s.name, query, got, ok, err, s.want)
				}
			}
		}
	}
}

func TestWhatPlayersSendIsReadFromTheFields(t *testing.T) {
	for _, s := range samples {
		r := httptest.NewRequest("GET", "/a.m4s?CMCD=&x=y", nil)
		rest, i := s.dictionary, 0
		for rest != "" { // one member to each field in turn, with and without a space
			end := memberEnd(rest)
			r.Header.Add(Fields()[i%4], strings.Repeat(" ", i%2)+rest[:end])
			rest, i = rest[min(end+1, len(rest)):], i+1
		}
		if got, ok, err := ParseRequest(r); got != s.want || !ok || err != nil {
			t.Errorf("%s: %v:\n got %+v, %v, %v\nwant %+v", s.name, r.Header, got, ok, err, s.want)
		}
		StripHeader(r.Header)
		if len(r.Header) != 0 {
			t.Errorf("%s: left: %v", s.name, r.Header)
		}
	}
}

func TestTheFourFieldsAreOneReport(t *testing.T) {
	h := http.Header{}
	h.Set("CMCD-Request", "bl=21300, dl=18500,\tmtp=48100,su")
	h.Set("CMCD-Object", "br=3200,d=4004,ot=v,tb=6000")
	h.Set("CMCD-Status", "bs,rtp=12000")
	h.Set("CMCD-Session", `cid="faec",pr=1.08,sf=d,sid="`+uuid+`",st=v`)
	h.Set("Accept", "bl=1")
	want := samples[0].want
	if got, ok, err := ParseHeader(h); got != want || !ok || err != nil {
		t.Errorf("got %+v, %v, %v\nwant %+v", got, ok, err, want)
	}
}

func TestWhatHasOneMeaningIsTaken(t *testing.T) {
	for dictionary, want := range map[string]Report{
		"su,bs,bl=1":                     {Version: 1, Starved: true, Startup: true, Buffer: known(1)}, // not sorted
		"sid=" + uuid:                    {Version: 1, Session: uuid},                                  // no quotes, begins with a digit
		"sid=Zm9v+/==,bl=1":              {Version: 1, Session: "Zm9v+/==", Buffer: known(1)},
		`sid="a\"b\\c"`:                  {Version: 1, Session: `a"b\c`},
		`sid=" "`:                        {Version: 1, Session: " "},
		`sf="h",st="v",ot="av"`:          {Version: 1, Format: "h", Stream: "v", Object: "av"},
		"bs=?1,su=?0":                    {Version: 1, Starved: true},
		"bs=true,su=false":               {Version: 1, Starved: true},
		"bs;x=\",\";y,bl=1;z":            {Version: 1, Starved: true, Buffer: known(1)},
		"bl=2000.5,mtp=00700":            {Version: 1, Buffer: known(2000), Throughput: known(700)},
		"bl=(2000),v=1":                  {Version: 1, Buffer: known(2000)}, // as of version 2
		"bl=2000,v=2":                    {Version: 2, Buffer: known(2000)}, // as of version 1
		"bl=(2000; v 1000; a)":           {Version: 1, Buffer: known(1000)},
		"bl=( 2000   1000 );x":           {Version: 1, Buffer: known(1000)},
		`bl=(2000;x="1 )(" 3)`:           {Version: 1, Buffer: known(3)},
		"bl=(x 5 -1 99999999999)":        {Version: 1, Buffer: known(5)},
		"dl=1;parameters = are not read": {Version: 1, Deadline: known(1)},
		"ec=404":                         {Version: 1, Error: true},
		`ec="E"`:                         {Version: 1, Error: true},
		",, bl=1 , ,bs,":                 {Version: 1, Starved: true, Buffer: known(1)},
		"bl=1,bl=2":                      {Version: 1, Buffer: known(2)}, // the last counts
		"bs,bs=?0":                       {Version: 1},
	} {
		if got, err := Parse(dictionary); got != want || err != nil {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", dictionary, got, err, want)
		}
	}
}

func TestAMemberThatCannotBeReadIsLeftOutAndTheRestUsed(t *testing.T) {
	long := strings.Repeat("s", MaxSession+1)
	for _, member := range []string{
		"bl", "bl=", "bl=-1", "bl=+1", "bl=1e3", "bl=1e308", "bl=0x10", "bl=NaN", "bl=Infinity", "bl=1.", "bl=.5", "bl=1.2.3", "bl=1_000", "bl=1 2",
		"bl=86400001", "bl=99999999999999999999999999", `bl="1"`, "bl=?1", "bl=()", "bl=(", "bl=(1)2", "bl=((1))", "bl=1)", "bl =1", "bl= 1", "bl==1",
		"bl=１", "bl=1\x00", "bl=\xff", "bl=(a b)", "bl=:MQ==:", "bl=1\r\nbs", "bl=1\n", "bl=true",
		"br=10000001", "mtp=-5", "rtp=x", "d=(", "dl=1 ;x",
		"sid", `sid=""`, "sid=", `sid="` + long + `"`, "sid=" + long, `sid="a` + "\n" + `b"`, `sid="é"`, "sid=é", `sid="a\x"`, `sid="a\`, `sid="`, `sid=a b`,
		`sid="a"b`, `sid="a" ` + `"b"`, "sid=?1", "sid=:YQ==:", "sid=('a')", `sid=("a")`, "sid=\xff\xfe",
		"bs=1", "bs=yes", "bs=", `bs="?1"`, "bs=(?1)", "BS", "Bs=?1", "bs\x00", "\x00bs", "b s", "su=TRUE", "-bs", "1bs", "b\u0455",
		"sf=x", "sf=", "sf=hh", "sf=(h)", "st=vod", "st=V", "ot=vv", "ot", "sta=playing", "e=xyz", "e=", "ec", "ec=()", `ec=("")`, "ec=(",
		"v=0", "v=-1", "v=100", "v=x", "v", "v=1.x",
	} {
		want := Report{Version: 1, Startup: true, Throughput: known(7)}
		if strings.HasPrefix(member, "mtp") {
			want.Throughput = Number{}
		}
		if member == "su=TRUE" {
			want.Startup = false
		}
		if got, err := Parse("mtp=7,su," + member); got != want || err != nil {
			t.Errorf("%q:\n got %+v, %v\nwant %+v", member, got, err, want)
		}
	}
}

func TestAQuoteThatIsNeverClosedTakesNothingFromWhatStandsBefore(t *testing.T) {
	for _, dictionary := range []string{`bl=5,sid="x,bs,su`, `bl=5,ec=("a,bs`, `bl=5,cid="\",bs`, `bl=5,nor=("a" "b",bs`} {
		want := Report{Version: 1, Buffer: known(5)}
		if got, err := Parse(dictionary); got != want || err != nil {
			t.Errorf("%s: %+v, %v", dictionary, got, err)
		}
	}
}

func TestWhatIsBeyondTheBoundsIsRefusedWhole(t *testing.T) {
	for name, c := range map[string]struct {
		dictionary string
		want       error
	}{
		"2,049 bytes":            {"bs," + strings.Repeat(" ", MaxLength-2), ErrLength},
		"a megabyte":             {"bs," + strings.Repeat("x", 1<<20), ErrLength},
		"65 keys":                {strings.TrimSuffix(strings.Repeat("k,", MaxKeys+1), ","), ErrKeys},
		"10,000 keys":            {strings.Repeat("k,", 10_000), ErrLength},
		"1,000 keys":             {strings.Repeat("k,", 1_000), ErrKeys},
		"one key 65 times":       {strings.Repeat("bl=1,", MaxKeys+1), ErrKeys},
		"65 things that are not": {strings.Repeat("%,", MaxKeys+1), ErrKeys},
		"a key of 65 bytes":      {"bs," + strings.Repeat("k", MaxKey+1) + "=1", ErrKey},
		"no comma":               {strings.Repeat("k", MaxLength), ErrKey},
		"nothing readable":       {"\xff,=,=1,%00,BS,\r\n", ErrUnreadable},
		"commas":                 {strings.Repeat(",", MaxLength), ErrUnreadable},
		"quotes":                 {strings.Repeat(`"`, 20), ErrUnreadable},
		"JSON":                   {`{"bl":2000,"sid":"x"}`, ErrUnreadable},
	} {
		if got, err := Parse(c.dictionary); got != (Report{}) || err != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		_, ok, err := ParseQuery("CMCD=" + url.QueryEscape(c.dictionary))
		if ok || err != c.want {
			t.Errorf("%s in the query: %v, %v", name, ok, err)
		}
		_, ok, err = ParseHeader(http.Header{"Cmcd-Status": {c.dictionary}})
		if ok || err != c.want {
			t.Errorf("%s in a field: %v, %v", name, ok, err)
		}
	}
	for name, dictionary := range map[string]string{
		"2,048 bytes":       "bs," + strings.Repeat(" ", MaxLength-3),
		"64 keys":           "bs" + strings.Repeat(",k", MaxKeys-1),
		"a key of 64 bytes": "bs," + strings.Repeat("k", MaxKey) + "=1",
		"deep":              "bs,bl=" + strings.Repeat("(", 1000),
	} {
		want := Report{Version: 1, Starved: true}
		if got, err := Parse(dictionary); got != want || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestAValueThatIsTooLongInAnySpellingIsNotDecoded(t *testing.T) {
	long := strings.Repeat("%20", MaxLength)
	if _, ok, err := ParseQuery("CMCD=bs" + long[6:]); !ok || err != nil {
		t.Errorf("as long as may be: %v, %v", ok, err)
	}
	if _, ok, err := ParseQuery("CMCD=" + long + "%zz"); ok || err != ErrLength {
		t.Errorf("longer: %v, %v", ok, err)
	}
}

func TestTheBoundsHoldForTheFourFieldsTogether(t *testing.T) {
	part := "k" + strings.Repeat(" ", 600)
	h := http.Header{"Cmcd-Object": {part}, "Cmcd-Request": {part}, "Cmcd-Session": {part}}
	if _, ok, err := ParseHeader(h); !ok || err != nil {
		t.Errorf("three: %v, %v", ok, err)
	}
	h["Cmcd-Status"] = []string{part}
	if _, ok, err := ParseHeader(h); ok || err != ErrLength {
		t.Errorf("four: %v, %v", ok, err)
	}
	many := make([]string, MaxKeys+1)
	for i := range many {
		many[i] = "k"
	}
	if _, ok, err := ParseHeader(http.Header{"Cmcd-Status": many}); ok || err != ErrKeys {
		t.Errorf("a field %d times: %v, %v", len(many), ok, err)
	}
}

func TestNoCMCDIsNoReportAndNoError(t *testing.T) {
	for _, query := range []string{"", "&", "a=b", "CMCD", "CMCD=", "CMCD&CMCD=", "cmcd=bs", "Cmcd=bs", "CMCD[]=bs", "xCMCD=bs", "a=CMCD=bs", "CMCD+=bs", "%2543MCD=bs", "CMC%D=bs", "CMC%4=bs"} {
		if got, ok, err := ParseQuery(query); got != (Report{}) || ok || err != nil {
			t.Errorf("?%s: %+v, %v, %v", query, got, ok, err)
		}
	}
	for _, h := range []http.Header{nil, {}, {"Cmcd-Object": nil}, {"Cmcd-Object": {""}}, {"Cmcd": {"bs"}}} {
		if got, ok, err := ParseHeader(h); got != (Report{}) || ok || err != nil {
			t.Errorf("%v: %+v, %v, %v", h, got, ok, err)
		}
	}
}

func TestAnErrorQuotesNothingOfTheReport(t *testing.T) {
	for _, query := range []string{"CMCD=secret%zz", "CMCD=%secret", "CMCD=" + strings.Repeat("secret,", 70), "CMCD=" + strings.Repeat("secret", 50), "CMCD=Secret"} {
		_, ok, err := ParseQuery(query)
		if ok || err == nil || strings.Contains(strings.ToLower(err.Error()), "secret") {
			t.Errorf("?%s: %v, %v", query, ok, err)
		}
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	h := http.Header{"Cmcd-Status": {samples[4].dictionary}}
	if n := testing.AllocsPerRun(100, func() { _, _, _ = ParseHeader(h) }); n != 0 {
		t.Errorf("header: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _, _ = ParseQuery(sampleQuery) }); n > 1 {
		t.Errorf("query: %v allocations", n)
	}
}
