package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// finder finds the ways to break one file, and writes a switch for each into its source.
type finder struct {
	pack   *pack
	file   string
	source []byte
	set    *token.FileSet
	info   *types.Info
	of     *types.Package
	// imports are the names of the file's imports, by path.
	imports map[string]string
	// function is the name of the current function.
	function string
	edits    []edit
	names    map[string]int
}

// edit replaces a piece of text by another.
type edit struct {
	from, to int
	text     string
	// closes says that it closes another edit; turn numbers the edits, outer ones first.
	closes bool
	turn   int
}

// find finds the ways to break a file, except some functions.
func (p *pack) find(path string, f *ast.File, except []string, set *token.FileSet, info *types.Info, of *types.Package) error {
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	fd := &finder{
		pack: p, file: filepath.Base(path), source: source, set: set, info: info, of: of,
		imports: make(map[string]string), names: make(map[string]int),
	}
	names := make(map[string]string) // of packages: a path can end with a version
	for _, i := range of.Imports() {
		names[i.Path()] = i.Name()
	}
	for _, i := range f.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		fd.imports[path] = names[path]
		if i.Name != nil {
			fd.imports[path] = i.Name.Name
		}
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil || slices.Contains(except, fn.Name.Name) {
			continue
		}
		fd.function = fn.Name.Name
		if fn.Recv != nil {
			t := fn.Recv.List[0].Type
			if star, ok := t.(*ast.StarExpr); ok {
				t = star.X
			}
			fd.function = fd.text(t) + "." + fd.function
		}
		fd.body(fn.Body, fn.Type.Results)
		ast.Inspect(fn.Body, fd.node)
	}
	p.sources[path] = fd.edited()
	return nil
}

// node finds the ways to break one node. It returns false if its children must not be searched.
func (f *finder) node(n ast.Node) bool {
	if e, ok := n.(ast.Expr); ok && f.constant(e) {
		f.literal(e)
		return false
	}
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok == token.VAR
	case *ast.FuncLit:
		f.body(n.Body, n.Type.Results)
	case *ast.BlockStmt:
		f.statements(n.List)
	case *ast.CaseClause:
		f.statements(n.Body)
	case *ast.CommClause:
		f.statements(n.Body)
	case *ast.IfStmt:
		if f.plumbing(n) {
			return false
		}
		f.condition(n.Cond, true, true)
	case *ast.ForStmt:
		if n.Cond != nil {
			f.condition(n.Cond, false, true)
		}
	case *ast.SwitchStmt:
		f.cases(n)
		return true
	case *ast.ReturnStmt:
		for _, r := range n.Results {
			if f.isBool(r) {
				f.condition(r, true, true)
			}
		}
	case *ast.BinaryExpr:
		f.binary(n)
	case *ast.CallExpr:
		f.call(n)
	case *ast.CompositeLit:
		f.fields(n)
	}
	return true
}

func (f *finder) constant(e ast.Expr) bool { return f.info.Types[e].Value != nil }

func (f *finder) isBool(e ast.Expr) bool {
	b, ok := f.info.Types[e].Type.(*types.Basic)
	return ok && b.Info()&types.IsBoolean != 0 && !f.constant(e)
}

// body makes a function fail if its return was removed.
func (f *finder) body(b *ast.BlockStmt, results *ast.FieldList) {
	if results != nil {
		f.replace(b.Rbrace, b.Rbrace, `; panic("no return is left")`+"\n")
	}
	if n := len(b.List); n > 0 {
		if _, ok := b.List[n-1].(*ast.ReturnStmt); ok {
			f.names["last "+f.at(b.List[n-1])] = 1 // leaving it out shows nothing
		}
	}
}

// at is a position in the file.
func (f *finder) at(n ast.Node) string { return f.set.Position(n.Pos()).String() }

// plumbing matches statements whose break shows nothing: log lines, and those that only the
// race detector or a leak check would notice.
var plumbing = regexp.MustCompile(`\blog\.(Debug|Info|Warn|Error)\(\)|\.(Lock|Unlock|Stop)\(\)$|^defer cancel\(\)$`)

