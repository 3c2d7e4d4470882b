package file

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

const wholeFile = `{"version": 1,
 "blue": [{"address": "127.0.0.1:9001", "weight": 3, "meta": {"version": "1.4.2"}}, {"address": "[::1]:9002"}],
 "green": []}
`

func TestAPoolFileIsRead(t *testing.T) {
	got, err := ParsePools([]byte(wholeFile))
	want := switcher.Pools{
		Blue: []switcher.Upstream{
			{Address: "127.0.0.1:9001", Weight: 3, Meta: map[string]string{"version": "1.4.2"}},
			{Address: "[::1]:9002"},
		},
		Green: []switcher.Upstream{},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v, %v\nwant %v", got, err, want)
	}
}

// pools makes a document out of the elements of both pools.
func pools(blue, green string) string {
	return fmt.Sprintf(`{"version": 1, "blue": [%s], "green": [%s]}`, blue, green)
}

func TestMalformedPoolFilesAreRefusedWithThePlaceAndWhatIsWanted(t *testing.T) {
	one := `{"address": "a:1"}`
	many := strings.Repeat(`{"address": "a:1"},`, switcher.MaxUpstreams) + one
	for name, c := range map[string]struct{ content, want string }{
		"empty file":           {"", `line 1, column 1: the document ends here: want an object`},
		"only a line feed":     {"\n", `line 2, column 1: the document ends here`},
		"torn":                 {wholeFile[:60], `line 2, column 46: blue[0]: the document ends within a string: want '"'`},
		"null":                 {`null`, `line 1, column 1: null: want an object`},
		"an array":             {`[]`, `line 1, column 1: an array: want an object`},
		"a string":             {`"blue"`, `line 1, column 1: the string "blue": want an object`},
		"YAML":                 {"version: 1\n", `line 1, column 1: unexpected 'v': want a value`},
		"a comment":            {"{ // pools\n}", `line 1, column 3: unexpected '/': want a key in double quotes, or '}'`},
		"byte order mark":      {"\ufeff" + wholeFile, `line 1, column 1: byte order mark: want UTF-8 without one`},
		"UTF-16":               {"{\x00\"\x00", `line 1, column 2: unexpected '\x00': want a key`},
		"invalid UTF-8":        {pools("{\"address\": \"a\xff:1\"}", ""), `line 1, column 39: blue[0].address: invalid UTF-8 (byte 0xff) in a string`},
		"trailing comma":       {`{"version": 1, "blue": [], "green": [],}`, `line 1, column 40: unexpected '}': want a key in double quotes`},
		"trailing object":      {wholeFile + "{}", `line 4, column 1: unexpected '{': want nothing after the end of the value`},
		"trailing rest":        {wholeFile + `9001"}]}`, `line 4, column 1: unexpected '9': want nothing`},
		"no version":           {`{"blue": [], "green": []}`, `line 1, column 1: no version: want "version": 1`},
		"null version":         {`{"version": null, "blue": [], "green": []}`, `no version: want "version": 1`},
		"next version":         {`{"version": 2, "blue": [], "green": []}`, `line 1, column 13: version: version 2: want 1`},
		"version as text":      {`{"version": "1", "blue": [], "green": []}`, `line 1, column 13: version: version "1": want 1`},
		"version as a float":   {`{"version": 1.0, "blue": [], "green": []}`, `version 1.0: want 1`},
		"no blue":              {`{"version": 1, "green": []}`, `line 1, column 1: no blue pool: want "blue": […], which may be empty`},
		"no green":             {`{"version": 1, "blue": []}`, `line 1, column 1: no green pool: want "green": […], which may be empty`},
		"null pool":            {`{"version": 1, "blue": null, "green": []}`, `line 1, column 24: blue: null: want an array`},
		"a pool as an object":  {`{"version": 1, "blue": {}, "green": []}`, `line 1, column 24: blue: an object: want an array`},
		"a pool as a string":   {`{"version": 1, "blue": "a:1", "green": []}`, `line 1, column 24: blue: the string "a:1": want an array`},
		"unknown color":        {`{"version": 1, "blue": [], "green": [], "red": []}`, `column 41: unknown field "red": want one of blue, green, version`},
		"color in upper case":  {`{"version": 1, "Blue": [], "green": []}`, `column 16: unknown field "Blue"`},
		"color twice":          {`{"version": 1, "blue": [], "blue": [], "green": []}`, `column 28: key "blue" is there twice: want each key once`},
		"color twice, escaped": {`{"version": 1, "blue": [], "bl\u0075e": []}`, `column 28: key "blue" is there twice`},
		"upstream as a string": {pools(`"a:1"`, ""), `column 25: blue[0]: the string "a:1": want an object`},
		"null upstream":        {pools("null", ""), `column 25: blue[0]: null: want an object`},
		"no address":           {pools(`{}`, ""), `column 25: blue[0].address: upstream without an address: want "host:port" or "unix//path"`},
		"empty address":        {pools(`{"address": ""}`, ""), `column 37: blue[0].address: upstream without an address`},
		"null address":         {pools(`{"address": null}`, ""), `column 37: blue[0].address: null: want a string`},
		"address as a number":  {pools(`{"address": 9001}`, ""), `column 37: blue[0].address: 9001: want a string`},
		"address with scheme":  {pools("", `{"address": "http://a:1"}`), `column 50: green[0].address: upstream "http://a:1": want "host:port" without a scheme or path`},
		"address without port": {pools(`{"address": "a"}`, ""), `column 37: blue[0].address: upstream "a": want "host:port"`},
		"address without host": {pools(`{"address": ":80"}`, ""), `upstream ":80": no host before the port`},
		"port too high":        {pools(`{"address": "a:65536"}`, ""), `upstream "a:65536": port "65536": want 1 to 65535`},
		"port zero":            {pools(`{"address": "a:0"}`, ""), `port "0": want 1 to 65535`},
		"address with space":   {pools(`{"address": "a:1 "}`, ""), `white space or a control character`},
		"relative socket":      {pools(`{"address": "unix/run/a"}`, ""), `a unix socket needs an absolute path, as unix//run/app.sock`},
		"address twice":        {pools(one+",\n"+one, ""), `line 2, column 13: blue[1].address: upstream "a:1" is listed twice: it is blue[0] already`},
		"misspelled field":     {pools(`{"adress": "a:1"}`, ""), `column 26: blue[0]: unknown field "adress": want one of address, meta, weight`},
		"field twice":          {pools(`{"address": "a:1", "address": "b:1"}`, ""), `column 44: blue[0]: key "address" is there twice`},
		"weight zero":          {pools(`{"address": "a:1", "weight": 0}`, ""), `column 54: blue[0].weight: weight 0: want 1 to 1000, or no weight for 1`},
		"weight negative":      {pools(`{"address": "a:1", "weight": -1}`, ""), `weight -1: want 1 to 1000`},
		"weight too high":      {pools(`{"address": "a:1", "weight": 1001}`, ""), `weight 1001: want 1 to 1000`},
		"weight as a float":    {pools(`{"address": "a:1", "weight": 1.5}`, ""), `weight 1.5: want 1 to 1000`},
		"weight as text":       {pools(`{"address": "a:1", "weight": "1"}`, ""), `weight "1": want 1 to 1000`},
		"weight null":          {pools(`{"address": "a:1", "weight": null}`, ""), `column 54: blue[0].weight: null: want another value`},
		"meta as an array":     {pools(`{"address": "a:1", "meta": []}`, ""), `column 52: blue[0].meta: an array: want an object`},
		"meta null":            {pools(`{"address": "a:1", "meta": null}`, ""), `blue[0].meta: null: want an object`},
		"meta with a number":   {pools(`{"address": "a:1", "meta": {"version": 1}}`, ""), `column 64: blue[0].meta.version: 1: want a string`},
		"meta key twice":       {pools(`{"address": "a:1", "meta": {"a": "", "a": ""}}`, ""), `blue[0].meta: key "a" is there twice`},
		"meta too long": {pools(`{"address": "a:1", "meta": {"a": "`+strings.Repeat("x", 1025)+`"}}`, ""),
			`column 52: blue[0].meta: upstream "a:1": meta "a": keys and values are at most 1024 bytes`},
		"half a surrogate":   {pools(`{"address": "\ud800:1"}`, ""), `column 38: blue[0].address: \ud800 is half of a surrogate pair`},
		"too many upstreams": {pools(many, ""), `column 24: blue: 10001 upstreams: at most 10000`},
		"too deep":           {strings.Repeat(`[`, 100), `line 1, column 65: [0][0]`},
		"too large":          {wholeFile + strings.Repeat(" ", maxPoolFile), `cannot be read: it has more than 4194304 bytes, the most that is read`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "app.json")
			put(t, path, c.content)
			found := read(path)
			if found.err == nil {
				t.Fatal("it was accepted")
			}
			wantWords(t, found.err, "pool file "+path, c.want)
			if strings.Contains(c.want, "cannot be read") {
				return
			}
			if _, err := ParsePools([]byte(c.content)); err == nil {
				t.Error("ParsePools accepted it")
			}
		})
	}
}

func TestWhatIsNoRegularFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	pipe, loop := filepath.Join(dir, "pipe"), filepath.Join(dir, "loop")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:                        "it is a directory: want a regular file",
		pipe:                       "it is a named pipe: want a regular file",
		"/dev/null":                "it is a device: want a regular file",
		loop:                       "too many levels of symbolic links",
		filepath.Join(dir, "none"): "no such file or directory",
	} {
		err := read(path).err
		if err == nil || err.Error() != "pool file "+path+" cannot be read: "+want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestParsePoolsBoundsWhatItReads(t *testing.T) {
	if _, err := ParsePools([]byte(wholeFile + strings.Repeat(" ", maxPoolFile))); err == nil {
		t.Error("it was accepted")
	}
}

func FuzzParsePoolsGivesValidPoolsOrAnError(f *testing.F) {
	f.Add([]byte(wholeFile))
	f.Add([]byte(pools(`{"address": "unix//run/a"}`, `{"address": "b:1", "weight": 1000}`)))
	f.Add([]byte(pools(`{"address": "a:1", "weight": 0}`, "")))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ParsePools(data)
		if err != nil {
			if !reflect.DeepEqual(got, switcher.Pools{}) || err.Error() == "" {
				t.Fatalf("%v together with the error %q", got, err)
			}
			return
		}
		if err := switcher.ValidatePools(got); err != nil {
			t.Fatal(err)
		}
		var lax switcher.Pools
		if err := json.Unmarshal(data, &lax); err != nil || sumOf(lax) != sumOf(got) {
			t.Fatalf("got %v, and encoding/json reads %v, %v", got, lax, err)
		}
	})
}
