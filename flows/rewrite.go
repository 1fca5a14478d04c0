package flows

import (
	"slices"
	"strconv"
	"strings"

	"github.com/yuin/gopher-lua/ast"
)

// Three operations of the virtual machine take memory that nothing in it
// bounds: joining strings, writing far beyond the end of a table, and the
// constructor of a table with computed keys. The rewriter turns each of them into
// the call of a function of the sandbox that accounts for it. Their names are
// no names in Lua, so that no script can say or replace them.
const (
	opConcat = "(concat)"
	opSet    = "(set)"
	opFields = "(fields)"
)

const (
	maxOperands = 50   // of one call that stands for an operator; longer chains are nested
	smallIndex  = 64   // a constant index up to this one cannot take much
	maxNesting  = 1000 // of the syntax; the compiler takes quadratic time in it
)

// rewriter replaces operations in a syntax tree, in place.
type rewriter struct {
	temporaries int
	depth       int
	tooDeep     int // the line where the syntax is nested too deeply, or 0
}

// enter goes one level down, and reports false if that is too deep.
func (r *rewriter) enter(at ast.PositionHolder) bool {
	r.depth++
	if r.depth > maxNesting && r.tooDeep == 0 {
		r.tooDeep = max(at.Line(), 1)
	}
	return r.tooDeep == 0
}

func (r *rewriter) leave() { r.depth-- }

func (r *rewriter) block(stmts []ast.Stmt) []ast.Stmt {
	for i, s := range stmts {
		stmts[i] = r.stmt(s)
	}
	return stmts
}

func (r *rewriter) stmt(stmt ast.Stmt) ast.Stmt {
	defer r.leave()
	if !r.enter(stmt) {
		return stmt
	}
	switch s := stmt.(type) {
	case *ast.AssignStmt:
		return r.assign(s)
	case *ast.LocalAssignStmt:
		r.exprs(s.Exprs)
	case *ast.FuncCallStmt:
		s.Expr = r.expr(s.Expr)
	case *ast.DoBlockStmt:
		r.block(s.Stmts)
	case *ast.WhileStmt:
		s.Condition = r.expr(s.Condition)
		r.block(s.Stmts)
	case *ast.RepeatStmt:
		r.block(s.Stmts)
		s.Condition = r.expr(s.Condition)
	case *ast.IfStmt:
		s.Condition = r.expr(s.Condition)
		r.block(s.Then)
		r.block(s.Else)
	case *ast.NumberForStmt:
		s.Init, s.Limit = r.expr(s.Init), r.expr(s.Limit)
		if s.Step != nil {
			s.Step = r.expr(s.Step)
		}
		r.block(s.Stmts)
	case *ast.GenericForStmt:
		r.exprs(s.Exprs)
		r.block(s.Stmts)
	case *ast.FuncDefStmt:
		r.block(s.Func.Stmts)
	case *ast.ReturnStmt:
		r.exprs(s.Exprs)
	}
	return stmt
}

func (r *rewriter) exprs(list []ast.Expr) {
	for i, e := range list {
		list[i] = r.expr(e)
	}
}

func (r *rewriter) expr(expr ast.Expr) ast.Expr {
	defer r.leave()
	if !r.enter(expr) {
		return expr
	}
	switch e := expr.(type) {
	case *ast.StringConcatOpExpr:
		return r.concat(e)
	case *ast.TableExpr:
		return r.table(e)
	case *ast.AttrGetExpr:
		e.Object, e.Key = r.expr(e.Object), r.expr(e.Key)
	case *ast.FuncCallExpr:
		if e.Func != nil {
			e.Func = r.expr(e.Func)
		}
		if e.Receiver != nil {
			e.Receiver = r.expr(e.Receiver)
		}
		r.exprs(e.Args)
	case *ast.LogicalOpExpr:
		e.Lhs, e.Rhs = r.expr(e.Lhs), r.expr(e.Rhs)
	case *ast.RelationalOpExpr:
		e.Lhs, e.Rhs = r.expr(e.Lhs), r.expr(e.Rhs)
	case *ast.ArithmeticOpExpr:
		e.Lhs, e.Rhs = r.expr(e.Lhs), r.expr(e.Rhs)
	case *ast.UnaryMinusOpExpr:
		e.Expr = r.expr(e.Expr)
	case *ast.UnaryNotOpExpr:
		e.Expr = r.expr(e.Expr)
	case *ast.UnaryLenOpExpr:
		e.Expr = r.expr(e.Expr)
	case *ast.FunctionExpr:
		r.block(e.Stmts)
	}
	return expr
}

// concat turns a .. b .. c into (concat)(a, b, c), and constants into one.
func (r *rewriter) concat(e *ast.StringConcatOpExpr) ast.Expr {
	var operands []ast.Expr
	var last ast.Expr = e
	for {
		c, ok := last.(*ast.StringConcatOpExpr)
		if !ok {
			break
		}
		operands = append(operands, r.expr(c.Lhs))
		last = c.Rhs
	}
	operands = append(operands, r.expr(last))
	if text, ok := constantText(operands); ok {
		return at(&ast.StringExpr{Value: text}, e)
	}
	for len(operands) > maxOperands {
		var groups []ast.Expr
		for group := range slices.Chunk(operands, maxOperands) {
			groups = append(groups, call(opConcat, group, e))
		}
		operands = groups
	}
	return call(opConcat, operands, e)
}

