package scim

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Bounds of a filter, checked before and while it is read.
const (
	maxFilterLength = 4096
	maxFilterDepth  = 20
	maxFilterTerms  = 100
)

// filter is an expression of RFC 7644, section 3.4.2.2. Op tells which of the
// other fields count.
type filter struct {
	Op string // and, or, not, pr, eq, ne, co, sw, ew, gt, ge, lt, le, or [] for a value path alone

	Left, Right *filter // and, or; not has Left

	Attr  string  // as written, with its URN
	Where *filter // attr[where]
	Sub   string  // attr[where].sub
	Value any     // string, float64, bool or nil
}

// String writes the filter so that reading it gives the same filter.
func (f *filter) String() string {
	switch f.Op {
	case "and", "or":
		return f.side(f.Left, f.Op) + " " + f.Op + " " + f.side(f.Right, "")
	case "not":
		return "not (" + f.Left.String() + ")"
	case "[]":
		return f.path()
	case "pr":
		return f.path() + " pr"
	}
	value, _ := json.Marshal(f.Value)
	return f.path() + " " + f.Op + " " + string(value)
}

// side puts parentheses around an and or an or below, unless it is of the
// operator that needs none there.
func (f *filter) side(below *filter, free string) string {
	weaker := below.Op == "or" || below.Op == "and" && f.Op == "and"
	if weaker && below.Op != free {
		return "(" + below.String() + ")"
	}
	return below.String()
}

func (f *filter) path() string {
	path := f.Attr
	if f.Where != nil {
		path += "[" + f.Where.String() + "]"
	}
	if f.Sub != "" {
		path += "." + f.Sub
	}
	return path
}

// parseFilter reads a filter. What is wrong comes as invalidFilter with the place.
func parseFilter(text string) (*filter, error) {
	p, err := newParser(text, InvalidFilter)
	if err != nil {
		return nil, err
	}
	f, err := p.or(false)
	if err == nil {
		err = p.end()
	}
	return f, err
}

// patchPath is the path of a patch: attr, attr.sub, attr[where], attr[where].sub.
type patchPath struct {
	Attr  string // as written, with its URN and, without Where, its sub-attribute
	Where *filter
	Sub   string // after Where
}

// parsePath reads the path of a patch (RFC 7644, section 3.5.2).
func parsePath(text string) (patchPath, error) {
	p, err := newParser(text, InvalidPath)
	if err != nil {
		return patchPath{}, err
	}
	f, err := p.target(false)
	if err == nil {
		err = p.end()
	}
	if err != nil {
		return patchPath{}, err
	}
	return patchPath{f.Attr, f.Where, f.Sub}, nil
}

// parser reads by recursive descent: or binds weakest, then and, then not.
type parser struct {
	text  string
	at    int
	depth int
	terms int
	kind  string // scimType of what is wrong
}

func newParser(text, kind string) (*parser, error) {
	if len(text) > maxFilterLength {
		return nil, bad(kind, fmt.Sprintf("It is longer than %d characters.", maxFilterLength))
	}
	return &parser{text: text, kind: kind}, nil
}

func (p *parser) fail(format string, args ...any) error {
	return bad(p.kind, fmt.Sprintf("At character %d: ", p.at+1)+fmt.Sprintf(format, args...))
}

func (p *parser) space() {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t') {
		p.at++
	}
}

func (p *parser) end() error {
	p.space()
	if p.at < len(p.text) {
		return p.fail("nothing is expected here.")
	}
	return nil
}

// take reads one character when it is the next one.
func (p *parser) take(c byte) bool {
	p.space()
	if p.at >= len(p.text) || p.text[p.at] != c {
		return false
	}
	p.at++
	return true
}

// word reads a keyword in any case, when it is the next one and ends there.
func (p *parser) word(keyword string) bool {
	p.space()
	end := p.at + len(keyword)
	if end > len(p.text) || !strings.EqualFold(p.text[p.at:end], keyword) {
		return false
	}
	if end < len(p.text) && named(p.text[end]) {
		return false
	}
	p.at = end
	return true
}

// deeper guards the recursion.
func (p *parser) deeper() error {
	if p.depth++; p.depth > maxFilterDepth {
		return p.fail("it nests deeper than %d levels.", maxFilterDepth)
	}
	return nil
}

// or reads terms joined by or; inside the brackets of a value path another
// value path may not follow.
func (p *parser) or(inside bool) (*filter, error) {
	left, err := p.and(inside)
	for err == nil && p.word("or") {
		var right *filter
		right, err = p.and(inside)
		left = &filter{Op: "or", Left: left, Right: right}
	}
	return left, err
}

