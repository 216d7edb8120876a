// Package condition answers the conditions of grants, written in CEL over who
// asks, when, from where, for what and how.
//
// A condition is bounded before it is read (size), while it is read (depth,
// nodes, regular expressions) and while it is answered (cost, memory, time).
// Whatever goes wrong is an error and never an answer: the caller decides what
// no answer means, which is no for a grant that allows and yes for one that denies.
package condition

import (
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"nimbus/appliance/fault"
)

// The bounds of every condition.
const (
	MaxSource = 4096      // bytes of source, looked at before parsing
	CostLimit = 1_000_000 // of one answer, in CEL's units
	Deadline  = 100 * time.Millisecond
	// stopAfter leaves a loop the rest of the deadline to come to its end.
	stopAfter   = Deadline * 8 / 10
	maxDepth    = 64
	maxNodes    = 2000
	maxRegex    = 1000
	maxElements = 1_000_000
	checkEvery  = 64 // rounds of a loop between two looks at the clock
)

// Program is a condition that was read and checked. It is immutable and safe
// for concurrent use.
type Program struct {
	source  string
	program cel.Program
	loops   bool
}

// Source is the text it was made of.
func (p *Program) Source() string { return p.source }

// environment is made once: it is the same for all conditions.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.ParserRecursionLimit(maxDepth), cel.ParserExpressionSizeLimit(MaxSource), cel.ParserErrorRecoveryLimit(4),
		cel.ExpressionNodeLimit(maxNodes), cel.RegexProgramSizeLimit(maxRegex),
		cel.CrossTypeNumericComparisons(true), cel.DefaultUTCTimeZone(true), ext.Network(),
	}
	for _, n := range names {
		options = append(options, cel.Variable(n.Name, n.kind))
	}
	return cel.NewEnv(options...)
})

// Compile reads and checks a condition. It returns fault.Invalid with what is
// wrong and where.
func Compile(source string) (*Program, error) {
	if len(source) > MaxSource {
		return nil, invalid("A condition has at most %d characters.", MaxSource)
	}
	if !utf8.ValidString(source) {
		return nil, invalid("The condition is not text.")
	}
	env, err := environment()
	if err != nil {
		return nil, err
	}
	return compile(env, source)
}

func compile(env *cel.Env, source string) (p *Program, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			p, err = nil, invalid("The condition cannot be read: %v", panicked)
		}
	}()
	checked, issues := env.Compile(source)
	if issues.Err() != nil {
		return nil, invalid("The condition cannot be read: %s", first(issues))
	}
	if kind := checked.OutputType(); !kind.IsExactType(cel.BoolType) && !kind.IsExactType(cel.DynType) {
		return nil, invalid("A condition answers true or false, this one gives %s.", kind)
	}
	p = &Program{source: source, loops: loops(checked.NativeRep().Expr())}
	p.program, err = env.Program(checked, bounds(p.loops)...)
	if err != nil {
		return nil, invalid("The condition cannot be read: %v", err)
	}
	return p, nil
}

// bounds limits an answer. What has no loop does each of its few steps once,
// so only loops need a watch on clock and memory.
func bounds(loops bool) []cel.ProgramOption {
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize), cel.CostLimit(CostLimit)}
	if loops {
		options = append(options, cel.InterruptCheckFrequency(checkEvery), cel.MemoryLimit(maxElements))
	}
	return options
}

func loops(e ast.Expr) bool {
	found := false
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) { found = found || e.Kind() == ast.ComprehensionKind }))
	return found
}

func first(issues *cel.Issues) string {
	e := issues.Errors()[0]
	return fmt.Sprintf("%s (line %d, column %d)", e.Message, e.Location.Line(), e.Location.Column()+1)
}

func invalid(format string, args ...any) error {
	return fault.BadField("body.condition", format, args...)
}

// Answer is true or false, or an error when there is no answer: something is
// missing or of another type, a limit was passed, or it panicked.
func (p *Program) Answer(in *Input) (bool, error) {
	answer, _, err := p.Measure(in)
	return answer, err
}

// Measure is Answer that also tells what it cost, in CEL's units.
func (p *Program) Measure(in *Input) (answer bool, cost uint64, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			answer, err = false, fmt.Errorf("it panicked: %v", panicked)
		}
	}()
	out, details, err := p.run(in)
	if c := details.ActualCost(); c != nil {
		cost = *c
	}
	if err != nil {
		return false, cost, err
	}
	value, ok := out.(types.Bool)
	if !ok {
		return false, cost, fmt.Errorf("it gave %s and neither true nor false", out.Type().TypeName())
	}
	return bool(value), cost, nil
}
