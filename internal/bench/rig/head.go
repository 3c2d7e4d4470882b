package rig

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
)

// Head is what a client of a benchmark wants to know of an answer's head.
type Head struct {
	Status int
	Length int64 // by Content-Length; -1 if there is none
	Close  bool  // the server closes the connection behind the answer
}

var (
	lengthField     = []byte("Content-Length:")
	connectionField = []byte("Connection:")
	closing         = []byte("close")
)

// ReadHead reads the head of an answer over HTTP/1.1, and no more of HTTP than
// that: what a client takes of the processors, the server does not get.
func ReadHead(in *bufio.Reader) (h Head, err error) {
	h.Length = -1
	line, err := in.ReadSlice('\n')
	if err != nil {
		return h, err
	}
	if len(line) < len("HTTP/1.1 200") || string(line[:9]) != "HTTP/1.1 " {
		return h, fmt.Errorf("%q is no HTTP/1.1", line)
	}
	if h.Status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return h, err
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return h, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return h, nil
		}
		if value, ok := fieldOf(line, lengthField); ok {
			if h.Length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return h, err
			}
		} else if value, ok := fieldOf(line, connectionField); ok {
			h.Close = bytes.EqualFold(value, closing)
		}
	}
}

func fieldOf(line, name []byte) (value []byte, ok bool) {
	if len(line) <= len(name) || !bytes.EqualFold(line[:len(name)], name) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name):]), true
}
