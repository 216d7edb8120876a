package condition

import (
	"context"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
)

func (p *Program) run(in *Input) (ref.Val, *cel.EvalDetails, error) {
	if !p.loops {
		return p.program.Eval(in)
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopAfter)
	defer cancel()
	return p.program.ContextEval(ctx, in)
}
