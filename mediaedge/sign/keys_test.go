package sign

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// keyFile writes a key file and opens it.
func keyFile(t testing.TB, e Encoding, content string) *Keys {
	t.Helper()
	keys, err := OpenKeys(KeyFile{Path: written(t, content), Encoding: e})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func written(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// rsaKey is made once: it takes a while.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t testing.TB) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("PRIVATE KEY", der)
}

func TestTheFirstKeyOfAFileSignsUnlessAnotherIsNamed(t *testing.T) {
	content := "# comment\n\nnew  hunter22\r\n\told hunter33 token\n"
	path := written(t, content)
	first, err := OpenKeys(KeyFile{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	named, err := OpenKeys(KeyFile{Path: path, SignWith: "old"})
	if err != nil {
		t.Fatal(err)
	}
	if first.Current().ID() != "new" || named.Current().ID() != "old" || !slices.Equal(named.IDs(), []string{"new", "old"}) {
		t.Errorf("%v, %v", first.Current(), named.Current())
	}
	old, ok := first.Find("old")
	if s := old.reveal(); !ok || string(s.bytes) != "hunter33" || s.extra != "token" {
		t.Errorf("%v, %v", old, ok)
	}
	if _, ok := first.Find("none"); ok {
		t.Error("found a key that is not there")
	}
	if _, err := OpenKeys(KeyFile{Path: path, SignWith: "next"}); err == nil || !strings.Contains(err.Error(), `no key has the id "next"`) {
		t.Error(err)
	}
}

func TestKeysAreReadInEveryEncoding(t *testing.T) {
	pkcs1 := pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey()))
	both := keyFile(t, PEM, "# two\nK1\n"+pkcs8(t)+"\nK2\n"+strings.ReplaceAll(pkcs1, "\n", "\r\n"))
	for _, id := range []string{"K1", "K2"} {
		if key, ok := both.Find(id); !ok || !key.reveal().rsa.Equal(rsaKey()) {
			t.Errorf("%s: %v", id, ok)
		}
	}
	want := bytes.Repeat([]byte{0xfb, 0xff}, 8)
	for content, e := range map[string]Encoding{
		"a fbfffbfffbfffbfffbfffbfffbfffbff": Hex, "a FBFFFBFFFBFFFBFFFBFFFBFFFBFFFBFF salt": Hex,
		"a -__7__v_-__7__v_-__7_w==": Base64, "a +//7//v/+//7//v/+//7/w": Base64,
	} {
		if got := keyFile(t, e, content).Current().reveal().bytes; e == Hex && !bytes.Equal(got, want) || len(got) != 16 {
			t.Errorf("%s: %x", content, got)
		}
	}
}

func TestAKeyFileThatIsBrokenSaysWhereAndNotWhat(t *testing.T) {
	const hush = "Tr0ub4dor-and-3" // stands where a secret may be
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		encoding Encoding
		content  string
		want     string
	}{
		{Text, "", "it has no key"},
		{Text, "# only\n\n", "it has no key"},
		{Text, "a b\n" + hush, "line 2: want an id and a secret"},
		{Text, hush + "! b", "line 1: want an id of at most"},
		{Text, "a " + hush + " c d", "line 1: want an id and a secret"},
		{Text, "a b\n\n" + hush + " x\n" + hush + " y\n", "line 4: the id of an earlier key"},
		{Text, "a \xff" + hush, "UTF-8"},
		{Text, strings.Repeat("a", 129) + " " + hush, "line 1: want an id"},
		{Hex, "a " + hush, "line 1: the secret is not at least 16 bytes encoded as hex"},
		{Hex, "a 00ff", "not at least 16 bytes"},
		{Hex, "a 00112233445566778899aabbccddeefg", "not at least 16 bytes"},
		{Base64, "a " + hush, "not at least 16 bytes encoded as base64"},
		{Base64, "a nZtRohdNF9m3cKM24IcK4w== " + hush, "line 1: want an id and a secret"},
		{PEM, "a " + hush, "line 1: want an id alone"},
		{PEM, "a\n" + hush, "line 1: want an id alone"},
		{PEM, "a", "line 1: want an id alone"},
		{PEM, "a\n-----BEGIN PRIVATE KEY-----\n" + hush, "the PEM block below is broken"},
		{PEM, "a\n-----BEGIN PRIVATE KEY-----\n" + hush + "\n-----END PRIVATE KEY-----\n", "the PEM block below is broken"},
		{PEM, "a\n" + pemOf("PRIVATE KEY", []byte(hush)), "is not an RSA private key"},
		{PEM, "a\n" + pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)), "less than 2048 bits"},
		{Encoding(9), "a " + hush, "encoded as unknown"},
		{Text, strings.Repeat("#\n", maxKeyFile), "longer than"},
	} {
		path := written(t, c.content)
		_, err := OpenKeys(KeyFile{Path: path, Encoding: c.encoding})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "key file "+path) || strings.Contains(err.Error(), hush) {
			t.Errorf("%v %.40q: %v", c.encoding, c.content, err)
		}
	}
}

