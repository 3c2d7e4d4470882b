package proxy

import (
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// at is the first line within the block of the first option of in().
const at = "Caddyfile:21"

var gateMistakes = []mistake{
	{"gate without a kind", in("\tgate"), []string{line, "gate: want http, warmup, schema or live"}},
	{"gate of an unknown kind", in("\tgate moon"), []string{line, `gate "moon"`, "schema"}},
	{"bad failure policy", in("\ton_failure pray"), []string{`service "app"`, `failure policy "pray"`, "freeze"}},
	{"failure policy twice", in("\ton_failure freeze\n\ton_failure freeze"), []string{at, "on_failure is given twice"}},
	{"rollback window that is too long", in("\trollback_window 1000h"), []string{`service "app"`, "rollback window 1000h", "720h"}},
	{"rollback window of nothing", in("\trollback_window 0s"), []string{line, "rollback_window 0"}},
	{"negative rollback window", in("\trollback_window -1s"), []string{`service "app"`, "rollback window -1s"}},
	{"gate with the name of another", in("\tgate warmup / {\n\t\tname live\n\t}\n\tgate live /a.m3u8"), []string{`service "app"`, `two gates are named "live"`}},
	{"gate with the name of the pool's health", in("\tgate warmup / {\n\t\tname healthy\n\t}"), []string{`service "app"`, `gate "healthy": Greenroom's own gates are named`}},
	{"gate with the name of soak", in("\tgate live /a.m3u8 {\n\t\tname soak\n\t}"), []string{`service "app"`, `gate "soak": Greenroom's own`}},
	{"gate with the name of the forwarder's", in("\tgate http http://a {\n\t\tname connections\n\t}"), []string{`service "app"`, `gate "connections": Greenroom's own`, "another name"}},
	{"gate with the name of the store's", in("\tgate schema {\n\t\tname store\n\t\tconsul a\n\t}"), []string{`service "app"`, `gate "store": Greenroom's own`}},
	{"two gates of one kind without names", in("\tgate warmup /a\n\tgate warmup /b"), []string{`service "app"`, `two gates are named "warmup"`}},
	{"bad name of a gate", in("\tgate warmup / {\n\t\tname \"a b\"\n\t}"), []string{`gate "a b"`, "must match"}},

	{"HTTP gate without a URL", in("\tgate http"), []string{line, "gate http: want one URL"}},
	{"HTTP gate with two URLs", in("\tgate http http://a http://b"), []string{line, "want one URL"}},
	{"HTTP gate without a scheme", in("\tgate http gate.example"), []string{`service "app"`, "gate 1: http: URL", "https://…"}},
	{"HTTP gate with a password", in("\tgate http https://a:hidden-word@gate.example"), []string{`service "app"`, "gate 1: http", "holds a user"}},
	{"HTTP gate with an unknown option", in("\tgate http http://a {\n\t\tretries 3\n\t}"), []string{at, `unknown option "retries"`, "header, name, timeout, tls"}},
	{"HTTP gate with a literal secret", in("\tgate http http://a {\n\t\theader X-T hidden-word\n\t}"), []string{"gate 1: http: header X-T", "{env.NAME}"}},
	{"HTTP gate with half a secret", in("\tgate http http://a {\n\t\theader X-T {env.PREVIEW_SECRET}hidden-word\n\t}"), []string{"header X-T", "must end with one"}},
	{"HTTP gate with a secret that is not there", in("\tgate http http://a {\n\t\theader X-T \"Bearer {env.NO_SUCH_SECRET}\"\n\t}"), []string{"header X-T", "no value for Bearer {env.NO_SUCH_SECRET}"}},
	{"HTTP gate with a file that is not there", in("\tgate http http://a {\n\t\theader X-T {file./no/such/secret}\n\t}"), []string{"header X-T", "{file./no/such/secret}"}},
	{"HTTP gate with a bad header", in("\tgate http http://a {\n\t\theader \"X T\" {env.PREVIEW_SECRET}\n\t}"), []string{`header "X T"`}},
	{"HTTP gate with half a header", in("\tgate http http://a {\n\t\theader X-T\n\t}"), []string{at, "header: want a name and a value"}},
	{"HTTP gate with a header twice", in("\tgate http http://a {\n\t\theader X-T {env.PREVIEW_SECRET}\n\t\theader X-T {env.PREVIEW_SECRET}\n\t}"), []string{"Caddyfile:22", "header X-T is given twice"}},
	{"HTTP gate with a long timeout", in("\tgate http http://a {\n\t\ttimeout 1m\n\t}"), []string{"gate 1: http: timeout is 1m", "10s"}},
	{"HTTP gate without a CA", in("\tgate http https://a {\n\t\ttls {\n\t\t\tca /none.pem\n\t\t}\n\t}"), []string{"gate 1: http: tls ca", "/none.pem"}},

	{"warm-up without a path", in("\tgate warmup"), []string{line, "gate warmup: want one path"}},
	{"warm-up with a URL", in("\tgate warmup http://a/x"), []string{"gate 1: warmup: path", "begins with a slash"}},
	{"warm-up with another host", in("\tgate warmup //evil/x"), []string{"gate 1: warmup: path", "begins with a slash"}},
	{"warm-up with a fragment", in("\tgate warmup \"/x#y\""), []string{"gate 1: warmup: path"}},
	{"warm-up with a bad number", in("\tgate warmup / {\n\t\trequests many\n\t}"), []string{at, `requests "many"`}},
	{"warm-up with too many requests", in("\tgate warmup / {\n\t\trequests 10001\n\t}"), []string{"gate 1: warmup: requests is 10001"}},
	{"warm-up with negative requests", in("\tgate warmup / {\n\t\trequests -1\n\t}"), []string{"gate 1: warmup: requests is -1"}},
	{"warm-up within too long", in("\tgate warmup / {\n\t\twithin 11s\n\t}"), []string{"gate 1: warmup: within is 11s"}},
	{"warm-up with a bad host", in("\tgate warmup / {\n\t\thost a/b\n\t}"), []string{`gate 1: warmup: host "a/b"`}},

	{"schema with an argument", in("\tgate schema 12"), []string{line, "gate schema: takes no argument"}},
	{"schema from nowhere", in("\tgate schema"), []string{"gate 1: schema: want one of postgres, http and consul"}},
	{"schema from two places", in("\tgate schema {\n\t\tconsul a\n\t\tpostgres\n\t}"), []string{"gate 1: schema: want one of"}},
	{"schema with an unknown option", in("\tgate schema {\n\t\tmysql x\n\t}"), []string{at, `unknown option "mysql"`, "postgres"}},
	{"schema with a bad range", in("\tgate schema {\n\t\tconsul a\n\t\tblue 14-12\n\t}"), []string{"gate 1: schema: blue: schema range", "12..14"}},
	{"schema with a range backwards", in("\tgate schema {\n\t\tconsul a\n\t\tgreen 14..12\n\t}"), []string{"green: schema range", "before its beginning"}},
	{"schema with half the metadata", in("\tgate schema {\n\t\tconsul a\n\t\tmeta from\n\t}"), []string{"Caddyfile:22", "meta: want two keys"}},
	{"schema with a bad path", in("\tgate schema {\n\t\tconsul a\n\t\tpath schema\n\t}"), []string{"gate 1: schema: path"}},
	{"schema with a bad key", in("\tgate schema {\n\t\tconsul a//b\n\t}"), []string{"gate 1: schema: consul: key", "is empty"}},
	{"schema with a bad URL", in("\tgate schema {\n\t\thttp here\n\t}"), []string{"gate 1: schema: URL"}},
	{"schema with a password in the DSN", in("\tgate schema {\n\t\tpostgres {\n\t\t\tdsn \"host=db password=hidden-word\"\n\t\t}\n\t}"), []string{"gate 1: schema: postgres: dsn: it holds a password"}},
	{"schema with a password in a URL", in("\tgate schema {\n\t\tpostgres {\n\t\t\tdsn postgres://u:hidden-word@db/app\n\t\t}\n\t}"), []string{"gate 1: schema: postgres: dsn: it holds a password"}},
	{"schema with a placeholder in the DSN", in("\tgate schema {\n\t\tpostgres {\n\t\t\tdsn \"host=db password={env.PREVIEW_SECRET}\"\n\t\t}\n\t}"), []string{"postgres: dsn: want either one placeholder"}},
	{"schema with a DSN that is not there", in("\tgate schema {\n\t\tpostgres {\n\t\t\tdsn {env.NO_SUCH_SECRET}\n\t\t}\n\t}"), []string{"postgres: dsn: there is no value for {env.NO_SUCH_SECRET}"}},
	{"schema with a secret that is no DSN", in("\tgate schema {\n\t\tpostgres {\n\t\t\tdsn {env.PREVIEW_SECRET}\n\t\t}\n\t}"), []string{"postgres: dsn: PostgreSQL cannot use it"}},
	{"schema with a DSN that is none", in("\tgate schema {\n\t\tpostgres {\n\t\t\tdsn \"host=db port=many\"\n\t\t}\n\t}"), []string{"postgres: dsn: PostgreSQL cannot use it"}},
	{"schema with a literal password", in("\tgate schema {\n\t\tpostgres {\n\t\t\tpassword hidden-word\n\t\t}\n\t}"), []string{"postgres: password", "{env.NAME}"}},
	{"schema with a password that is not there", in("\tgate schema {\n\t\tpostgres {\n\t\t\tpassword {file./no/such/secret}\n\t\t}\n\t}"), []string{"postgres: password", "no value for {file./no/such/secret}"}},

	{"live without a path", in("\tgate live"), []string{"gate 1: live: paths is 0", "1 to 16"}},
	{"live with a path twice", in("\tgate live /a.m3u8 /a.m3u8"), []string{`live: path "/a.m3u8" is given twice`}},
	{"live with a bad path", in("\tgate live a.m3u8"), []string{`live: path "a.m3u8"`}},
	{"live with a lag of nothing", in("\tgate live /a {\n\t\tmax_lag 1ms\n\t}"), []string{"live: max_lag is 1ms"}},
	{"live with too much skew", in("\tgate live /a {\n\t\tmax_skew 2h\n\t}"), []string{"live: max_skew is 2h"}},
	{"live unaligned or not", in("\tgate live /a {\n\t\tunaligned maybe\n\t}"), []string{at, `unaligned "maybe"`, "on or off"}},
}

var gateJSONMistakes = []mistake{
	{"JSON: gate of null", `{"services":{"app":{"gates":{"warmup":[null]},"pools":{"source":"static"}}}}`, []string{`service "app"`, "gate 1", "no settings"}},
	{"JSON: gates of null", `{"services":{"app":{"gates":{"http":[null],"schema":[null],"live":[null]},"pools":{"source":"static"}}}}`, []string{"gate 1", "no settings"}},
	{"JSON: unknown gate", `{"services":{"app":{"gates":{"moon":[{}]}}}}`, []string{"moon"}},
	{"JSON: empty HTTP gate", `{"services":{"app":{"gates":{"http":[{}]},"pools":{"source":"static"}}}}`, []string{"gate 1: http: want a URL"}},
	{"JSON: empty warm-up", `{"services":{"app":{"gates":{"warmup":[{}]},"pools":{"source":"static"}}}}`, []string{"gate 1: warmup: path"}},
	{"JSON: negative timeout", `{"services":{"app":{"gates":{"warmup":[{"path":"/","timeout":-1}]},"pools":{"source":"static"}}}}`, []string{"warmup: timeout is -1ns"}},
	{"JSON: negative lag", `{"services":{"app":{"gates":{"live":[{"paths":["/a"],"max_lag":-1}]},"pools":{"source":"static"}}}}`, []string{"live: max_lag is -1ns"}},
	{"JSON: bad failure policy", `{"services":{"app":{"on_failure":"pray","pools":{"source":"static"}}}}`, []string{`failure policy "pray"`}},
	{"JSON: secret in a header", `{"services":{"app":{"gates":{"http":[{"url":"http://a","headers":{"X-T":"hidden-word"}}]},"pools":{"source":"static"}}}}`, []string{"header X-T"}},
}

func TestAMalformedGateIsRefusedWithTheReasonAndChangesNothing(t *testing.T) {
	t.Setenv("PREVIEW_SECRET", previewSecret)
	h := newHouse(t)
	h.load(pair("app", saying(t, "blue"), saying(t, "green"), "ramp 10:1h"), "blue_green app")
	h.healthy("app")
	h.cutover("app", switcher.Green)
	before := standing(h)
	refused := func(m mistake, err error) {
		t.Helper()
		m.refusedBy(t, err)
		if strings.Contains(err.Error(), "hidden-word") {
			t.Errorf("%s: the error shows a secret: %v", m.name, err)
		}
	}
	for _, m := range gateMistakes {
		t.Run(m.name, func(t *testing.T) { refused(m, h.try(h.caddyfile(m.config, "blue_green app"))) })
	}
	for _, m := range gateJSONMistakes {
		t.Run(m.name, func(t *testing.T) { refused(m, h.tryApp(m.config)) })
	}
	equal(t, "what is in force", standing(h), before)
}
