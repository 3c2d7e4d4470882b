package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/mediaedge/s3test"
)

func TestABucketIsShownInStatusAndMetricsAndNoSecretIsAnywhere(t *testing.T) {
	server := s3test.Start(t)
	server.CreateBucket(t, "films")
	server.Put(t, "films", "a.mp4", bytes.NewReader(film(50_000)), 50_000)
	other := server.NewAccount(t) // may read nothing
	const headerSecret, wrongSecret = "origin-password-7c1f", "wrong-secret-93ab"
	e := newEdge(t, "service app {\nblue 127.0.0.1:1\n}")
	files := map[string]string{"keys": server.AccessKey + " " + server.Secret, "denied": other.AccessKey + " " + other.Secret, "wrong": server.AccessKey + " " + wrongSecret, "header": headerSecret}
	var rules strings.Builder
	for name, content := range files {
		if err := os.WriteFile(e.dir+"/"+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if name != "header" {
			fmt.Fprintf(&rules, "media_edge {\nname %[1]s\npath /%[1]s/\nstrip_prefix /%[1]s\norigin %[2]s {\ns3 films {\nkeys %[3]s/%[1]s\n}\nheader X-Secret {file.%[3]s/header}\n}\n}\n", name, server.URL(), e.dir)
		}
	}
	e.write("service app {\nblue 127.0.0.1:1\n}", "log {\nlevel DEBUG\n}\n"+rules.String()+siteBlueGreen)
	e.rewrite("{\ndebug\n" + strings.TrimPrefix(e.config, "{\n"))
	e.start()
	shown := e.visit(t)
	for want, count := range map[string]float64{
		`greenroom_media_requests_total{kind="progressive",name="keys",result="miss"}`:               2, // and the 404
		`greenroom_media_requests_total{kind="progressive",name="keys",result="hit"}`:                2, // and the 404
		`greenroom_media_bytes_total{kind="progressive",name="keys"}`:                                100_000,
		`greenroom_media_origin_endpoint_healthy{endpoint="` + server.URL() + `/films",name="keys"}`: 1,
	} {
		e.until(fmt.Sprintf("%s is %v", want, count), func() bool { // an answer is counted when it was sent
			return metric(t, fetch(t, "http://"+e.admin+"/metrics"), want) == count
		})
	}
	for _, name := range []string{"media", "media --json"} {
		if !strings.Contains(shown[name], server.URL()+"/films") || !strings.Contains(shown[name], "denied") {
			t.Errorf("greenroom %s: %s", name, shown[name])
		}
	}
	server.Kill(t)
	if res := e.ask(http.MethodGet, "/keys/c.mp4?X-Amz-Signature=client-secret-5", "Authorization", "Bearer client-secret-6"); res.StatusCode != http.StatusBadGateway {
		t.Errorf("without a bucket: %d", res.StatusCode)
	}
	shown["media after the end of the bucket"] = e.cli("media", "--json").stdout
	e.stop()
	shown["log"] = e.log.String()
	if n := strings.Count(shown["log"], `"handled request"`); n != 9 || !strings.Contains(shown["log"], "/keys/a.mp4?X-Amz-Signature=REDACTED") {
		t.Errorf("%d requests are in the log:\n%s", n, shown["log"])
	}
	signature := regexp.MustCompile(`Signature=[0-9a-f]{8}|AWS4-HMAC-SHA256|client-secret-\d`)
	for where, text := range shown {
		for _, secret := range []string{server.Secret, other.Secret, wrongSecret, headerSecret} {
			if strings.Contains(text, secret) {
				t.Errorf("a secret is in the %s", where)
			}
		}
		if at := signature.FindStringIndex(text); at != nil {
			t.Errorf("the %s has …%s…", where, text[max(0, at[0]-200):min(len(text), at[1]+100)])
		}
	}
}

// visit asks for media that are there, that are not, and that may not be had, and
// returns what the edge shows of it.
func (e *edge) visit(t *testing.T) map[string]string {
	t.Helper()
	secrets := []string{"Authorization", "AWS4-HMAC-SHA256 Credential=x, Signature=" + strings.Repeat("ab", 32), "Cookie", "session=client-secret-1"}
	for path, status := range map[string]int{
		"/keys/a.mp4?X-Amz-Signature=client-secret-2&token=client-secret-3": http.StatusOK,
		"/keys/b.mp4":   http.StatusNotFound,
		"/denied/a.mp4": http.StatusNotFound,
		"/wrong/a.mp4":  http.StatusBadGateway,
	} {
		for range 2 {
			res := e.ask(http.MethodGet, path, secrets...)
			var body bytes.Buffer
			if _, err := body.ReadFrom(res.Body); err != nil || res.StatusCode != status {
				t.Errorf("%s: %d, want %d: %v", path, res.StatusCode, status, err)
			}
			res.Body.Close()
			for name := range res.Header {
				if strings.HasPrefix(name, "X-Amz-") {
					t.Errorf("%s: the answer has %s", path, name)
				}
			}
		}
	}
	return map[string]string{
		"metrics": fetch(t, "http://"+e.admin+"/metrics"), "config": fetch(t, "http://"+e.admin+"/config/"),
		"media": e.cli("media").stdout, "media --json": e.cli("media", "--json").stdout, "status": e.cli("status").String(),
	}
}
