package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// The codes of problems. They never change their meaning; a client that does
// not know one goes by the status.
const (
	CodeUnknownService       = "unknown_service"
	CodeNotFound             = "not_found"
	CodeMethodNotAllowed     = "method_not_allowed"
	CodeRefusedByGate        = "refused_by_gate"
	CodeLocked               = "locked"
	CodeConflict             = "conflict"
	CodeInvalid              = "invalid"
	CodeTooLarge             = "too_large"
	CodeUnsupportedMediaType = "unsupported_media_type"
	CodeNotAllowed           = "not_allowed"
	CodeAuditFailed          = "audit_failed"
	CodeStoreFailed          = "store_failed"
	CodeClosed               = "closed"
	CodeBusy                 = "busy"
	CodeInternal             = "internal"
)

// kind is what a code stands for.
type kind struct {
	status int
	title  string
	err    error // of the switcher, or nil
}

var kinds = map[string]kind{
	CodeUnknownService:       {http.StatusNotFound, "No such service", switcher.ErrUnknownService},
	CodeNotFound:             {http.StatusNotFound, "No such path", nil},
	CodeMethodNotAllowed:     {http.StatusMethodNotAllowed, "Method not allowed", nil},
	CodeRefusedByGate:        {http.StatusConflict, "Refused by a gate", switcher.ErrRefused},
	CodeLocked:               {http.StatusLocked, "The service is locked", switcher.ErrLocked},
	CodeConflict:             {http.StatusConflict, "Conflict with the present state", switcher.ErrConflict},
	CodeInvalid:              {http.StatusBadRequest, "Invalid request", switcher.ErrInvalid},
	CodeTooLarge:             {http.StatusRequestEntityTooLarge, "Request too large", nil},
	CodeUnsupportedMediaType: {http.StatusUnsupportedMediaType, "Unsupported media type", nil},
	CodeNotAllowed:           {http.StatusForbidden, "Not allowed", nil},
	CodeAuditFailed:          {http.StatusServiceUnavailable, "The audit log cannot be written", nil},
	CodeStoreFailed:          {http.StatusServiceUnavailable, "The state cannot be stored", switcher.ErrStore},
	CodeClosed:               {http.StatusServiceUnavailable, "Greenroom is stopping", switcher.ErrClosed},
	CodeBusy:                 {http.StatusServiceUnavailable, "Too many connections", nil},
	CodeInternal:             {http.StatusInternalServerError, "Internal error", nil},
}

// Problem is why a request failed: the body of every answer that is not 200,
// as application/problem+json (RFC 9457). The client returns it as its error;
// errors.Is finds the switcher's error of the same code in it.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail is a sentence for a person.
	Detail string `json:"detail,omitempty"`
	// Code is one of the Code constants.
	Code string `json:"code"`
	// Field of the request that is wrong, and where its value begins in the
	// body, in bytes.
	Field  string `json:"field,omitempty"`
	Offset *int64 `json:"offset,omitempty"`
	// Gates are the verdicts behind refused_by_gate, where they are known.
	Gates []switcher.Verdict `json:"gates,omitempty"`
}

func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Detail
}

// Unwrap returns the switcher's error of the code, or nil.
func (p *Problem) Unwrap() error { return kinds[p.Code].err }

func newProblem(code, format string, args ...any) *Problem {
	k := kinds[code]
	return &Problem{
		Type: "urn:greenroom:problem:" + code, Title: k.title, Status: k.status, Code: code,
		Detail: fmt.Sprintf(format, args...),
	}
}

// problemOf names the class of what a switcher returned.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	p = newProblem(codeOf(err), "%s", err.Error())
	var refusal *switcher.GateError
	if errors.As(err, &refusal) {
		p.Gates = refusal.Verdicts
	}
	return p
}

// codeOf looks for the most telling error first: one may wrap several.
func codeOf(err error) string {
	for _, code := range []string{
		CodeUnknownService, CodeInvalid, CodeRefusedByGate, CodeLocked, CodeConflict, CodeStoreFailed, CodeClosed,
	} {
		if errors.Is(err, kinds[code].err) {
			return code
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return CodeClosed
	}
	return CodeInternal
}

func (p *Problem) write(w http.ResponseWriter) error {
	return writeBody(w, p.Status, "application/problem+json", p)
}

func writeBody(w http.ResponseWriter, status int, contentType string, body any) error {
	data, err := json.Marshal(body)
	if err != nil { // the switcher's own types: a bug of ours
		return errors.Join(err, newProblem(CodeInternal, "the answer cannot be written as JSON: %s", err).write(w))
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, err = w.Write(append(data, '\n'))
	return err
}