// plumbing reports whether a condition decides only about such statements.
func (f *finder) plumbing(i *ast.IfStmt) bool {
	return i.Else == nil && !slices.ContainsFunc(i.Body.List, func(s ast.Stmt) bool { return !plumbing.MatchString(f.text(s)) })
}

// statements leaves out each statement in turn.
func (f *finder) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt, *ast.IncDecStmt, *ast.SendStmt, *ast.GoStmt, *ast.DeferStmt, *ast.BranchStmt:
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE || f.text(s.Lhs[0]) == "_" {
				continue
			}
		case *ast.ReturnStmt:
			if f.names["last "+f.at(s)] > 0 {
				continue
			}
		default:
			continue
		}
		if plumbing.MatchString(f.text(s)) {
			continue
		}
		f.wrap(s, "if !mutantOn(%d) {\n", "\n}", "left out: %s")
	}
}

// condition makes a condition always true, or always false.
func (f *finder) condition(e ast.Expr, holds, fails bool) {
	if holds {
		f.wrap(e, "(mutantOn(%d) || (", "))", "always holds: %s")
	}
	if fails {
		f.wrap(e, "(!mutantOn(%d) && (", "))", "never holds: %s")
	}
}

// cases breaks the cases of a switch.
func (f *finder) cases(s *ast.SwitchStmt) {
	var clauses []*ast.CaseClause
	hasDefault := false
	for _, c := range s.Body.List {
		if clause, ok := c.(*ast.CaseClause); ok {
			clauses = append(clauses, clause)
			hasDefault = hasDefault || clause.List == nil
		}
	}
	for _, clause := range clauses {
		for _, e := range clause.List {
			switch {
			case s.Tag == nil && !f.constant(e):
				f.condition(e, true, true)
			case s.Tag != nil && (len(clause.Body) > 0 || hasDefault):
				if t, ok := f.typeName(e); ok {
					f.wrap(e, "mutantOther["+t+"](%d, ", ")", "no case: %s")
				}
			}
		}
	}
}

// literal swaps true and false, 0 and 1.
func (f *finder) literal(e ast.Expr) {
	switch v := f.info.Types[e].Value; v.Kind() {
	case constant.Bool:
		if id, ok := e.(*ast.Ident); ok && (id.Name == "true" || id.Name == "false") {
			f.wrap(e, "mutantNot(%d, ", ")", "the other: %s")
		}
	case constant.Int:
		if lit, ok := e.(*ast.BasicLit); ok && (lit.Value == "0" || lit.Value == "1") {
			if t, ok := f.typeName(e); ok {
				f.wrap(e, "mutantDigit["+t+"](%d, ", ")", "0 and 1 swapped: %s")
			}
		}
	case constant.String, constant.Float, constant.Complex, constant.Unknown:
	}
}

// operators holds the functions that break an operator.
var operators = map[token.Token]string{
	token.LSS: "mutantLess", token.LEQ: "mutantLessEqual", token.GTR: "mutantMore", token.GEQ: "mutantMoreEqual",
	token.ADD: "mutantAdd", token.SUB: "mutantSub", token.MUL: "mutantMul", token.QUO: "mutantQuo",
}

// binary breaks an operator, or leaves out one side of && and ||.
func (f *finder) binary(e *ast.BinaryExpr) {
	if and := e.Op == token.LAND; and || e.Op == token.LOR {
		f.condition(e.X, and, !and)
		f.condition(e.Y, and, !and)
		return
	}
	name, ok := operators[e.Op]
	if b, basic := f.info.Types[e.X].Type.Underlying().(*types.Basic); !ok || !basic || b.Info()&types.IsNumeric == 0 {
		return
	}
	what := "another operator: %s"
	if f.isBool(e) {
		what = "equal counts differently: %s"
	}
	f.wrap(e, name+"(%d, ", ")", what)
	f.replace(e.OpPos, e.OpPos+token.Pos(len(e.Op.String())), ",")
}

// call swaps min and max.
func (f *finder) call(e *ast.CallExpr) {
	if name := f.text(e.Fun); name == "min" || name == "max" {
		f.replaceBy(e.Fun, e, map[string]string{"min": "mutantMin(%d, ", "max": "mutantMax(%d, "}[name], "min and max swapped: %s")
	}
}

