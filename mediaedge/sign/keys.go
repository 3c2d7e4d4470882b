package sign

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// maxKeyFile is more than any set of keys needs, in bytes.
const maxKeyFile = 256 << 10

// Key is one secret and the id by which the other side knows it. Nothing
// prints the secret: it lies behind a function.
type Key struct {
	id     string
	reveal func() secret
}

// ID is the key's id, which is public: most schemes put it in the URL.
func (k Key) ID() string { return k.id }

// String returns the id.
func (k Key) String() string { return "key " + k.id }

// secret is what a key file holds beside an id.
type secret struct {
	bytes []byte          // nil in a key in PEM
	extra string          // of S3 the session token, of Akamai the salt
	rsa   *rsa.PrivateKey // of a key in PEM only
}

// KeyFile says where keys are. See the package's comment for the format.
type KeyFile struct {
	// Path of the file. Group and others must not be able to write it.
	Path string

	// Encoding of its secrets: of each scheme it is the one that New… names.
	Encoding Encoding

	// SignWith is the id of the key to sign with. Empty: the first one in the
	// file. All others are for Find only.
	SignWith string
}

// Keys are the keys of a file, as they were when it was last read in order.
// They are safe for concurrent use.
type Keys struct {
	file  KeyFile
	mu    sync.Mutex // one reading at a time
	state atomic.Pointer[keyset]
}

// keyset never changes.
type keyset struct {
	keys    []Key
	signing Key
	sum     [sha256.Size]byte // of the file's content
}

// OpenKeys reads a key file. Its errors name the file and the line, and hold
// nothing of its content.
func OpenKeys(f KeyFile) (*Keys, error) {
	k := &Keys{file: f}
	if _, err := k.Refresh(); err != nil {
		return nil, err
	}
	return k, nil
}

// Refresh reads the file again, and reports whether its keys are others now.
// On an error those of before stay.
func (k *Keys) Refresh() (changed bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	content, err := readKeyFile(k.file.Path)
	if err != nil {
		return false, fmt.Errorf("key file %s: %w", k.file.Path, err)
	}
	sum := sha256.Sum256(content)
	if old := k.state.Load(); old != nil && old.sum == sum {
		return false, nil
	}
	keys, err := parseKeys(content, k.file.Encoding)
	if err != nil {
		return false, fmt.Errorf("key file %s: %w", k.file.Path, err)
	}
	next := &keyset{keys: keys, signing: keys[0], sum: sum}
	if id := k.file.SignWith; id != "" {
		i := slices.IndexFunc(keys, func(key Key) bool { return key.id == id })
		if i < 0 {
			return false, fmt.Errorf("key file %s: no key has the id %q, which is the one to sign with", k.file.Path, id)
		}
		next.signing = keys[i]
	}
	k.state.Store(next)
	return true, nil
}

// Run reads the file again each interval (5 s if it is not positive), until ctx
// ends. It looks at content,
// not at times, so that a file that is replaced, rewritten in place or behind
// a symbolic link is seen alike. It logs changes, and each trouble once.
func (k *Keys) Run(ctx context.Context, interval time.Duration, log *slog.Logger) {
	if interval <= 0 {
		interval = 5 * time.Second
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	trouble := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := k.Refresh()
		switch {
		case err != nil && err.Error() != trouble:
			trouble = err.Error()
			log.Error("media keys cannot be read; those of before stay in use", "error", trouble)
		case err == nil && (changed || trouble != ""):
			trouble = ""
			log.Info("media keys read", "file", k.file.Path, "ids", k.IDs(), "sign_with", k.Current().ID())
		}
	}
}

// Current is the key to sign with.
func (k *Keys) Current() Key { return k.state.Load().signing }

// Find returns the key with the id, for verification.
func (k *Keys) Find(id string) (Key, bool) {
	keys := k.state.Load().keys
	i := slices.IndexFunc(keys, func(key Key) bool { return key.id == id })
	if i < 0 {
		return Key{}, false
	}
	return keys[i], true
}

// IDs are those of all keys, in the file's order.
func (k *Keys) IDs() []string {
	var ids []string
	for _, key := range k.state.Load().keys {
		ids = append(ids, key.id)
	}
	return ids
}

// String names the file and the ids.
func (k *Keys) String() string { return fmt.Sprintf("keys %v of %s", k.IDs(), k.file.Path) }

// wants reports an error if the keys are encoded otherwise than a scheme's.
func (k *Keys) wants(scheme string, e Encoding) error {
	if k == nil {
		return fmt.Errorf("%s: no keys", scheme)
	}
	if k.file.Encoding != e {
		return fmt.Errorf("%s: key file %s: want keys encoded as %v, not as %v", scheme, k.file.Path, e, k.file.Encoding)
	}
	return nil
}

// readKeyFile reads a regular file; a FIFO does not block it.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("it cannot be read by user %d: %w", os.Geteuid(), fs.ErrPermission)
	}
	if err != nil {
		return nil, errors.Unwrap(err) // without the path, which the caller names
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, errors.Unwrap(err)
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case info.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("its mode %#o lets group or others write it: chmod go-w", info.Mode().Perm())
	}
	content, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	switch {
	case err != nil:
		return nil, errors.New("it cannot be read to its end")
	case len(content) > maxKeyFile:
		return nil, fmt.Errorf("it is longer than %d bytes", maxKeyFile)
	}
	return bytes.TrimPrefix(content, []byte("\uFEFF")), nil
}
