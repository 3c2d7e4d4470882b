package file

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/strictjson"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// format is the version of the document that this package writes, and the only
// one that it reads.
const format = 1

// maxDocument bounds what is read, and so what is written.
const maxDocument = 64 << 20

// envelope is the document.
type envelope struct {
	Format int `json:"format"`
	// SHA256 is over the payload without white space between its tokens,
	// in hexadecimal.
	SHA256  string          `json:"sha256"`
	Payload json.RawMessage `json:"payload"`
}

type payload struct {
	Written time.Time      `json:"written"`
	State   switcher.State `json:"state"`
}

// encode makes the document of a state, of at most limit bytes. It refuses what
// decode would refuse.
func encode(s switcher.State, now time.Time, limit int64) ([]byte, error) {
	if err := validate(s); err != nil {
		return nil, err
	}
	if s.Services == nil {
		s.Services = map[string]switcher.ServiceState{} // null is not a state
	}
	inner, err := json.Marshal(payload{now.UTC(), s})
	if err != nil {
		return nil, err
	}
	return seal(inner, "the state", limit)
}

// seal makes the document of a payload, of at most limit bytes.
func seal(payload []byte, what string, limit int64) ([]byte, error) {
	doc, err := json.Marshal(envelope{format, checksum(payload), payload})
	if err != nil {
		return nil, err
	}
	doc = append(doc, '\n')
	if int64(len(doc)) > limit {
		return nil, fmt.Errorf("%s has %d bytes: at most %d can be read again", what, len(doc), limit)
	}
	return doc, nil
}

// decode returns a state exactly as it was written, or an error.
func decode(doc []byte) (payload, error) {
	content, err := unseal(doc)
	if err != nil {
		return payload{}, err
	}
	var inner payload
	if err := strictjson.Decode(content, &inner); err != nil {
		return payload{}, fmt.Errorf("format %d does not allow its content: %w", format, err)
	}
	return inner, validate(inner.State)
}

// unseal returns the payload of a document exactly as it was written, but for
// white space, or an error.
func unseal(doc []byte) ([]byte, error) {
	var version struct{ Format int }
	if json.Unmarshal(doc, &version) == nil && version.Format != format {
		return nil, fmt.Errorf("it has format %d, and this version of greenroom reads format %d", version.Format, format)
	}
	var outer envelope
	if err := strictjson.Decode(doc, &outer); err != nil {
		return nil, fmt.Errorf("it is torn or corrupt: %w", err)
	}
	if len(outer.Payload) == 0 {
		return nil, errors.New("it is corrupt: no payload")
	}
	var canonical bytes.Buffer
	if err := json.Compact(&canonical, outer.Payload); err != nil {
		return nil, fmt.Errorf("it is corrupt: %w", err)
	}
	if sum := checksum(canonical.Bytes()); sum != outer.SHA256 {
		return nil, fmt.Errorf("it is corrupt: its content has the checksum %s, and %.64q is written in it", sum, outer.SHA256)
	}
	return outer.Payload, nil
}

func checksum(payload []byte) string {
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:])
}

func validate(s switcher.State) error {
	for _, name := range slices.Sorted(maps.Keys(s.Services)) {
		if err := s.Services[name].Validate(); err != nil {
			return fmt.Errorf("service %q: %w", name, err)
		}
	}
	return nil
}
