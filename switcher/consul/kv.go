package consul

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/consul/api"
)

// DefaultPrefix is where the keys of a fleet are.
const DefaultPrefix = "greenroom"

// The last parts of keys below the prefix and a service.
const (
	desiredLeaf = "desired"
	stateLeaf   = "state"
	statusLeaf  = "status" // and below it one key for each edge
)

// Limits of what is read from KV: whoever may write there is not trusted with
// this process's memory.
const (
	maxValue   = 64 << 10 // bytes of one value; a longer one is malformed
	maxKeys    = 100_000  // looked at in one answer; the others are not seen
	maxSubject = 10_000   // services of one answer; the others are not seen
)

// validatePrefix wants names with slashes between them.
func validatePrefix(prefix string) error {
	if len(prefix) > 256 {
		return errors.New("is longer than 256 bytes")
	}
	for name := range strings.SplitSeq(prefix, "/") {
		if err := validateName(name); err != nil {
			return fmt.Errorf("part %q %w", name, err)
		}
	}
	return nil
}

// pair is what one key holds. The zero value: nothing is there.
type pair struct {
	index uint64 // ModifyIndex; never 0 of a key that is there
	value []byte // nil if there are more than maxValue
	size  int
	sum   [sha256.Size]byte // of the whole value
}

func pairOf(p *api.KVPair) pair {
	if p == nil {
		return pair{}
	}
	found := pair{index: p.ModifyIndex, size: len(p.Value), sum: sha256.Sum256(p.Value)}
	if found.size <= maxValue {
		found.value = append([]byte{}, p.Value...)
	}
	return found
}

// leaves are the keys of one service, as one answer has them.
type leaves struct {
	desired, state pair
	reported       bool // this edge's own status is there
}

// tree is the whole prefix, as one answer has it.
type tree struct {
	sight
	services map[string]leaves
	strays   int  // keys that mean nothing here
	cut      bool // there were more keys than are looked at
}

// sound reports whether a key that is missing from the answer may be missing
// from Consul too.
func (t *tree) sound() bool { return t.err == nil && t.vouched && !t.filtered && !t.cut }

// treeOf sorts the keys of an answer. prefix ends with a slash.
func treeOf(pairs api.KVPairs, prefix, edge string) tree {
	t := tree{services: make(map[string]leaves)}
	for i, p := range pairs {
		if i == maxKeys {
			t.cut = true
			break
		}
		service, leaf, ok := splitKey(p.Key, prefix)
		if !ok {
			t.strays++
			continue
		}
		found, known := t.services[service]
		if !known && len(t.services) == maxSubject {
			t.cut = true
			continue
		}
		switch leaf {
		case desiredLeaf:
			found.desired = pairOf(p)
		case stateLeaf:
			found.state = pairOf(p)
		case statusLeaf + "/" + edge:
			found.reported = true
		default:
			if !strings.HasPrefix(leaf, statusLeaf+"/") {
				t.strays++
			}
			continue
		}
		t.services[service] = found
	}
	return t
}

// splitKey takes the prefix and the service off a key.
func splitKey(key, prefix string) (service, leaf string, ok bool) {
	rest, below := strings.CutPrefix(key, prefix)
	if !below {
		return "", "", false
	}
	service, leaf, ok = strings.Cut(rest, "/")
	return service, leaf, ok && validateName(service) == nil
}

// once asks or tells Consul one thing, within limit.
func (c *Client) once(ctx context.Context, what string, limit time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, timeoutError(limit))
	defer cancel()
	err := c.inTurn(ctx, do)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return c.explain(what, err)
}

func (c *Client) inTurn(ctx context.Context, do func(context.Context) error) error {
	select {
	case c.reading <- struct{}{}:
		defer func() { <-c.reading }()
		return do(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readKey returns what a key holds now.
func (c *Client) readKey(ctx context.Context, key string, limit time.Duration) (found pair, err error) {
	err = c.once(ctx, "key "+key, limit, func(ctx context.Context) error {
		p, meta, err := c.api.KV().Get(key, (&api.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return err
		}
		if !meta.KnownLeader || meta.LastIndex == 0 {
			return errors.New("no leader stands behind the answer")
		}
		found = pairOf(p)
		return nil
	})
	return found, err
}

// writeKey sets a key whatever it holds.
func (c *Client) writeKey(ctx context.Context, key string, value []byte, limit time.Duration) error {
	return c.once(ctx, "key "+key, limit, func(ctx context.Context) error {
		_, err := c.api.KV().Put(&api.KVPair{Key: key, Value: value}, (&api.WriteOptions{}).WithContext(ctx))
		return err
	})
}

// errLost says that a key was changed by someone else meanwhile.
var errLost = errors.New("another edge was faster")

// swapKey sets a key that still has the given index, 0 for none, and returns
// its new index. It fails with errLost if it has another one.
func (c *Client) swapKey(ctx context.Context, key string, value []byte, index uint64, limit time.Duration) (now uint64, err error) {
	err = c.once(ctx, "key "+key, limit, func(ctx context.Context) error {
		op := &api.KVTxnOp{Verb: api.KVCAS, Key: key, Value: value, Index: index}
		ok, answer, _, err := c.api.Txn().Txn(api.TxnOps{{KV: op}}, (&api.QueryOptions{}).WithContext(ctx))
		switch {
		case err != nil:
			return txnProblem(err)
		case !ok:
			return refusal(answer.Errors)
		case len(answer.Results) != 1 || answer.Results[0].KV == nil || answer.Results[0].KV.ModifyIndex == 0:
			return errors.New("the answer to a transaction has no index: is this Consul?")
		}
		now = answer.Results[0].KV.ModifyIndex
		return nil
	})
	return now, err
}

// txnProblem shortens what the library says of an answer that is no success.
func txnProblem(err error) error {
	if text, ok := strings.CutPrefix(err.Error(), "Failed request: "); ok {
		return fmt.Errorf("refused a transaction: %s", oneLine(text))
	}
	return err
}

// refusal tells a lost race from all else that Consul has against a write.
func refusal(errs api.TxnErrors) error {
	if len(errs) == 0 {
		return fmt.Errorf("answered %d without a reason", http.StatusConflict)
	}
	if strings.Contains(errs[0].What, "index is stale") {
		return errLost
	}
	return fmt.Errorf("refused the write: %s", oneLine(errs[0].What))
}

// plain makes one line of at most limit bytes from what others wrote: no control
// character, no half rune.
func plain(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if !printable(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit-len("…")], "") + "…"
	}
	return s
}

// printable refuses what moves a terminal's cursor, or reorders what is shown.
func printable(r rune) bool {
	return r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Z, r)
}
