package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/greenroom-proxy/greenroom/examples/platform/bucket"
)

// How long what is written may be kept by caches. A segment's name is never used
// again; a playlist of a whole title does not change either, but a live one does
// with each segment.
const (
	forever = "public, max-age=31536000, immutable"
	shortly = "public, max-age=1"
)

// Linger is how long a segment stays in the bucket after no playlist names it:
// players that are behind still ask for it.
const Linger = time.Minute

// Publisher copies a stream from a directory to the bucket: first segments, then
// the playlists that name them, and the multivariant playlist last. Nobody who
// follows what the bucket says asks for something that is not there.
type Publisher struct {
	Bucket *bucket.Bucket
	// Dir has Index, and a directory with index.m3u8 and segments for each variant.
	Dir string
	// Prefix of the keys in the bucket, without a slash at the end.
	Prefix string

	segments map[string]time.Time // what is in the bucket, by when a playlist named it last
	lists    map[string]string    // what playlists in the bucket say
}

// Sync copies what has changed, and removes segments that no playlist has named
// for Linger. Playlists are to be replaced atomically by who writes them.
func (p *Publisher) Sync(ctx context.Context, now time.Time) error {
	if p.segments == nil {
		p.segments, p.lists = make(map[string]time.Time), make(map[string]string)
	}
	variants, err := filepath.Glob(filepath.Join(p.Dir, "*", "index.m3u8"))
	if err != nil {
		return err
	}
	for _, file := range variants {
		if err := p.variant(ctx, filepath.Base(filepath.Dir(file)), now); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(filepath.Join(p.Dir, Index))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !p.whole(string(text)) {
		return nil // it names a variant that has no segment yet
	}
	if err != nil {
		return err
	}
	if err := p.playlist(ctx, Index, string(text)); err != nil {
		return err
	}
	return p.remove(ctx, now)
}

// Published reports whether players can begin: the multivariant playlist is in the
// bucket.
func (p *Publisher) Published() bool { return p.lists[Index] != "" }

// variant copies the segments of one playlist, and then that.
func (p *Publisher) variant(ctx context.Context, name string, now time.Time) error {
	text, err := os.ReadFile(filepath.Join(p.Dir, name, "index.m3u8"))
	if err != nil {
		return err
	}
	for _, segment := range uris(string(text)) {
		at := path.Join(name, segment)
		if _, there := p.segments[at]; !there {
			if err := p.put(ctx, at, at, "video/mp2t", forever); err != nil {
				return err
			}
		}
		p.segments[at] = now
	}
	return p.playlist(ctx, path.Join(name, "index.m3u8"), string(text))
}

// whole reports whether all that a multivariant playlist names is in the bucket.
func (p *Publisher) whole(text string) bool {
	for _, variant := range uris(text) {
		if _, there := p.lists[variant]; !there {
			return false
		}
	}
	return true
}

// playlist writes one, if it says something new: what was read, not what the file
// may say by now.
func (p *Publisher) playlist(ctx context.Context, at, text string) error {
	if p.lists[at] == text {
		return nil
	}
	copied, err := os.CreateTemp("", "platform-playlist")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(copied.Name()) }()
	if _, err := copied.WriteString(text); err != nil {
		return errors.Join(err, copied.Close())
	}
	if err := copied.Close(); err != nil {
		return err
	}
	keep := shortly
	if strings.Contains(text, "#EXT-X-ENDLIST") {
		keep = forever
	}
	if err := p.putFile(ctx, copied.Name(), at, "application/vnd.apple.mpegurl", keep); err != nil {
		return err
	}
	p.lists[at] = text
	return nil
}

func (p *Publisher) put(ctx context.Context, file, at, contentType, keep string) error {
	return p.putFile(ctx, filepath.Join(p.Dir, filepath.FromSlash(file)), at, contentType, keep)
}

func (p *Publisher) putFile(ctx context.Context, file, at, contentType, keep string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	defer func() { _ = f.Close() }()
	return p.Bucket.Put(ctx, p.Prefix+"/"+at, f, contentType, keep)
}

func (p *Publisher) remove(ctx context.Context, now time.Time) error {
	for at, named := range p.segments {
		if now.Sub(named) < Linger {
			continue
		}
		if err := p.Bucket.Delete(ctx, p.Prefix+"/"+at); err != nil {
			return err
		}
		delete(p.segments, at)
	}
	return nil
}

// uris returns the lines of a playlist that are no tags.
func uris(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			found = append(found, line)
		}
	}
	return found
}