func constantText(operands []ast.Expr) (string, bool) {
	var b strings.Builder
	for _, o := range operands {
		s, ok := o.(*ast.StringExpr)
		if !ok {
			return "", false
		}
		b.WriteString(s.Value)
	}
	return b.String(), true
}

// table leaves the list and the constant keys of a constructor where they are and
// turns the computed keys into (fields)(table, key, value, ...).
func (r *rewriter) table(e *ast.TableExpr) ast.Expr {
	var plain []*ast.Field
	var computed []ast.Expr
	for _, f := range e.Fields {
		f.Value = r.expr(f.Value)
		if f.Key == nil || constantKey(f.Key) {
			plain = append(plain, f)
			continue
		}
		computed = append(computed, r.expr(f.Key), f.Value)
	}
	if len(computed) == 0 {
		return e
	}
	e.Fields = plain
	var table ast.Expr = e
	for len(computed) > 0 {
		n := min(len(computed), maxOperands)
		table = call(opFields, append([]ast.Expr{table}, computed[:n]...), e)
		computed = computed[n:]
	}
	return table
}

func constantKey(key ast.Expr) bool {
	switch k := key.(type) {
	case *ast.StringExpr:
		return true
	case *ast.NumberExpr:
		n, err := strconv.Atoi(k.Value)
		return err == nil && n <= smallIndex
	}
	return false
}

// assign turns t[k] = v into (set)(t, k, v) where k is computed. With several
// targets, all that is on the left and then all that is on the right is evaluated
// into temporaries first, as Lua does.
func (r *rewriter) assign(s *ast.AssignStmt) ast.Stmt {
	r.exprs(s.Rhs)
	computed := false
	for i, lhs := range s.Lhs {
		s.Lhs[i] = r.expr(lhs)
		if a, ok := lhs.(*ast.AttrGetExpr); ok && !constantKey(a.Key) {
			computed = true
		}
	}
	if !computed {
		return s
	}
	if len(s.Lhs) == 1 && len(s.Rhs) == 1 {
		return setCall(s.Lhs[0].(*ast.AttrGetExpr), s.Rhs[0])
	}
	left, targets := &ast.LocalAssignStmt{}, make([]ast.Expr, len(s.Lhs))
	for i, lhs := range s.Lhs {
		targets[i] = lhs
		a, ok := lhs.(*ast.AttrGetExpr)
		if !ok {
			continue
		}
		target := &ast.AttrGetExpr{Object: r.temporary(left, a.Object), Key: a.Key}
		if !constantKey(a.Key) {
			target.Key = r.temporary(left, a.Key)
		}
		targets[i] = at(target, a)
	}
	right := &ast.LocalAssignStmt{Exprs: s.Rhs}
	block := &ast.DoBlockStmt{Stmts: []ast.Stmt{on(left, s), on(right, s)}}
	for i := len(targets) - 1; i >= 0; i-- {
		value := at(&ast.IdentExpr{Value: r.name()}, targets[i])
		right.Names = append([]string{value.Value}, right.Names...)
		if a, ok := targets[i].(*ast.AttrGetExpr); ok && !constantKey(a.Key) {
			block.Stmts = append(block.Stmts, setCall(a, value))
			continue
		}
		assign := &ast.AssignStmt{Lhs: []ast.Expr{targets[i]}, Rhs: []ast.Expr{value}}
		block.Stmts = append(block.Stmts, on(assign, s))
	}
	return on(block, s)
}

func (r *rewriter) name() string {
	r.temporaries++
	return "(temporary " + strconv.Itoa(r.temporaries) + ")"
}

func (r *rewriter) temporary(s *ast.LocalAssignStmt, value ast.Expr) ast.Expr {
	name := r.name()
	s.Names = append(s.Names, name)
	s.Exprs = append(s.Exprs, single(value))
	return at(&ast.IdentExpr{Value: name}, value)
}

func setCall(target *ast.AttrGetExpr, value ast.Expr) ast.Stmt {
	c := call(opSet, []ast.Expr{target.Object, target.Key, value}, target)
	c.AdjustRet = false
	return on(&ast.FuncCallStmt{Expr: c}, target)
}

// call is no tail call and gives one value, as the operator that it stands for.
func call(name string, args []ast.Expr, origin ast.PositionHolder) *ast.FuncCallExpr {
	args[len(args)-1] = single(args[len(args)-1])
	f := at(&ast.IdentExpr{Value: name}, origin)
	return at(&ast.FuncCallExpr{Func: f, Args: args, AdjustRet: true}, origin)
}

// single makes an expression that might give several values give one.
func single(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		e.AdjustRet = true
	case *ast.Comma3Expr:
		e.AdjustRet = true
	}
	return e
}

func at[E ast.Expr](e E, origin ast.PositionHolder) E {
	e.SetLine(origin.Line())
	e.SetLastLine(max(origin.LastLine(), origin.Line()))
	return e
}

func on[S ast.Stmt](s S, origin ast.PositionHolder) S {
	s.SetLine(origin.Line())
	s.SetLastLine(max(origin.LastLine(), origin.Line()))
	return s
}
