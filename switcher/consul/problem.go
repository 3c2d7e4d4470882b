package consul

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/consul/api"
)

// timeoutError is that of a poll.
type timeoutError time.Duration

func (t timeoutError) Error() string {
	return fmt.Sprintf("no answer within %s", time.Duration(t).Round(time.Millisecond))
}

// problem is a failed query in words that stay the same while the cause does:
// without ports of this end, without an index, and without the token.
type problem struct {
	where string
	text  string
	cause error
}

func (p *problem) Error() string { return p.where + ": " + p.text }
func (p *problem) Unwrap() error { return p.cause }

// explain says what went wrong with what was asked.
func (c *Client) explain(what string, err error) error {
	return &problem{where: c.String() + ": " + what, text: c.conceal(words(err)), cause: err}
}

func (c *Client) conceal(text string) string {
	value, err := c.token.get()
	if err != nil {
		return text
	}
	return value.conceal(text)
}

func words(err error) string {
	if e, ok := errors.AsType[api.StatusError](err); ok {
		return fmt.Sprintf("answered %d: %s", e.Code, oneLine(e.Body))
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the answer is not JSON: is this Consul?"
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return oneLine(fmt.Sprintf("the answer has a %s for %s", e.Value, e.Field))
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Op + ": " + oneLine(e.Err.Error())
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		if e.Timeout() {
			return "no answer in time"
		}
		err = e.Err
	}
	if errors.Is(err, io.EOF) {
		return "the connection ended without an answer"
	}
	return oneLine(err.Error())
}

// oneLine bounds what others wrote.
func oneLine(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	if s == "" {
		return "without a word"
	}
	return s
}
