package e2e

import (
	"regexp"
	"testing"
)

func TestTheVersionIsThatOfGreenroomAndOfCaddy(t *testing.T) {
	e := &edge{t: t, dir: t.TempDir(), log: new(syncBuffer)}
	out := e.cli("version")
	if out.code != 0 || !regexp.MustCompile(`^greenroom \S+, Caddy v2\.`).MatchString(out.stdout) {
		t.Error(out)
	}
}
