package flows

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"github.com/weir-engine/weir/engine"
)

const (
	maxSource   = 1 << 20 // bytes of one file
	maxUpvalues = 60      // of one function, as in Lua 5.1
)

// Program is a compiled flow or module. It is immutable: any number of runs may
// share it at the same time.
type Program struct {
	file     string
	proto    *lua.FunctionProto
	captures int // variables that one of its functions captures, at most
}

// File is the name that errors of the program bear.
func (p *Program) File() string { return p.file }

// Compile translates the Lua text of one file. The file's name is used in errors
// only. The error is an [engine.Error] of kind invalid that says where.
func Compile(file string, text []byte) (*Program, error) {
	if len(text) > maxSource {
		return nil, invalidSource(file, 0, fmt.Sprintf("the file has %d bytes, at most %d are allowed", len(text), maxSource))
	}
	chunk, err := parse.Parse(bytes.NewReader(skipShebang(text)), file)
	if err != nil {
		return nil, syntaxError(file, text, err)
	}
	rewriter := &rewriter{}
	chunk = rewriter.block(chunk)
	if rewriter.tooDeep > 0 {
		return nil, invalidSource(file, rewriter.tooDeep, fmt.Sprintf("the syntax is nested more than %d levels deep", maxNesting))
	}
	proto, err := lua.Compile(chunk, file)
	if err != nil {
		return nil, syntaxError(file, text, err)
	}
	p := &Program{file: file, proto: proto}
	if line := p.inspect(proto); line > 0 {
		return nil, invalidSource(file, line, fmt.Sprintf("the function uses more than %d outer local variables", maxUpvalues))
	}
	return p, nil
}

// skipShebang blanks a first line that starts with "#", as lua(1) does.
func skipShebang(text []byte) []byte {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if !bytes.HasPrefix(text, []byte("#")) {
		return text
	}
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		return text[i:]
	}
	return nil
}

// inspect looks through the instructions for what bounds the memory that one of
// them takes. It gives the line of the first function that captures more variables
// than is allowed, else 0.
func (p *Program) inspect(proto *lua.FunctionProto) int {
	for i, inst := range proto.Code {
		// A new table without room for keys gets room for 32 with its first one,
		// which most tables never need; one that has room for 1 grows as it should.
		if int(inst>>26) == lua.OP_NEWTABLE && inst>>9&0x1ff == 0 {
			proto.Code[i] = inst | 1<<9
		}
	}
	for _, inner := range proto.FunctionPrototypes {
		n := len(inner.DbgUpvalues)
		if n > maxUpvalues {
			return inner.LineDefined
		}
		p.captures = max(p.captures, n)
		if line := p.inspect(inner); line > 0 {
			return line
		}
	}
	return 0
}

func syntaxError(file string, text []byte, err error) error {
	var syntax *parse.Error
	if errors.As(err, &syntax) {
		line, near := syntax.Pos.Line, " near "+quoteToken(syntax.Token)
		if line == parse.EOF || line <= 0 {
			line, near = 1+bytes.Count(bytes.TrimRight(text, "\n"), []byte("\n")), " at the end of the file"
		}
		message := strings.TrimSpace(syntax.Message)
		if message == "syntax error" || message == "" {
			return invalidSource(file, line, "syntax error"+near)
		}
		return invalidSource(file, line, "syntax error"+near+": "+message)
	}
	var compile *lua.CompileError
	if errors.As(err, &compile) {
		return invalidSource(file, compile.Line, compile.Message)
	}
	return invalidSource(file, 0, err.Error())
}

func quoteToken(token string) string {
	if len(token) > 40 {
		token = token[:40] + "..."
	}
	return fmt.Sprintf("%q", token)
}

func invalidSource(file string, line int, message string) error {
	where := file
	if line > 0 {
		where = fmt.Sprintf("%s:%d", file, line)
	}
	return &engine.Error{Kind: engine.Invalid, Where: where, Message: message}
}
