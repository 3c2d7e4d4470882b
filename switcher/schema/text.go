package schema

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/greenroom-proxy/greenroom/internal/ask"
)

// HTTP reads the version from a server that answers a GET with 200: with the
// number alone as the body, or with a JSON object that has it as a member.
type HTTP struct {
	Server *ask.Web
	// Field is the member. Default: none, the body is the number.
	Field string
}

// Version implements Reader.
func (h *HTTP) Version(ctx context.Context) (int64, error) {
	a, err := h.Server.Get(ctx, maxBody)
	switch {
	case err != nil:
		return 0, errors.New(ask.Line(err.Error()))
	case a.Status != 200:
		return 0, fmt.Errorf("answered %d", a.Status)
	case h.Field == "":
		return parseVersion(string(a.Body))
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(a.Body, &members); err != nil {
		return 0, fmt.Errorf("want a JSON object with %q: %s", h.Field, ask.Line(err.Error()))
	}
	text, err := number(members, h.Field)
	if err != nil {
		return 0, err
	}
	return parseVersion(text)
}

func (h *HTTP) String() string { return "GET " + h.Server.String() }

// Key reads the version from a key of a key-value store that holds the number
// alone.
type Key struct {
	// Where names the store and the key.
	Where string
	// Read returns the value, or an error where there is none.
	Read func(ctx context.Context) ([]byte, error)
}

// Version implements Reader.
func (k Key) Version(ctx context.Context) (int64, error) {
	value, err := k.Read(ctx)
	if err != nil {
		return 0, errors.New(ask.Line(strings.Join(strings.Fields(err.Error()), " ")))
	}
	return parseVersion(string(value))
}

func (k Key) String() string { return k.Where }

var (
	_ Reader = (*HTTP)(nil)
	_ Reader = Key{}
)
