package web

import (
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"nimbus/appliance/fault"
)

// knownQuery answers 400 to a query parameter that the operation does not have:
// a mistyped filter would yield everything.
func knownQuery(ctx huma.Context, next func(huma.Context)) {
	known := queryOf(ctx.Operation())
	address := ctx.URL()
	for name := range address.Query() {
		if !slices.Contains(known, name) {
			r, w := humago.Unwrap(ctx)
			Fail(w, r, unknownQuery(name, known))
			return
		}
	}
	next(ctx)
}

func queryOf(op *huma.Operation) []string {
	var names []string
	for _, p := range op.Parameters {
		if p.In == "query" {
			names = append(names, p.Name)
		}
	}
	return names
}

func unknownQuery(name string, known []string) error {
	if len(known) == 0 {
		return fault.BadField("query."+name, "There is no parameter %q here: this operation has none. Leave it out.", name)
	}
	return fault.BadField("query."+name, "There is no parameter %q here. There is: %s.", name, strings.Join(known, ", "))
}