func TestAKeyFileThatMayNotBeReadOrAnyoneMayWriteIsRefused(t *testing.T) {
	dir := t.TempDir()
	fifo, open := filepath.Join(dir, "fifo"), filepath.Join(dir, "open")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(open, []byte("a b"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o620); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{dir: "not a regular file", fifo: "not a regular file", open: "0620 lets group or others write it: chmod go-w", dir + "/none": "no such file"} {
		if _, err := OpenKeys(KeyFile{Path: path}); err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), dir) != 1 {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := OpenKeys(KeyFile{Path: dir + "/none"}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestNothingThatPrintsAKeyPrintsItsSecret(t *testing.T) {
	const hush = "Tr0ub4dor-and-3"
	keys := keyFile(t, Text, "a "+hush)
	s3, err := NewS3(keys, "auto")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{keys, *s3, s3, keys.Current(), &Key{}, []Key{keys.Current()}, keys.state.Load(), *keys.state.Load(), map[string]any{"k": keys.Current()}} {
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		text, _ := json.Marshal(v)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			text = fmt.Appendf(text, verb, v)
		}
		all := log.String() + string(text)
		if strings.Contains(all, hush) || strings.Contains(all, fmt.Sprintf("%x", hush)) || strings.Contains(all, fmt.Sprint([]byte(hush))) {
			t.Errorf("%T: %s", v, all)
		}
	}
	if got := keys.String(); !strings.HasPrefix(got, "keys [a] of ") {
		t.Error(got)
	}
}

func TestKeysAreReadAgainWhenTheirFileChanges(t *testing.T) {
	path := written(t, "a one\n")
	keys, err := OpenKeys(KeyFile{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		content string
		secret  string
		changed bool
		wrong   string
	}{
		{"a one\n", "one", false, ""},
		{"a two\n", "two", true, ""}, // as long as before, and with the same time
		{"a\n", "two", false, "line 1"},
		{"", "two", false, "no key"},
		{"b three\na two\n", "three", true, ""},
	} {
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, stat.ModTime(), stat.ModTime()); err != nil {
			t.Fatal(err)
		}
		changed, err := keys.Refresh()
		if changed != c.changed || (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%d: %v, %v", i, changed, err)
		}
		if got := string(keys.Current().reveal().bytes); got != c.secret {
			t.Errorf("%d: signs with %s", i, got)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Refresh(); err == nil || keys.Current().ID() != "b" {
		t.Errorf("%v, %v", err, keys.Current())
	}
}

func TestRunReadsKeysEachIntervalAndLogsATroubleOnce(t *testing.T) {
	path := written(t, "a one\n")
	keys, err := OpenKeys(KeyFile{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			keys.Run(ctx, 0, slog.New(slog.NewTextHandler(&log, nil)))
			close(done)
		}()
		for _, content := range []string{"a one\n", "b two\n", "broken", "broken", "broken", "b two\n"} {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Error(err)
			}
			time.Sleep(5 * time.Second) // of the bubble
			synctest.Wait()
		}
		cancel()
		<-done
		if got := strings.Count(log.String(), "cannot be read"); got != 1 {
			t.Errorf("logged %d times: %s", got, &log)
		}
		if got := strings.Count(log.String(), "media keys read"); got != 2 || !strings.Contains(log.String(), "sign_with=b") || strings.Contains(log.String(), "two") {
			t.Errorf("logged %d times: %s", got, &log)
		}
	})
}
