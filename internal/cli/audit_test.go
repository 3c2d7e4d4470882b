package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rotatedLog is an audit log in three files, oldest first.
func rotatedLog(t *testing.T) []string {
	t.Helper()
	h := open(t, app)
	log := filepath.Join(filepath.Dir(h.socket), "audit.jsonl")
	dir := t.TempDir()
	var paths []string
	for _, name := range []string{"audit.jsonl.2", "audit.jsonl.1", "audit.jsonl"} {
		h.run(t, "lock", "app", "--reason", "r").wants(t, exitDone, "locked")
		h.run(t, "unlock", "app").wants(t, exitDone, "unlocked")
		path := filepath.Join(dir, name)
		must(t, os.Rename(log, path))
		paths = append(paths, path)
	}
	return paths
}

func TestAuditVerifyChecksTheFilesOfALogInOrder(t *testing.T) {
	h, paths := &house{}, rotatedLog(t)
	verify := func(args ...string) ran { return h.run(t, append([]string{"audit", "verify"}, args...)...) }
	r := verify(paths...)
	r.wants(t, exitDone, paths[0]+": 4 lines hold, the last has number 4 and hash ")
	r.wants(t, exitDone, paths[2]+": 5 lines hold, the last has number 14 and hash ")
	verify(paths[2]).wants(t, exitDone, "5 lines hold")
	verify(append(paths, "--json")...).wants(t, exitDone, `{"files":[{"file":"`+paths[0]+`","lines":4,"last":{"seq":4,"hash":"`)
	verify(paths[0], paths[2]).wants(t, exitError, "4 lines hold", paths[2]+" does not continue "+paths[0], "what to do: ")
	verify(paths[1], paths[0], "--json").wants(t, exitError, `"error":{"code":"broken"`)
	verify(filepath.Join(t.TempDir(), "none")).wants(t, exitError, "", "no such file")
	verify().wants(t, exitError, "", "name at least one file")

	data, err := os.ReadFile(paths[1])
	must(t, err)
	must(t, os.WriteFile(paths[1], bytes.Replace(data, []byte(`"reason":"r"`), []byte(`"reason":"s"`), 1), 0o600))
	verify(paths...).wants(t, exitError, "4 lines hold", paths[1]+": after 1 lines that hold: line 2: its hash does not fit")
	if r := h.greenroom(t, "audit", "verify", paths[1]); r.exit != exitError || strings.Contains(r.errs, "Error:") {
		t.Errorf("%+v", r)
	}
}

// What was moved in the file's place is never written over, and a clear word
// says what to do.
func TestAnotherLogAtThePathIsRefusedWithARemedy(t *testing.T) {
	h, other := open(t, app), rotatedLog(t)[0]
	log := filepath.Join(filepath.Dir(h.socket), "audit.jsonl")
	h.run(t, "lock", "app", "--reason", "r").wants(t, exitDone, "locked")
	must(t, os.Rename(other, log))
	h.run(t, "unlock", "app").wants(t, exitStore, "", "move it aside to begin a new one")
	must(t, os.Rename(log, other))
	h.run(t, "unlock", "app").wants(t, exitDone, "unlocked")
}
