package proxy

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// here has in the README's config what this machine has, in the place of its own
// files, users and groups.
var here = strings.NewReplacer(
	"/etc/consul/ca.pem", "testdata/ca.pem", "/etc/ssl/internal.pem", "testdata/ca.pem",
	"/run/secrets/bucket", "testdata/media.keys", "/run/secrets/akamai", "testdata/media-hex.keys",
	"/run/secrets/origin", "testdata/preview-secret", "/run/secrets/pg", "testdata/preview-secret",
	"group operators", "group 0", "user ci", "user 0",
)

func TestTheConfigInTheREADMEIsOneThatRuns(t *testing.T) {
	t.Setenv("PREVIEW_SECRET", previewSecret)
	t.Setenv("GATE_TOKEN", "a-token-for-the-gate")
	text, err := os.ReadFile("../README.md")
	must(t, err)
	block := func(begins string) string {
		t.Helper()
		_, rest, found := strings.Cut(string(text), "\n```\n"+begins)
		inside, _, ends := strings.Cut(rest, "\n```\n")
		if !found || !ends {
			t.Fatalf("the README has no block that begins with %q", begins)
		}
		return begins + inside + "\n"
	}
	gate := regexp.MustCompile(`(?m)^\t+gate warmup .*see below$`)
	all := block("{\n\tgrace_period")
	if len(gate.FindAllString(all, -1)) != 1 {
		t.Fatal("the place of the gates is not there")
	}
	all = gate.ReplaceAllLiteralString(all, block("gate http "))
	all += block("media.example.com {")
	all += "cdn.example.com {\n\tmedia_edge {\n\t\tpath /media/\n" + block("\t\tredirect ") + "\t}\n}\n"

	for name, edit := range map[string]func(string) string{
		"as it is": func(text string) string { return text },
		// What is in comments: the alternatives.
		"to a bucket": strings.NewReplacer("sign akamai", "sign s3", "# methods", "methods", "# region", "region",
			"\t\t\t\tdirectory", "\t\t\t\t#", "testdata/media-hex.keys", "testdata/media.keys").Replace,
		"Consul by TLS": strings.NewReplacer("address 127.0.0.1:8500", "address https://127.0.0.1:8501", "# tls {", "tls {", "\t\t\t# }", "\t\t\t}",
			"#     ca testdata", "ca testdata").Replace,
	} {
		t.Run(name, func(t *testing.T) {
			config, err := adapt(edit(here.Replace(all)))
			must(t, err)
			var parsed caddy.Config
			must(t, caddy.StrictUnmarshalJSON(config, &parsed))
			must(t, caddy.Validate(&parsed))
		})
	}
}