func (p *parser) and(inside bool) (*filter, error) {
	left, err := p.factor(inside)
	for err == nil && p.word("and") {
		var right *filter
		right, err = p.factor(inside)
		left = &filter{Op: "and", Left: left, Right: right}
	}
	return left, err
}

func (p *parser) factor(inside bool) (*filter, error) {
	before := p.at
	if p.word("not") {
		if p.take('(') {
			inner, err := p.group(inside)
			return &filter{Op: "not", Left: inner}, err
		}
		p.at = before // an attribute may be called not
	}
	if p.take('(') {
		return p.group(inside)
	}
	return p.term(inside)
}

func (p *parser) group(inside bool) (*filter, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	f, err := p.or(inside)
	if err == nil && !p.take(')') {
		err = p.fail("a ) is missing.")
	}
	return f, err
}

var operators = []string{"pr", "eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"}

func (p *parser) term(inside bool) (*filter, error) {
	if p.terms++; p.terms > maxFilterTerms {
		return nil, p.fail("it has more than %d terms.", maxFilterTerms)
	}
	f, err := p.target(inside)
	if err != nil {
		return nil, err
	}
	for _, op := range operators {
		if p.word(op) {
			f.Op = op
			break
		}
	}
	switch {
	case f.Op == "" && f.Where != nil && f.Sub == "":
		f.Op = "[]"
		return f, nil
	case f.Op == "":
		return nil, p.fail("one of the operators eq ne co sw ew gt ge lt le pr is expected.")
	case f.Op == "pr":
		return f, nil
	}
	f.Value, err = p.value()
	return f, err
}

// target reads attr, attr[where] or attr[where].sub.
func (p *parser) target(inside bool) (*filter, error) {
	f := &filter{Attr: p.name()}
	if !wellNamed(f.Attr) {
		return nil, p.fail("the name of an attribute is expected.")
	}
	if p.at >= len(p.text) || p.text[p.at] != '[' {
		return f, nil
	}
	if inside {
		return nil, p.fail("a value path cannot contain another one.")
	}
	p.at++
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	where, err := p.or(true)
	if err != nil {
		return nil, err
	}
	if !p.take(']') {
		return nil, p.fail("a ] is missing.")
	}
	f.Where = where
	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		if f.Sub = p.name(); !wellNamed(f.Sub) || strings.ContainsAny(f.Sub, ".:") {
			return nil, p.fail("the name of a sub-attribute is expected.")
		}
	}
	return f, nil
}

func named(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '_' || c == '$' || c == '-' || c == '.' || c == ':'
}

// wellNamed is true for names that begin with a letter or $ and do not end
// with a separator.
func wellNamed(name string) bool {
	if name == "" {
		return false
	}
	first, last := name[0], name[len(name)-1]
	letter := first|0x20 >= 'a' && first|0x20 <= 'z'
	return (letter || first == '$') && last != '.' && last != ':'
}

func (p *parser) name() string {
	p.space()
	start := p.at
	for p.at < len(p.text) && named(p.text[p.at]) {
		p.at++
	}
	return p.text[start:p.at]
}

// value reads a JSON string, number, true, false or null.
func (p *parser) value() (any, error) {
	p.space()
	if p.at < len(p.text) && p.text[p.at] == '"' {
		return p.quoted()
	}
	start := p.at
	for p.at < len(p.text) && (named(p.text[p.at]) || p.text[p.at] == '+') {
		p.at++
	}
	switch word := p.text[start:p.at]; {
	case strings.EqualFold(word, "true"):
		return true, nil
	case strings.EqualFold(word, "false"):
		return false, nil
	case strings.EqualFold(word, "null"):
		return nil, nil
	case json.Valid([]byte(word)):
		if n, err := strconv.ParseFloat(word, 64); err == nil {
			return n, nil
		}
	}
	p.at = start
	return nil, p.fail(`a value is expected: a "text", a number, true, false or null.`)
}

func (p *parser) quoted() (any, error) {
	start := p.at
	for p.at++; p.at < len(p.text) && p.text[p.at] != '"'; p.at++ {
		if p.text[p.at] == '\\' {
			p.at++
		}
	}
	if p.at >= len(p.text) {
		p.at = start
		return nil, p.fail("the text does not end.")
	}
	p.at++
	var s string
	if err := json.Unmarshal([]byte(p.text[start:p.at]), &s); err != nil {
		p.at = start
		return nil, p.fail("the text is not a JSON string.")
	}
	return s, nil
}
