package control

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// sent is a request as it goes over the wire.
type sent struct {
	method, path, headers, body string
}

func (s sent) String() string {
	if s.body != "" && !strings.Contains(s.headers, "Content-Length") && !strings.Contains(s.headers, "chunked") {
		s.headers += fmt.Sprintf("Content-Length: %d\r\n", len(s.body))
	}
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: greenroom\r\n%s\r\n%s", s.method, s.path, s.headers, s.body)
}

const (
	asJSON  = "Content-Type: application/json\r\n"
	cutover = "/v1/services/app/cutover"
)

func withBody(body string) sent { return sent{"POST", cutover, asJSON, body} }

// malformed requests, each with the one answer it gets. Field and offset are
// those of the problem.
var malformed = []struct {
	name   string
	sent   sent
	status int
	code   string
	field  string
	offset int64
}{
	{"an empty path", sent{"GET", "/", "", ""}, 404, CodeNotFound, "", 0},
	{"no version", sent{"GET", "/services", "", ""}, 404, CodeNotFound, "", 0},
	{"another version", sent{"GET", "/v2/services", "", ""}, 404, CodeNotFound, "", 0},
	{"a version in capitals", sent{"GET", "/V1/services", "", ""}, 404, CodeNotFound, "", 0},
	{"only the version", sent{"GET", "/v1", "", ""}, 404, CodeNotFound, "", 0},
	{"a slash at the end of the list", sent{"GET", "/v1/services/", "", ""}, 404, CodeNotFound, "", 0},
	{"two slashes", sent{"GET", "//v1/services", "", ""}, 404, CodeNotFound, "", 0},
	{"no name before the command", sent{"POST", "/v1/services//cutover", "", ""}, 404, CodeNotFound, "", 0},
	{"a slash after the command", sent{"POST", cutover + "/", "", ""}, 404, CodeNotFound, "", 0},
	{"something after the command", sent{"POST", cutover + "/now", "", ""}, 404, CodeNotFound, "", 0},
	{"an unknown command", sent{"POST", "/v1/services/app/promote", "", ""}, 404, CodeNotFound, "", 0},
	{"a command in capitals", sent{"POST", "/v1/services/app/Cutover", "", ""}, 404, CodeNotFound, "", 0},
	{"a command of no service", sent{"POST", "/v1/cutover", "", ""}, 404, CodeNotFound, "", 0},
	{"the process of a service", sent{"GET", "/v1/process/app", "", ""}, 404, CodeNotFound, "", 0},
	{"an upgrade of a service", sent{"POST", "/v1/services/app/upgrade", "", ""}, 404, CodeNotFound, "", 0},
	{"an upgrade of something", sent{"POST", "/v1/upgrade/now", "", ""}, 404, CodeNotFound, "", 0},
	{"an upgrade that is read", sent{"GET", "/v1/upgrade", "", ""}, 405, CodeMethodNotAllowed, "", 0},
	{"a process that is posted", sent{"POST", "/v1/process", "", ""}, 405, CodeMethodNotAllowed, "", 0},
	{"a query for an upgrade", sent{"POST", "/v1/upgrade?force=true", "", ""}, 400, CodeInvalid, "", 0},
	{"a query for the process", sent{"GET", "/v1/process?service=app", "", ""}, 400, CodeInvalid, "", 0},
	{"services of an upgrade", sent{"POST", "/v1/upgrade", asJSON, `{"services":["app"]}`}, 400, CodeInvalid, "", 0},
	{"a generation of an upgrade", sent{"POST", "/v1/upgrade", asJSON, `{"if_generation":1}`}, 400, CodeInvalid, "", 0},
	{"a reason for an upgrade too long", sent{"POST", "/v1/upgrade", asJSON, `{"reason":"` + strings.Repeat("a", 501) + `"}`}, 400, CodeInvalid, "", 0},
	{"a purge of a service", sent{"POST", "/v1/services/app/purge", asJSON, `{"path":"/a"}`}, 404, CodeNotFound, "", 0},
	{"media of a service", sent{"GET", "/v1/services/app/media", "", ""}, 404, CodeNotFound, "", 0},
	{"media of something", sent{"GET", "/v1/media/app", "", ""}, 404, CodeNotFound, "", 0},
	{"a purge that is read", sent{"GET", "/v1/purge?path=/a", "", ""}, 405, CodeMethodNotAllowed, "", 0},
	{"media that is posted", sent{"POST", "/v1/media", "", ""}, 405, CodeMethodNotAllowed, "", 0},
	{"a purge in the query", sent{"POST", "/v1/purge?path=/a", "", ""}, 400, CodeInvalid, "", 0},
	{"events of a service", sent{"GET", "/v1/events/app", "", ""}, 404, CodeNotFound, "", 0},
	{"dots that lead elsewhere", sent{"GET", "/v1/x/../services", "", ""}, 404, CodeNotFound, "", 0},
	{"a name of two dots", sent{"GET", "/v1/services/..", "", ""}, 400, CodeInvalid, "", 0},
	{"a name of one encoded dot", sent{"GET", "/v1/services/%2e", "", ""}, 400, CodeInvalid, "", 0},
	{"a name with NUL", sent{"GET", "/v1/services/a%00b", "", ""}, 400, CodeInvalid, "", 0},
	{"a name with a line break", sent{"POST", "/v1/services/a%0ab/abort", "", ""}, 400, CodeInvalid, "", 0},
	{"a name with a C1 control character", sent{"GET", "/v1/services/a%c2%9bb", "", ""}, 400, CodeInvalid, "", 0},
	{"a name that is not UTF-8", sent{"GET", "/v1/services/%ff", "", ""}, 400, CodeInvalid, "", 0},
	{"a name too long", sent{"GET", "/v1/services/" + strings.Repeat("a", 201), "", ""}, 400, CodeInvalid, "", 0},
	{"asterisk form", sent{"OPTIONS", "*", "", ""}, 404, CodeNotFound, "", 0},

	{"POST to the list", sent{"POST", "/v1/services", "", ""}, 405, CodeMethodNotAllowed, "", 0},
	{"POST to a service", sent{"POST", "/v1/services/app", "", ""}, 405, CodeMethodNotAllowed, "", 0},
	{"DELETE of a service", sent{"DELETE", "/v1/services/app", "", ""}, 405, CodeMethodNotAllowed, "", 0},
	{"POST to the history", sent{"POST", "/v1/services/app/history", "", ""}, 405, CodeMethodNotAllowed, "", 0},
	{"POST to events", sent{"POST", "/v1/events", "", ""}, 405, CodeMethodNotAllowed, "", 0},
	{"GET of a command", sent{"GET", cutover, "", ""}, 405, CodeMethodNotAllowed, "", 0},
	{"PUT of a command", sent{"PUT", cutover, asJSON, `{}`}, 405, CodeMethodNotAllowed, "", 0},
	{"GET of a plan", sent{"GET", "/v1/services/app/plan", "", ""}, 405, CodeMethodNotAllowed, "", 0},
	{"a method of its own", sent{"CUTOVER", cutover, "", ""}, 405, CodeMethodNotAllowed, "", 0},
	{"a method in small letters", sent{"post", cutover, "", ""}, 405, CodeMethodNotAllowed, "", 0},
	{"OPTIONS", sent{"OPTIONS", "/v1/services", "", ""}, 405, CodeMethodNotAllowed, "", 0},

	{"a command in the query", sent{"POST", cutover + "?to=green", "", ""}, 400, CodeInvalid, "", 0},
	{"a query for the list", sent{"GET", "/v1/services?verbose=1", "", ""}, 400, CodeInvalid, "", 0},
	{"a query that is no query", sent{"GET", "/v1/events?service=%zz", "", ""}, 400, CodeInvalid, "", 0},
	{"a filter misspelled", sent{"GET", "/v1/events?services=app", "", ""}, 400, CodeInvalid, "", 0},
	{"an empty filter", sent{"GET", "/v1/events?service=", "", ""}, 400, CodeInvalid, "", 0},

	{"a body without a type", sent{"POST", cutover, "", `{}`}, 415, CodeUnsupportedMediaType, "", 0},
	{"a form", sent{"POST", cutover, "Content-Type: application/x-www-form-urlencoded\r\n", `to=green`}, 415, CodeUnsupportedMediaType, "", 0},
	{"JSON that says it is text", sent{"POST", cutover, "Content-Type: text/plain\r\n", `{}`}, 415, CodeUnsupportedMediaType, "", 0},
	{"JSON of another kind", sent{"POST", cutover, "Content-Type: application/merge-patch+json\r\n", `{}`}, 415, CodeUnsupportedMediaType, "", 0},
	{"a type that is no type", sent{"POST", cutover, "Content-Type: application/json;;=\r\n", `{}`}, 415, CodeUnsupportedMediaType, "", 0},
	{"two types", sent{"POST", cutover, asJSON + asJSON, `{}`}, 415, CodeUnsupportedMediaType, "", 0},
	{"another charset", sent{"POST", cutover, "Content-Type: application/json; charset=latin1\r\n", `{}`}, 415, CodeUnsupportedMediaType, "", 0},
	{"a compressed body", sent{"POST", cutover, asJSON + "Content-Encoding: gzip\r\n", `{}`}, 415, CodeUnsupportedMediaType, "", 0},
	{"a body too large", withBody(`{"reason":"` + strings.Repeat("a", maxBody) + `"}`), 413, CodeTooLarge, "", 0},
	{"a large body in chunks", sent{"POST", cutover, asJSON + "Transfer-Encoding: chunked\r\n",
		"10001\r\n" + strings.Repeat(" ", 0x10001) + "\r\n0\r\n\r\n"}, 413, CodeTooLarge, "", 0},
	{"a chunk that is no chunk", sent{"POST", cutover, asJSON + "Transfer-Encoding: chunked\r\n", "zz\r\n"}, 400, CodeInvalid, "", 0},

	{"only white space", withBody(`  `), 400, CodeInvalid, "", 2},
	{"an array", withBody(` []`), 400, CodeInvalid, "", 1},
	{"a string", withBody(`"green"`), 400, CodeInvalid, "", 0},
	{"a number", withBody(`1`), 400, CodeInvalid, "", 0},
	{"null", withBody(`null`), 400, CodeInvalid, "", 0},
	{"an open object", withBody(`{`), 400, CodeInvalid, "", 1},
	{"an open string", withBody(`{"to":"gre`), 400, CodeInvalid, "to", 10},
	{"a comma at the end", withBody(`{"to":"green",}`), 400, CodeInvalid, "", 14},
	{"single quotes", withBody(`{'to':'green'}`), 400, CodeInvalid, "", 1},
	{"a comment", withBody(`{"to":"green"} // now`), 400, CodeInvalid, "", 15},
	{"two objects", withBody(`{"to":"green"}{}`), 400, CodeInvalid, "", 14},
	{"a brace too many", withBody(`{"to":"green"}}`), 400, CodeInvalid, "", 14},
	{"a byte order mark", withBody("\ufeff{}"), 400, CodeInvalid, "", 0},
	{"NaN", withBody(`{"if_generation":NaN}`), 400, CodeInvalid, "if_generation", 17},
	{"not UTF-8", withBody("{\"reason\":\"\xff\"}"), 400, CodeInvalid, "reason", 11},
	{"overlong UTF-8", withBody("{\"reason\":\"\xc0\xaf\"}"), 400, CodeInvalid, "reason", 11},
	{"half a surrogate pair", withBody(`{"reason":"\ud800"}`), 400, CodeInvalid, "reason", 11},
	{"a line break in a string", withBody("{\"reason\":\"a\nb\"}"), 400, CodeInvalid, "reason", 12},
	{"nested too deep", withBody(strings.Repeat("[", 20000)), 400, CodeInvalid, "", 0},

	{"an unknown field", withBody(`{"to":"green","forse":true}`), 400, CodeInvalid, "", 14},
	{"a field of another command", withBody(`{"to":"green","force":true}`), 400, CodeInvalid, "", 14},
	{"a field in capitals", withBody(`{"To":"green"}`), 400, CodeInvalid, "", 1},
	{"who asks", withBody(`{"to":"green","By":"root"}`), 400, CodeInvalid, "", 14},
	{"an embedded struct by name", withBody(`{"Request":{"reason":"x"}}`), 400, CodeInvalid, "", 1},
	{"a key given twice", withBody(`{"to":"green","to":"blue"}`), 400, CodeInvalid, "", 14},
	{"a key given twice, once escaped", withBody(`{"to":"green","\u0074o":"blue"}`), 400, CodeInvalid, "", 14},
	{"a nested key given twice", withBody(`{"x":[{"a":1,"a":2}]}`), 400, CodeInvalid, "", 1},
	{"null for a field", withBody(`{"to":null}`), 400, CodeInvalid, "to", 6},
	{"null in a list", withBody(`{"services":["web",null]}`), 400, CodeInvalid, "services[1]", 19},
	{"a color that is none", withBody(`{"to":"red"}`), 400, CodeInvalid, "to", 6},
	{"a color in capitals", withBody(`{"to": "Green"}`), 400, CodeInvalid, "to", 7},
	{"a color as a number", withBody(`{"to":2}`), 400, CodeInvalid, "to", 6},
	{"services as a string", withBody(`{"services":"web"}`), 400, CodeInvalid, "services", 12},
	{"a service as a number", withBody(`{"services":["web",1]}`), 400, CodeInvalid, "services[1]", 19},
	{"an empty service", withBody(`{"services":[""]}`), 400, CodeInvalid, "", 0},
	{"a service with a control character", withBody(`{"services":["a\u001b[2J"]}`), 400, CodeInvalid, "", 0},
	{"too many services", withBody(`{"services":["` + strings.Repeat(`a","`, 100) + `"]}`), 400, CodeInvalid, "", 0},
	{"a reason as a list", withBody(`{"reason":["x"]}`), 400, CodeInvalid, "reason", 10},
	{"a reason too long", withBody(`{"reason":"` + strings.Repeat("a", 501) + `"}`), 400, CodeInvalid, "", 0},
	{"a negative generation", withBody(`{"if_generation":-1}`), 400, CodeInvalid, "if_generation", 17},
	{"a generation with a fraction", withBody(`{"if_generation":1.5}`), 400, CodeInvalid, "if_generation", 17},
	{"a generation as text", withBody(`{"if_generation":"1"}`), 400, CodeInvalid, "if_generation", 17},
	{"a generation beyond 64 bits", withBody(`{"if_generation":18446744073709551616}`), 400, CodeInvalid, "if_generation", 17},
	{"a duration as a number", withBody(`{"gate_timeout":30}`), 400, CodeInvalid, "gate_timeout", 16},
	{"a failure policy that is a number", withBody(`{"on_failure":1}`), 400, CodeInvalid, "on_failure", 14},
	{"a rollback window without a unit", withBody(`{"rollback_window":"30"}`), 400, CodeInvalid, "rollback_window", 19},
	{"a duration without a unit", withBody(`{"gate_timeout":"30"}`), 400, CodeInvalid, "gate_timeout", 16},
	{"a ramp as a list", withBody(`{"ramp":[10,50]}`), 400, CodeInvalid, "ramp", 8},
	{"a ramp that falls", withBody(`{"ramp":"50,10"}`), 400, CodeInvalid, "ramp", 8},
	{"a weight beyond a byte", sent{"POST", "/v1/services/app/split", asJSON, `{"weight":300}`}, 400, CodeInvalid, "weight", 10},
	{"force as text", sent{"POST", "/v1/services/app/rollback", asJSON, `{"force":"yes"}`}, 400, CodeInvalid, "force", 9},

	{"another site's page", sent{"POST", cutover, "Sec-Fetch-Site: cross-site\r\n", ""}, 403, CodeNotAllowed, "", 0},
	{"another origin", sent{"POST", cutover, "Origin: http://evil.example\r\n", ""}, 403, CodeNotAllowed, "", 0},
}

