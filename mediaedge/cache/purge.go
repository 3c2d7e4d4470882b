package cache

import (
	"context"
	"strings"
)

// Purge forgets what is kept of a path, whatever the query, or of all paths
// with this prefix, and returns how many objects that were. Readers that have a
// head finish, from what the origin still has of that version; nothing that is
// on its way is kept, and who asks from now on gets what is asked for from now
// on. An empty scope is every scope.
func (c *Cache) Purge(scope, path string, prefix bool) int {
	match := func(s, p string) bool {
		return (scope == "" || s == scope) && (p == path || prefix && strings.HasPrefix(p, path))
	}
	c.mu.Lock()
	for key, op := range c.openings {
		if match(op.scope, op.path) {
			op.forgotten = true
			delete(c.openings, key)
		}
	}
	c.mu.Unlock()
	gone := map[string]bool{}
	// The disk goes first, so that nothing comes up from it afterwards, and last,
	// for what went down meanwhile.
	if c.disk != nil {
		c.disk.scan(context.Background())
		c.disk.purge(match, gone)
		defer c.disk.purge(match, gone)
	}
	for key, o := range c.objects.All() {
		if match(o.scope, o.path) {
			if o.mark == unmarked {
				gone[key] = true
			}
			c.objects.Invalidate(key)
			c.kill(o)
		}
	}
	for _, p := range c.pieces.All() { // of versions that are not in the index any more
		if match(p.object.scope, p.object.path) {
			c.kill(p.object)
		}
	}
	return len(gone)
}
