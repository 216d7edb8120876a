package doctor

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// checkTimeout is how long one check may take.
const checkTimeout = 20 * time.Second

// Examine runs all checks side by side. One that panics or takes too long
// is unknown and does not keep the others.
func Examine(ctx context.Context, checks []Check) []Item {
	items := make([]Item, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() { items[i] = Item{c.Name, c.Group, examine(ctx, c)} })
	}
	all.Wait()
	for i := range items {
		if items[i].Measure == nil {
			items[i].Measure = map[string]any{}
		}
	}
	return items
}

func examine(ctx context.Context, c Check) Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	found := make(chan Finding, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				found <- unknown(fmt.Sprintf("The check itself failed: %v", p))
			}
		}()
		found <- c.Run(ctx)
	}()
	select {
	case f := <-found:
		return f
	case <-ctx.Done():
		return unknown(fmt.Sprintf("There was no answer within %s.", checkTimeout))
	}
}
