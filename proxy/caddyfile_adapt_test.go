package proxy

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

var update = flag.Bool("update", false, "write the JSON of testdata/*.caddytest anew")

const goldenSeparator = "----------\n"

// previewSecret is what {env.PREVIEW_SECRET} stands for in all tests.
const previewSecret = "7x-only-for-the-rehearsal-7x"

func TestEachCaddyfileAdaptsToItsJSONWhichProvisions(t *testing.T) {
	t.Setenv("PREVIEW_SECRET", previewSecret)
	files, err := filepath.Glob("testdata/*.caddytest")
	must(t, err)
	if len(files) == 0 {
		t.Fatal("no golden files")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddytest"), func(t *testing.T) { testGolden(t, file) })
	}
}

func testGolden(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	must(t, err)
	caddyfile, want, _ := strings.Cut(string(text), goldenSeparator)
	config, err := adapt(caddyfile)
	must(t, err)
	var pretty bytes.Buffer
	must(t, json.Indent(&pretty, config, "", "\t"))
	pretty.WriteByte('\n')
	if *update {
		must(t, os.WriteFile(file, []byte(caddyfile+goldenSeparator+pretty.String()), 0o644))
	} else if got := pretty.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	var parsed caddy.Config
	must(t, caddy.StrictUnmarshalJSON(config, &parsed))
	before := parsed.AppsRaw["greenroom"]
	var app App
	must(t, caddy.StrictUnmarshalJSON(before, &app))
	after, err := json.Marshal(app)
	must(t, err)
	equal(t, "JSON that went through the config", string(after), string(compact(t, before)))
	must(t, caddy.Validate(&parsed))
}

func compact(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	must(t, json.Compact(&out, data))
	return out.Bytes()
}

// adapt makes JSON of a Caddyfile, and takes warnings for errors.
func adapt(caddyfile string) ([]byte, error) {
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			return nil, &adaptWarning{w}
		}
	}
	return config, nil
}

type adaptWarning struct{ caddyconfig.Warning }

func (w *adaptWarning) Error() string { return w.String() }
