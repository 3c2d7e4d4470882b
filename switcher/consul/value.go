package consul

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// valueLimit is how long Value waits at most.
const valueLimit = 10 * time.Second

// Value returns what a key of KV holds, as Consul's leader has it. A key that is
// not there, or may not be read, is an error.
func (c *Client) Value(ctx context.Context, key string) ([]byte, error) {
	found, err := c.readKey(ctx, key, valueLimit)
	switch {
	case err != nil:
		return nil, err
	case found.index == 0:
		return nil, fmt.Errorf("key %s: Consul has none such, or the token may not read it", key)
	case found.value == nil:
		return nil, fmt.Errorf("key %s: its value has more than %d bytes", key, maxValue)
	}
	return found.value, nil
}

// ValidateKey wants names with slashes between them, as app/schema_version.
func ValidateKey(key string) error {
	if key == "" || strings.HasPrefix(key, "/") {
		return errors.New("want the name of a key, without a slash before it")
	}
	return validatePrefix(key)
}
