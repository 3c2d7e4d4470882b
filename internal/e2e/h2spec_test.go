package e2e

import (
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/internal/realserver"
)

func TestH2specFindsNothingWrongThatStockCaddyDoesRight(t *testing.T) {
	h2spec, err := realserver.Tool("h2spec", "h2spec")
	if err != nil {
		t.Fatal(err)
	}
	app := newBackend(t, saying(strings.Repeat("text ", 200)))
	e := newEdge(t, fmt.Sprintf("service app {\nblue %s\nhealth http /healthz\n}", app.address))
	stock := freeAddress(t)
	e.rewrite(e.config + fmt.Sprintf("https://localhost:%s {\nbind 127.0.0.1\ntls %s %s\nreverse_proxy %s\n}\n", port(stock), certFile, keyFile, app.address))
	e.start()
	e.healthy()

	theirs := make(chan verdicts, 1)
	go func() { theirs <- runH2spec(t, h2spec, stock) }()
	ours, base := runH2spec(t, h2spec, e.https), <-theirs
	if len(ours) < 140 || len(base) != len(ours) || base.failures() > 10 {
		t.Errorf("%d cases for us, %d for stock Caddy, which fails %d", len(ours), len(base), base.failures())
	}
	for name, right := range ours {
		for n := 0; !right && base[name] && n < 2; n++ { // cases go by the clock, and the machine may be busy
			right = runH2spec(t, h2spec, e.https, name.section)[name]
		}
		if !right && base[name] {
			t.Errorf("stock Caddy does right, and we do not: %s: %s", name.section, name.title)
		}
	}
	t.Logf("%d cases; we fail %d, stock Caddy %d", len(ours), ours.failures(), base.failures())
}

// verdicts say for each case of h2spec whether it passed.
type verdicts map[h2specCase]bool

type h2specCase struct{ section, title string }

func (v verdicts) failures() (n int) {
	for _, right := range v {
		if !right {
			n++
		}
	}
	return n
}

// runH2spec runs cases on a TLS site, the strict ones too: those of a section, or all.
func runH2spec(t *testing.T, h2spec, address string, sections ...string) verdicts {
	report := filepath.Join(t.TempDir(), "report.xml")
	args := append(sections, "--strict", "--tls", "--insecure", "--host", "localhost", "--port", port(address), "--junit-report", report)
	out, err := exec.CommandContext(t.Context(), h2spec, args...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) { // 1: something failed
		t.Errorf("h2spec: %v\n%s", err, out)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Errorf("h2spec wrote no report: %v\n%s", err, out)
	}
	var suites struct {
		Cases []struct {
			Section string    `xml:"package,attr"`
			Title   string    `xml:"classname,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(text, &suites); err != nil {
		t.Errorf("the report of h2spec: %v", err)
	}
	v := make(verdicts)
	for _, c := range suites.Cases {
		if c.Skipped == nil {
			v[h2specCase{c.Section, c.Title}] = c.Failure == nil && c.Error == nil
		}
	}
	return v
}