func TestMalformedRequestsAreRefusedAndReachNothing(t *testing.T) {
	sw := newRecorder()
	s := start(t, sw, Settings{})
	for _, c := range malformed {
		t.Run(c.name, func(t *testing.T) {
			resp, p := raw(t, s.path(), c.sent.String())
			if resp.StatusCode != c.status || p.Code != c.code {
				t.Fatalf("got %d %q (%s), want %d %q", resp.StatusCode, p.Code, p.Detail, c.status, c.code)
			}
			if p.Status != c.status || p.Type == "" || p.Title == "" || p.Detail == "" {
				t.Errorf("incomplete problem %+v", p)
			}
			if (resp.Header.Get("Allow") != "") != (c.status == http.StatusMethodNotAllowed) {
				t.Errorf("Allow: %q", resp.Header.Get("Allow"))
			}
			offset := int64(0)
			if p.Offset != nil {
				offset = *p.Offset
			}
			if p.Field != c.field || offset != c.offset {
				t.Errorf("field %q at %d, want %q at %d: %s", p.Field, offset, c.field, c.offset, p.Detail)
			}
		})
	}
	if calls := sw.asked(); len(calls) > 0 {
		t.Errorf("the switcher was asked: %v", calls)
	}
	if list := entries(t, s.audit); len(list) > 0 {
		t.Errorf("audited: %v", list)
	}
}

func TestHeadersBeyondTheLimitAreRefused(t *testing.T) {
	s := start(t, newRecorder(), Settings{})
	resp, _ := raw(t, s.path(), sent{"GET", "/v1/services", "X: " + strings.Repeat("a", 40<<10) + "\r\n", ""}.String())
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(resp.Status)
	}
}

func TestAnEmptyBodyIsTheZeroRequest(t *testing.T) {
	sw := newRecorder()
	s := start(t, sw, Settings{})
	for _, headers := range []string{"", "Content-Type: text/plain\r\n", asJSON} {
		resp, p := raw(t, s.path(), sent{"POST", "/v1/services/app/rollback", headers, ""}.String())
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%q: %s %+v", headers, resp.Status, p)
		}
	}
	if calls := sw.asked(); len(calls) != 3 {
		t.Error(calls)
	}
}
