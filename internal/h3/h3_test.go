package h3

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func requestOf(major int, method, content string, length int64) *http.Request {
	r := httptest.NewRequest(method, "/", io.NopCloser(strings.NewReader(content)))
	r.ProtoMajor, r.ContentLength = major, length
	return r
}

func TestABodyThatEndsBeforeItsLengthFailsOverHTTP3Only(t *testing.T) {
	for _, c := range []struct {
		major   int
		content string
		length  int64
		want    error
	}{
		{3, "12345", 6, io.ErrUnexpectedEOF}, {3, "", 1, io.ErrUnexpectedEOF}, {3, "12345", 5, nil}, {3, "12345", -1, nil}, {3, "", 0, nil},
		{2, "12345", 6, nil}, {1, "12345", 6, nil}, // which see to it themselves
	} {
		r := requestOf(c.major, http.MethodPut, c.content, c.length)
		HoldToLength(r)
		got, err := io.ReadAll(r.Body)
		if string(got) != c.content || !errors.Is(err, c.want) {
			t.Errorf("HTTP/%d, %d of %d: %q, %v, want %v", c.major, len(c.content), c.length, got, err, c.want)
		}
	}
}

func TestALengthThatNobodySaidIsLeftOut(t *testing.T) {
	for _, c := range []struct {
		major   int
		method  string
		status  int
		said    string
		present bool // the field, be it without a value
	}{
		{3, http.MethodHead, 200, "", true}, {3, http.MethodGet, 204, "", true}, {3, http.MethodGet, 304, "", true},
		{3, http.MethodHead, 200, "5", true}, {3, http.MethodGet, 200, "", false}, {3, http.MethodGet, 404, "", false},
		{2, http.MethodHead, 200, "", false}, {1, http.MethodGet, 304, "", false},
	} {
		recorder := httptest.NewRecorder()
		if c.said != "" {
			recorder.Header().Set("Content-Length", c.said)
		}
		Writer(recorder, requestOf(c.major, c.method, "", 0)).WriteHeader(c.status)
		values, present := recorder.Header()["Content-Length"]
		if present != c.present || strings.Join(values, "|") != c.said || recorder.Code != c.status {
			t.Errorf("HTTP/%d %s %d with %q: %q, present %t", c.major, c.method, c.status, c.said, values, present)
		}
	}
}
