package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// bodySize is how much room a request's body needs; 0 if it has none that counts.
func bodySize(r *http.Request) int64 {
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
	default:
		return 0
	}
	if r.ContentLength < 0 { // not known before it is read
		return MaxBody
	}
	return min(r.ContentLength, MaxBody)
}

// readBody reads the body of a request into memory.
func (s *Server) readBody(r *http.Request) ([]byte, *api.Error) {
	conn := noted(r).conn
	_ = conn.SetReadDeadline(time.Now().Add(s.config.BodyPatience))
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, bodyFault(err)
	}
	_ = conn.SetReadDeadline(time.Time{}) // it would end the request's context
	r.Body = io.NopCloser(bytes.NewReader(text))
	return text, nil
}

// checkBody tells what a body is, if it is no JSON, and nothing of what is in it.
func checkBody(header http.Header, text []byte) *api.Error {
	if encoding := header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return unsupported("the body has a Content-Encoding", "send it as it is: compressed bodies are not taken")
	}
	if len(text) == 0 {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(header.Get("Content-Type")); err != nil || kind != "application/json" {
		return unsupported("the body is not of the type application/json", `say so if it is: curl -H "Content-Type: application/json"`)
	}
	return checkJSON(text)
}

func unsupported(message, hint string) *api.Error {
	return &api.Error{
		Status: http.StatusUnsupportedMediaType, Code: api.CodeBadRequest, Kind: string(engine.Invalid), Message: message, Hint: hint,
	}
}

// bodyFault tells why a body could not be read.
func bodyFault(err error) *api.Error {
	var late net.Error
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return tooLarge()
	case errors.As(err, &late) && late.Timeout():
		return &api.Error{
			Status: http.StatusRequestTimeout, Code: api.CodeSlow, Kind: string(engine.Timeout), Message: "the body did not come in time",
		}
	}
	return badBody("the body broke off, or is no body of HTTP", "")
}

func tooLarge() *api.Error {
	return &api.Error{
		Status: http.StatusRequestEntityTooLarge, Code: api.CodeTooLarge, Kind: string(engine.Invalid),
		Message: "the body is too large", Hint: fmt.Sprintf("at most %d MiB are read", MaxBody>>20),
	}
}

// checkJSON tells where a body is no JSON.
func checkJSON(text []byte) *api.Error {
	if !utf8.Valid(text) {
		return badBody("the body is not UTF-8", "")
	}
	var syntax *json.SyntaxError
	if !errors.As(json.Unmarshal(text, new(json.RawMessage)), &syntax) {
		return nil
	}
	before := text[:min(max(syntax.Offset-1, 0), int64(len(text)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	what := "a character that is not expected there"
	switch {
	case strings.Contains(syntax.Error(), "unexpected end"):
		what = "it ends too early"
	case strings.Contains(syntax.Error(), "depth"):
		what = "it is nested too deep"
	}
	return badBody("the body is no JSON: "+what, fmt.Sprintf("body:%d:%d", line, column))
}

func badBody(message, where string) *api.Error {
	return &api.Error{
		Status: http.StatusBadRequest, Code: api.CodeBadRequest, Kind: string(engine.Invalid), Message: message, Where: where,
	}
}