// fields leaves out the fields of a struct.
func (f *finder) fields(c *ast.CompositeLit) {
	if _, ok := f.info.Types[c].Type.Underlying().(*types.Struct); !ok {
		return
	}
	for _, e := range c.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok || f.info.Types[kv.Value].IsNil() || f.zero(kv.Value) {
			continue
		}
		instance := ""
		if f.constant(kv.Value) {
			t, ok := f.typeName(kv.Value)
			if !ok {
				continue
			}
			instance = "[" + t + "]"
		}
		f.wrapNamed(kv.Value, "mutantZero"+instance+"(%d, ", ")", "left out: "+f.short(kv))
	}
}

// zero reports whether an expression is constant and zero.
func (f *finder) zero(e ast.Expr) bool {
	v := f.info.Types[e].Value
	if v == nil {
		return false
	}
	switch v.Kind() {
	case constant.Bool:
		return !constant.BoolVal(v)
	case constant.String:
		return constant.StringVal(v) == ""
	case constant.Int, constant.Float, constant.Complex:
		return constant.Sign(v) == 0
	case constant.Unknown:
	}
	return false
}

// typeName is the name of an expression's type in this file; ok is false if it has none.
func (f *finder) typeName(e ast.Expr) (name string, ok bool) {
	t := f.info.Types[e].Type
	if b, basic := t.(*types.Basic); basic && b.Info()&types.IsUntyped != 0 {
		return "", false
	}
	ok = true
	name = types.TypeString(t, func(p *types.Package) string {
		if p == f.of {
			return ""
		}
		name := f.imports[p.Path()]
		ok = ok && name != ""
		return name
	})
	return name, ok
}

func (f *finder) text(n ast.Node) string {
	return string(f.source[f.offset(n.Pos()):f.offset(n.End())])
}

func (f *finder) offset(p token.Pos) int { return f.set.Position(p).Offset }

// short is a node's text on one line.
func (f *finder) short(n ast.Node) string {
	const most = 100
	text := []rune(strings.Join(strings.Fields(f.text(n)), " "))
	if len(text) > most {
		text = append(text[:most], '…')
	}
	return string(text)
}

// wrap puts a switch around a node. what names the break.
func (f *finder) wrap(n ast.Node, before, after, what string) {
	f.wrapNamed(n, before, after, fmt.Sprintf(what, f.short(n)))
}

func (f *finder) wrapNamed(n ast.Node, before, after, name string) {
	before = fmt.Sprintf(before, f.add(n, name))
	from, to := f.offset(n.Pos()), f.offset(n.End())
	turn := len(f.edits)
	f.edits = append(f.edits, edit{from, from, before, false, turn}, edit{to, to, after, true, turn})
}

// replaceBy puts a switch in place of a function and its opening parenthesis.
func (f *finder) replaceBy(function ast.Expr, call *ast.CallExpr, text, what string) {
	f.replace(function.Pos(), call.Lparen+1, fmt.Sprintf(text, f.add(call, fmt.Sprintf(what, f.short(call)))))
}

func (f *finder) replace(from, to token.Pos, text string) {
	f.edits = append(f.edits, edit{f.offset(from), f.offset(to), text, false, len(f.edits)})
}

// add adds a mutant and returns its number.
func (f *finder) add(n ast.Node, name string) int {
	name = f.file + " " + f.function + ": " + name
	f.names[name]++
	if f.names[name] > 1 {
		name = fmt.Sprintf("%s (%d)", name, f.names[name])
	}
	f.pack.mutants = append(f.pack.mutants, mutant{f.file, f.set.Position(n.Pos()).Line, name})
	return len(f.pack.mutants)
}

// edited returns the source with all switches.
func (f *finder) edited() []byte {
	slices.SortStableFunc(f.edits, func(a, b edit) int {
		switch {
		case a.from != b.from:
			return a.from - b.from
		case a.closes != b.closes: // an end comes before the next beginning
			return map[bool]int{true: -1, false: 1}[a.closes]
		case a.closes:
			return cmp.Compare(b.turn, a.turn)
		}
		return cmp.Compare(a.turn, b.turn)
	})
	var out []byte
	at := 0
	for _, e := range f.edits {
		out = append(append(out, f.source[at:e.from]...), e.text...)
		at = e.to
	}
	return append(out, f.source[at:]...)
}
